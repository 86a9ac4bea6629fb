// One recorded session: picture, what it was, tags and notes, downloads, replay, receipt.
import { announce, make, toast } from "./dom.js";
import { fetchMade, getJson, objectUrl, request, send } from "./api.js";
import { operator } from "./commands.js";
import { figure, size, words } from "./format.js";
import { receiptTable, receiptWords } from "./receipt.js";

const EXPORTS = [
  ["NeXus", { to: "nexus" }], ["Zarr", { to: "zarr" }], ["NumPy", { to: "npz" }], ["TIFF", { to: "tiff" }],
  ["TIFF, restored", { to: "tiff", picture: "restored" }], ["PNG", { to: "png" }],
  ["PNG, restored", { to: "png", picture: "restored" }], ["Movie", { to: "movie" }], ["CSV", { to: "csv" }],
];
const EVERY_MS = 1000;

export class RecordingDetail {
  constructor(page, changed) {
    this.page = page;
    this.changed = changed; // tags or notes were changed
    this.name = "";
    this.element = make("article", { className: "detail", tabIndex: -1, "aria-label": "The chosen session" });
  }

  empty() {
    this.name = "";
    this.element.replaceChildren();
  }

  path(more = "") {
    return `/api/v1/recordings/${encodeURIComponent(this.name)}${more}`;
  }

  async show(name, focus = false) {
    this.name = name;
    clearTimeout(this.timer);
    try {
      const recording = await getJson(this.path());
      if (this.name !== name) return;
      this.build(recording);
      if (focus) this.element.focus();
    } catch (error) {
      if (this.name === name) this.element.replaceChildren(make("p", { className: "wrong" }, error.message));
    }
  }

  build(recording) {
    const able = this.page.role === "operate";
    const image = make("img", { className: "large", alt: `Thumbnail of ${recording.name}` });
    objectUrl(this.path("/thumbnail.png")).then((url) => {
      image.src = url;
      image.onload = () => URL.revokeObjectURL(url);
    }, () => image.remove());
    this.replays = make("section");
    this.element.replaceChildren(
      make("h2", {}, recording.name),
      make("div", { className: "head" }, image, make("dl", { className: "facts" }, ...facts(recording).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]))),
      ...recording.misses.map((sentence) => make("p", { className: "light bad" }, `■ ${sentence}`)),
      this.describe(recording, able), this.downloads(recording), this.replays, this.receipt(recording));
    this.showReplay(recording, able);
  }

  describe(recording, able) {
    const tags = make("input", { name: "tags", type: "text", value: recording.tags.join(" "), disabled: !able, "aria-label": "Tags, with spaces between them" });
    const note = make("textarea", { name: "note", rows: 2, disabled: !able, "aria-label": "A note to be added" });
    const form = make("form", { className: "describe" }, make("label", {}, "Tags ", tags), make("label", {}, "New note ", note),
      make("button", { type: "submit", disabled: !able, title: able ? "" : "The token of this page is for reading." }, "Keep"));
    form.onsubmit = async (event) => {
      event.preventDefault();
      const body = { tags: tags.value.split(/[\s,]+/).filter(Boolean), by: operator() };
      if (note.value.trim()) body.note = note.value.trim();
      try {
        await send("PATCH", this.path(), body);
        toast("Kept.");
        await this.show(this.name);
        this.changed();
      } catch (error) {
        toast(error.message, true);
      }
    };
    const notes = (recording.notes ?? []).map(({ at_unix_s, text }) => make("li", {}, make("time", {}, new Date(at_unix_s * 1000).toLocaleString("sv").slice(0, 16)), ` ${text}`));
    return make("section", {}, make("h3", {}, "Tags and notes"), notes.length ? make("ul", { className: "remarks" }, ...notes) : "", form);
  }

  downloads(recording) {
    const progress = make("p", { className: "quiet", role: "status" });
    const buttons = EXPORTS.map(([name, wish]) => {
      const button = make("button", { "aria-label": `Download as ${name}` }, name);
      button.onclick = async () => {
        for (const each of buttons) each.disabled = true;
        progress.textContent = `${name} is being made; that can take minutes for a long session.`;
        try {
          progress.textContent = `${await fetchMade(this.path("/export"), wish)} is saved by the browser.`;
        } catch (error) {
          progress.textContent = error.message;
        }
        for (const each of buttons) each.disabled = false;
      };
      return button;
    });
    const open = recording.state === "open" ? make("p", { className: "quiet" }, "It is still being recorded; what is there so far is exported.") : "";
    return make("section", {}, make("h3", {}, "Download"), open, make("div", { className: "buttons" }, ...buttons), progress,
      recording.exported?.length ? make("p", { className: "quiet" }, `Also exported to ${recording.exported.join(", ")}`) : "");
  }

  showReplay(recording, able) {
    const { replay } = recording;
    const running = replay?.state === "running";
    const model = make("select", { name: "model", "aria-label": "Model" }, new Option(`as asked for (${recording.model_asked || "auto"})`, ""));
    getJson("/api/v1/models").then(({ models }) => model.append(...models.filter(({ live }) => live).map(({ name }) => new Option(name, name))), () => {});
    const speed = make("select", { name: "speed", "aria-label": "Speed" }, new Option("as it was scanned", "1"), new Option("4 times as fast", "4"), new Option("as fast as it goes", "max"));
    const button = make("button", { disabled: !able, title: able ? "" : "The token of this page is for reading." }, running ? "End the replay" : "Replay");
    button.onclick = () => (running ? this.endReplay() : this.replay(speed.value, model.value, button));
    const told = make("p", { role: "status" }, replay ? replayWords(replay) : "");
    if (replay && this.page.status.sessions?.[replay.session])
      told.append(make("button", { className: "plain", onclick: () => this.watch(replay.session) }, running ? "Watch it" : "Show it"));
    this.replays.replaceChildren(make("h3", {}, "Replay"),
      make("p", { className: "quiet" }, "The recorded frames go through the service again, as a session of their own."),
      make("div", { className: "buttons" }, ...(running ? [] : [speed, model]), button), told);
    clearTimeout(this.timer);
    if (running) this.timer = setTimeout(() => this.follow(able), EVERY_MS);
  }

  async follow(able) {
    const { name } = this;
    const recording = await getJson(this.path()).catch(() => null);
    if (recording && this.name === name && this.replays.isConnected) this.showReplay(recording, able);
  }

  async replay(speed, model, button) {
    button.disabled = true; // another press does nothing
    try {
      await send("POST", this.path("/replay"), { speed: speed === "max" ? "max" : Number(speed), model: model || null, by: operator() });
      announce("The replay begins.");
    } catch (error) {
      toast(error.message, true);
    }
    await this.show(this.name);
  }

  async endReplay() {
    try {
      await request(this.path("/replay"), { method: "DELETE" });
    } catch (error) {
      toast(error.message, true);
    }
    await this.show(this.name);
  }

  watch(session) {
    this.page.pick(session);
    location.hash = "#live";
  }

  receipt(recording) {
    const { receipt } = recording;
    if (!receipt) return make("section", {}, make("h3", {}, "Receipt"), make("p", { className: "quiet" }, "There is none before the session has ended."));
    return make("section", {}, make("h3", {}, "Receipt"), ...receiptWords(receipt).map(({ kind, text }) => make("p", { className: kind ? `light ${kind}` : "" }, text)),
      make("details", {}, make("summary", {}, "All numbers"), receiptTable(receipt)));
  }
}

