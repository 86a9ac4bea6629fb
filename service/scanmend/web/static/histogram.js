// The levels' controls: a histogram with two limits to drag, gamma or logarithm.
import { $, setAttribute, setText } from "./dom.js";
import { figure } from "./format.js";
import { colour } from "./theme.js";
import { tone } from "./tone.js";

const STEPS = 1000;

export class LevelControls {
  constructor(levels) {
    this.levels = levels;
    this.unit = "";
    this.by = Object.fromEntries(["black", "white", "gamma", "black-value", "white-value", "gamma-value", "auto", "follow", "histogram", "log"]
      .map((id) => [id, $(id)]));
    const { by } = this;
    by.black.oninput = () => levels.setBlack(this.value(by.black));
    by.white.oninput = () => levels.setWhite(this.value(by.white));
    by.gamma.oninput = () => levels.setGamma(10 ** (by.gamma.value / 200));
    by.auto.onclick = () => levels.auto();
    by.follow.onclick = () => levels.follow(!levels.following);
    by.log.onclick = () => levels.setLog(!levels.log);
    this.draggable(by.histogram);
  }

  // Press anywhere on the histogram: the nearer limit comes there and follows.
  draggable(canvas) {
    let limit = null;
    const share = (event) => {
      const box = canvas.getBoundingClientRect();
      return (event.clientX - box.left) / box.width;
    };
    const move = (event) => {
      const { levels } = this;
      const value = levels.low + Math.min(1, Math.max(0, share(event))) * (levels.high - levels.low);
      if (limit === "black") levels.setBlack(value);
      else levels.setWhite(value);
    };
    canvas.onpointerdown = (event) => {
      const { levels } = this;
      const value = levels.low + share(event) * (levels.high - levels.low);
      limit = Math.abs(value - levels.black) < Math.abs(value - levels.white) ? "black" : "white";
      canvas.setPointerCapture(event.pointerId);
      this.by[limit].focus({ preventScroll: true }); // the arrow keys go on from here
      event.preventDefault();
      move(event);
    };
    canvas.onpointermove = (event) => limit && move(event);
    canvas.onpointerup = canvas.onpointercancel = () => {
      limit = null;
    };
  }

  value(input) {
    return this.levels.low + (input.value / STEPS) * (this.levels.high - this.levels.low);
  }

  show() {
    const { levels, by } = this;
    const place = (value) => (STEPS * (value - levels.low)) / (levels.high - levels.low);
    by.black.value = place(levels.black);
    by.white.value = place(levels.white);
    setText(by["black-value"], figure(levels.black));
    setText(by["white-value"], `${figure(levels.white)} ${this.unit}`);
    setAttribute(by.black, "aria-valuetext", `${figure(levels.black)} ${this.unit}`);
    setAttribute(by.white, "aria-valuetext", `${figure(levels.white)} ${this.unit}`);
    setText(by["gamma-value"], levels.log ? "log" : levels.gamma.toFixed(1));
    setAttribute(by.log, "aria-pressed", levels.log);
    setAttribute(by.follow, "aria-pressed", levels.following);
    setText(by.follow, levels.following ? "Follow" : "Held");
    this.draw(place(levels.black) / STEPS, place(levels.white) / STEPS);
  }

  draw(black, white) {
    const canvas = this.by.histogram;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const { counts } = this.levels;
    const top = Math.sqrt(Math.max(1, ...counts));
    const bar = width / counts.length;
    const [within, beyond, ink] = ["quiet", "rail", "text"].map(colour);
    context.clearRect(0, 0, width, height);
    for (let i = 0; i < counts.length; i++) {
      const at = (i + 0.5) / counts.length;
      context.fillStyle = at < black || at > white ? beyond : within;
      const tall = (height - 1) * (Math.sqrt(counts[i]) / top);
      context.fillRect(i * bar, height - tall, bar + 0.5, tall);
    }
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1.5 * ratio;
    context.beginPath();
    context.moveTo(black * width, height);
    for (let i = 0; i <= 32; i++) {
      const share = i / 32;
      context.lineTo((black + share * (white - black)) * width, height - (height - 2) * tone(share, this.levels));
    }
    context.stroke();
    for (const limit of [black, white]) context.fillRect(Math.min(width - ratio, Math.max(0, limit * width - ratio / 2)), 0, ratio, height);
  }
}
