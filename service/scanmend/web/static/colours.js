// Colour tables of 256 entries, RGB bytes.
const VIRIDIS = ["440154", "482475", "414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725"];

export const UNSAMPLED = [14, 27, 47];
export const UNSAMPLED_STRIPE = [26, 49, 80];
export const OUTSIDE = [6, 7, 9];

function table(stops) {
  const rgb = stops.map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const bytes = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (rgb.length - 1);
    const low = Math.min(rgb.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) bytes[3 * i + c] = Math.round(rgb[low][c] + (at - low) * (rgb[low + 1][c] - rgb[low][c]));
  }
  return bytes;
}

export const viridis = table(VIRIDIS);

// How much of the map covers the grey picture below it.
export const OVERLAY = 0.72;
