// Values along a line, a step a pixel, averaged across its width. What was not sampled stays a gap.

// job: {planes: {raw, estimate, sigma}, line: {x0, y0, x1, y1}, width, pixelSizeNm}.
// Answer: {nm: [steps], raw, restored, sigma: [steps] or null, NaN where there is nothing}.
export function profile({ planes: { raw, estimate, sigma }, line, width, pixelSizeNm }) {
  const { x0, y0, x1, y1 } = line;
  const long = Math.hypot(x1 - x0, y1 - y0);
  const steps = Math.max(2, Math.floor(long) + 1);
  const [ux, uy] = long > 0 ? [(x1 - x0) / long, (y1 - y0) / long] : [1, 0];
  const along = (plane) => plane ? Float64Array.from({ length: steps }, (_, i) => across(plane, x0 + ux * i, y0 + uy * i, ux, uy, width)) : null;
  const restored = along(estimate);
  return {
    nm: Float64Array.from({ length: steps }, (_, i) => i * pixelSizeNm),
    raw: along(raw), restored,
    // The errors of neighbouring pixels go together, so that averaging lowers them by nothing that is known: their mean.
    sigma: restored && along(sigma),
  };
}

// The mean of the pixels across a line at one place; NaN where none was sampled.
function across({ numbers, width: wide, height, scale, add, missing }, x, y, ux, uy, width) {
  let sum = 0;
  let count = 0;
  for (let k = 0; k < width; k++) {
    const off = k - (width - 1) / 2;
    const [px, py] = [Math.floor(x - uy * off), Math.floor(y + ux * off)];
    if (px < 0 || py < 0 || px >= wide || py >= height) continue;
    const number = numbers[py * wide + px];
    if (number === missing) continue;
    sum += number;
    count++;
  }
  return count ? add + (scale * sum) / count : NaN;
}
