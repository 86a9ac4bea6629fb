// The receipt of a session in plain words, and all its numbers.
import { make } from "./dom.js";
import { figure, sum, words } from "./format.js";

const ENDS = {
  finished: "The scan was finished as planned.", stopped: "An operator stopped the scan; its pass was finished.", aborted: "An operator aborted the scan.",
  abandoned: "The microscope’s software did not come back.", service_stopped: "The service was stopped.", recovered: "The recording was closed after the service had been cut off.",
};

const frames = (n) => `${figure(n)} ${n === 1 ? "frame" : "frames"}`;
const because = (counts) => Object.entries(counts).map(([why, n]) => `${words(why)} ${figure(n)}`).join(", ");

// Sentences with what kind of news they are: "good", "warn", "bad" or "".
export function receiptWords(receipt) {
  const told = [{ kind: "", text: ENDS[receipt.reason] ?? `The session ended: ${words(receipt.reason ?? "")}.` }];
  const passed = receipt.passed_through ?? {};
  const restored = receipt.restored_out ?? receipt.restored ?? 0;
  told.push({ kind: "", text: `${frames(receipt.received)} came, ${figure(receipt.durable)} of them are safe on the disk, ${figure(restored)} were restored.` });
  const missing = receipt.gaps ?? receipt.missing ?? 0;
  if (missing > 0) told.push({ kind: "bad", text: `■ ${frames(missing)} never came.` });
  if (sum(receipt.rejected)) told.push({ kind: "bad", text: `■ ${frames(sum(receipt.rejected))} were not taken: ${because(receipt.rejected)}.` });
  if (receipt.conflicts) told.push({ kind: "bad", text: `■ ${frames(receipt.conflicts)} came twice with different samples; the first of each is kept.` });
  if (receipt.damaged) told.push({ kind: "bad", text: `■ ${frames(receipt.damaged)} came damaged.` });
  if (sum(passed)) told.push({ kind: "warn", text: `▲ ${frames(sum(passed))} were passed on unrestored: ${because(passed)}.` });
  if (receipt.dropped_by_client) told.push({ kind: "warn", text: `▲ The microscope’s software discarded ${frames(receipt.dropped_by_client)} before they had a number.` });
  if (sum(receipt.problems)) told.push({ kind: "warn", text: `▲ The microscope’s software reported problems: ${because(receipt.problems)}.` });
  const { returns_none: unasked = 0, ...dropped } = receipt.dropped ?? {};
  if (unasked) told.push({ kind: "", text: `The microscope’s software wanted no restoration back of ${frames(unasked)}; the page shows some all the same.` });
  if (sum(dropped)) told.push({ kind: "", text: `${frames(sum(dropped))} were not restored by themselves: ${because(dropped)}.` });
  if (receipt.dose_e_per_nm2 !== null && receipt.dose_e_per_nm2 !== undefined) {
    const budget = receipt.budget_e_per_nm2 ? ` of a budget of ${figure(receipt.budget_e_per_nm2)}` : "";
    told.push({ kind: "", text: `The field got ${figure(receipt.dose_e_per_nm2)}${budget} e⁻/nm², the pixel with the most ${figure(receipt.dose_max_e_per_nm2)}.` });
  } else told.push({ kind: "warn", text: "▲ The dose is not known: the microscope’s software gave no beam current." });
  if (receipt.proposals) told.push({ kind: "", text: `${figure(receipt.proposals)} rescans were proposed: ${because(receipt.executed ?? {}) || "none was scanned"}.` });
  if (receipt.checksum_matches === false) told.push({ kind: "bad", text: "■ The samples that came are not the samples that the microscope’s software counted." });
  told.push(receipt.balanced ? { kind: "good", text: "✓ The account balances: every frame is accounted for." } : { kind: "bad", text: "■ The account does not balance: read all numbers." });
  return told;
}

export function receiptTable(receipt) {
  const rows = Object.entries(receipt).map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, plain(value))));
  return make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "All numbers of the receipt" }, make("table", {}, make("tbody", {}, ...rows)));
}

function plain(value) {
  if (value === null || value === undefined || value === "") return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
