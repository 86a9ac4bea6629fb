// The picture side of the page: the two pictures, how they are looked at, and the tools that measure on them.
import { Age } from "./age.js";
import { density } from "./binning.js";
import { Channels } from "./channels.js";
import { maps } from "./colours.js";
import { $, announce, make, setAttribute } from "./dom.js";
import { LevelControls } from "./histogram.js";
import { Levels } from "./levels.js";
import { recall, remember } from "./memory.js";
import { OVERLAYS, Overlay } from "./overlays.js";
import { Panes } from "./panes.js";
import { pictureKeys } from "./picture_keys.js";
import { follow } from "./pointer.js";
import { lengthText } from "./scalebar.js";
import { Shapes } from "./shapes.js";
import { Column } from "./tools/column.js";
import { View } from "./view.js";

const ALWAYS = ["raw", "estimate", "sigma"];

export class PictureSide {
  // ready(): the next picture may come; want(planes): what a picture is to hold; changed(): the first picture has come;
  // turned(): another channel is to be shown.
  constructor({ ready, want, changed, turned }) {
    Object.assign(this, { ready, want, changed, arrived: null, painted: 0, dirty: true, planes: ALWAYS });
    const repaint = () => {
      this.dirty = true;
    };
    this.repaint = repaint;
    this.age = new Age();
    this.channels = new Channels(() => {
      this.forget();
      turned();
    });
    this.levels = new Levels(repaint);
    this.view = new View(repaint);
    this.overlay = new Overlay();
    this.panes = new Panes(this.view, this.levels, this.overlay);
    this.controls = new LevelControls(this.levels);
    this.shapes = new Shapes(this.view, this.panes.sides, (kind) => this.drawn(kind), (x, y) => this.where(x, y));
    this.column = new Column(this);
    this.askPlanes();
    this.wire();
    new ResizeObserver(repaint).observe(this.panes.stage);
    requestAnimationFrame(() => this.frame());
  }

  // Whether a picture is there.
  get shown() {
    return Boolean(this.panes.picture);
  }

  // Another session, or another of its channels, is watched from now on.
  forget() {
    if (this.arrived) this.ready(); // it will not be painted, and nothing else would ask for the next
    this.arrived = null;
    this.age.forget();
    this.panes.forget();
    this.overlay.forget();
    this.column.forget();
    this.levels.fresh = true;
    this.repaint();
  }

  // Take each status; gives why the picture is old, "" where it is not.
  tell(status, session, stale) {
    const old = stale ? "" : this.age.why(status, session);
    this.panes.age(old);
    this.tellSession(session);
    return old;
  }

  tellSession(session) {
    const { panes, channels } = this;
    channels.tell(session);
    panes.restoredChannel = session?.restore_channel ?? "";
    panes.channels = channels.names.length;
    this.describe(panes.picture?.header);
    if (session && session.field.pixel_size_nm !== panes.pixelSizeNm) {
      panes.pixelSizeNm = session.field.pixel_size_nm;
      this.repaint();
    }
  }

  // The channel of a picture, and the unit of its values: electrons where the gain is known and they were reckoned, else
  // what the detector gives, which has no name.
  describe(header) {
    const { panes } = this;
    panes.channel = this.channels.of(header);
    panes.unit = this.controls.unit = panes.channel?.units_per_electron && header && header.reference_dwell_ns !== null ? "e⁻" : "units";
  }

  // A picture has come; where the one before is not painted yet, this one takes its place.
  arrive(picture) {
    this.arrived = picture;
  }

  frame() {
    requestAnimationFrame(() => this.frame());
    const { arrived } = this;
    this.arrived = null;
    if (arrived) {
      this.ready(); // the next may come while this one is painted; a page in the background asks for none
      this.take(arrived);
    }
    if (this.dirty) {
      this.dirty = false;
      this.panes.paint();
      this.shapes.draw();
      this.panes.captions.bars();
      this.controls.show();
      $("zoom").value = this.shown ? `${Math.round(100 * this.view.zoom)} %` : "";
    }
    if (arrived) this.panes.stage.dataset.painted = ++this.painted;
  }

