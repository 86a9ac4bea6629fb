// The same painter on a 2D canvas, for browsers without WebGL2: a table from number to colour, then one drawImage.
import { OUTSIDE, OVERLAY, UNSAMPLED, UNSAMPLED_STRIPE, viridis } from "./colours.js";

const HATCH_ZOOM = 8;
const rgb = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const word = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian RGBA

export class Painter2d {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.planes = {};
    this.sheets = {};
  }

  upload(name, plane) {
    this.planes[name] = plane;
  }

  clear() {
    this.context.fillStyle = rgb(OUTSIDE);
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  paint(pane, view, ratio, look) {
    const plane = this.planes[look.name];
    if (!plane) return;
    const sheet = this.colour(plane, look);
    const context = this.context;
    const wide = plane.wide ?? 1; // of a bin, in pixels of the picture
    const zoom = view.zoom * ratio * wide;
    const [right, bottom] = plane.extent ?? [plane.width, plane.height];
    context.save();
    context.beginPath();
    context.rect(pane.left, pane.top, pane.width, pane.height);
    context.clip();
    context.imageSmoothingEnabled = zoom < 1;
    context.imageSmoothingQuality = "high";
    context.setTransform(zoom, 0, 0, zoom, pane.left + pane.width / 2 - (view.x / wide) * zoom, pane.top + pane.height / 2 - (view.y / wide) * zoom);
    context.beginPath();
    context.rect(0, 0, right, bottom);
    context.clip();
    if (plane.missing !== null) {
      context.fillStyle = zoom < HATCH_ZOOM ? rgb(UNSAMPLED) : this.hatch(zoom);
      context.fillRect(0, 0, right, bottom);
    }
    context.drawImage(sheet, 0, 0);
    context.restore();
  }

  // Stripes of a few screen pixels that move with the picture.
  hatch(zoom) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const context = tile.getContext("2d");
    context.fillStyle = rgb(UNSAMPLED);
    context.fillRect(0, 0, 8, 8);
    context.fillStyle = rgb(UNSAMPLED_STRIPE);
    for (let y = 0; y < 8; y++) for (let x = 0; x < 3; x++) context.fillRect((x + y) % 8, y, 1, 1);
    const pattern = this.context.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix([1.5 / zoom, 0, 0, 1.5 / zoom, 0, 0]));
    return pattern;
  }

  colour(plane, look) {
    const { width, height, numbers } = plane;
    const sheet = (this.sheets[look.name] ??= document.createElement("canvas"));
    if (sheet.width !== width || sheet.height !== height) Object.assign(sheet, { width, height, image: null });
    const table = this.table(plane, look);
    const context = sheet.getContext("2d");
    const image = (sheet.image ??= context.createImageData(width, height));
    const out = new Uint32Array(image.data.buffer);
    for (let i = 0; i < numbers.length; i++) out[i] = table[numbers[i]];
    const sigma = look.sigmaTop > 0 ? this.planes.sigma : null;
    if (sigma) this.overlay(image.data, sigma, look.sigmaTop);
    context.putImageData(image, 0, 0);
    return sheet;
  }

  table(plane, look) {
    const table = new Uint32Array(plane.numbers.BYTES_PER_ELEMENT === 2 ? 65536 : 256);
    const curve = new Uint32Array(1025); // a power for each of 65536 numbers takes milliseconds
    for (let i = 0; i <= 1024; i++) {
      const grey = Math.round(255 * (i / 1024) ** (1 / look.gamma));
      curve[i] = word(grey, grey, grey);
    }
    const slope = (1024 * plane.scale) / (look.white - look.black);
    const start = (1024 * (plane.add - look.black)) / (look.white - look.black);
    for (let n = 0; n < table.length; n++) table[n] = curve[Math.min(1024, Math.max(0, start + slope * n)) | 0];
    if (plane.missing !== null) table[plane.missing] = 0; // clear: the ground shows
    return table;
  }

  overlay(bytes, sigma, top) {
    for (let i = 0; i < sigma.numbers.length; i++) {
      if (sigma.numbers[i] === sigma.missing) continue;
      const share = Math.min(1, Math.max(0, (sigma.add + sigma.scale * sigma.numbers[i]) / top));
      const at = 3 * Math.round(255 * share);
      for (let c = 0; c < 3; c++) bytes[4 * i + c] += OVERLAY * (viridis[at + c] - bytes[4 * i + c]);
    }
  }
}
