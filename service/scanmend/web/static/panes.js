// The two panes: what each shows, its marks, its scale bar, and the painting of both on one canvas.
import { bin, binWidth, density } from "./binning.js";
import { viridis } from "./colours.js";
import { Painter2d } from "./canvas2d.js";
import { figure, words } from "./format.js";
import { GlPainter } from "./gl.js";
import { valueAt } from "./picture.js";
import { drawScaleBar, lengthText } from "./scalebar.js";

export class Panes {
  constructor(view, levels) {
    this.view = view;
    this.levels = levels;
    this.stage = document.getElementById("stage");
    this.sides = [document.getElementById("left"), document.getElementById("right")];
    this.swapped = false;
    this.overlay = false;
    this.binning = true;
    this.bins = null; // the raw plane in bins, where it is drawn so
    this.unit = "";
    this.old = ""; // why the picture is not of now
    this.sigmaTop = 0;
    this.picture = null;
    this.pixelSizeNm = 1;
    this.cursor = null;
    this.open();
    this.drawRamp();
    this.forget();
  }

  open() {
    const canvas = document.getElementById("canvas");
    const asked = new URLSearchParams(location.search).get("painter");
    try {
      if (asked === "2d") throw new Error("the address asks for it");
      this.painter = new GlPainter(canvas, asked === "gl");
    } catch (error) {
      // A canvas that once had a WebGL context gives no 2D one, so it is replaced.
      console.info(`painting in 2D: ${error.message}`);
      const fresh = canvas.cloneNode();
      canvas.replaceWith(fresh);
      this.painter = new Painter2d(fresh);
    }
    this.stage.dataset.painter = this.painter.constructor.name;
  }

  // What a side shows: "raw" or "restored".
  role(side) {
    return (side === this.sides[0]) !== this.swapped ? "raw" : "restored";
  }

  show(picture) {
    this.picture = picture;
    const { raw } = picture.planes;
    this.share = raw && raw.missing !== null ? density(raw) : 1;
    this.bins = null;
    for (const [name, plane] of Object.entries(picture.planes)) this.painter.upload(name, plane);
    const plane = picture.planes.estimate ?? picture.planes.raw;
    if (plane) this.view.setPicture(plane.width, plane.height);
    document.getElementById("bins").hidden = raw?.missing === null || !raw;
    this.gather();
    this.label();
  }

  // Bin the samples as the zoom asks for; true where that changed.
  gather() {
    const wide = this.binning ? binWidth(this.share, this.view.zoom) : 1;
    if (wide === (this.bins?.wide ?? 1)) return false;
    this.bins = wide > 1 ? bin(this.picture.planes.raw, wide) : null;
    if (this.bins) this.painter.upload("bins", this.bins);
    return true;
  }

  // Say why the picture is not of now; "" where it is.
  age(why) {
    if (why === this.old) return;
    this.old = why;
    this.stage.classList.toggle("old", Boolean(why));
    this.label();
  }

  forget() {
    this.picture = null;
    for (const part of this.stage.querySelectorAll("h2, .legend, .caution, .scalebar, .ramp")) part.hidden = true;
  }

  label() {
    if (!this.picture) return;
    const { header, planes } = this.picture;
    for (const side of this.sides) {
      const raw = this.role(side) === "raw";
      const title = side.querySelector("h2");
      title.hidden = false;
      const [name, note] = title.children;
      title.className = this.old ? "passed" : raw ? "" : header.restored ? "model" : "passed";
      if (this.old) {
        name.textContent = raw ? "Old raw picture" : header.restored ? "Old restored picture" : "Old picture";
        note.textContent = this.old;
      } else {
        name.textContent = raw ? "Raw" : header.restored ? "Restored" : "Not restored";
        note.textContent = raw ? rawNote(header, planes.raw, this.bins)
          : header.restored ? `by ${header.model} — estimate, not data` : `passed through, ${words(header.reason)}`;
      }
      const care = side.querySelector(".caution");
      care.hidden = raw || this.old || !header.restored || !header.caution;
      care.textContent = care.hidden ? "" : `▲ Take care: ${header.caution}.`;
      side.setAttribute("aria-label", `${name.textContent} picture, ${note.textContent}`);
      const shown = this.planeOf(side);
      side.querySelector(".legend").hidden = !shown || shown.missing === null;
    }
    const ramp = this.stage.querySelector(".ramp");
    const restored = this.sides.find((side) => this.role(side) === "restored");
    ramp.hidden = !this.overlay || !planes.sigma;
    restored.append(ramp);
    ramp.lastElementChild.textContent = `${figure(this.sigmaTop, 2)} ${this.unit}`;
  }