  take(picture) {
    const first = !this.shown;
    const { planes, header } = picture;
    this.age.reset();
    this.overlay.take(picture);
    this.describe(header);
    const main = planes.estimate ?? planes.raw;
    if (main) this.levels.take(main);
    this.panes.show(picture);
    this.panes.stage.dataset.number = header.number;
    if (first) {
      this.column.first(planes.raw && planes.raw.missing !== null ? density(planes.raw) : 1);
      this.changed();
    }
    this.column.take(picture);
    this.repaint();
  }

  // A shape was armed, drawn or moved.
  drawn(kind) {
    this.repaint();
    this.panes?.stage.classList.toggle("drawing", Boolean(this.shapes?.armed));
    this.column?.shape(kind);
  }

  where(x, y) {
    return `x ${lengthText(x * this.panes.pixelSizeNm)}, y ${lengthText(y * this.panes.pixelSizeNm)}`;
  }

  toggle(id, name) {
    if ($(id).hidden) return;
    this.panes[name] = !this.panes[name];
    setAttribute($(id), "aria-pressed", this.panes[name]);
    this.panes.label();
    this.repaint();
  }

  mark() {
    this.panes.mark(!this.panes.marking);
    setAttribute($("marks"), "aria-pressed", this.panes.marking);
    this.repaint();
  }

  lay(name) {
    this.overlay.chosen = $("overlay").value = name;
    this.overlay.forget();
    $("overlay").classList.toggle("on", name !== "none");
    this.askPlanes();
    if (this.shown) this.overlay.take(this.panes.picture);
    this.panes.label();
    this.repaint();
  }

  nextOverlay() {
    const names = Object.keys(OVERLAYS);
    this.lay(names[(names.indexOf(this.overlay.chosen) + 1) % names.length]);
    announce(this.overlay.entry.label);
  }

  // Ask for the planes that are looked at, and no others.
  askPlanes() {
    if (!this.column) return; // not yet
    const planes = [...new Set([...ALWAYS, ...this.overlay.planes, ...this.column.planes])];
    if (planes.join() === this.planes.join()) return;
    this.planes = planes;
    this.want(planes);
  }

  // The cross that the arrow keys move; the values at it are read out.
  cross() {
    const { shapes, panes, view } = this;
    if (shapes.cross) shapes.cross = panes.cursor = null;
    else if (this.shown) shapes.cross = panes.cursor = view.pixelAt(view.paneWidth / 2, view.paneHeight / 2) ?? { x: 0, y: 0 };
    this.crossed();
  }

  moveCross(dx, dy) {
    const { shapes, panes, view } = this;
    const most = (value, size) => Math.min(size - 1, Math.max(0, value));
    shapes.cross = panes.cursor = { x: most(shapes.cross.x + dx, view.width), y: most(shapes.cross.y + dy, view.height) };
    view.reveal(shapes.cross);
    this.crossed();
  }

  crossed() {
    this.repaint();
    this.panes.read();
    if (this.shapes.cross) announce(this.panes.sides.map((side) => `${this.panes.role(side)} ${side.querySelector(".readout").textContent}`).join("; "));
  }

  keys() {
    return pictureKeys(this);
  }

  wire() {
    const { panes, view } = this;
    $("marks").onclick = () => this.mark();
    $("bins").onclick = () => this.toggle("bins", "binning");
    $("swap").onclick = () => this.toggle("swap", "swapped");
    $("fit").onclick = () => view.fit();
    $("overlay").append(...Object.entries(OVERLAYS).map(([name, { label }]) => make("option", { value: name }, label)));
    $("overlay").onchange = () => this.lay($("overlay").value);
    this.mapChoice("map", Object.keys(maps), "grey", (name) => {
      panes.map = name;
    });
    this.mapChoice("overlay-map", ["viridis", "cividis", "inferno"], "viridis", (name) => {
      this.overlay.map = name;
    });
    for (const side of panes.sides)
      follow(side, view, (at) => {
        panes.cursor = (at && view.pixelAt(at.x, at.y)) ?? this.shapes.cross;
        panes.read();
      }, this.shapes);
  }

  mapChoice(id, names, otherwise, use) {
    const select = $(id);
    select.append(...names.map((name) => make("option", { value: name }, name)));
    const known = recall(id, otherwise);
    select.value = names.includes(known) ? known : otherwise;
    use(select.value);
    select.onchange = () => {
      remember(id, select.value);
      use(select.value);
      this.panes.label();
      this.repaint();
    };
  }
}
