// The column of tools beside the pictures: folded or open, as it was left; only what is seen is computed.
import { $, setAttribute } from "../dom.js";
import { recall, remember } from "../memory.js";
import { FftTool } from "./fft_tool.js";
import { ProfileTool } from "./profile_tool.js";
import { RegionTool } from "./region_tool.js";
import { Worksheet } from "./worksheet.js";

const ROOM_PX = 1280; // of the window, from which on the column is open at first

export class Column {
  constructor(side) {
    this.side = side;
    this.element = $("column");
    const worksheet = new Worksheet();
    this.tools = {
      fft: new FftTool(side, worksheet),
      profile: new ProfileTool(side, worksheet),
      region: new RegionTool(side, worksheet),
    };
    for (const details of this.element.querySelectorAll("details")) {
      const name = details.id.replace("tool-", "");
      details.open = recall(details.id, details.open ? "open" : "folded") === "open";
      details.ontoggle = () => {
        remember(details.id, details.open ? "open" : "folded");
        this.refresh(name);
      };
    }
    this.fold(recall("column", window.innerWidth >= ROOM_PX ? "open" : "folded") !== "open");
    $("tools-open").onclick = () => {
      this.fold(!this.element.hidden);
      remember("column", this.element.hidden ? "folded" : "open");
    };
    new MutationObserver(() => this.recolour()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  // Planes that a tool needs beyond those that are always asked for.
  get planes() {
    return this.seen("region") ? this.tools.region.planes : [];
  }

  seen(name) {
    return !this.element.hidden && $(`tool-${name}`).open;
  }

  // The levels stand in the column where it is open, else in the bar under the pictures: one control, two places.
  fold(folded) {
    this.element.hidden = folded;
    setAttribute($("tools-open"), "aria-expanded", !folded);
    const levels = $("levels");
    const focused = levels.contains(document.activeElement) ? document.activeElement : null;
    if (folded) $("tools").prepend(levels);
    else $("tool-histogram").querySelector(".here").append(levels);
    focused?.focus();
    this.side.repaint();
    for (const name of Object.keys(this.tools)) this.refresh(name);
  }

  // A tool's key: show it, or put it away where it is seen.
  turn(name) {
    const details = $(`tool-${name}`);
    if (this.seen(name)) {
      details.open = false;
      this.tools[name]?.away?.();
      if (![...this.element.querySelectorAll("details")].some(({ open }) => open)) this.fold(true);
      return;
    }
    details.open = true;
    if (this.element.hidden) this.fold(false);
    details.scrollIntoView({ block: "nearest" });
    this.tools[name]?.come?.();
  }

  refresh(name) {
    this.side.askPlanes();
    if (this.seen(name)) this.tools[name]?.refresh();
  }

  first(share) {
    this.tools.fft.first(share);
    this.tools.profile.first(share);
  }

  take() {
    for (const name of Object.keys(this.tools)) if (this.seen(name)) this.tools[name].refresh();
  }

  shape(kind) {
    const name = { line: "profile", box: "region" }[kind];
    for (const tool of [this.tools.profile, this.tools.region]) tool.armed();
    if (name && this.seen(name)) this.tools[name].refresh();
  }

  recolour() {
    this.side.repaint();
    for (const name of Object.keys(this.tools)) if (this.seen(name)) this.tools[name].draw();
  }

  forget() {
    for (const tool of Object.values(this.tools)) tool.forget();
  }
}
