// The live FFT: of the raw or the restored picture, with what that means said beside it.
import { maps } from "../colours.js";
import { $, setText } from "../dom.js";
import { figure } from "../format.js";
import { lengthText } from "../scalebar.js";
import { colour } from "../theme.js";

const DENSE = 0.5; // share of the pixels sampled from which on the raw picture is the one to transform

export class FftTool {
  constructor(side, worksheet) {
    Object.assign(this, { side, worksheet, answer: null, cursor: null, sheet: document.createElement("canvas") });
    this.canvas = $("fft");
    this.choice = $("fft-of");
    this.chosen = false;
    this.choice.onchange = () => {
      this.chosen = true;
      this.refresh();
    };
    $("fft-zoom").onchange = () => this.refresh();
    this.canvas.onpointermove = (event) => {
      const box = this.canvas.getBoundingClientRect();
      this.point((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    };
    this.canvas.onpointerdown = this.canvas.onpointermove;
    this.canvas.onkeydown = (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by || !this.answer) return;
      event.preventDefault(); // the picture stays
      const step = (event.shiftKey ? 10 : 1) / (this.answer.size * this.answer.reach);
      const { u, v } = this.cursor ?? { u: 0.5, v: 0.5 };
      this.point(u + by[0] * step, v + by[1] * step);
    };
  }

  // The session's first picture: raw where it is dense, else restored, unless the operator has chosen.
  first(share) {
    if (!this.chosen) this.choice.value = share >= DENSE ? "raw" : "restored";
  }

  forget() {
    this.answer = null;
    this.draw();
  }

  armed() {}

  refresh() {
    const { picture, pixelSizeNm } = this.side.panes;
    if (!picture) return;
    const { planes, header } = picture;
    const restored = this.choice.value === "restored" && header.restored;
    const of = restored ? planes.estimate : planes.raw;
    if (!of) return;
    const { model } = header;
    const reach = 1 / $("fft-zoom").value;
    this.worksheet.ask("fft", { planes: { of }, pixelSizeNm, reach }, (answer) => {
      this.answer = { ...answer, restored, model, reach };
      this.draw();
    });
  }

  point(u, v) {
    const within = (share) => Math.min(1, Math.max(0, share));
    this.cursor = { u: within(u), v: within(v) };
    this.draw();
  }

  draw() {
    const { canvas, answer } = this;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    setText($("fft-note"), answer ? this.note() : "");
    setText($("fft-peak"), answer ? (answer.peak ? `strongest ${this.frequency(answer.peak.perNm)}` : "no peak stands out") : "");
    if (!answer) return setText($("fft-at"), "");
    this.spread();
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.round(canvas.clientWidth * ratio) || canvas.width;
    if (canvas.width !== wide) canvas.width = canvas.height = wide;
    context.imageSmoothingEnabled = wide < this.sheet.width;
    context.drawImage(this.sheet, 0, 0, wide, wide);
    if (this.cursor) this.ring(context, wide, ratio);
    else setText($("fft-at"), `Edge: ${this.frequency(answer.edge)}`);
  }

  spread() {
    const { sheet, answer } = this;
    if (sheet.answer === answer) return;
    sheet.answer = answer;
    sheet.width = sheet.height = answer.shown;
    const context = sheet.getContext("2d");
    const image = context.createImageData(answer.shown, answer.shown);
    const map = maps[this.side.panes.map];
    answer.image.forEach((byte, i) => {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = map[3 * byte + c];
      image.data[4 * i + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }

  // The cursor's radius as a circle, in 1/nm and nm.
  ring(context, wide, ratio) {
    const { size, edge, reach } = this.answer;
    const shift = 0.5 / (size * reach); // zero frequency lies in the middle of its pixel
    const [fx, fy] = [this.cursor.u - 0.5 - shift, this.cursor.v - 0.5 - shift];
    const perNm = 2 * edge * Math.hypot(fx, fy);
    const degrees = (((Math.atan2(-fy, fx) * 180) / Math.PI) + 180) % 180;
    setText($("fft-at"), `${this.frequency(perNm)}, ${Math.round(degrees)}°`);
    context.strokeStyle = colour("accent");
    context.lineWidth = 1.5 * ratio;
    context.beginPath();
    context.arc((0.5 + shift) * wide, (0.5 + shift) * wide, Math.max(1, Math.hypot(fx, fy) * wide), 0, 2 * Math.PI);
    context.stroke();
    context.beginPath();
    context.arc(this.cursor.u * wide, this.cursor.v * wide, 4 * ratio, 0, 2 * Math.PI);
    context.stroke();
  }

  frequency(perNm) {
    return perNm > 0 ? `${lengthText(1 / perNm)} (${figure(perNm)} 1/nm)` : "zero frequency";
  }

  note() {
    const { restored, model, sampled, cropped } = this.answer;
    const middle = cropped ? " Of the middle 1024 × 1024 pixels." : "";
    if (restored)
      return `▲ Of the picture restored by ${model} — estimate, not data. A model can invent periods or take them away: believe a peak only if raw shows it too.${middle}`;
    if (sampled > 0.995) return `Of the detector’s samples.${middle}`;
    return `Of the detector’s samples, ${figure(100 * sampled, 2)} % of the pixels; gaps count as the mean. That adds an even background, and peaks of the scan pattern where it is regular.${middle}`;
  }
}
