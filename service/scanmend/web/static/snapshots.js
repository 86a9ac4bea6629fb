// The snapshots that were kept: picture, who took it and when, its files.
import { announce, make, toast } from "./dom.js";
import { download, getJson, query } from "./api.js";

const LENGTH = 30;
const NAMES = { png: "PNG", raw_png: "Raw PNG", tiff: "TIFF", raw_tiff: "Raw TIFF", sigma_tiff: "σ TIFF", json: "JSON" };

export class SnapshotList {
  constructor(thumbnails) {
    this.thumbnails = thumbnails;
    this.found = make("p", { className: "quiet", role: "status" });
    this.list = make("ul", { className: "snapshots", "aria-label": "Snapshots" });
    this.more = make("button", { hidden: true, onclick: () => this.further() }, "More");
    this.element = make("div", { className: "whole" }, this.found, this.list, this.more);
  }

  async show() {
    try {
      const { snapshots, next } = await getJson(`/api/v1/snapshots${query({ limit: LENGTH })}`);
      this.list.replaceChildren(...snapshots.map((snapshot) => this.card(snapshot)));
      this.found.textContent = snapshots.length ? "" : "No snapshot was taken yet. Snapshot, or the key S, keeps the picture that is shown.";
      this.turn(next);
    } catch (error) {
      this.found.textContent = error.message;
    }
  }

  async further() {
    const { snapshots, next } = await getJson(`/api/v1/snapshots${query({ limit: LENGTH, cursor: this.cursor })}`);
    this.list.append(...snapshots.map((snapshot) => this.card(snapshot)));
    announce(`${snapshots.length} more`);
    this.turn(next);
  }

  turn(next) {
    this.cursor = next;
    this.more.hidden = !next;
  }

  card(snapshot) {
    const { name, session, taken_unix_s, by, restored, model, files } = snapshot;
    const save = async (address) => {
      try {
        await download(address, `${name}-${address.split("/").at(-1)}`);
      } catch (error) {
        toast(error.message, true);
      }
    };
    const picture = files.png ?? files.raw_png;
    return make("li", {}, picture ? this.thumbnails.image(picture, `Snapshot of ${session}`) : "",
      make("b", {}, session), make("small", {}, `${new Date(taken_unix_s * 1000).toLocaleString("sv")}${by ? `, ${by}` : ""}`),
      make("small", {}, restored ? `restored by ${model} — estimate, not data` : "not restored"),
      make("div", { className: "buttons" }, ...Object.entries(files).map(([kind, address]) => {
        const button = make("button", { "aria-label": `${NAMES[kind] ?? kind} of snapshot ${name}` }, NAMES[kind] ?? kind);
        button.onclick = () => save(address);
        return button;
      })));
  }
}
