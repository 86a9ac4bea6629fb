// What one sees and hears across the room while an error stands that nobody has acknowledged: a band over the page, a
// frame around it, the title, the icon, and a sound where the operator has allowed it.
import { $, setText } from "./dom.js";
import { reporter, since } from "./format.js";
import { recall, remember } from "./memory.js";

const KEY = "sound";
const EVERY_MS = 2500;
const TONES = [[880, 0], [660, 0.22]]; // Hz, seconds after the beginning
const TONE_S = 0.18;
const LOUDNESS = 0.25;

export class Alarm {
  constructor(acknowledge) {
    this.errors = [];
    this.allowed = recall(KEY, "off") === "on";
    this.context = null; // browsers give one that plays only after a click or a key
    $("acknowledge").onclick = acknowledge;
    $("sound").onclick = () => this.allow(!this.allowed);
    this.label();
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => this.wake(), { capture: true });
    setInterval(() => this.sound(), EVERY_MS);
  }

  // Take the errors that stand.
  show(errors) {
    const before = this.errors.length;
    this.errors = errors;
    const on = errors.length > 0;
    $("alarm").hidden = !on;
    document.body.classList.toggle("alarm", on);
    const icon = on ? "/static/favicon-alarm.svg" : "/static/favicon.svg";
    if ($("icon").getAttribute("href") !== icon) $("icon").setAttribute("href", icon);
    if (!on) return;
    const [{ text, mend, session, since_unix_s }] = errors;
    const by = reporter(errors[0]);
    const [what, help] = $("alarm").querySelector("p").children;
    setText(what, `${session ? `${session}: ` : ""}${text}`);
    setText(help, by ? `${mend} ${by}`.trim() : mend);
    const more = errors.length > 1 ? `, ${errors.length - 1} more` : "";
    setText($("alarm").querySelector("time"), `${since(since_unix_s)}${more}`);
    if (!before) this.sound();
  }

  // What stands before the page's title.
  get prefix() {
    return this.errors.length ? "■ ALARM — " : "";
  }

  allow(allowed) {
    this.allowed = allowed;
    remember(KEY, allowed ? "on" : "off");
    this.wake();
    this.label();
    if (allowed) this.play(); // so that one hears what it is, and that it is loud enough
  }

  label() {
    $("sound").classList.toggle("on", this.allowed);
    setText($("sound"), this.allowed ? "Sound on" : "Sound off");
  }

  wake() {
    if (!this.allowed) return;
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume();
  }

  sound() {
    if (this.errors.length && this.allowed) this.play();
  }

  play() {
    if (this.context?.state === "closed" || !this.context) return;
    for (const [hertz, after] of TONES) {
      const begin = this.context.currentTime + after;
      const tone = new OscillatorNode(this.context, { frequency: hertz });
      const gain = new GainNode(this.context, { gain: 0 });
      gain.gain.setValueAtTime(0, begin);
      gain.gain.linearRampToValueAtTime(LOUDNESS, begin + 0.02);
      gain.gain.linearRampToValueAtTime(0, begin + TONE_S);
      tone.connect(gain).connect(this.context.destination);
      tone.start(begin);
      tone.stop(begin + TONE_S);
    }
    this.played = (this.played ?? 0) + 1;
    $("sound").dataset.played = this.played;
  }
}
