// The two panes: what each shows, and the painting of both on one canvas.
import { bin, binWidth, density } from "./binning.js";
import { Painter2d } from "./canvas2d.js";
import { Captions } from "./captions.js";
import { clippingInBins, clippingOf, detectorEnds } from "./clipping.js";
import { GlPainter } from "./gl.js";
import { drawScaleBar } from "./scalebar.js";

export class Panes {
  constructor(view, levels, overlay) {
    Object.assign(this, { view, levels, overlay });
    this.stage = document.getElementById("stage");
    this.sides = [document.getElementById("left"), document.getElementById("right")];
    this.map = "grey";
    this.swapped = false;
    this.marking = false;
    this.binning = true;
    this.bins = null; // the raw plane in bins, where it is drawn so
    this.clipping = null; // marks of the raw plane, where they are asked for
    this.unit = "";
    this.channel = null; // that the picture is of
    this.channels = 1; // of the session
    this.restoredChannel = "";
    this.old = ""; // why the picture is not of now
    this.picture = null;
    this.pixelSizeNm = 1;
    this.cursor = null; // {x, y} pixel of the picture under the pointer or the cross
    this.captions = new Captions(this);
    this.open();
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
    this.clip();
    this.label();
  }

  // Bin the samples as the zoom asks for; true where that changed.
  gather() {
    const wide = this.binning ? binWidth(this.share, this.view.zoom) : 1;
    if (wide === (this.bins?.wide ?? 1)) return false;
    this.bins = wide > 1 ? bin(this.picture.planes.raw, wide) : null;
    if (this.bins) {
      this.painter.upload("bins", this.bins);
      if (this.clipping) this.painter.upload("marksInBins", clippingInBins(this.clipping, wide));
    }
    return true;
  }

  // Find the samples at the detector's ends, where they are to be marked.
  clip() {
    const raw = this.marking ? this.picture?.planes.raw : null;
    this.ends = raw ? detectorEnds(this.channel, this.picture.header) : null;
    this.clipping = raw ? clippingOf(raw, this.ends) : null;
    if (!this.clipping) return;
    this.painter.upload("marks", this.clipping);
    if (this.bins) this.painter.upload("marksInBins", clippingInBins(this.clipping, this.bins.wide));
  }

  mark(marking) {
    this.marking = marking;
    if (this.picture) this.clip();
    this.label();
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
    this.captions.hide();
  }

  label() {
    if (this.picture) this.captions.label();
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
    const boxes = this.sides.map((side) => side.getBoundingClientRect());
    this.view.setPane(boxes[0].width, boxes[0].height);
    this.painter.clear();
    if (!this.picture) return;
    if (this.gather()) this.label();
    this.sides.forEach((side, i) => {
      const at = boxes[i];
      const plane = this.planeOf(side);
      if (!plane) return;
      const pane = {
        left: Math.round((at.left - stage.left) * ratio), top: Math.round((at.top - stage.top) * ratio),
        width: Math.round(at.width * ratio), height: Math.round(at.height * ratio),
      };
      this.painter.paint(pane, this.view, ratio, this.look(side, plane));
      drawScaleBar(side.querySelector(".scalebar"), this.pixelSizeNm / this.view.zoom, at.width);
    });
    this.read();
  }

  // How the painter is to show a side's plane.
  look(side, plane) {
    const { planes } = this.picture;
    const name = plane === planes.estimate ? "estimate" : plane === this.bins ? "bins" : "raw";
    const { black, white, gamma, log } = this.levels;
    const covered = this.role(side) === "restored" && name !== "bins";
    const marks = this.clipping ? (name === "bins" ? "marksInBins" : "marks") : null;
    return { name, black, white, gamma, log, map: this.map, overlay: covered ? this.overlay.look(planes) : null, marks };
  }

  // The values under the cursor, in both panes.
  read() {
    this.captions.read(this.picture ? this.cursor : null);
  }
}
