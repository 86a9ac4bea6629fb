// Joins the samples of a sparse scan into bins, so that they can be seen: one pixel in twenty is too dark from afar.
const EXACT_PX = 4; // CSS pixels; a sample drawn as large as this needs no bin
const DENSE = 0.5; // share of pixels sampled from which on nothing is binned
const BLOCK = 16; // pixels wide; the share is taken where something was sampled, not where the beam has not been yet

// Share of the pixels sampled, in those blocks of the plane that hold a sample; 0 without any.
export function density({ numbers, width, height, missing }) {
  let samples = 0;
  let room = 0;
  for (let top = 0; top < height; top += BLOCK)
    for (let left = 0; left < width; left += BLOCK) {
      const bottom = Math.min(height, top + BLOCK);
      const right = Math.min(width, left + BLOCK);
      let here = 0;
      for (let y = top; y < bottom; y++) for (let i = y * width + left; i < y * width + right; i++) here += numbers[i] !== missing;
      if (here) room += (bottom - top) * (right - left);
      samples += here;
    }
  return room ? samples / room : 0;
}

// How many pixels wide the bins are: 1 where the scan is dense or a pixel is large on the screen; never so wide that
// a bin would hold much more than one sample.
export function binWidth(share, zoom) {
  if (share === 0 || share >= DENSE) return 1;
  return Math.max(1, Math.min(Math.ceil(EXACT_PX / zoom), Math.ceil(1 / Math.sqrt(share))));
}

// The mean of the samples in each bin; a bin without a sample stays not sampled.
export function bin({ numbers, width, height, scale, add, missing }, wide) {
  const across = Math.ceil(width / wide);
  const down = Math.ceil(height / wide);
  const sums = new Float64Array(across * down);
  const samples = new Uint32Array(across * down);
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor(y / wide) * across;
    for (let x = 0; x < width; x++, i++) {
      if (numbers[i] === missing) continue;
      const at = row + Math.floor(x / wide);
      sums[at] += numbers[i];
      samples[at]++;
    }
  }
  const means = new Uint16Array(sums.length);
  let empty = false;
  for (let i = 0; i < means.length; i++) {
    means[i] = samples[i] ? Math.round(sums[i] / samples[i]) : missing;
    empty ||= !samples[i];
  }
  // `extent`: the picture's end in bins, since the last ones may reach beyond it.
  return { numbers: means, width: across, height: down, scale, add, missing: empty ? missing : null, wide, extent: [width / wide, height / wide] };
}
