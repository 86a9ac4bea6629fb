// Black, white and the curve between them: from a picture's histogram, once or following each picture, or by hand.
const BINS = 160;
const TAIL = 0.0035; // share of pixels beyond each level
const SAMPLES = 40000;
const EASE = 0.3; // of the way to the new levels at each picture, so that nothing flickers

export class Levels {
  constructor(changed) {
    this.changed = changed;
    this.black = 0;
    this.white = 1;
    this.gamma = 1;
    this.log = false; // in place of gamma
    this.following = true;
    this.low = 0; // the sliders' ends
    this.high = 1;
    this.counts = new Float64Array(BINS);
    this.fresh = true;
  }

  // Take a new picture's main plane.
  take(plane) {
    const found = measure(plane);
    if (!found) return;
    this.counts = found.counts;
    this.wide = found;
    const ease = this.fresh ? 1 : EASE;
    this.low += ease * (found.low - this.low);
    this.high += ease * (found.high - this.high);
    if (this.following) this.approach(ease);
    this.fresh = false;
    this.changed();
  }

  approach(ease) {
    this.black += ease * (this.wide.black - this.black);
    this.white += ease * (this.wide.white - this.white);
  }

  auto() {
    if (this.wide) this.approach(1);
    this.changed();
  }

  follow(following) {
    this.following = following;
    if (following) this.auto();
    else this.changed();
  }

  setBlack(value) {
    this.following = false;
    this.black = Math.min(value, this.white - this.least());
    this.changed();
  }

  setWhite(value) {
    this.following = false;
    this.white = Math.max(value, this.black + this.least());
    this.changed();
  }

  setGamma(gamma) {
    this.gamma = gamma;
    this.log = false;
    this.changed();
  }

  setLog(log) {
    this.log = log;
    this.changed();
  }

  least() {
    return (this.high - this.low) / 1000 || 1e-9;
  }
}

// Levels and histogram of a plane; null where no pixel was sampled.
export function measure(plane) {
  const tally = count(plane);
  if (!tally.total) return null;
  const at = (share) => plane.add + plane.scale * rank(tally, share);
  const black = at(TAIL);
  const white = Math.max(at(1 - TAIL), black + (Math.abs(black) || 1) * 1e-6);
  const room = 0.12 * (white - black);
  const low = Math.min(at(0), black - room);
  const high = Math.max(Math.min(at(1), white + 2 * (white - black)), white + room);
  const counts = new Float64Array(BINS);
  const slope = (plane.scale * BINS) / (high - low);
  const start = ((plane.add - low) * BINS) / (high - low);
  for (let n = 0; n < tally.counts.length; n++) {
    const bin = Math.floor(start + slope * n);
    if (tally.counts[n] && bin >= 0 && bin < BINS) counts[bin] += tally.counts[n];
  }
  return { black, white, low, high, counts };
}

// The value below which a share of a plane's pixels lie.
export function quantile(plane, share) {
  const tally = count(plane);
  return tally.total ? plane.add + plane.scale * rank(tally, share) : 0;
}

function count({ numbers, missing }) {
  const counts = new Uint32Array(numbers.BYTES_PER_ELEMENT === 2 ? 65536 : 256);
  const stride = Math.max(1, Math.floor(numbers.length / SAMPLES));
  let total = 0;
  for (let i = 0; i < numbers.length; i += stride, total++) counts[numbers[i]]++;
  if (missing !== null) {
    total -= counts[missing];
    counts[missing] = 0;
  }
  return { counts, total };
}

function rank({ counts, total }, share) {
  let left = Math.round(share * (total - 1));
  let n = 0;
  while (left >= counts[n]) left -= counts[n++];
  return n;
}
