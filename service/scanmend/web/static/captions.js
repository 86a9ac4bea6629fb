// What stands on the panes: titles, legends, cautions, scales of colour, the values under the cursor.
import { drawMap } from "./colours.js";
import { setAttribute, setText } from "./dom.js";
import { figure, words } from "./format.js";
import { valueAt } from "./picture.js";
import { lengthText } from "./scalebar.js";

export class Captions {
  constructor(panes) {
    this.panes = panes;
    this.ramp = panes.stage.querySelector(".ramp");
  }

  hide() {
    const parts = ["h2", ".legend", ".caution", ".scalebar", ".ramp", ".marked", ".colourbar"];
    for (const part of this.panes.stage.querySelectorAll(parts.join(", "))) part.hidden = true;
  }

  label() {
    const { panes } = this;
    const { header } = panes.picture;
    for (const side of panes.sides) {
      const raw = panes.role(side) === "raw";
      const title = side.querySelector("h2");
      const [name, note] = this.title(raw);
      title.hidden = false;
      title.className = panes.old ? "passed" : raw ? "" : header.restored ? "model" : "passed";
      setText(title.children[0], name);
      setText(title.children[1], note);
      const care = side.querySelector(".caution");
      care.hidden = Boolean(raw || panes.old || !header.restored || !header.caution);
      setText(care, care.hidden ? "" : `▲ Take care: ${header.caution}.`);
      setAttribute(side, "aria-label", `${name} picture, ${note}`);
      const shown = panes.planeOf(side);
      side.querySelector(".legend").hidden = !shown || shown.missing === null;
      this.marked(side);
      if (!raw) this.legend(side);
    }
    this.bars();
  }

  title(raw) {
    const { old, picture: { header, planes }, bins, channels, channel, restoredChannel } = this.panes;
    if (old) return [raw ? "Old raw picture" : header.restored ? "Old restored picture" : "Old picture", old];
    if (raw) return ["Raw", [channels > 1 ? channel.name : "", rawNote(header, planes.raw, bins)].filter(Boolean).join(" · ")];
    if (header.restored) return ["Restored", `by ${header.model} — estimate, not data`];
    return ["Not restored", header.reason === "other_channel" ? `only ${restoredChannel} is` : `passed through, ${words(header.reason)}`];
  }

  // The key to the overlay, on the restored side.
  legend(side) {
    const { overlay, picture, unit } = this.panes;
    const shown = overlay.legend(picture, unit);
    const { ramp } = this;
    ramp.hidden = !shown;
    if (ramp.parentElement.parentElement !== side) side.querySelector(".notes").insertBefore(ramp, side.querySelector(".marked"));
    if (!shown) return;
    const [dot, low, map, top] = ramp.children;
    dot.hidden = !shown.dots;
    map.hidden = top.hidden = !shown.map;
    setText(low, shown.name);
    setText(top, shown.top ?? "");
    if (shown.map) drawMap(map, shown.map);
  }

  marked(side) {
    const { clipping, ends } = this.panes;
    const key = side.querySelector(".marked");
    key.hidden = !clipping;
    if (!clipping) return;
    const [high, low] = key.querySelectorAll("b");
    setText(high, ends.saturated === null ? "saturation not known" : `saturated: ${figure(clipping.saturated)} px`);
    setText(low, ends.clipped === null ? "no clipping at black" : `clipped at black: ${figure(clipping.clipped)} px`);
  }

  // The scales of the picture's colours: the levels' ends in units.
  bars() {
    const { panes } = this;
    const { black, white, log, gamma } = panes.levels;
    for (const bar of panes.stage.querySelectorAll(".colourbar")) {
      bar.hidden = !panes.picture;
      const [low, map, high] = bar.children;
      drawMap(map, panes.map);
      setText(low, figure(black));
      const curve = log ? ", log" : gamma === 1 ? "" : `, γ ${gamma.toFixed(1)}`;
      setText(high, `${figure(white)} ${panes.unit}${curve}`);
      setAttribute(bar, "aria-label", `Colours: ${panes.map} from ${low.textContent} to ${high.textContent}`);
    }
  }

  // The values at a pixel, in both panes; null for none.
  read(pixel) {
    for (const side of this.panes.sides) setText(side.querySelector(".readout"), pixel ? this.readout(side, pixel) : "");
  }

  readout(side, { x, y }) {
    const { panes } = this;
    const { planes, header } = panes.picture;
    const restored = panes.role(side) === "restored";
    const where = `x ${lengthText(x * panes.pixelSizeNm)}, y ${lengthText(y * panes.pixelSizeNm)}`;
    const over = restored ? panes.overlay.read(planes, x, y) : "";
    const plane = panes.planeOf(side);
    const wide = plane?.wide ?? 1;
    const value = plane ? valueAt(plane, Math.floor(x / wide), Math.floor(y / wide)) : null;
    const sigma = restored && header.restored && planes.sigma ? ` ± ${figure(valueAt(planes.sigma, x, y), 2)}` : "";
    const said = value === null ? "not sampled" : `${figure(value)}${sigma} ${panes.unit}${wide > 1 ? " in its bin" : ""}`;
    return `${where}: ${said}${over ? `; ${over}` : ""}`;
  }
}

function rawNote(header, plane, bins) {
  const parts = [];
  if (header.coverage !== null && header.coverage < 0.995) parts.push(`${figure(100 * header.coverage, 2)} % sampled`);
  if (bins) parts.push(`shown in bins of ${bins.wide} × ${bins.wide}`);
  if (header.frames_included > 1) parts.push(`${header.frames_included} frames`);
  return plane ? parts.join(", ") : "not at hand";
}
