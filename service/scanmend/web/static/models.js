// The models and their cards: what each was made from and measured at, and what runs it here.
import { $, make } from "./dom.js";
import { getJson } from "./api.js";
import { figure, words } from "./format.js";
import { markdown } from "./markdown.js";

const TOLD_ELSEWHERE = new Set(["name", "summary", "card"]);

export class ModelsView {
  constructor(page) {
    this.page = page;
    this.list = make("ul", { className: "rows", "aria-label": "Models" });
    this.card = make("article", { className: "detail", tabIndex: -1 });
    $("view-models").append(make("div", { className: "side" }, make("h2", {}, "Models"), this.list), this.card);
  }

  async show() {
    try {
      const { models } = await getJson("/api/v1/models");
      this.list.replaceChildren(...models.map((model) => this.row(model)));
      const inUse = this.page.session()?.model;
      const first = models.find(({ name }) => name === (this.name ?? inUse)) ?? models[0];
      if (first) await this.choose(first.name);
    } catch (error) {
      this.list.replaceChildren(make("li", { className: "wrong" }, error.message));
    }
  }

  hide() {}

  row(model) {
    const button = make("button", { onclick: () => this.choose(model.name, true) },
      make("b", {}, model.name), make("span", { className: model.live ? "good light" : "bad light" }, model.live ? "● live" : "■ not live"),
      make("small", {}, [model.kind, model.default ? "the default" : "", model.name === this.page.session()?.model ? "in use" : ""].filter(Boolean).join(", ")),
      make("small", {}, model.live ? model.summary : model.problem));
    button.dataset.name = model.name;
    return make("li", {}, button);
  }

  async choose(name, focus = false) {
    this.name = name;
    for (const button of this.list.querySelectorAll("button"))
      if (button.dataset.name === name) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    await fill(this.card, name);
    if (focus) this.card.focus();
  }
}

// A model's card in a dialog, beside what the light says now.
export async function showCard(name, caution) {
  if (!name) return;
  const dialog = $("card-dialog");
  const body = make("div", { className: "card-body", tabIndex: 0, role: "region", "aria-label": "Card" }, make("p", {}, "Loading …"));
  const now = caution ? make("p", { className: "warn light" }, `▲ Take care: ${caution}.`) : caution === "" ? make("p", { className: "good light" }, "● The input is like the pictures that the model was trained on.") : "";
  dialog.replaceChildren(make("h2", { id: "card-title" }, `Model ${name}`), now || "", body,
    make("div", { className: "choices" }, make("a", { href: "#models", onclick: () => dialog.close() }, "All models"), make("button", { autofocus: true, onclick: () => dialog.close() }, "Close")));
  dialog.showModal();
  await fill(body, name, false);
}

async function fill(place, name, heading = true) {
  try {
    const model = await getJson(`/api/v1/models/${encodeURIComponent(name)}`);
    place.replaceChildren(...card(model, heading));
  } catch (error) {
    place.replaceChildren(make("p", { className: "wrong" }, error.message));
  }
}

function card(model, heading) {
  const parts = heading ? [make("h2", {}, model.name)] : [];
  if (model.summary) parts.push(make("p", { className: "lead" }, model.summary));
  parts.push(make("dl", { className: "facts" }, ...facts(model)));
  for (const { title, text } of model.sections ?? []) parts.push(make("section", { className: "markdown" }, make("h3", {}, title), ...markdown(text, 4)));
  if (model.figures) parts.push(make("h3", {}, "Figures of the catalogue"), ...figures(model.figures));
  return parts;
}

function facts(model) {
  const tuned = Object.entries(model.tuned_ms ?? {}).map(([where, ms]) => `${where} ${figure(ms)} ms`).join(", ");
  const known = Object.entries(model).filter(([key, value]) => !TOLD_ELSEWHERE.has(key) && value !== "" && value !== null && typeof value !== "object");
  return [...pairs(Object.fromEntries(known)), ...(tuned ? [make("dt", {}, "tried here, a frame of 512²"), make("dd", {}, tuned)] : [])];
}

function pairs(values) {
  return Object.entries(values).filter(([, value]) => value !== "" && value !== null && typeof value !== "object").flatMap(([name, value]) => [
    make("dt", {}, words(name)), make("dd", {}, typeof value === "boolean" ? (value ? "yes" : "no") : String(value))]);
}

function figures({ domain, calibration, ...plain }) {
  const parts = [make("dl", { className: "facts" }, ...pairs(plain))];
  const ranges = Object.entries(domain ?? {}).map(([name, [low, high]]) => [words(name), figure(low), figure(high)]);
  if (ranges.length) parts.push(make("h3", {}, "Trained for"), table("Trained for", ["", "from", "to"], ranges));
  if (calibration) parts.push(...calibrated(calibration));
  return parts;
}

function calibrated({ pictures, coverage, electrons, factor, noise_free_factor }) {
  const rows = coverage.map((share, i) => [`${figure(100 * share)} % sampled`, ...factor[i].map((value) => figure(value)), figure(noise_free_factor?.[i])]);
  return [
    make("h3", {}, "By what its sigma is multiplied"),
    make("p", {}, `So that it is right on average: measured on ${pictures} pictures that it was not trained on, by electrons a visited pixel.`),
    table("Factors", ["", ...electrons.map((value) => `${figure(value)} e⁻`), "no noise"], rows),
  ];
}

function table(label, head, rows) {
  return make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": label }, make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((cell) => (cell ? make("th", { scope: "col" }, cell) : make("td"))))),
    make("tbody", {}, ...rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((cell) => make("td", {}, cell)))))));
}
