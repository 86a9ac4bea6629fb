// Samples at the ends of what the detector can give: their value is a bound, and no measurement.
export const SATURATED_MARK = 1;
export const CLIPPED_MARK = 2;

const LEAST = { uint8: 0, uint16: 0, uint32: 0, int16: -(2 ** 15), int32: -(2 ** 31) };
const MOST = { uint8: 2 ** 8 - 1, uint16: 2 ** 16 - 1, uint32: 2 ** 32 - 1, int16: 2 ** 15 - 1, int32: 2 ** 31 - 1 };

// The raw plane's values at the detector's ends, null where an end is not known. Where the picture has a reference dwell
// its raw plane is in electrons of that dwell (or units less the offset); else it has the detector's own units.
export function detectorEnds(channel, header) {
  if (!channel) return { saturated: null, clipped: null };
  const most = channel.saturation_units ?? MOST[channel.dtype] ?? null;
  const least = LEAST[channel.dtype] ?? null;
  const { reference_dwell_ns } = header;
  if (reference_dwell_ns === null) return { saturated: most, clipped: canClip(channel) ? least : null };
  const gain = channel.units_per_electron ?? 1;
  const offset = channel.offset_units ?? 0;
  // An analogue detector's level stands for the electrons of its own reference dwell, whatever the dwell of a visit.
  const times = channel.kind === "analogue" ? reference_dwell_ns / channel.reference_dwell_ns : 1;
  const value = (units) => (units === null ? null : ((units - offset) / gain) * times);
  return { saturated: value(most), clipped: canClip(channel) ? value(least) : null };
}

// A counting detector without an offset gives 0 where no electron came: that is a measurement.
function canClip(channel) {
  return channel.kind === "analogue" || (channel.offset_units ?? 0) > (LEAST[channel.dtype] ?? -Infinity);
}

// Which pixels of a raw plane are at an end, as a plane of marks, with their counts.
export function clippingOf(plane, { saturated, clipped }) {
  const { numbers, width, height, scale, add, missing } = plane;
  const marks = new Uint8Array(numbers.length);
  const slack = 0.5 * scale; // a plane's numbers are rounded
  const high = saturated === null ? Infinity : (saturated - slack - add) / scale;
  const low = clipped === null ? -Infinity : (clipped + slack - add) / scale;
  const counts = [0, 0, 0];
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i];
    if (number === missing) continue;
    const mark = number >= high ? SATURATED_MARK : number <= low ? CLIPPED_MARK : 0;
    marks[i] = mark;
    counts[mark]++;
  }
  return { numbers: marks, width, height, saturated: counts[SATURATED_MARK], clipped: counts[CLIPPED_MARK] };
}

// The same for bins: a bin is marked where one of its samples is.
export function clippingInBins({ numbers, width, height }, wide) {
  const across = Math.ceil(width / wide);
  const marks = new Uint8Array(across * Math.ceil(height / wide));
  for (let i = 0; i < numbers.length; i++) {
    if (!numbers[i]) continue;
    const y = Math.floor(i / width);
    const at = Math.floor(y / wide) * across + Math.floor((i - y * width) / wide);
    if (marks[at] !== SATURATED_MARK) marks[at] = numbers[i];
  }
  return { numbers: marks, width: across, height: Math.ceil(height / wide) };
}
