// The line profile: a line drawn on the pictures, raw and restored values along it.
import { $, setAttribute, setText } from "../dom.js";
import { figure } from "../format.js";
import { lengthText } from "../scalebar.js";
import { Chart } from "./chart.js";

const DENSE = 0.5; // share of the pixels sampled from which on a line a pixel wide meets samples everywhere

export class ProfileTool {
  constructor(side, worksheet) {
    Object.assign(this, { side, worksheet, answer: null, at: null, chosen: false, canvas: $("profile") });
    this.chart = new Chart(this.canvas);
    $("profile-draw").onclick = () => this.side.shapes.arm(this.side.shapes.armed === "line" ? null : "line");
    $("profile-clear").onclick = () => this.away();
    $("profile-width").oninput = (event) => {
      const width = Math.round(Number(event.target.value));
      if (!(width >= 1 && width <= 64)) return;
      this.chosen = true;
      this.side.shapes.lineWidth = width;
      this.side.shapes.changed("line");
    };
    this.canvas.onpointermove = (event) => this.point(this.answer && this.chart.indexAt(event.clientX - this.canvas.getBoundingClientRect().left, this.answer.nm));
    this.canvas.onpointerleave = () => this.point(null);
    this.canvas.onkeydown = (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || !this.answer) return;
      event.preventDefault();
      const step = by * (event.shiftKey ? 10 : 1);
      this.point(Math.min(this.answer.nm.length - 1, Math.max(0, (this.at ?? (this.answer.nm.length >> 1)) + step)));
    };
  }

  // The session's first picture: a line so wide that it meets samples, unless the operator has chosen.
  first(share) {
    if (this.chosen) return;
    this.side.shapes.lineWidth = $("profile-width").value = share > 0 && share < DENSE ? Math.ceil(1 / Math.sqrt(share)) : 1;
  }

  // The key was pressed: a line in the middle where there is none, and the mouse may draw another.
  come() {
    const { shapes, panes } = this.side;
    if (!panes.picture) return;
    if (!shapes.line) shapes.place("line");
    shapes.arm("line");
    shapes.focus("line");
  }

  away() {
    this.side.shapes.arm(null);
    this.side.shapes.set("line", null);
    this.forget();
  }

  forget() {
    this.answer = this.at = null;
    this.draw();
  }

  armed() {
    setAttribute($("profile-draw"), "aria-pressed", this.side.shapes?.armed === "line");
    if (!this.answer) this.draw();
  }

  refresh() {
    const { panes, shapes } = this.side;
    if (!panes.picture || !shapes?.line) return this.forget();
    const { raw, estimate, sigma } = panes.picture.planes;
    const { model, restored } = panes.picture.header;
    const job = { planes: { raw, estimate, sigma }, line: shapes.line, width: shapes.lineWidth, pixelSizeNm: panes.pixelSizeNm };
    this.worksheet.ask("profile", job, (answer) => {
      if (!shapes.line) return;
      this.answer = { ...answer, model: restored ? model : "" };
      if (this.at !== null) this.at = Math.min(this.at, answer.nm.length - 1);
      this.draw();
    });
  }

  point(at) {
    this.at = at;
    this.draw();
  }

  draw() {
    const { answer } = this;
    const hint = this.side.shapes?.armed === "line" ? "Drag on a picture to draw the line." : "No line: press L, or Draw.";
    setText($("profile-note"), answer ? this.note() : hint);
    setText($("profile-at"), answer ? this.readout() : "");
    if (!answer) return this.chart.draw([], null);
    const { nm, raw, restored, sigma } = answer;
    const series = [];
    if (raw) series.push({ x: nm, y: raw, kind: "dots" });
    if (restored) series.push({ x: nm, y: restored, sigma, kind: "line" });
    this.chart.draw(series, this.at);
    setAttribute(this.canvas, "aria-label", `Line profile, ${lengthText(nm.at(-1))} long; the arrow keys move its cursor`);
  }

  readout() {
    const { nm, raw, restored, sigma } = this.answer;
    const { unit } = this.side.panes;
    if (this.at === null) return `${lengthText(nm.at(-1))} long`;
    const i = this.at;
    const seen = raw ? (Number.isNaN(raw[i]) ? "not sampled" : `raw ${figure(raw[i])}`) : "";
    const made = restored ? `restored ${figure(restored[i])}${sigma ? ` ± ${figure(sigma[i], 2)}` : ""}` : "";
    return `${i ? lengthText(nm[i]) : "0 nm"}: ${[seen, made].filter(Boolean).join(", ")} ${unit}`;
  }

  note() {
    const { model } = this.answer;
    const { unit } = this.side.panes;
    return `nm across, ${unit} up. ■ raw${model ? `  ━ restored by ${model} with ± σ — estimate, not data` : ""}`;
  }
}
