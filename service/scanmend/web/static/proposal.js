// The open proposal, where an operator decides: its price, its reason, what it is expected to gain.
import { $, announce, make, setText } from "./dom.js";
import { command } from "./commands.js";
import { figure } from "./format.js";

// A proposal's price as parts of a line: share of the field, points, dose, time.
export function price(proposal) {
  const bold = (value) => make("b", {}, value);
  const parts = [bold(`${figure(100 * proposal.coverage, 2)} %`), " of the field, ", bold(figure(proposal.points)), " points"];
  if (proposal.dose_e_per_nm2 !== null && proposal.dose_e_per_nm2 !== undefined) parts.push(", ", bold(`+${figure(proposal.dose_e_per_nm2)}`), " e⁻/nm²");
  parts.push(", ", bold(figure(proposal.duration_ms / 1000, 2)), " s");
  if (proposal.sigma_expected) parts.push(", σ ", bold(`${figure(proposal.sigma_now)} → ${figure(proposal.sigma_expected)}`), " expected");
  return parts;
}

export class ProposalBand {
  constructor(page, changed) {
    this.page = page;
    this.changed = changed;
    this.id = "";
    this.decided = ""; // what was decided here, until the service has taken it
    $("accept").onclick = () => this.decide("accept");
    $("decline").onclick = () => this.decide("decline");
  }

  keys() {
    return [{ keys: [{ key: "r", name: "R" }], about: "Accept the rescan that is proposed", act: () => this.decide("accept") }];
  }

  show(session, able) {
    const proposal = session?.proposal;
    const asked = Boolean(proposal) && proposal.awaits === "operator";
    $("proposal").hidden = !asked;
    if (!asked) return (this.id = "");
    const id = `${session.name} ${proposal.proposal_id}`;
    if (id !== this.id) {
      this.id = id;
      setText($("proposal-title"), `Rescan proposed by ${proposal.policy}`);
      $("proposal").querySelector(".price").replaceChildren(...price(proposal));
      setText($("proposal").querySelector(".reason"), proposal.reason);
      announce(`A rescan is proposed: ${$("proposal").querySelector(".price").textContent}.`);
    }
    const why = able ? "" : "The token of this page is for reading: it lets you watch.";
    for (const name of ["accept", "decline"]) {
      $(name).disabled = !able || this.decided === id;
      $(name).title = why || (name === "accept" ? "Let it be scanned (R)" : "Do not scan it");
    }
  }

  async decide(decision) {
    const { name, proposal } = this.page.session() ?? {};
    if ($("proposal").hidden || $("accept").disabled || !proposal) return;
    this.decided = this.id;
    this.changed();
    const answer = await command(`proposal ${this.id}`, "POST", `/api/v1/sessions/${encodeURIComponent(name)}/proposal`,
      { proposal_id: String(proposal.proposal_id), decision }, decision === "accept" ? "Accepted: the rescan goes to the microscope." : "Declined.");
    if (!answer) this.decided = "";
    this.changed();
  }
}
