// Lines over time, by the vendored uPlot, in the theme's colours. Lines differ by their dashes as well.
import { make } from "./dom.js";
import { colour } from "./theme.js";

const SHOWN_S = 600;

export class Chart {
  // lines: [{name, of: (sample) => number|null, colour, dash}]
  constructor(title, unit, lines) {
    this.lines = lines;
    this.unit = unit;
    this.plot = null;
    this.place = make("div", { className: "plot" });
    this.words = make("p", { className: "quiet" });
    const key = lines.flatMap(({ name, dash }) => [make("span", { className: dash ? "dashed" : "" }, name), " "]);
    this.element = make("figure", { className: "chart" }, make("figcaption", {}, make("b", {}, title), ` ${unit} `, make("span", { className: "key" }, ...key)), this.place, this.words);
  }

  // Forget the plot: it is made again in the theme's present colours and at its present size.
  reset() {
    this.plot?.destroy();
    this.plot = null;
  }

  show(samples) {
    const now = Date.now() / 1000;
    const data = [samples.map(({ unix_s }) => unix_s), ...this.lines.map(({ of }) => samples.map((sample) => of(sample) ?? null))];
    const last = this.lines.map(({ name }, i) => `${name} ${format(data[i + 1].at(-1))}`).join(", ");
    if (this.words.textContent !== last) this.words.textContent = last;
    const width = Math.floor(this.place.clientWidth);
    if (!width) return;
    if (this.plot && this.plot.width !== width) this.reset();
    this.plot ??= this.build(width, data);
    this.plot.setData(data, false);
    this.plot.setScale("x", { min: now - SHOWN_S, max: now });
  }

  build(width, data) {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, font: "13px system-ui" };
    const series = this.lines.map((line) => ({
      label: line.name, stroke: colour(line.colour), width: 2, dash: line.dash ? [6, 5] : undefined, points: { show: false },
    }));
    return new window.uPlot({
      width, height: 190, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, values: [[60, "{HH}:{mm}"], [1, "{HH}:{mm}:{ss}"]] }, { ...axis, size: 62 }],
      series: [{}, ...series],
    }, data, this.place);
  }
}

function format(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100 ? Math.round(value).toString() : value.toFixed(1);
}
