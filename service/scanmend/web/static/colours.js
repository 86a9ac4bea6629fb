// Colour maps of 256 entries, RGB bytes, and the colours of what is no value.
const STOPS = {
  grey: ["000000", "ffffff"],
  viridis: ["440154", "48186a", "472d7b", "424086", "3b528b", "33638d", "2c728e", "26828e", "21918c", "1fa088", "28ae80", "3fbc73", "5ec962", "84d44b", "addc30", "d8e219", "fde725"],
  cividis: ["00224e", "002e6a", "1a386f", "32436d", "434e6c", "535a6d", "61656f", "6f7073", "7d7c78", "8c8878", "9b9476", "aba072", "bcae6c", "cdbb63", "dec958", "f0d846", "fee838"],
  inferno: ["000004", "0b0724", "210c4a", "3d0965", "57106e", "71196e", "8a226a", "a32c61", "bc3754", "d24644", "e45a31", "f1731d", "f98e09", "fcac11", "f9cb35", "f2ea69", "fcffa4"],
  magma: ["000004", "0a0822", "1d1147", "36106b", "51127c", "6a1c81", "832681", "9c2e7f", "b73779", "d0416f", "e75263", "f56b5c", "fc8961", "fea772", "fec488", "fde2a3", "fcfdbf"],
};

export const UNSAMPLED = [14, 27, 47];
export const UNSAMPLED_STRIPE = [26, 49, 80];
export const OUTSIDE = [6, 7, 9];
export const SAMPLED = [64, 224, 255];

// A mark is a pattern of two colours in turn: a chequer where saturated, lines where clipped at black.
export const SATURATED = [[255, 48, 48], [255, 235, 235]];
export const CLIPPED = [[40, 120, 255], [0, 0, 0]];

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

export const maps = Object.fromEntries(Object.entries(STOPS).map(([name, stops]) => [name, table(stops)]));

// How much of the map covers the picture below it.
export const OVERLAY = 0.72;

// Paint a map from left to right on a canvas.
export function drawMap(canvas, name) {
  if (canvas.dataset.map === name) return;
  canvas.dataset.map = name;
  const context = canvas.getContext("2d");
  for (let i = 0; i < canvas.width; i++) {
    const at = 3 * Math.round((255 * i) / (canvas.width - 1));
    context.fillStyle = `rgb(${maps[name].slice(at, at + 3).join(" ")})`;
    context.fillRect(i, 0, 1, canvas.height);
  }
}
