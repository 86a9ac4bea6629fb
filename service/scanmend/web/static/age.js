// Tells when the pictures are not of now although the scan goes on. Frames of a sparse scan that are passed on
// unrestored make no picture, so the last one that was restored would stand there as if it were new.
import { words } from "./format.js";

const PATIENCE_MS = 1000;

export class Age {
  constructor() {
    this.forget();
  }

  forget() {
    this.taken = null; // performance.now() of the picture that is shown
  }

  reset() {
    this.taken = performance.now();
    this.passed = null;
  }

  // Why the picture is old; "" where it is not. Called with each status.
  why(status, session) {
    if (this.taken === null || !session || session.state === "ended") return "";
    const passed = session.account.passed_through;
    const ms = performance.now() - this.taken;
    // A status is up to a fifth of a second older than a picture, so what it counts at first may be of before.
    if (ms < PATIENCE_MS / 2 || !this.passed) this.passed = passed;
    if (ms < PATIENCE_MS) return "";
    const reason = Object.keys(passed).find((reason) => passed[reason] > (this.passed[reason] ?? 0));
    if (reason) return `${Math.round(ms / 1000)} s — frames are passed through, ${words(reason)}`;
    return session.state === "detached" ? `${Math.round(ms / 1000)} s — the microscope is silent` : "";
  }
}
