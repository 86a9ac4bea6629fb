// The latency of the last two minutes as two small lines in the footer: p95 above, p50 below it.
import { setAttribute } from "./dom.js";
import { colour } from "./theme.js";

const SPAN_S = 120;

export function drawSpark(canvas, samples) {
  const now = Date.now() / 1000;
  const shown = samples.filter(({ unix_s, p95_ms }) => unix_s > now - SPAN_S && p95_ms !== null);
  const last = shown.at(-1);
  const key = `${last?.unix_s} ${shown.length} ${canvas.clientWidth} ${document.documentElement.dataset.theme}`;
  if (canvas.dataset.drawn === key) return;
  canvas.dataset.drawn = key;
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!last) return;
  const top = Math.max(...shown.map(({ p95_ms }) => p95_ms), 1) * 1.1;
  const line = (name, stroke, wide) => {
    context.strokeStyle = stroke;
    context.lineWidth = wide * ratio;
    context.beginPath();
    for (const sample of shown) context.lineTo(width * (1 - (now - sample.unix_s) / SPAN_S), height * (1 - sample[name] / top));
    context.stroke();
  };
  line("p95_ms", colour("quiet"), 1);
  line("p50_ms", colour("accent"), 2);
  setAttribute(canvas, "aria-label", `Latency of the last two minutes, at most ${Math.round(top / 1.1)} milliseconds for 19 of 20 frames`);
}