  planeOf(side) {
    const { planes, header } = this.picture;
    return this.role(side) === "restored" && header.restored ? planes.estimate : this.bins ?? planes.raw;
  }

  paint() {
    const ratio = window.devicePixelRatio || 1;
    const canvas = this.painter.canvas;
    const stage = this.stage.getBoundingClientRect();
    const width = Math.max(1, Math.round(stage.width * ratio));
    const height = Math.max(1, Math.round(stage.height * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const box = this.sides[0].getBoundingClientRect();
    this.view.setPane(box.width, box.height);
    this.painter.clear();
    if (!this.picture) return;
    if (this.gather()) this.label();
    for (const side of this.sides) {
      const at = side.getBoundingClientRect();
      const pane = {
        left: Math.round((at.left - stage.left) * ratio), top: Math.round((at.top - stage.top) * ratio),
        width: Math.round(at.width * ratio), height: Math.round(at.height * ratio),
      };
      const plane = this.planeOf(side);
      if (!plane) continue;
      const name = plane === this.picture.planes.estimate ? "estimate" : plane === this.bins ? "bins" : "raw";
      const { black, white, gamma } = this.levels;
      const covered = this.overlay && name === "estimate" && this.picture.planes.sigma;
      this.painter.paint(pane, this.view, ratio, { name, black, white, gamma, sigmaTop: covered ? this.sigmaTop : 0 });
      drawScaleBar(side.querySelector(".scalebar"), this.pixelSizeNm / this.view.zoom, at.width);
    }
    this.read();
  }

  // The values under the cursor, in both panes.
  read() {
    const pixel = this.cursor && this.picture ? this.view.pixelAt(this.cursor.x, this.cursor.y) : null;
    for (const side of this.sides) {
      const target = side.querySelector(".readout");
      target.textContent = pixel ? this.readout(side, pixel) : "";
    }
  }

  readout(side, { x, y }) {
    const { planes, header } = this.picture;
    const plane = this.planeOf(side);
    const wide = plane?.wide ?? 1;
    const value = plane ? valueAt(plane, Math.floor(x / wide), Math.floor(y / wide)) : null;
    const where = `x ${lengthText(x * this.pixelSizeNm)}, y ${lengthText(y * this.pixelSizeNm)}`;
    if (value === null) return `${where}: not sampled`;
    const sigma = this.role(side) === "restored" && header.restored && planes.sigma ? ` ± ${figure(valueAt(planes.sigma, x, y), 2)}` : "";
    return `${where}: ${figure(value)}${sigma} ${this.unit}${wide > 1 ? " in its bin" : ""}`;
  }

  drawRamp() {
    const context = this.stage.querySelector(".ramp canvas").getContext("2d");
    for (let i = 0; i < 120; i++) {
      const at = 3 * Math.round((255 * i) / 119);
      context.fillStyle = `rgb(${viridis[at]} ${viridis[at + 1]} ${viridis[at + 2]})`;
      context.fillRect(i, 0, 1, 1);
    }
  }
}

function rawNote(header, plane, bins) {
  const parts = [];
  if (header.coverage !== null && header.coverage < 0.995) parts.push(`${figure(100 * header.coverage, 2)} % sampled`);
  if (bins) parts.push(`shown in bins of ${bins.wide} × ${bins.wide}`);
  if (header.frames_included > 1) parts.push(`${header.frames_included} frames`);
  return plane ? parts.join(", ") : "not at hand";
}
