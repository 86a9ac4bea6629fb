// What an operator must know: level, sentence, mend, since when. Errors first, as the service sorts them. A row stays
// the same element while its problem stands, so that neither the focus nor a screen reader is disturbed.
import { $, announce, make, setText } from "./dom.js";
import { reporter, since } from "./format.js";
import { recall, remember } from "./memory.js";

const KEY = "acknowledged";
const KEPT = 200;

const keyOf = ({ reported_by, client, code, session, since_unix_s }) =>
  `${reported_by === "microscope" ? `${client}:` : ""}${code}/${session}/${Math.round(since_unix_s)}`;


export class Problems {
  // `changed` is called when one was acknowledged.
  constructor(changed) {
    this.changed = changed;
    this.rows = new Map(); // key → <li>
    try {
      this.seen = new Set(JSON.parse(recall(KEY, "[]")));
    } catch {
      this.seen = new Set();
    }
  }

  // Show those of the service and of this session, and the errors of others; give the errors that nobody here has
  // acknowledged.
  show(problems, session) {
    const shown = (problems ?? []).filter(({ session: of, level }) => !of || of === session || level === "error");
    const rows = new Map();
    const fresh = [];
    for (const problem of shown) {
      const key = keyOf(problem);
      const row = this.rows.get(key) ?? this.row(problem, key);
      if (!this.rows.has(key)) fresh.push(problem);
      this.fill(row, problem, key, session);
      rows.set(key, row);
    }
    const list = $("problems");
    const now = [...rows.values()];
    if (now.length !== list.children.length || now.some((row, i) => row !== list.children[i])) list.replaceChildren(...now);
    this.rows = rows;
    const warnings = fresh.filter(({ level }) => level !== "error"); // an error is told by the alarm
    if (warnings.length) announce(warnings.map(({ text }) => `Warning: ${text}`).join(" "));
    const alarming = shown.filter((problem) => problem.level === "error" && !this.seen.has(keyOf(problem)));
    if (alarming.length) rows.get(keyOf(alarming[0])).hidden = true; // the alarm says it
    return alarming;
  }

  row(problem, key) {
    const button = make("button", { title: "I have seen it" }, "Acknowledge");
    button.onclick = () => this.acknowledge([key]);
    const words = make("p", {}, make("span", { className: "unseen" }), make("b"), " ", make("span", { className: "mend" }), " ", make("span", { className: "reporter" }));
    return make("li", {}, words, make("time"), button, make("em", {}, "✓ acknowledged"));
  }

  fill(row, problem, key, session) {
    const [words, time, button, seen] = row.children;
    const [level, text, mend, by] = words.children;
    const known = this.seen.has(key);
    row.hidden = false;
    row.className = known ? `${problem.level} seen` : problem.level;
    setText(level, `${problem.level}: `);
    setText(text, problem.session && problem.session !== session ? `Session ${problem.session}: ${problem.text}` : problem.text);
    setText(mend, problem.mend);
    setText(by, reporter(problem));
    setText(time, (problem.count > 1 ? `${problem.count} times, ` : "") + since(problem.since_unix_s));
    button.hidden = known;
    button.setAttribute("aria-label", `Acknowledge: ${problem.text}`);
    seen.hidden = !known;
  }

  // Acknowledge some, or all that are shown.
  acknowledge(keys = [...this.rows.keys()]) {
    for (const key of keys) this.seen.add(key);
    this.seen = new Set([...this.seen].slice(-KEPT));
    remember(KEY, JSON.stringify([...this.seen]));
    this.changed();
  }
}
