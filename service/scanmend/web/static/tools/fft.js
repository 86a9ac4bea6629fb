// The power spectrum of a plane, with a Hann window, as a picture from minus to plus the Nyquist frequency.
const MOST = 1024; // pixels of a side; of a larger picture the middle is taken
const SHOWN = 256; // pixels of a side of the answer's picture
const LEAST_WAVES = 6; // in the picture, for a peak: what is slower is shading
const STANDS_OUT = 40; // a peak's power over the median at its radius; pure noise stays below 25

// job: {planes: {of: plane}, pixelSizeNm, reach: share of the Nyquist frequency that is shown}.
// Answer: {image: Uint8ClampedArray of shown², size of the transform, edge (1/nm), peak: {perNm, degrees, over} or null,
// cropped, sampled: share of the pixels}.
export function spectrum({ planes: { of }, pixelSizeNm, reach }) {
  const { values, width, height, sampled } = windowed(of);
  const size = 2 ** Math.ceil(Math.log2(Math.max(width, height, 8)));
  const power = powerOf(values, width, height, size);
  const nyquist = 0.5 / pixelSizeNm;
  const peak = strongest(power, size, Math.max(width, height));
  return {
    image: picture(power, size, reach), shown: SHOWN, size, edge: nyquist * reach, sampled,
    cropped: width < of.width || height < of.height,
    peak: peak && { ...peak, perNm: (peak.radius * 2 * nyquist) / size },
  };
}

// The middle of a plane less its mean, with gaps at the mean, under a Hann window.
function windowed({ numbers, width, height, scale, add, missing }) {
  const [across, down] = [Math.min(width, MOST), Math.min(height, MOST)];
  const [left, top] = [(width - across) >> 1, (height - down) >> 1];
  const values = new Float64Array(across * down);
  let sum = 0;
  let count = 0;
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++) {
      const number = numbers[(y + top) * width + x + left];
      const there = number !== missing;
      values[y * across + x] = there ? add + scale * number : NaN;
      if (there) {
        sum += add + scale * number;
        count++;
      }
    }
  const mean = count ? sum / count : 0;
  const hann = (i, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / n);
  for (let y = 0; y < down; y++) {
    const wy = hann(y, down);
    for (let x = 0; x < across; x++) {
      const value = values[y * across + x];
      values[y * across + x] = Number.isNaN(value) ? 0 : (value - mean) * wy * hann(x, across);
    }
  }
  return { values, width: across, height: down, sampled: count / (across * down) };
}

// Power with zero frequency in the middle, [size, size].
function powerOf(values, width, height, size) {
  const re = new Float64Array(size * size);
  const im = new Float64Array(size * size);
  for (let y = 0; y < height; y++) re.set(values.subarray(y * width, (y + 1) * width), y * size);
  const turn = twiddles(size);
  for (let y = 0; y < height; y++) transform(re.subarray(y * size, (y + 1) * size), im.subarray(y * size, (y + 1) * size), turn);
  const [column, other] = [new Float64Array(size), new Float64Array(size)];
  const power = new Float64Array(size * size);
  const half = size / 2;
  for (let x = 0; x < size; x++) {
    for (let y = 0; y < size; y++) {
      column[y] = re[y * size + x];
      other[y] = im[y * size + x];
    }
    transform(column, other, turn);
    const at = (x + half) % size;
    for (let y = 0; y < size; y++) power[((y + half) % size) * size + at] = column[y] ** 2 + other[y] ** 2;
  }
  return power;
}

function twiddles(size) {
  const [cos, sin] = [new Float64Array(size / 2), new Float64Array(size / 2)];
  for (let i = 0; i < size / 2; i++) {
    cos[i] = Math.cos((2 * Math.PI * i) / size);
    sin[i] = -Math.sin((2 * Math.PI * i) / size);
  }
  return { cos, sin };
}

// A radix-2 transform in place.
export function transform(re, im, { cos, sin }) {
  const size = re.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let span = 1; span < size; span *= 2) {
    const stride = size / (2 * span);
    for (let start = 0; start < size; start += 2 * span)
      for (let k = 0; k < span; k++) {
        const [c, s] = [cos[k * stride], sin[k * stride]];
        const [i, j] = [start + k, start + k + span];
        const a = re[j] * c - im[j] * s;
        const b = re[j] * s + im[j] * c;
        re[j] = re[i] - a;
        im[j] = im[i] - b;
        re[i] += a;
        im[i] += b;
      }
  }
}

// The frequency that stands out most from the median at its radius; null where none does.
function strongest(power, size, extent) {
  const half = size / 2;
  const rings = Array.from({ length: half }, () => []);
  const ring = (x, y) => Math.round(Math.hypot(x - half, y - half));
  for (let y = half; y < size; y++) // the other half is the same, turned
    for (let x = 0; x < size; x++) {
      const r = ring(x, y);
      if (r < half) rings[r].push(power[y * size + x]);
    }
  const medians = rings.map((values) => values.sort((a, b) => a - b)[values.length >> 1] || 0);
  let best = { over: STANDS_OUT };
  for (let y = half; y < size - 1; y++)
    for (let x = 1; x < size - 1; x++) {
      const r = ring(x, y);
      if (r >= half || r < (LEAST_WAVES * size) / extent || !(medians[r] > 0)) continue;
      const over = power[y * size + x] / medians[r];
      if (over > best.over) best = { over, x, y };
    }
  if (best.x === undefined) return null;
  const dx = best.x + between(power, best.y * size + best.x, 1) - half;
  const dy = best.y + between(power, best.y * size + best.x, size) - half;
  return { radius: Math.hypot(dx, dy), degrees: ((Math.atan2(-dy, dx) * 180) / Math.PI + 180) % 180, over: best.over };
}

// Where between the neighbours the top lies, from a parabola through the logarithms.
function between(power, at, stride) {
  const [before, here, after] = [at - stride, at, at + stride].map((i) => Math.log(power[i] + 1e-300));
  const bend = before - 2 * here + after;
  return bend < 0 ? Math.max(-0.5, Math.min(0.5, (0.5 * (before - after)) / bend)) : 0;
}

// The middle of the logarithm of the power, from its median to its maximum, as bytes; the largest of what falls on one pixel.
function picture(power, size, reach) {
  const first = 0.5 * size * (1 - reach);
  const place = (pixel) => Math.floor(first + (pixel * size * reach) / SHOWN);
  const shown = new Float64Array(SHOWN * SHOWN);
  for (let y = 0; y < SHOWN; y++)
    for (let x = 0; x < SHOWN; x++) {
      const [x0, y0] = [place(x), place(y)];
      const [x1, y1] = [Math.max(x0 + 1, place(x + 1)), Math.max(y0 + 1, place(y + 1))];
      let most = 0;
      for (let v = y0; v < y1; v++) for (let u = x0; u < x1; u++) most = Math.max(most, power[v * size + u]);
      shown[y * SHOWN + x] = Math.log10(most + 1e-30);
    }
  const sorted = Float64Array.from(shown).sort();
  const low = sorted[Math.floor(0.4 * sorted.length)];
  const span = Math.max(0.5, sorted[sorted.length - 1] - low);
  return Uint8ClampedArray.from(shown, (value) => (255 * (value - low)) / span);
}
