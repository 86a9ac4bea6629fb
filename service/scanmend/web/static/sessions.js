// Recorded sessions and snapshots: found, looked at, described, downloaded, replayed.
import { $, announce, make } from "./dom.js";
import { getJson, query } from "./api.js";
import { figure, size } from "./format.js";
import { RecordingDetail } from "./session_detail.js";
import { SnapshotList } from "./snapshots.js";
import { Thumbnails } from "./thumbnails.js";

const LENGTH = 30;
const TYPING_MS = 250;

export class SessionsView {
  constructor(page) {
    this.thumbnails = new Thumbnails();
    this.detail = new RecordingDetail(page, () => this.find());
    this.snapshots = new SnapshotList(this.thumbnails);
    this.list = make("ul", { className: "rows", "aria-label": "Recorded sessions" });
    this.found = make("p", { className: "quiet", role: "status" });
    this.more = make("button", { hidden: true, onclick: () => this.further() }, "More");
    this.form = this.filters();
    this.tabs = ["Recordings", "Snapshots"].map((name, i) => make("button", { role: "tab", onclick: () => this.turn(i), id: `tab-${i}`, "aria-controls": `panel-${i}` }, name));
    this.panels = [
      make("div", { className: "panel", role: "tabpanel", id: "panel-0", "aria-labelledby": "tab-0" },
        make("div", { className: "side" }, this.form, this.found, this.list, this.more), this.detail.element),
      make("div", { className: "panel", role: "tabpanel", id: "panel-1", "aria-labelledby": "tab-1" }, this.snapshots.element),
    ];
    const tabs = make("div", { role: "tablist", "aria-label": "What is kept" }, ...this.tabs);
    tabs.onkeydown = ({ key }) => ["ArrowLeft", "ArrowRight"].includes(key) && this.turn(this.panels[0].hidden ? 0 : 1, true);
    this.list.onkeydown = (event) => this.walk(event);
    $("view-sessions").append(tabs, ...this.panels);
    this.turn(0);
  }

  filters() {
    const field = (label, name, properties) => make("label", {}, label, make("input", { name, ...properties }));
    const form = make("form", { role: "search", className: "filters" },
      field("Search", "search", { type: "search", placeholder: "name, client, note …" }),
      make("details", {}, make("summary", {}, "More filters"), make("div", {},
        field("Tag", "tag", { type: "text" }), field("Model", "model", { type: "text" }),
        field("From", "since", { type: "date" }), field("Until", "until", { type: "date" }),
        field("Dose from, e⁻/nm²", "low", { type: "number", min: 0, step: "any" }), field("to", "high", { type: "number", min: 0, step: "any" }),
        make("button", { type: "reset" }, "Clear"))));
    form.onsubmit = (event) => event.preventDefault();
    form.oninput = () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.find(), TYPING_MS);
    };
    form.onreset = () => setTimeout(() => this.find());
    return form;
  }

  show() {
    if (this.panels[0].hidden) this.snapshots.show();
    else this.find();
  }

  hide() {
    this.thumbnails.forget();
  }

  turn(which, focus = false) {
    this.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", i === which);
      tab.tabIndex = i === which ? 0 : -1;
      this.panels[i].hidden = i !== which;
    });
    if (focus) this.tabs[which].focus();
    if (!$("view-sessions").hidden) this.show();
  }

  wanted() {
    const { search, tag, model, since, until, low, high } = this.form.elements;
    const day = (input, end) => (input.value ? new Date(`${input.value}T${end ? "23:59:59" : "00:00:00"}`).getTime() / 1000 : "");
    return {
      search: search.value.trim(), tag: tag.value.trim(), model: model.value.trim(), since_unix_s: day(since, false), until_unix_s: day(until, true),
      min_dose_e_per_nm2: low.value, max_dose_e_per_nm2: high.value, limit: LENGTH,
    };
  }

  async find() {
    const asked = (this.asked = {});
    try {
      const answer = await getJson(`/api/v1/recordings${query(this.wanted())}`);
      if (asked !== this.asked) return; // something else was asked for meanwhile
      this.list.replaceChildren(...answer.recordings.map((recording) => this.row(recording)));
      this.tell(answer);
      const chosen = answer.recordings.find(({ name }) => name === this.detail.name) ?? answer.recordings[0];
      if (!chosen) this.detail.empty();
      else if (chosen.name !== this.detail.name) this.choose(chosen.name);
      else this.mark();
    } catch (error) {
      this.found.textContent = error.message;
    }
  }

  async further() {
    const answer = await getJson(`/api/v1/recordings${query({ ...this.wanted(), cursor: this.cursor })}`);
    const rows = answer.recordings.map((recording) => this.row(recording));
    this.list.append(...rows);
    this.tell(answer);
    rows[0]?.querySelector("button").focus();
    announce(`${rows.length} more`);
  }

  tell({ next, found, of, remarks = [] }) {
    this.cursor = next;
    this.more.hidden = !next;
    const some = found === of ? `${of} recorded ${of === 1 ? "session" : "sessions"}` : `${found} of ${of} recorded sessions`;
    this.found.textContent = [of ? some : "Nothing was recorded yet.", ...remarks].join(" ");
  }

  row(recording) {
    const { name, state, began_unix_s, shape, pixel_size_nm, frames, dose_e_per_nm2, models, tags, size_bytes } = recording;
    const began = began_unix_s === null ? "time not known" : new Date(began_unix_s * 1000).toLocaleString("sv").slice(0, 16);
    const field = shape ? `${shape[1]} × ${shape[0]}${pixel_size_nm ? `, ${figure(shape[1] * pixel_size_nm)} nm` : ""}` : "field not known";
    const amiss = { damaged: "■ damaged", unfinished: "▲ unfinished", open: "● being recorded" }[state];
    const button = make("button", { onclick: () => this.choose(name, true) },
      this.thumbnails.image(recording.thumbnail ?? `/api/v1/recordings/${encodeURIComponent(name)}/thumbnail.png`),
      make("span", {}, make("b", {}, name), amiss ? make("span", { className: `light ${state === "damaged" ? "bad" : state === "open" ? "good" : "warn"}` }, amiss) : "",
        make("small", {}, `${began} · ${field} · ${figure(frames)} frames · ${size(size_bytes)}`),
        make("small", {}, [dose_e_per_nm2 === null ? "dose not known" : `${figure(dose_e_per_nm2)} e⁻/nm²`, models.join(", ")].filter(Boolean).join(" · ")),
        tags.length ? make("span", { className: "tags" }, ...tags.map((tag) => make("i", {}, tag))) : ""));
    button.dataset.name = name;
    return make("li", {}, button);
  }

  mark() {
    for (const button of this.list.querySelectorAll("button"))
      if (button.dataset.name === this.detail.name) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
  }

  choose(name, focus = false) {
    this.detail.show(name, focus);
    this.mark();
  }

  // Arrows go through the list.
  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.list.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }
}
