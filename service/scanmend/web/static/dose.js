// Dose in full: used of budget, by area, and how the session's rescans are decided. The map asks for the plane `dose`
// while it is open.
import { $, make, setText, toast } from "./dom.js";
import { operator } from "./commands.js";
import { send } from "./api.js";
import { figure } from "./format.js";
import { price } from "./proposal.js";
import { valueAt } from "./picture.js";

const AREAS = 8; // areas on a side
const DEEPEST = 45; // per cent of the accent colour where the most dose is, so that the number stays readable

export class DoseDialog {
  // `want(on)` asks the service for the plane `dose`, or does not any more; `lay()` lays the dose over the picture.
  constructor(page, want, lay) {
    Object.assign(this, { page, want, lay });
    this.form = null;
    this.shown = "";
    $("dose-dialog").addEventListener("close", () => this.want(false));
  }

  get open() {
    return $("dose-dialog").open;
  }

  ask() {
    if (this.open || !this.page.session()) return;
    this.build();
    $("dose-dialog").showModal();
    this.want(true);
    this.show(this.page.session(), this.page.connected);
  }

  build() {
    const dialog = $("dose-dialog");
    this.figures = make("dl", { className: "facts" });
    this.map = make("div", { className: "areas", role: "img", "aria-label": "Dose by area: not known yet" }, make("p", { className: "quiet" }, "Waiting for the map …"));
    this.proposal = make("p", { className: "price" });
    this.rescans = make("div");
    this.form = null;
    const close = make("button", { autofocus: true, onclick: () => dialog.close() }, "Close");
    const overlay = make("button", { onclick: () => this.overlay() }, "Show over the picture");
    dialog.replaceChildren(
      make("h2", { id: "dose-title" }, "Dose"),
      make("div", { className: "dose-columns" },
        make("div", {}, this.map, make("p", { className: "quiet" }, "e⁻/nm², the mean of each area of the field")),
        make("div", {}, this.figures, this.proposal, this.rescans)),
      make("div", { className: "choices" }, overlay, close));
  }

  overlay() {
    $("dose-dialog").close();
    location.hash = "#live";
    this.lay();
  }

  show(session, reachable) {
    if (!this.open || !session) return;
    const { used_e_per_nm2: used, budget_e_per_nm2: budget, most_e_per_nm2: most } = session.dose;
    const unit = (value) => (value === undefined || value === null ? "not known" : `${figure(value)} e⁻/nm²`);
    const rows = [
      ["Used, mean over the field", unit(used)], ["Budget", budget ? unit(budget) : "none"],
      ["Used of the budget", budget && used !== undefined ? `${figure((100 * used) / budget)} %` : "–"],
      ["Left", budget && used !== undefined ? unit(Math.max(0, budget - used)) : "–"], ["Pixel with the most", unit(most)],
    ];
    const text = JSON.stringify(rows);
    if (text !== this.shown || !this.figures.children.length) this.figures.replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    this.shown = text;
    this.proposal.hidden = !session.proposal;
    if (session.proposal) this.proposal.replaceChildren("Proposed: ", ...price(session.proposal), `. ${session.proposal.reason}`);
    this.offer(session, reachable);
  }

  // The form stays as it was filled while the dialog is open and the session the same.
  offer(session, reachable) {
    if (!session.rescan) {
      const why = "No rescans are proposed in this session: the microscope’s software did not ask for them.";
      if (this.rescans.textContent !== why) this.rescans.replaceChildren(make("p", { className: "quiet" }, why));
      return;
    }
    if (!this.form || this.of !== session.name) this.form = this.makeForm(session);
    this.of = session.name;
    const able = reachable && this.page.role === "operate" && session.state !== "ended";
    for (const element of this.form.elements) element.disabled = !able;
    if (!this.wrong) setText(this.note, able ? "From the next proposal on. The budget cannot be raised above the one that the microscope’s software named."
      : session.state === "ended" ? "The session is over." : reachable ? "The token of this page is for reading: it lets you watch." : "The service does not answer.");
  }

