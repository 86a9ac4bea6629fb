// Which view is shown: the pictures, the recorded sessions, the models, the health, the log. The address names it.
import { $ } from "./dom.js";

const NAMES = { live: "", sessions: "Sessions", models: "Models", health: "Health", log: "Log" };

export class Views {
  // pages: {sessions: {show(), hide()}, ...} for all but live; `changed` is called after each change.
  constructor(pages, changed) {
    this.pages = pages;
    this.changed = changed;
    this.now = "live";
    window.addEventListener("hashchange", () => this.follow());
  }

  // Go where the address says.
  follow() {
    const asked = location.hash.slice(1).split("/")[0];
    const name = asked in NAMES ? asked : "live";
    if (name === this.now) return;
    this.pages[this.now]?.hide();
    this.now = name;
    document.body.dataset.view = name;
    for (const each of Object.keys(NAMES)) $(`view-${each}`).hidden = each !== name;
    for (const link of document.querySelectorAll("#views a"))
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    this.pages[name]?.show();
    this.changed();
  }

  get title() {
    return NAMES[this.now];
  }
}
