// The footer: rates, latency, losses, dose, model.
import { $, setText } from "./dom.js";
import { count, figure, milliseconds, rate, sum, words } from "./format.js";

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

// `unrestored`: what is shown now is not restored, although it should be.
export function showFigures(session, unrestored) {
  showRates(session);
  showLosses(session);
  showDose(session?.dose ?? {}, session && !session.field.beam_current_pa, Boolean(session?.rescan));
  showNext(session);
  showModel(session, unrestored);
}

function showRates(session) {
  const latency = session?.latency_ms ?? {};
  $("rate").lastElementChild.replaceChildren(
    bold(rate(session?.frames_per_s_in)), " in  ", bold(rate(session?.frames_per_s_out)), " out");
  $("latency").children[1].replaceChildren(
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

function showDose(dose, unknown, planned) {
  const used = dose.used_e_per_nm2;
  const budget = dose.budget_e_per_nm2;
  const [, text, bar] = $("dose").children;
  bar.hidden = !budget || used === undefined;
  if (used === undefined) return text.replaceChildren(bold("–"), small(unknown ? " beam current not known" : ""));
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
  box.hidden = !session?.rescan || session.proposal?.awaits === "operator"; // that one has a band of its own
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

// The validity light: kind, what is seen and said, and why; null where there is no model.
export function trustOf(session, unrestored) {
  if (!session?.model && !unrestored) return null;
  if (unrestored) return { kind: "bad", text: "■ not restored", why: "The newest picture was passed on as it came; over the picture it says why." };
  const { caution } = session;
  if (caution === null || caution === undefined) return { kind: "", text: "◇ classical", why: "Nothing was trained, so there is nothing to be unlike. The card says what the method can do." };
  if (caution) return { kind: "warn", text: "▲ take care", why: `Take care: ${caution}.` };
  return { kind: "good", text: "● as trained", why: "The input is like the pictures that the model was trained on. That does not say that the picture is right." };
}

function showModel(session, unrestored) {
  const provider = (session?.provider ?? "").replace("ExecutionProvider", "");
  setText($("open-card"), provider ? `Model, on ${provider}` : "Model");
  const trust = trustOf(session, unrestored);
  const light = trust ? small(trust.text) : "";
  if (light) light.className = `light ${trust.kind}`;
  $("model").lastElementChild.replaceChildren(bold(session?.model || "–"), light);
  $("model").title = trust?.why ?? "";
  $("open-card").disabled = !session?.model;
}
