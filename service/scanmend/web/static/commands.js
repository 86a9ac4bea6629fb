// An operator's words to the microscope and the service, over the API. While one is on its way, the same is not sent
// again, however often its button is pressed.
import { $, announce, setText, toast } from "./dom.js";
import { send } from "./api.js";
import { ask } from "./keys.js";
import { since } from "./format.js";
import { recall, remember } from "./memory.js";

const SETTLE_MS = 800; // until the status tells what a command has changed; a second press until then does nothing
const under = new Set(); // commands on their way

export const operator = () => $("by").value.trim();

// Send once; give the answer, null where it failed, which is told.
export async function command(name, method, path, body, said) {
  if (under.has(name)) return null;
  under.add(name);
  try {
    const answer = await send(method, path, { ...body, by: operator() }, crypto.randomUUID());
    toast(typeof said === "function" ? said(answer) : said);
    setTimeout(() => under.delete(name), SETTLE_MS);
    return answer;
  } catch (error) {
    under.delete(name);
    toast(error.message, true);
    return null;
  }
}

export class Control {
  // page: {chosen, role, ...} of main.js; `changed` draws the page again.
  constructor(page, changed) {
    this.page = page;
    this.changed = changed;
    $("by").value = recall("operator", "");
    $("by").onchange = () => remember("operator", operator());
    $("start").onclick = () => this.start();
    $("stop").onclick = () => this.stop();
    $("abort").onclick = () => this.abort();
    $("record").onclick = () => this.record();
    $("snapshot").onclick = () => this.snapshot();
  }

  keys() {
    return [
      { keys: [{ key: "s", name: "S" }], about: "Snapshot of the picture with all its figures", act: () => this.snapshot() },
      { keys: [{ key: "Escape", name: "Esc" }], about: "Abort the scan (asks first)", act: () => this.abort() },
    ];
  }

  async send(action, body, said) {
    const name = this.page.chosen;
    this.changed();
    const answer = await command(`${action} ${name}`, "POST", `/api/v1/sessions/${encodeURIComponent(name)}/${action}`, body, said);
    this.changed();
    return answer;
  }

  start() {
    if (!$("start").disabled) return this.send("start", {}, "Start sent: the microscope begins to scan.");
  }

  stop() {
    if (!$("stop").disabled) return this.send("stop", {}, "Stop sent: the pass is finished first.");
  }

  async abort() {
    if ($("abort").disabled) return;
    const dialog = $("confirm");
    dialog.querySelector("p b").textContent = this.page.chosen;
    if ((await ask(dialog)) === "yes") await this.send("abort", {}, "Abort sent: the beam is blanked.");
  }

  record() {
    if (!$("record").disabled) return this.send("record", { on: true }, "Recorded from now on.");
  }

  snapshot() {
    if (!$("snapshot").disabled)
      return this.send("snapshot", { channel: this.page.channel() }, (answer) => `Snapshot ${answer.name} is kept. Sessions, Snapshots shows it.`);
  }

  // Which buttons can be pressed, and why not.
  show(session, reachable) {
    const { role } = this.page;
    const barred = !reachable ? "The service does not answer." : role !== "operate" ? "The token of this page is for reading: it lets you watch."
      : !session ? "There is no session." : "";
    $("watching").hidden = role === "operate";
    const { state, commanded, account } = session ?? {};
    const over = state === "ended" || state === "ending" ? "The session is over." : "";
    const silent = state === "detached" ? "The microscope is silent." : "";
    const recorded = Boolean(account?.recording);
    const waits = state === "waiting";
    this.set("start", barred || over || silent || (waits ? "" : "The microscope’s software does not wait for a start."), "Let the scan begin");
    this.set("stop", barred || over || silent || (["stop", "abort"].includes(commanded?.action) ? "The session is already being ended." : ""),
      "Finish the pass, then end");
    this.set("abort", barred || over || silent || (commanded?.action === "abort" ? "The abort has been sent." : ""), "Blank the beam at once, then end (Esc)");
    this.set("record", barred || (recorded ? `The session is recorded as ${account.recording}.` : over), "Record from now on");
    $("record").setAttribute("aria-pressed", recorded);
    setText($("record"), recorded ? "● Recorded" : "Record");
    this.set("snapshot", barred || (session?.picture_number ? "" : "There is no picture yet."), "Keep this picture with all its figures (S)");
    this.tell(commanded);
  }

  set(id, why, title) {
    const button = $(id);
    const text = why || title;
    button.disabled = Boolean(why) || under.has(`${id} ${this.page.chosen}`);
    if (button.title !== text) button.title = text;
  }

  // What was commanded last, by whom: by this browser or another one.
  tell(commanded) {
    const place = $("commanded");
    place.hidden = !commanded;
    if (!commanded) return;
    setText(place, `${word(commanded.action)} by ${commanded.by}, ${since(commanded.at_unix_s)}`);
    const key = `${commanded.action} ${commanded.at_unix_s}`;
    if (this.told !== key) announce(`${word(commanded.action)} was commanded by ${commanded.by}.`);
    this.told = key;
  }
}

const word = (action) => action[0].toUpperCase() + action.slice(1);
