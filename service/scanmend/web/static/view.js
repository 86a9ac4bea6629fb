// Which part of the field is shown: one view for both panes, kept when new pictures come.
const LEAST_ZOOM = 0.02;
const MOST_ZOOM = 64;

export class View {
  constructor(changed) {
    this.changed = changed;
    this.width = 0; // of the picture, in its pixels
    this.height = 0;
    this.paneWidth = 1; // in CSS pixels
    this.paneHeight = 1;
    this.x = 0; // picture coordinates at the pane's centre
    this.y = 0;
    this.zoom = 1; // CSS pixels for a picture pixel
    this.fitted = true;
  }

  setPicture(width, height) {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.fit();
  }

  setPane(width, height) {
    if (width === this.paneWidth && height === this.paneHeight) return;
    this.paneWidth = Math.max(1, width);
    this.paneHeight = Math.max(1, height);
    if (this.fitted) this.fit();
    else this.changed();
  }

  fit() {
    if (!this.width) return;
    this.zoom = Math.min(this.paneWidth / this.width, this.paneHeight / this.height);
    this.x = this.width / 2;
    this.y = this.height / 2;
    this.fitted = true;
    this.changed();
  }

  // Keep the picture's point under (px, py), measured from the pane's top left, where it is.
  zoomBy(factor, px = this.paneWidth / 2, py = this.paneHeight / 2) {
    const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    const dx = px - this.paneWidth / 2;
    const dy = py - this.paneHeight / 2;
    this.x += dx / this.zoom - dx / zoom;
    this.y += dy / this.zoom - dy / zoom;
    this.zoom = zoom;
    this.moved();
  }

  panBy(dx, dy) {
    this.x -= dx / this.zoom;
    this.y -= dy / this.zoom;
    this.moved();
  }

  moved() {
    this.x = Math.min(this.width, Math.max(0, this.x));
    this.y = Math.min(this.height, Math.max(0, this.y));
    this.fitted = false;
    this.changed();
  }

  // The picture's coordinates under a point of the pane, also outside of the picture.
  pointAt(px, py) {
    return { x: (px - this.paneWidth / 2) / this.zoom + this.x, y: (py - this.paneHeight / 2) / this.zoom + this.y };
  }

  // The pane's point where the picture's coordinates lie.
  placeOf(x, y) {
    return { x: (x - this.x) * this.zoom + this.paneWidth / 2, y: (y - this.y) * this.zoom + this.paneHeight / 2 };
  }

  // Move so far that a pixel is seen, and no farther.
  reveal({ x, y }) {
    const margin = 20;
    const at = this.placeOf(x + 0.5, y + 0.5);
    const dx = Math.max(0, margin - at.x) - Math.max(0, at.x - (this.paneWidth - margin));
    const dy = Math.max(0, margin - at.y) - Math.max(0, at.y - (this.paneHeight - margin));
    if (dx || dy) this.panBy(dx, dy);
  }

  // The picture's pixel under a point of the pane; null outside.
  pixelAt(px, py) {
    const at = this.pointAt(px, py);
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    return x >= 0 && y >= 0 && x < this.width && y < this.height ? { x, y } : null;
  }
}
