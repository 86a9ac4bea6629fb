// The footer: rates, latency, losses, dose, model.
import { count, figure, milliseconds, rate, sum, words } from "./format.js";

const $ = (id) => document.getElementById(id);

function bold(value, kind = "") {
  const element = document.createElement("b");
  element.textContent = value;
  if (kind) element.className = kind;
  return element;
}

function small(text) {
  const element = document.createElement("small");
  element.textContent = text;
  return element;
}

function counted(number, name, kind) {
  const element = document.createElement("span");
  element.append(bold(count(number)), " ", name);
  if (number > 0 && kind) element.className = kind;
  return element;
}

export function showFigures(session) {
  showRates(session);
  showLosses(session);
  showDose(session?.dose ?? {}, Boolean(session), Boolean(session?.rescan));
  showNext(session);
  showModel(session);
}

function showRates(session) {
  const latency = session?.latency_ms ?? {};
  $("rate").lastElementChild.replaceChildren(
    bold(rate(session?.frames_per_s_in)), " in  ", bold(rate(session?.frames_per_s_out)), " out");
  $("latency").lastElementChild.replaceChildren(
    bold(milliseconds(latency.p50)), " · ", bold(milliseconds(latency.p95)), " ms");
}

function showLosses(session) {
  const account = session?.account;
  const target = $("losses").lastElementChild;
  if (!account) return target.replaceChildren(bold("–"));
  const passed = sum(account.passed_through);
  target.replaceChildren(
    counted(account.received, "received", "received"),
    counted(account.missing, "lost", "bad"),
    counted(sum(account.rejected), "rejected", "bad"),
    counted(account.dropped_by_client, "dropped", "warn"),
    ...(passed ? [counted(passed, "unrestored", "warn")] : []),
  );
  target.title = Object.entries(account.passed_through ?? {}).map(([why, n]) => `${n} passed through: ${words(why)}`).join("\n");
}

function showDose(dose, known, planned) {
  const used = dose.used_e_per_nm2;
  const budget = dose.budget_e_per_nm2;
  const [, text, bar] = $("dose").children;
  bar.hidden = !budget;
  if (used === undefined) return text.replaceChildren(bold("–"), small(known ? " beam current not known" : ""));
  const share = budget ? (100 * used) / budget : 0;
  const kind = share > 100.1 || (share >= 100 && !planned) ? "bad" : share >= 90 && !planned ? "warn" : "";
  text.replaceChildren(bold(figure(used), kind), budget ? ` of ${figure(budget)} e⁻/nm²` : " e⁻/nm²");
  const most = dose.most_e_per_nm2;
  text.title = [budget ? `${Math.round(share)} % of the budget` : "", most ? `${figure(most)} e⁻/nm² at the pixel with the most` : ""]
    .filter(Boolean).join("\n");
  bar.className = `bar ${kind}`;
  bar.firstElementChild.style.width = `${Math.min(100, share)}%`;
}

// What follows the last pass of an adaptive scan: a proposal with its price, or why there is none.
function showNext(session) {
  const box = $("next");
  box.hidden = !session?.rescan;
  if (box.hidden) return;
  const proposal = session.proposal;
  const [name, text] = box.children;
  name.textContent = proposal ? `Rescan proposed by ${proposal.policy}` : "Next plan";
  if (proposal) {
    const dose = proposal.dose_e_per_nm2;
    text.replaceChildren(
      bold(`${figure(100 * proposal.coverage, 2)} %`), " of the field",
      dose === null ? "" : `, ${figure(dose)} e⁻/nm²`, `, ${figure(proposal.duration_ms / 1000, 2)} s`);
    box.title = `${proposal.reason}\nSigma ${figure(proposal.sigma_now)} now, ${figure(proposal.sigma_expected)} expected after it.`;
  } else {
    const code = session.account?.enough;
    text.replaceChildren(bold(session.enough ? "enough" : "–"), session.enough && code ? small(` ${words(code)}`) : "");
    box.title = session.enough ?? "";
  }
}

function showModel(session) {
  const provider = (session?.provider ?? "").replace("ExecutionProvider", "");
  $("model").firstElementChild.textContent = provider ? `Model, on ${provider}` : "Model";
  const caution = session?.model ? (session.caution ?? null) : null; // null: a classical model, or none
  const light = caution === null ? "" : small(caution ? " ▲ take care" : " ● as trained");
  if (light) light.className = caution ? "warn" : "good";
  $("model").lastElementChild.replaceChildren(bold(session?.model || "–"), light);
  $("model").title = caution ? `Take care: ${caution}.` : caution === "" ? "The input is like those that it was trained on." : "";
}
