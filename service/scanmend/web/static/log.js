// What was commanded, by whom and when, with its result; newest first. Commands of other browsers and programs too.
import { $, announce, make } from "./dom.js";
import { getJson, query } from "./api.js";
import { words } from "./format.js";

const EVERY_MS = 2000;
const LENGTH = 50;

export class LogView {
  constructor(page) {
    this.page = page;
    this.timer = 0;
    this.older = [];
    this.rows = make("tbody");
    this.more = make("button", { onclick: () => this.further(), hidden: true }, "Older");
    this.note = make("p", { className: "quiet" });
    $("view-log").append(make("div", { className: "bar-line" }, make("h2", {}, "Commands")), this.note,
      make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "Commands" }, make("table", {}, make("caption", { className: "unseen" }, "Commands, newest first"),
        make("thead", {}, make("tr", {}, ...["When", "Session", "Command", "By", "Token", "Result"].map((name) => make("th", { scope: "col" }, name)))), this.rows)),
      make("div", { className: "choices" }, this.more));
  }

  show() {
    this.older = [];
    this.refresh();
    this.timer = setInterval(() => this.refresh(), EVERY_MS);
  }

  hide() {
    clearInterval(this.timer);
  }

  async refresh() {
    try {
      const answer = await getJson(`/api/v1/commands${query({ limit: LENGTH })}`);
      this.newest = answer.commands;
      if (!this.older.length) this.next = answer.next;
      this.draw();
      this.note.textContent = answer.commands.length ? "" : "Nothing was commanded yet.";
    } catch (error) {
      this.note.textContent = error.message;
    }
  }

  async further() {
    const answer = await getJson(`/api/v1/commands${query({ limit: LENGTH, before: this.next })}`);
    this.older.push(...answer.commands);
    this.next = answer.next;
    announce(`${answer.commands.length} older commands`);
    this.draw();
  }

  draw() {
    const all = [...this.newest, ...this.older];
    this.more.hidden = !this.next;
    const text = JSON.stringify(all);
    if (text === this.text) return;
    this.text = text;
    this.rows.replaceChildren(...all.map((entry) => make("tr", { className: entry.result === "sent" || entry.result === "done" || entry.result === "ok" ? "" : "amiss" },
      make("td", {}, make("time", { dateTime: new Date(entry.at_unix_s * 1000).toISOString() }, new Date(entry.at_unix_s * 1000).toLocaleString("sv"))),
      make("td", {}, entry.session), make("td", {}, make("b", {}, words(entry.action))), make("td", {}, entry.by), make("td", {}, entry.role),
      make("td", {}, words(entry.result ?? ""), " ", make("small", {}, details(entry.details))))));
  }
}

function details(value) {
  if (!value) return "";
  if (typeof value !== "object") return String(value);
  return Object.entries(value).filter(([, each]) => each !== null && each !== "").map(([key, each]) => `${words(key)} ${each}`).join(", ");
}
