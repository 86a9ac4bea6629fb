// What can lie over the restored picture: how unsure the model is, where the beam has been, what it cost, what is proposed.
import { figure } from "./format.js";
import { quantile } from "./levels.js";

const EASE = 0.2; // of the way to the new top at each picture, so that nothing flickers

// kind: "ramp", a map over the values; "positive", the same with nothing where the value is 0; "presence", one colour
// where there is a value.
export const OVERLAYS = {
  none: { label: "No overlay" },
  sigma: { label: "Uncertainty", plane: "sigma", kind: "ramp", share: 0.99, absent: "none of a picture that was not restored" },
  sampled: { label: "Where sampled", plane: "raw", kind: "presence", absent: "no raw picture at hand" },
  dose: { label: "Dose", plane: "dose", kind: "positive", share: 1, unit: "e⁻/nm²", absent: "not known without a beam current" },
  proposal: { label: "Proposal", plane: "proposal", kind: "positive", share: 1, unit: "µs", factor: 1e-3, absent: "none is open" },
};

export class Overlay {
  constructor() {
    this.chosen = "none";
    this.map = "viridis";
    this.tops = {};
  }

  get entry() {
    return OVERLAYS[this.chosen];
  }

  // Planes beyond the three that are always asked for.
  get planes() {
    const { plane } = this.entry;
    return plane && !["raw", "sigma"].includes(plane) ? [plane] : [];
  }

  forget() {
    this.tops = {};
  }

  // Take a new picture: the scale follows it.
  take({ planes }) {
    const { plane, share } = this.entry;
    if (!planes[plane] || share === undefined) return;
    const top = quantile(planes[plane], share);
    const before = this.tops[plane];
    this.tops[plane] = before && share < 1 ? before + EASE * (top - before) : top;
  }

  // For the painter; null where nothing lies over the picture.
  look(planes) {
    const { plane, kind } = this.entry;
    if (!planes[plane]) return null;
    const top = this.tops[plane];
    if (kind === "presence" ? planes[plane].missing === null : !(top > 0)) return null; // nothing, or all of it
    return { name: plane, kind, low: 0, top: top ?? 1, map: this.map };
  }

  // In words: {name, map, top} with `map` null where there is no scale; null where no overlay is chosen.
  legend({ planes, header }, unit) {
    const { label, plane, kind, absent, unit: own, factor } = this.entry;
    if (!plane) return null;
    if (!planes[plane] || (kind !== "presence" && !(this.tops[plane] > 0))) return { name: `${label}: ${absent}`, map: null };
    if (kind === "presence") {
      const share = planes.raw.missing === null ? 1 : header.coverage;
      return { name: share === 1 ? "sampled everywhere" : `where sampled, ${figure(100 * share, 2)} %`, map: null, dots: true };
    }
    const names = { sigma: "σ 0", dose: "dose 0", proposal: "more dwell 0" };
    return { name: names[plane], map: this.map, top: `${figure(this.tops[plane] * (factor ?? 1), 2)} ${own ?? unit}` };
  }

  // The overlay's value at a pixel, for the readout; "" where it has none.
  read(planes, x, y) {
    const { plane, kind, unit, factor, label } = this.entry;
    const shown = planes[plane];
    if (!shown || !unit || kind === "presence") return "";
    const number = shown.numbers[y * shown.width + x];
    return number === shown.missing ? "" : `${label.toLowerCase()} ${figure((shown.add + shown.scale * number) * (factor ?? 1))} ${unit}`;
  }
}
