// Figures of a rectangle drawn on the pictures.
import { $, make, setAttribute, setText } from "../dom.js";
import { figure } from "../format.js";
import { lengthText } from "../scalebar.js";

const ROWS = ["Mean", "Standard error", "SD", "Least", "Most", "Sampled", "Dose, mean"];

export class RegionTool {
  constructor(side, worksheet) {
    Object.assign(this, { side, worksheet, answer: null });
    this.planes = ["dose"];
    this.cells = ROWS.map((name) => {
      const cells = [make("td"), make("td")];
      $("region").tBodies[0].append(make("tr", {}, make("th", { scope: "row" }, name), ...cells));
      return cells;
    });
    $("region-draw").onclick = () => this.side.shapes.arm(this.side.shapes.armed === "box" ? null : "box");
    $("region-clear").onclick = () => this.away();
  }

  come() {
    const { shapes, panes } = this.side;
    if (!panes.picture) return;
    if (!shapes.box) shapes.place("box");
    shapes.arm("box");
    shapes.focus("box");
  }

  away() {
    this.side.shapes.arm(null);
    this.side.shapes.set("box", null);
    this.forget();
  }

  forget() {
    this.answer = null;
    this.draw();
  }

  armed() {
    setAttribute($("region-draw"), "aria-pressed", this.side.shapes?.armed === "box");
    if (!this.answer) this.draw();
  }

  refresh() {
    const { panes, shapes, view } = this.side;
    if (!panes.picture || !shapes?.box) return this.forget();
    const { raw, estimate, sigma, dose } = panes.picture.planes;
    const box = wholePixels(shapes.box, view);
    const restored = panes.picture.header.restored;
    this.worksheet.ask("region", { planes: { raw, estimate, sigma, dose }, box }, (answer) => {
      if (!shapes.box) return;
      this.answer = { ...answer, box, model: restored ? panes.picture?.header.model : "" };
      this.draw();
    });
  }

  draw() {
    const { answer } = this;
    if (!answer) {
      for (const cell of this.cells.flat()) setText(cell, "–");
      setText($("region-note"), this.side.shapes?.armed === "box" ? "Drag on a picture to draw the rectangle." : "No region: press M, or Draw.");
      return;
    }
    const { raw, restored, sigma, dose, pixels } = answer;
    const both = (value) => [value(raw), value(restored)];
    const figures = [
      both((one) => this.value(one?.mean)),
      // Of the raw mean: the samples' scatter, structure included, over the root of their number. Of the restored one no more
      // than bounds are known, since neighbouring errors go together: independent, or all alike.
      [raw?.n > 1 ? `± ${figure(raw.sd / Math.sqrt(raw.n), 2)}` : "–", sigma?.n ? `± ${figure(sigma.rms / Math.sqrt(sigma.n), 2)}–${figure(sigma.mean, 2)}` : "–"],
      both((one) => this.value(one?.sd)),
      both((one) => this.value(one?.least)),
      both((one) => this.value(one?.most)),
      [raw ? `${figure(raw.n)}, ${raw.n === pixels ? "all" : `${figure((100 * raw.n) / pixels, 2)} %`}` : "–", ""],
      [dose?.n ? `${figure(dose.mean)} e⁻/nm²` : "–", ""],
    ];
    this.cells.forEach((cells, row) => cells.forEach((cell, i) => setText(cell, figures[row][i])));
    setText($("region-note"), this.note());
  }

  value(number) {
    return number === null || number === undefined ? "–" : `${figure(number, 4)} ${this.side.panes.unit}`;
  }

  note() {
    const { box, model } = this.answer;
    const nm = this.side.panes.pixelSizeNm;
    const size = `${lengthText((box.x1 - box.x0) * nm)} × ${lengthText((box.y1 - box.y0) * nm)} (${box.x1 - box.x0} × ${box.y1 - box.y0} px).`;
    return model ? `${size} Restored by ${model}: estimate, not data; its error of the mean: as if pixels erred independently, to as if they all erred alike.` : size;
  }
}

// The pixels that a rectangle touches with their middle, one at least.
function wholePixels({ x0, y0, x1, y1 }, { width, height }) {
  const span = (a, b, size) => {
    const low = Math.min(size - 1, Math.max(0, Math.round(Math.min(a, b))));
    return [low, Math.min(size, Math.max(low + 1, Math.round(Math.max(a, b))))];
  };
  const [left, right] = span(x0, x1, width);
  const [top, bottom] = span(y0, y1, height);
  return { x0: left, y0: top, x1: right, y1: bottom };
}
