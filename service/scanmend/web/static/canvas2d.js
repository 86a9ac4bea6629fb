// The same painter on a 2D canvas, for browsers without WebGL2: a table from number to colour, then one drawImage.
import { CLIPPED, OUTSIDE, OVERLAY, SAMPLED, SATURATED, UNSAMPLED, UNSAMPLED_STRIPE, maps } from "./colours.js";
import { SATURATED_MARK } from "./clipping.js";
import { tone } from "./tone.js";

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
    const sheet = this.sheet(plane, look);
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

  // The plane in colours; made again only when the plane or its look is another one, not when the view moves.
  sheet(plane, look) {
    const { width, height } = plane;
    const sheet = (this.sheets[look.name] ??= { canvas: document.createElement("canvas"), made: [] });
    const over = look.overlay && this.planes[look.overlay.name];
    const marks = look.marks && this.planes[look.marks];
    const { canvas } = sheet;
    const made = [plane, over, marks, look.black, look.white, look.gamma, look.log, look.map,
      look.overlay?.low, look.overlay?.top, look.overlay?.map, look.overlay?.kind];
    if (made.every((one, i) => one === sheet.made[i]) && made.length === sheet.made.length) return canvas;
    sheet.made = made;
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      sheet.image = null;
    }
    const context = canvas.getContext("2d");
    const image = (sheet.image ??= context.createImageData(width, height));
    this.colour(new Uint32Array(image.data.buffer), plane, look);
    if (over && over.numbers.length === plane.numbers.length) cover(image.data, over, look.overlay);
    if (marks) mark(new Uint32Array(image.data.buffer), marks);
    context.putImageData(image, 0, 0);
    return canvas;
  }

  colour(out, plane, look) {
    const { numbers } = plane;
    const table = colourTable(plane, look);
    for (let i = 0; i < numbers.length; i++) out[i] = table[numbers[i]];
  }
}

function colourTable(plane, look) {
  const table = new Uint32Array(plane.numbers.BYTES_PER_ELEMENT === 2 ? 65536 : 256);
  const curve = new Uint32Array(1025); // a power for each of 65536 numbers takes milliseconds
  const map = maps[look.map];
  for (let i = 0; i <= 1024; i++) {
    const at = 3 * Math.round(255 * tone(i / 1024, look));
    curve[i] = word(map[at], map[at + 1], map[at + 2]);
  }
  const slope = (1024 * plane.scale) / (look.white - look.black);
  const start = (1024 * (plane.add - look.black)) / (look.white - look.black);
  for (let n = 0; n < table.length; n++) table[n] = curve[Math.min(1024, Math.max(0, start + slope * n)) | 0];
  if (plane.missing !== null) table[plane.missing] = 0; // clear: the ground shows
  return table;
}

// Lay an overlay over the bytes of a picture; see overlays.js for its kinds.
function cover(bytes, { numbers, scale, add, missing }, { kind, low, top, map }) {
  const entries = new Int16Array(numbers.BYTES_PER_ELEMENT === 2 ? 65536 : 256); // of the map; -1: clear
  for (let n = 0; n < entries.length; n++) {
    const value = add + scale * n;
    const share = Math.min(1, Math.max(0, (value - low) / (top - low)));
    entries[n] = n === missing || (kind === "positive" && value <= 0) ? -1 : Math.round(255 * share);
  }
  const table = kind === "presence" ? null : maps[map];
  for (let i = 0; i < numbers.length; i++) {
    const entry = entries[numbers[i]];
    if (entry < 0) continue;
    for (let c = 0; c < 3; c++) {
      const colour = table ? table[3 * entry + c] : SAMPLED[c];
      bytes[4 * i + c] += OVERLAY * (colour - bytes[4 * i + c]);
    }
  }
}

function mark(out, { numbers, width }) {
  const saturated = SATURATED.map((colour) => word(...colour));
  const clipped = CLIPPED.map((colour) => word(...colour));
  for (let i = 0; i < numbers.length; i++) {
    if (!numbers[i]) continue;
    const y = Math.floor(i / width);
    out[i] = numbers[i] === SATURATED_MARK ? saturated[(i - y * width + y) & 1] : clipped[y & 1];
  }
}
