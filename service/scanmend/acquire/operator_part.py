"""What an operator has said to a session, and what the session awaits from one.

::

    PROPOSAL of the engine ──▶ held ──accept──▶ open: the client has it
                                │ decline, or nobody in time
                                └──────────────▶ ENOUGH
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import msgspec

from scanmend.record import ApprovalNote, Note, RecordNote, StartNote, TermsNote
from scanmend.wire.messages import Approval, Awaits, Decider, Enough, EnoughCode, Hello, Proposal


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for proposals from the next one on; at first what HELLO says."""

    policy: str | None = None
    budget_e_per_nm2: float | None = None
    """Largest dose, averaged over the field; None for no limit."""
    approval: Decider = Decider.MICROSCOPE

    @classmethod
    def of(cls, hello: Hello) -> Self:
        """What the client asked for."""
        return cls(hello.rescan, hello.dose_budget_e_per_nm2, hello.approval)

    def put_into(self, hello: Hello) -> Hello:
        """The HELLO with these terms in the place of its own, for whoever decides by it."""
        return msgspec.structs.replace(
            hello, rescan=self.policy, dose_budget_e_per_nm2=self.budget_e_per_nm2, approval=self.approval
        )


@dataclass(slots=True)
class OperatorPart:
    """An operator's part in one session; what the journal's notes tell of it is taken by `read`."""

    terms: Terms = Terms()
    started: bool = True
    """Whether the client may send frames."""
    held: Proposal | None = None
    """The proposal that awaits approval; its expiry is the end of that."""
    approvals: dict[str, int] = field(default_factory=dict)
    """What became of proposals that were held, by `Approval`."""
    decided: tuple[int, Approval, str] | None = None
    """The last proposal that was decided on, how, and by whom."""
    recorded_from: int | None = None
    """Where the recording was begun by an operator: the first frame from which on all are in it."""
    forgotten_upto: int = 0
    """Of a resumed session: the client holds no frame below this number."""
    notes: int = 0
    """Notes written to the journal."""
    _awaited: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, hello: Hello) -> Self:
        """The part at the beginning of a session."""
        return cls(terms=Terms.of(hello), started=hello.start is Decider.MICROSCOPE)

    @property
    def awaits(self) -> Awaits:
        """What an operator must do before the session goes on."""
        if not self.started:
            return Awaits.START
        return Awaits.APPROVAL if self.held is not None else Awaits.NOTHING

    def hold(self, proposal: Proposal) -> None:
        """Let a proposal wait; one that waited before is superseded."""
        if self.held is not None:
            self.settle(Approval.SUPERSEDED, "")
        self.held = proposal

    def settle(self, what: Approval, by: str) -> Proposal | None:
        """The held proposal waits no longer; gives it."""
        proposal, self.held = self.held, None
        if proposal is not None:
            self.approvals[what] = self.approvals.get(what, 0) + 1
            self.decided = (proposal.proposal_id, what, by)
        return proposal

    # From the journal ------------------------------------------------------------------------------------------------

    def read(self, note: Note) -> Proposal | None:
        """Take in a note; gives the proposal that an operator had passed on by it."""
        match note:
            case StartNote():
                self.started = True
            case TermsNote():
                self.terms = Terms(note.policy, note.budget_e_per_nm2, Decider(note.approval))
            case RecordNote():
                self.recorded_from, self.forgotten_upto = note.from_seq, note.forgotten_upto
            case ApprovalNote(what="awaited"):
                self._awaited.add(note.proposal_id)
            case ApprovalNote():
                if self.held is not None and self.held.proposal_id == note.proposal_id:
                    proposal = self.settle(Approval(note.what), note.by)
                    if proposal is not None and note.what == "accepted":
                        return msgspec.structs.replace(proposal, expires_unix_ns=note.expires_unix_ns)
        return None

    def read_proposal(self, proposal: Proposal) -> bool:
        """Take in a proposal; whether it was held, and not passed on."""
        if proposal.proposal_id not in self._awaited:
            return False
        if self.held is not None:
            self.settle(Approval.SUPERSEDED, "")
        self.held = proposal
        return True


def not_approved(
    proposal: Proposal, what: Approval, by: str, *, frames: int, passes: int, dose_e_per_nm2: float | None
) -> Enough:
    """The word that ends the loop where no operator accepted the plan.

    Args:
        proposal: What was declined, or expired.
        what: Which of the two.
        by: Who declined it.
        frames: Frames of the session by now, which it is decided from.
        passes: Passes by now.
        dose_e_per_nm2: Dose by now; None where the beam current is not known.
    """
    if what is Approval.DECLINED:
        code, reason = EnoughCode.DECLINED, f"The plan of the next pass was declined by {by}."
    else:
        code, reason = EnoughCode.UNANSWERED, "No operator accepted or declined the plan of the next pass in time."
    return Enough(
        session_id=proposal.session_id,
        code=code,
        reason=reason,
        based_on_frames=frames,
        passes=passes,
        sigma_now=proposal.sigma_now,
        sigma_of_range=float("nan"),
        dose_e_per_nm2=float("nan") if dose_e_per_nm2 is None else dose_e_per_nm2,
    )
