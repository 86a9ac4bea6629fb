// How the service does: lines of the last ten minutes, the account of the frames, disk, engine, keeper.
import { $, make, setText } from "./dom.js";
import { Chart } from "./charts.js";
import { count, figure, size, sum, words } from "./format.js";

export class HealthView {
  constructor(page, history) {
    this.page = page;
    this.history = history;
    this.on = false;
    this.drawn = 0;
    this.charts = [
      new Chart("Latency", "ms", [
        { name: "p50", of: (s) => s.p50_ms, colour: "accent" }, { name: "p95", of: (s) => s.p95_ms, colour: "warn", dash: true }]),
      new Chart("Frames", "a second", [
        { name: "in", of: (s) => s.frames_in, colour: "accent" }, { name: "out", of: (s) => s.frames_out, colour: "good", dash: true }]),
      new Chart("Waiting", "frames", [
        { name: "waiting", of: (s) => s.queued, colour: "accent" }, { name: "dropped/s", of: (s) => s.dropped, colour: "bad", dash: true }]),
    ];
    this.facts = make("div", { className: "fact-groups" });
    this.title = make("h2", {}, "Health");
    $("view-health").append(
      make("div", { className: "bar-line" }, this.title, make("a", { href: "/status", target: "_blank", rel: "noopener" }, "Status page without JavaScript")),
      make("div", { className: "charts" }, ...this.charts.map(({ element }) => element)), this.facts);
  }

  show() {
    this.on = true;
    this.drawn = 0;
    this.tell(this.page.session());
  }

  hide() {
    this.on = false;
  }

  redraw() {
    for (const chart of this.charts) chart.reset();
    this.drawn = 0;
  }

  // Called with each status; draws once a second.
  tell(session) {
    if (!this.on || Date.now() - this.drawn < 900) return;
    this.drawn = Date.now();
    setText(this.title, session ? `Health — ${session.name}` : "Health");
    for (const chart of this.charts) chart.show(this.history.samples);
    const groups = this.groups(session);
    const text = JSON.stringify(groups);
    if (this.text === text) return;
    this.text = text;
    this.facts.replaceChildren(...groups.map(([name, rows]) => make("section", {}, make("h3", {}, name),
      make("dl", { className: "facts" }, ...rows.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)])))));
  }

  groups(session) {
    const { status } = this.page;
    const engine = status.engine ?? {};
    const service = [
      ["State", status.state === "unreachable" ? "the acquire process does not answer" : words(status.state ?? "–")],
      ["Engine", engine.state ? `${words(engine.state)}, ${engine.starts === 1 ? "started once" : `started ${engine.starts} times`}` : "–"],
      ["Restores on", session?.provider ? `${session.provider.replace("ExecutionProvider", "")} (${session.model})` : "–"],
      ["Free for recordings", status.recordings ? size(status.disk_free_bytes) : "nothing can be recorded"],
      ["Microscopes connect to", status.address || "–"],
      ["Refused sessions", reasons(status.refused)],
      ["Messages not understood", reasons(status.junk)],
      ["Version", status.version ?? "–"],
    ];
    const groups = [["Service", service]];
    if (status.keeper) groups.push(["Keeper of the recordings", keeper(status.keeper)]);
    if (session) groups.unshift(["Frames of the session", frames(session)]);
    return groups;
  }
}

function frames({ account, queued, paused }) {
  return [
    ["Received", `${count(account.received)}, safe on the disk ${count(account.durable)}`],
    ["Restored", count(account.restored)],
    ["Passed on unrestored", reasons(account.passed_through)],
    ["Waiting for their restoration", String(queued)],
    ["Lost: numbers that never came", String(account.missing)],
    ["Rejected", reasons(account.rejected)],
    ["Dropped by the service", reasons(account.dropped)],
    ["Dropped by the microscope’s software", String(account.dropped_by_client)],
    ["Came twice, came twice and differed, damaged", `${account.duplicates}, ${account.conflicts}, ${account.damaged}`],
    ["Held back", paused || "no"],
    ["The account balances", account.balanced ? "✓ yes" : "not yet: frames are under way"],
  ];
}

function reasons(counts) {
  const some = Object.entries(counts ?? {}).filter(([, number]) => number > 0);
  return some.length ? `${count(sum(counts))} (${some.map(([why, number]) => `${words(why)} ${count(number)}`).join(", ")})` : "0";
}

// The process that exports what has ended, closes what was cut off, and makes room.
function keeper(state) {
  const { errors = [], queue = [] } = state;
  const rows = [
    ["Doing", [words(state.state), state.session, state.waits_for].filter(Boolean).join(", ")],
    ["Waiting for their export", state.queued ? `${state.queued}: ${queue.join(", ")}` : "0"],
    ["Exported, closed, removed since its start", `${state.exported ?? 0}, ${state.closed ?? 0}, ${state.removed ?? 0}`],
  ];
  if (state.recordings_bytes) rows.push(["Recordings take", state.quota_bytes ? `${size(state.recordings_bytes)} of ${size(state.quota_bytes)}` : size(state.recordings_bytes)]);
  if (state.full_in_s) rows.push(["The disk is full in", `${figure(state.full_in_s / 3600, 2)} hours at this rate`]);
  if (state.unfinished?.length) rows.push(["Without a receipt", state.unfinished.join(", ")]);
  if (errors.length) rows.push(["Went wrong", errors.slice(-3).map(({ session, doing, text }) => `${[doing, session].filter(Boolean).join(" ")}: ${text}`).join(" ")]);
  return rows;
}
