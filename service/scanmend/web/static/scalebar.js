// A scale bar of 1, 2 or 5 times a power of ten that is right at any zoom.
const UNITS = [["m", 1e9], ["mm", 1e6], ["µm", 1e3], ["nm", 1], ["pm", 1e-3]];

// The longest step of 1-2-5 that is at most `most` long.
export function step(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((n) => n * power).find((length) => length <= most * (1 + 1e-9));
}

export function lengthText(nm) {
  const [name, size] = UNITS.find(([, size]) => nm >= size * (1 - 1e-9)) ?? UNITS.at(-1);
  return `${Number((nm / size).toPrecision(3))} ${name}`;
}

export function drawScaleBar(element, nmForCssPixel, paneWidth) {
  const nm = step(nmForCssPixel * Math.min(220, paneWidth * 0.36));
  const pixels = nm / nmForCssPixel;
  element.hidden = !Number.isFinite(pixels);
  const key = `${pixels}/${nm}`;
  if (element.dataset.drawn === key) return; // a style that is set makes the browser lay the page out again
  element.dataset.drawn = key;
  element.firstElementChild.style.width = `${pixels}px`;
  element.lastElementChild.textContent = lengthText(nm);
  element.setAttribute("aria-label", `Scale bar, ${lengthText(nm)}`);
}
