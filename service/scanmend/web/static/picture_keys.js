// The keys of the picture side; keys.js listens to them and `?` shows them.
const PAN = 60;
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const CROSS_FAST = 10; // pixels, with Shift

export function pictureKeys(side) {
  const { view, levels, overlay, column } = side;
  const one = (key, name = key.toUpperCase()) => [{ key, name }];
  const move = ({ key }, event) => {
    const [x, y] = ARROWS[key];
    const step = event?.shiftKey ? CROSS_FAST : 1;
    if (side.shapes.cross) side.moveCross(-x * step, -y * step);
    else view.panBy(x * PAN, y * PAN);
  };
  return [
    { keys: one(" ", "Space"), about: "Swap the sides", act: () => side.toggle("swap", "swapped") },
    { keys: one("u"), about: "Uncertainty over the restored picture", act: () => side.lay(overlay.chosen === "sigma" ? "none" : "sigma") },
    { keys: one("o"), about: "Next overlay: uncertainty, where sampled, dose, proposal", act: () => side.nextOverlay() },
    { keys: one("x"), about: "Mark saturated and clipped samples", act: () => side.mark() },
    { keys: one("n"), about: "Next channel of the detectors", act: () => side.channels.next() },
    { keys: one("b"), about: "Samples of a sparse scan in bins, or each by itself", act: () => side.toggle("bins", "binning") },
    { keys: one("a"), about: "Levels from this picture", act: () => levels.auto() },
    { keys: [{ key: "A", name: "Shift A", shift: true }], about: "Let the levels follow, or hold them", act: () => levels.follow(!levels.following) },
    { keys: one("g"), about: "Gamma, or logarithmic", act: () => levels.setLog(!levels.log) },
    { keys: one("h"), about: "Histogram, gamma, colour maps", act: () => column.turn("histogram") },
    { keys: one("f"), about: "FFT", act: () => column.turn("fft") },
    { keys: one("l"), about: "Line profile", act: () => column.turn("profile") },
    { keys: one("m"), about: "Measure a region", act: () => column.turn("region") },
    { keys: one("c"), about: "Cross: the arrow keys move it (Shift: by 10 pixels), the values are read out", act: () => side.cross() },
    { keys: one("0"), about: "Whole field", act: () => view.fit() },
    { keys: one("1"), about: "One screen pixel for a pixel", act: () => view.zoomBy(1 / view.zoom) },
    { keys: [{ key: "+", name: "+" }, { key: "=", shown: false }], about: "Zoom in", act: () => view.zoomBy(1.25) },
    { keys: one("-", "−"), about: "Zoom out", act: () => view.zoomBy(0.8) },
    { keys: Object.keys(ARROWS).map((key, i) => ({ key, name: "←→↑↓"[i] })), about: "Move the picture, or the cross", act: move },
  ];
}
