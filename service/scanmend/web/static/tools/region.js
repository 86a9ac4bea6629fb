// Figures of a rectangle, over those pixels of it that have a value.

// job: {planes: {raw, estimate, sigma, dose}, box: {x0, y0, x1, y1} in whole pixels, ends beyond the last}.
// Answer: {pixels, raw, restored, sigma, dose}, each {n, mean, sd, least, most, rms} or null.
export function region({ planes: { raw, estimate, sigma, dose }, box }) {
  const pixels = (box.x1 - box.x0) * (box.y1 - box.y0);
  return { pixels, raw: figures(raw, box), restored: figures(estimate, box), sigma: figures(sigma, box), dose: figures(dose, box) };
}

function figures(plane, { x0, y0, x1, y1 }) {
  if (!plane) return null;
  const { numbers, width, scale, add, missing } = plane;
  let [n, sum, squares, least, most] = [0, 0, 0, Infinity, -Infinity];
  for (let y = y0; y < y1; y++)
    for (let i = y * width + x0; i < y * width + x1; i++) {
      const number = numbers[i];
      if (number === missing) continue;
      n++;
      sum += number; // whole numbers: exact up to 2^53
      squares += number * number;
      if (number < least) least = number;
      if (number > most) most = number;
    }
  if (!n) return { n, mean: null, sd: null, least: null, most: null, rms: null };
  const mean = sum / n;
  const variance = n > 1 ? Math.max(0, squares - n * mean * mean) / (n - 1) : 0;
  const value = add + scale * mean;
  const sd = scale * Math.sqrt(variance);
  const rms = Math.sqrt(value * value + (sd * sd * Math.max(0, n - 1)) / n);
  return { n, mean: value, sd: n > 1 ? sd : null, least: add + scale * least, most: add + scale * most, rms };
}
