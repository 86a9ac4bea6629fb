"""What follows a pass, on its way from the engine to the client: at once, or after an operator's word."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from scanmend.acquire.answers import answer_next
from scanmend.acquire.context import Context
from scanmend.acquire.operator_part import not_approved
from scanmend.acquire.session import Session, SessionState
from scanmend.errors import InvalidInput, OversizeMessage, ScanmendError
from scanmend.ipc.engine_link import VALID_NS, ExecutedNotice, ProposalTerm
from scanmend.record import ApprovalNote, EntryKind
from scanmend.wire.messages import Approval, Decider, Enough, EnoughCode, Executed, ExecutedStatus, Proposal, encode

if TYPE_CHECKING:
    from scanmend.acquire.engine_desk import EngineDesk

log = logging.getLogger(__name__)

_TO_ENGINE = {
    Approval.DECLINED: ExecutedStatus.DECLINED,
    Approval.EXPIRED: ExecutedStatus.EXPIRED,
    Approval.SUPERSEDED: ExecutedStatus.EXPIRED,
}


def take_proposal(context: Context, desk: EngineDesk, session: Session, proposal: Proposal) -> None:
    """The engine proposes a plan: pass it on, or hold it for an operator."""
    session.proposal_owed = False
    held = session.operator.terms.approval is Decider.OPERATOR
    if held:
        until = context.clock.unix_ns() + int(context.settings.approval_s * 1e9)
        proposal = msgspec.structs.replace(proposal, expires_unix_ns=until)
    try:
        data = encode(proposal)
        if held:
            _supersede(session)
            # The note goes first: a service that finds the proposal without it would take it for one that was passed
            # on.
            session.note(ApprovalNote(proposal_id=proposal.proposal_id, what="awaited"))
        session.record(EntryKind.PROPOSAL, proposal.proposal_id, data)
    except (OversizeMessage, InvalidInput) as error:
        _refuse(context, desk, session, proposal, error)
        return
    session.proposals_made += 1
    if not held:
        session.proposals[proposal.proposal_id] = proposal
        answer_next(context, session, proposal)
        return
    session.operator.hold(proposal)
    session.ack_due = True
    _tell_term(desk, proposal)


def take_enough(context: Context, session: Session, enough: Enough) -> None:
    """No plan follows the last pass: what was held before is moot."""
    _supersede(session)
    session.proposal_owed, session.enough = False, enough
    session.record(EntryKind.ENOUGH, enough.based_on_frames, encode(enough))
    answer_next(context, session, enough)


def end_without_plan(
    context: Context, session: Session, reason: str, based_on_frames: int, sigma_now: float = float("nan")
) -> None:
    """No plan can be made, or passed on, for the last pass: the client waits for a word, and gets one."""
    dose = session.dose_e_per_nm2
    enough = Enough(
        session_id=session.id,
        code=EnoughCode.FAILED,
        reason=reason,
        based_on_frames=based_on_frames,
        passes=session.passes,
        sigma_now=sigma_now,
        sigma_of_range=float("nan"),
        dose_e_per_nm2=float("nan") if dose is None else dose,
    )
    take_enough(context, session, enough)


def accept(context: Context, desk: EngineDesk, session: Session, by: str) -> None:
    """Pass the held proposal on; the microscope may begin it for as long as one that needs no approval."""
    proposal = session.operator.settle(Approval.ACCEPTED, by)
    if proposal is None:
        return
    proposal = msgspec.structs.replace(proposal, expires_unix_ns=context.clock.unix_ns() + VALID_NS)
    session.note(
        ApprovalNote(
            proposal_id=proposal.proposal_id,
            what="accepted",
            by=by,
            expires_unix_ns=proposal.expires_unix_ns,
        )
    )
    session.proposals[proposal.proposal_id] = proposal
    session.ack_due = True
    answer_next(context, session, proposal)
    _tell_term(desk, proposal)


def decline(context: Context, desk: EngineDesk, session: Session, by: str) -> None:
    """The held proposal is not run: the loop has its end for this pass."""
    _end_loop(context, desk, session, Approval.DECLINED, by)


def watch_approvals(context: Context, desk: EngineDesk) -> None:
    """Let proposals expire that nobody decides on; called on every turn of the loop."""
    for session in context.sessions.values():
        held = session.operator.held
        if held is None:
            continue
        if session.state in (SessionState.ENDING, SessionState.ENDED):
            _supersede(session)
        elif context.clock.unix_ns() >= held.expires_unix_ns:
            log.warning("session %s: nobody decided on proposal %d in time", session.name, held.proposal_id)
            _end_loop(context, desk, session, Approval.EXPIRED, "")


def _end_loop(context: Context, desk: EngineDesk, session: Session, what: Approval, by: str) -> None:
    proposal = session.operator.settle(what, by)
    if proposal is None:
        return
    session.note(ApprovalNote(proposal_id=proposal.proposal_id, what=what.value, by=by))
    enough = not_approved(
        proposal,
        what,
        by,
        frames=session.ledger.highest,
        passes=session.passes,
        dose_e_per_nm2=session.dose_e_per_nm2,
    )
    session.ack_due = True
    take_enough(context, session, enough)
    executed = Executed(
        session_id=session.id, proposal_id=proposal.proposal_id, status=_TO_ENGINE[what], reason=enough.reason
    )
    desk.told.tell(session.id, ExecutedNotice(executed=executed))


def _refuse(context: Context, desk: EngineDesk, session: Session, proposal: Proposal, error: ScanmendError) -> None:
    """A proposal that no message or no journal can hold ends the loop."""
    log.error("session %s: proposal %d cannot be passed on: %s", session.name, proposal.proposal_id, error)
    context.problem("proposal_not_recorded", error.message, mend=error.mend, session=session.name)
    reason = f"The next plan cannot be passed on: {error.message}"
    end_without_plan(context, session, reason, proposal.based_on_frames, proposal.sigma_now)
    executed = Executed(
        session_id=session.id, proposal_id=proposal.proposal_id, status=ExecutedStatus.DECLINED, reason=reason
    )
    desk.told.tell(session.id, ExecutedNotice(executed=executed))


def _supersede(session: Session) -> None:
    proposal = session.operator.settle(Approval.SUPERSEDED, "")
    if proposal is not None:
        session.note(ApprovalNote(proposal_id=proposal.proposal_id, what="superseded"))
        session.ack_due = True


def _tell_term(desk: EngineDesk, proposal: Proposal) -> None:
    term = ProposalTerm(
        session_id=proposal.session_id,
        proposal_id=proposal.proposal_id,
        expires_unix_ns=proposal.expires_unix_ns,
    )
    desk.told.tell(proposal.session_id, term)
