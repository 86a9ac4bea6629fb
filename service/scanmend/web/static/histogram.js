// The levels' controls: histogram, two thumbs on one rail, gamma.
import { figure } from "./format.js";

const STEPS = 1000;

export class LevelControls {
  constructor(levels) {
    this.levels = levels;
    this.unit = "";
    this.by = Object.fromEntries(["black", "white", "gamma", "black-value", "white-value", "gamma-value", "auto", "follow", "histogram"]
      .map((id) => [id, document.getElementById(id)]));
    this.by.black.oninput = () => levels.setBlack(this.value(this.by.black));
    this.by.white.oninput = () => levels.setWhite(this.value(this.by.white));
    this.by.gamma.oninput = () => levels.setGamma(10 ** (this.by.gamma.value / 200));
    this.by.auto.onclick = () => levels.auto();
    this.by.follow.onclick = () => levels.follow(!levels.following);
  }

  value(input) {
    return this.levels.low + (input.value / STEPS) * (this.levels.high - this.levels.low);
  }

  show() {
    const { levels, by } = this;
    const place = (value) => (STEPS * (value - levels.low)) / (levels.high - levels.low);
    by.black.value = place(levels.black);
    by.white.value = place(levels.white);
    by["black-value"].value = figure(levels.black);
    by["white-value"].value = `${figure(levels.white)} ${this.unit}`;
    by["gamma-value"].value = levels.gamma.toFixed(1);
    by.follow.setAttribute("aria-pressed", levels.following);
    by.follow.textContent = levels.following ? "Follow" : "Held";
    this.draw(place(levels.black) / STEPS, place(levels.white) / STEPS);
  }

  draw(black, white) {
    const canvas = this.by.histogram;
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const { counts } = this.levels;
    const top = Math.sqrt(Math.max(1, ...counts));
    const bar = width / counts.length;
    context.clearRect(0, 0, width, height);
    for (let i = 0; i < counts.length; i++) {
      const at = (i + 0.5) / counts.length;
      context.fillStyle = at < black || at > white ? "#3a4550" : "#8796a5";
      const tall = (height - 1) * (Math.sqrt(counts[i]) / top);
      context.fillRect(i * bar, height - tall, bar + 0.5, tall);
    }
    context.strokeStyle = "#dfe5ea";
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(black * width, height);
    for (let i = 0; i <= 24; i++) {
      const share = i / 24;
      context.lineTo((black + share * (white - black)) * width, height - (height - 2) * share ** (1 / this.levels.gamma));
    }
    context.stroke();
  }
}