  makeForm(session) {
    const inForce = session.rescan;
    const policies = [...new Set([inForce, ...(this.page.status.engine?.policies ?? [])])].filter((name) => typeof name === "string");
    const policy = make("select", { name: "policy" }, ...policies.map((name) => new Option(name, name)));
    policy.value = inForce;
    const budget = make("input", { type: "number", name: "budget", min: 0, step: "any" });
    budget.value = session.dose.budget_e_per_nm2 ?? "";
    const approval = make("select", { name: "approval" }, new Option("the microscope’s software", "microscope"), new Option("an operator, here", "operator"));
    approval.value = session.approval ?? "microscope";
    this.before = { policy: policy.value, budget: budget.value, approval: approval.value };
    this.wrong = false;
    this.note = make("p", { className: "quiet", role: "status" });
    const form = make("form", { className: "facts" },
      make("label", {}, "Rescan policy ", policy), make("label", {}, "Budget, e⁻/nm² ", budget), make("label", {}, "Who approves ", approval),
      make("button", { type: "submit" }, "Change"));
    form.oninput = () => {
      this.wrong = false;
      this.note.className = "quiet";
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      this.change(session.name, { policy: policy.value, budget: budget.value, approval: approval.value });
    };
    this.rescans.replaceChildren(make("h3", {}, "Rescans"), form, this.note);
    return form;
  }

  async change(name, now) {
    const body = {};
    if (now.policy !== this.before.policy) body.policy = now.policy;
    if (now.budget !== this.before.budget && now.budget !== "") body.budget_e_per_nm2 = Number(now.budget);
    if (now.approval !== this.before.approval) body.approval = now.approval;
    if (!Object.keys(body).length) return setText(this.note, "Nothing was changed.");
    try {
      await send("PATCH", `/api/v1/sessions/${encodeURIComponent(name)}/rescan`, { ...body, by: operator() });
      this.before = now;
      toast("Changed, from the next proposal on.");
      $("dose-dialog").close();
    } catch (error) {
      this.wrong = true; // its reason stays until the form is filled again
      setText(this.note, error.message);
      this.note.className = "wrong";
    }
  }

  // A picture with the plane `dose`: the mean of each area.
  take({ planes }) {
    if (!this.open || !planes.dose) return;
    const tiles = areas(planes.dose);
    const top = Math.max(...tiles.map(({ mean }) => mean), 1e-12);
    this.map.replaceChildren(...tiles.map(({ mean }) => {
      const tile = make("span", {}, figure(mean, 2));
      tile.style.background = `color-mix(in srgb, var(--accent) ${Math.round((DEEPEST * mean) / top)}%, var(--ground))`;
      return tile;
    }));
    const most = tiles.find(({ mean }) => mean === Math.max(...tiles.map((tile) => tile.mean)));
    const least = Math.min(...tiles.map(({ mean }) => mean));
    this.map.setAttribute("aria-label", `Dose by area: at most ${figure(most.mean)} in row ${most.row + 1} from the top, column ${most.column + 1}; at least ${figure(least)} electrons per square nanometre`);
  }
}

// The mean of a plane in AREAS × AREAS areas, row by row.
export function areas(plane) {
  const sums = Array.from({ length: AREAS * AREAS }, (_, i) => ({ row: Math.floor(i / AREAS), column: i % AREAS, sum: 0, pixels: 0 }));
  const step = Math.max(1, Math.floor(Math.min(plane.width, plane.height) / 128)); // enough pixels for a mean of two digits
  for (let y = 0; y < plane.height; y += step)
    for (let x = 0; x < plane.width; x += step) {
      const tile = sums[Math.floor((AREAS * y) / plane.height) * AREAS + Math.floor((AREAS * x) / plane.width)];
      tile.sum += valueAt(plane, x, y) ?? 0;
      tile.pixels++;
    }
  return sums.map(({ row, column, sum, pixels }) => ({ row, column, mean: pixels ? sum / pixels : 0 }));
}
