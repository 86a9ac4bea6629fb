// A line, a rectangle and a cross on both pictures, in the picture's pixels: drawn, moved and read by mouse or keys.
const SVG = "http://www.w3.org/2000/svg";
const LEAST_PX = 3; // CSS pixels that a drag must go to draw
const ENDS = { line: ["Start of the profile", "End of the profile"], box: ["First corner of the region", "Second corner of the region"] };

export class Shapes {
  // changed(kind): a shape was drawn or moved; where(x, y): a place in words.
  constructor(view, sides, changed, where) {
    Object.assign(this, { view, changed, where, armed: null, line: null, box: null, cross: null, lineWidth: 1 });
    this.sides = sides.map((pane) => new Side(pane, this));
    this.begun = null;
  }

  arm(kind) {
    this.armed = kind;
    this.changed(kind);
  }

  set(kind, ends) {
    this[kind] = ends && { x0: this.clampX(ends.x0), y0: this.clampY(ends.y0), x1: this.clampX(ends.x1), y1: this.clampY(ends.y1) };
    this.changed(kind);
  }

  // A shape in the middle of what is seen, for who draws by keys.
  place(kind) {
    const { x, y, zoom, paneWidth, paneHeight } = this.view;
    const reach = (0.25 * Math.min(paneWidth, paneHeight)) / zoom;
    const tall = kind === "line" ? 0 : 0.7 * reach;
    this.set(kind, { x0: x - reach, y0: y - tall, x1: x + reach, y1: y + tall });
  }

  clampX(x) {
    return Math.min(this.view.width, Math.max(0, x));
  }

  clampY(y) {
    return Math.min(this.view.height, Math.max(0, y));
  }

  // Let the arrow keys move a shape's first end.
  focus(kind) {
    this.draw();
    this.sides[0].handles.find((one) => one.kind === kind).button.focus({ preventScroll: true });
  }

  // The pointer, in the pane's CSS pixels: true where it draws, so that the picture stays.
  begin({ x, y }) {
    if (!this.armed) return false;
    const at = this.view.pointAt(x, y);
    this.begun = { kind: this.armed, px: x, py: y, x0: at.x, y0: at.y };
    return true;
  }

  drag({ x, y }) {
    if (!this.begun) return false;
    const { kind, px, py, x0, y0 } = this.begun;
    if (Math.hypot(x - px, y - py) < LEAST_PX) return true;
    const at = this.view.pointAt(x, y);
    this.set(kind, { x0, y0, x1: at.x, y1: at.y });
    return true;
  }

  end() {
    if (!this.begun) return;
    this.begun = null;
    this.arm(null);
  }

  moveEnd(kind, end, dx, dy) {
    const ends = { ...this[kind] };
    ends[`x${end}`] += dx;
    ends[`y${end}`] += dy;
    this.set(kind, ends);
  }

  draw() {
    for (const side of this.sides) side.draw();
  }

  label(kind, end) {
    const shape = this[kind];
    return `${ENDS[kind][end]}, ${this.where(shape[`x${end}`], shape[`y${end}`])}; the arrow keys move it`;
  }
}

// The shapes of one pane, with a handle at each end.
class Side {
  constructor(pane, shapes) {
    this.shapes = shapes;
    this.svg = pane.querySelector(".shapes");
    this.parts = Object.fromEntries([["band", "polygon"], ["under", "line"], ["line", "line"], ["box", "rect"], ["across", "line"], ["down", "line"]]
      .map(([name, tag]) => [name, this.svg.appendChild(document.createElementNS(SVG, tag))]));
    for (const [name, part] of Object.entries(this.parts)) part.setAttribute("class", name);
    this.handles = ["line", "box"].flatMap((kind) => [0, 1].map((end) => this.handle(pane, kind, end)));
  }

  handle(pane, kind, end) {
    const button = document.createElement("button");
    button.className = `handle ${kind}`;
    button.hidden = true;
    button.tabIndex = pane.id === "left" ? 0 : -1; // one way through the page for the keyboard, not two
    let last = null;
    button.onpointerdown = (event) => {
      event.stopPropagation();
      button.setPointerCapture(event.pointerId);
      last = event;
    };
    button.onpointermove = (event) => {
      if (!last) return;
      const { zoom } = this.shapes.view;
      this.shapes.moveEnd(kind, end, (event.clientX - last.clientX) / zoom, (event.clientY - last.clientY) / zoom);
      last = event;
    };
    button.onpointerup = button.onpointercancel = () => {
      last = null;
    };
    button.onkeydown = (event) => {
      const step = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(1 / this.shapes.view.zoom));
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      this.shapes.moveEnd(kind, end, ...by);
    };
    pane.append(button);
    return { button, kind, end };
  }

  draw() {
    const { view, line, box, cross, lineWidth } = this.shapes;
    const { parts } = this;
    this.show(["under", "line", "band"], line);
    this.show(["box"], box);
    this.show(["across", "down"], cross);
    if (line) {
      const [a, b] = [view.placeOf(line.x0, line.y0), view.placeOf(line.x1, line.y1)];
      for (const name of ["under", "line"]) set(parts[name], { x1: a.x, y1: a.y, x2: b.x, y2: b.y });
      const long = Math.hypot(b.x - a.x, b.y - a.y) || 1;
      const [nx, ny] = [(-(b.y - a.y) / long) * 0.5 * lineWidth * view.zoom, ((b.x - a.x) / long) * 0.5 * lineWidth * view.zoom];
      set(parts.band, { points: [[a.x + nx, a.y + ny], [b.x + nx, b.y + ny], [b.x - nx, b.y - ny], [a.x - nx, a.y - ny]].join(" ") });
    }
    if (box) {
      const [a, b] = [view.placeOf(box.x0, box.y0), view.placeOf(box.x1, box.y1)];
      set(parts.box, { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), width: Math.abs(b.x - a.x), height: Math.abs(b.y - a.y) });
    }
    if (cross) {
      const at = view.placeOf(cross.x + 0.5, cross.y + 0.5);
      set(parts.across, { x1: 0, y1: at.y, x2: view.paneWidth, y2: at.y });
      set(parts.down, { x1: at.x, y1: 0, x2: at.x, y2: view.paneHeight });
    }
    for (const { button, kind, end } of this.handles) {
      const shape = this.shapes[kind];
      button.hidden = !shape;
      if (!shape) continue;
      const at = view.placeOf(shape[`x${end}`], shape[`y${end}`]);
      button.style.translate = `${at.x}px ${at.y}px`;
      button.setAttribute("aria-label", this.shapes.label(kind, end));
    }
  }

  show(names, shape) {
    for (const name of names) this.parts[name].style.display = shape ? "" : "none";
  }
}

function set(part, values) {
  for (const [name, value] of Object.entries(values)) part.setAttribute(name, value);
}
