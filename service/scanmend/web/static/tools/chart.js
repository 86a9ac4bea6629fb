// A small chart on a canvas: values over a length, in the theme's colours.
import { figure } from "../format.js";
import { step } from "../scalebar.js";
import { colour } from "../theme.js";

const TICKS = 4;

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
  }

  // series: [{x, y, sigma, kind: "dots" | "line"}], arrays of one length; NaN is a gap. at: index of the cursor, or null.
  draw(series, at) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = (this.context = canvas.getContext("2d"));
    context.clearRect(0, 0, width, height);
    if (!series.length) return;
    const [low, high] = rangeOf(series);
    const most = series[0].x.at(-1) || 1;
    const box = (this.box = { left: 40 * ratio, right: width - 8 * ratio, top: 6 * ratio, bottom: height - 20 * ratio });
    const place = {
      x: (value) => box.left + (value / most) * (box.right - box.left),
      y: (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top),
    };
    this.axes(place, most, low, high, ratio);
    for (const one of series) (one.kind === "dots" ? dots : curve)(context, one, place, ratio);
    if (at === null) return;
    context.fillStyle = colour("text");
    context.fillRect(place.x(series[0].x[at]), box.top, ratio, box.bottom - box.top);
  }

  axes(place, most, low, high, ratio) {
    const { context, box } = this;
    context.font = `${12 * ratio}px ${getComputedStyle(this.canvas).fontFamily}`;
    context.lineWidth = ratio;
    context.textBaseline = "middle";
    for (const value of ticks(low, high)) {
      context.fillStyle = colour("line");
      context.fillRect(box.left, place.y(value), box.right - box.left, ratio);
      context.fillStyle = colour("quiet");
      context.textAlign = "right";
      context.fillText(figure(value), box.left - 5 * ratio, place.y(value));
    }
    context.textBaseline = "alphabetic";
    for (const value of ticks(0, most)) {
      context.textAlign = value === 0 ? "left" : place.x(value) > box.right - 20 * ratio ? "right" : "center";
      context.fillText(figure(value), place.x(value), this.canvas.height - 5 * ratio);
    }
  }

  // The index of the x that is nearest to a place of the canvas, in CSS pixels.
  indexAt(x, xs) {
    if (!this.box) return null;
    const ratio = window.devicePixelRatio || 1;
    const share = (x * ratio - this.box.left) / (this.box.right - this.box.left);
    return Math.min(xs.length - 1, Math.max(0, Math.round(share * (xs.length - 1))));
  }
}

function rangeOf(series) {
  let [low, high] = [Infinity, -Infinity];
  for (const { y, sigma } of series)
    for (let i = 0; i < y.length; i++) {
      const reach = sigma?.[i] || 0;
      if (y[i] - reach < low) low = y[i] - reach;
      if (y[i] + reach > high) high = y[i] + reach;
    }
  if (!(high >= low)) return [0, 1];
  const room = 0.05 * (high - low) || Math.abs(high) || 1;
  return [low >= 0 && low < 0.35 * high ? 0 : low - room, high + room];
}

function ticks(low, high) {
  const between = step(((high - low) / TICKS) * 1.6);
  const found = [];
  for (let value = Math.ceil(low / between) * between; value <= high; value += between) found.push(Math.abs(value) < between / 1e6 ? 0 : value);
  return found;
}

function dots(context, { x, y }, place, ratio) {
  context.fillStyle = colour("text");
  const r = 1.75 * ratio;
  for (let i = 0; i < y.length; i++) if (!Number.isNaN(y[i])) context.fillRect(place.x(x[i]) - r, place.y(y[i]) - r, 2 * r, 2 * r);
}

function curve(context, { x, y, sigma }, place, ratio) {
  if (sigma) {
    context.globalAlpha = 0.28;
    context.fillStyle = colour("accent");
    context.beginPath();
    for (let i = 0; i < y.length; i++) context.lineTo(place.x(x[i]), place.y(y[i] + sigma[i]));
    for (let i = y.length - 1; i >= 0; i--) context.lineTo(place.x(x[i]), place.y(y[i] - sigma[i]));
    context.fill();
    context.globalAlpha = 1;
  }
  context.strokeStyle = colour("accent");
  context.lineWidth = 2 * ratio;
  context.beginPath();
  for (let i = 0; i < y.length; i++) context.lineTo(place.x(x[i]), place.y(y[i]));
  context.stroke();
}