function replayWords({ state, session, problem }) {
  if (state === "failed") return `■ The replay failed. ${problem}`;
  return { running: `● Being replayed as session ${session}. `, done: `✓ Replayed as session ${session}. `, stopped: `The replay as ${session} was ended. ` }[state];
}

function facts(recording) {
  const time = (unix_s) => (unix_s === null || unix_s === undefined ? "not known" : new Date(unix_s * 1000).toLocaleString("sv"));
  const dose = (value) => (value === null || value === undefined ? "not known" : `${figure(value)} e⁻/nm²`);
  const { shape, pixel_size_nm: nm } = recording;
  return [
    ["Began", time(recording.began_unix_s)], ["Ended", recording.ended_unix_s ? `${time(recording.ended_unix_s)}, ${words(recording.reason)}` : words(recording.state)],
    ["Field", shape ? `${shape[1]} × ${shape[0]} pixels of ${figure(nm)} nm` : "not known"],
    ["Beam", [recording.beam_current_pa === null ? "current not known" : `${figure(recording.beam_current_pa)} pA`, recording.beam_energy_kev === null ? "" : `${figure(recording.beam_energy_kev)} keV`].filter(Boolean).join(", ")],
    ["Channels", recording.channels.join(", ")],
    ["Dose", `${dose(recording.dose_e_per_nm2)}${recording.dose_max_e_per_nm2 === null ? "" : `; ${dose(recording.dose_max_e_per_nm2)} on the pixel with the most`}`],
    ["Budget", recording.budget_e_per_nm2 === null ? "none" : dose(recording.budget_e_per_nm2)],
    ["Model", recording.models.join(", ") || recording.model_asked || "none"],
    ["Rescans", recording.policy || "none"], ["Frames", `${figure(recording.frames)} in ${recording.passes} passes`],
    ["On the disk", size(recording.size_bytes)], ["Client", recording.client],
  ];
}
