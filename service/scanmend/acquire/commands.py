"""Carries out what operators command: each function does it, or gives the reason why it cannot be done."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import NamedTuple

from scanmend.acquire.approvals import accept, decline
from scanmend.acquire.closing import ask_to_stop
from scanmend.acquire.context import Context, Posted
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.operator_part import Terms
from scanmend.acquire.recordings import begin_recording, has_recording
from scanmend.acquire.session import Session, SessionState
from scanmend.errors import InvalidInput, RecordingError
from scanmend.ipc.console import AskCommand, RefusedCode
from scanmend.ipc.engine_link import TermsNotice
from scanmend.record import StartNote, TermsNote
from scanmend.rescan import check_request
from scanmend.wire.messages import Approval, Command, Decider

log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a command was not carried out."""

    code: RefusedCode
    reason: str
    mend: str


DETACHED = Refusal(
    "detached",
    "The microscope is not connected, so the command cannot reach it.",
    "Use the microscope's own controls, or wait until it is back.",
)


def command(context: Context, desk: EngineDesk, session: Session, asked: AskCommand) -> Refusal | None:
    """Carry out a command to a session that has not ended; None where that is done."""
    if session.state is SessionState.ENDING and asked.action not in ("stop", "abort"):
        return Refusal("ended", "The session is ending.", "Choose another.")
    refusal = _ACTIONS[asked.action](context, desk, session, asked)
    if refusal is None:
        log.info("session %s: %s by %r", session.name, asked.action, asked.by)
    return refusal


def _stop(context: Context, desk: EngineDesk, session: Session, asked: AskCommand) -> Refusal | None:
    if ask_to_stop(context, session, asked.action, asked.by) is not Posted.SENT:
        return DETACHED
    return None


def _start(context: Context, desk: EngineDesk, session: Session, asked: AskCommand) -> Refusal | None:
    if session.operator.started:
        return Refusal(
            "not_waiting",
            "The session does not wait for a start.",
            "Only a session whose client leaves its start to an operator is started here, and only once.",
        )
    if _is_away(session):
        return DETACHED
    session.note(StartNote(by=asked.by))
    session.operator.started = True
    session.ack_due = True  # it grants the credit, and says the same as the command, which may be lost
    context.send(session.peer, Command(session_id=session.id, action="start", by=asked.by))
    return None


def _decide(context: Context, desk: EngineDesk, session: Session, asked: AskCommand) -> Refusal | None:
    part, wanted = session.operator, Approval.ACCEPTED if asked.action == "accept" else Approval.DECLINED
    if part.held is None or part.held.proposal_id != asked.proposal_id:
        if part.decided is not None and part.decided[:2] == (asked.proposal_id, wanted):
            return None  # said twice: it is done once
        return _nothing_to_decide(session, asked.proposal_id)
    if wanted is Approval.DECLINED:
        decline(context, desk, session, asked.by)
        return None
    if _is_away(session):
        return DETACHED
    spent, budget = session.dose_e_per_nm2 or 0.0, part.terms.budget_e_per_nm2
    if budget is not None and not spent + part.held.dose_e_per_nm2 <= budget * (1 + 1e-9):
        return Refusal(
            "over_budget",
            f"The plan costs {part.held.dose_e_per_nm2:.4g} e/nm², and {max(0.0, budget - spent):.4g} are left of the "
            f"budget of {budget:.4g}.",
            "Decline it, or raise the budget.",
        )
    accept(context, desk, session, asked.by)
    return None


def _nothing_to_decide(session: Session, proposal_id: int) -> Refusal:
    part = session.operator
    if part.held is not None:
        return Refusal(
            "no_proposal",
            f"Proposal {part.held.proposal_id} awaits a decision, not {proposal_id}.",
            "Look at it first.",
        )
    if part.decided is not None and part.decided[0] == proposal_id:
        by = f" by {part.decided[2]}" if part.decided[2] else ""
        return Refusal("no_proposal", f"Proposal {proposal_id} was {part.decided[1]}{by}.", "Wait for the next one.")
    if part.terms.approval is not Decider.OPERATOR:
        return Refusal(
            "not_asked",
            "The plans of this session need no operator's approval.",
            "Set its approval to 'operator' for the plans to come, or stop the session.",
        )
    return Refusal("no_proposal", "No proposal awaits a decision.", "Wait for the next one.")


def _change_terms(context: Context, desk: EngineDesk, session: Session, asked: AskCommand) -> Refusal | None:
    hello, part = session.hello, session.operator
    if part.terms.policy is None:
        return Refusal(
            "not_asked",
            "The client of this session asked for no rescans.",
            "Open one with a rescan policy at the client.",
        )
    wanted = Terms(
        policy=asked.policy or part.terms.policy,
        budget_e_per_nm2=part.terms.budget_e_per_nm2 if asked.budget_e_per_nm2 is None else asked.budget_e_per_nm2,
        approval=part.terms.approval if asked.approval is None else Decider(asked.approval),
    )
    try:
        check_request(wanted.put_into(hello))
    except InvalidInput as error:
        return Refusal("terms", error.message, error.mend)
    most = math.inf if hello.dose_budget_e_per_nm2 is None else hello.dose_budget_e_per_nm2
    if wanted.budget_e_per_nm2 is not None and wanted.budget_e_per_nm2 > most:
        return Refusal(
            "over_budget",
            f"The client named a budget of {most:.6g} e/nm², and {wanted.budget_e_per_nm2:.6g} is above it.",
            f"Give at most {most:.6g}; a higher one must be named at the microscope.",
        )
    if wanted == part.terms:
        return None
    part.terms = wanted
    note_terms(session, asked.by)
    notice = TermsNotice(session_id=session.id, policy=wanted.policy or "", budget_e_per_nm2=wanted.budget_e_per_nm2)
    desk.told.tell(session.id, notice)
    return None


def note_terms(session: Session, by: str) -> None:
    """Have the recording say which terms hold from here on."""
    terms = session.operator.terms
    session.note(
        TermsNote(policy=terms.policy, budget_e_per_nm2=terms.budget_e_per_nm2, approval=terms.approval.value, by=by)
    )


def _record(context: Context, desk: EngineDesk, session: Session, asked: AskCommand) -> Refusal | None:
    if session.recorded:
        return Refusal("recording_already", "The session is recorded already.", "There is nothing to do.")
    if context.recordings is None:
        return Refusal("recording", "This service cannot record.", "Look at its problems list for the reason.")
    if has_recording(context.recordings, session.name):
        return Refusal(
            "recording",
            f"A session called {session.name} was recorded before.",
            "Recordings are never overwritten: open a session under another name.",
        )
    try:
        begin_recording(context.settings, context.recordings, session, asked.by)
    except RecordingError as error:
        return Refusal("recording", error.message, error.mend)
    note_terms(session, asked.by)
    return None


def _is_away(session: Session) -> bool:
    return session.peer is None or session.state is SessionState.DETACHED


_ACTIONS: dict[str, Callable[[Context, EngineDesk, Session, AskCommand], Refusal | None]] = {
    "stop": _stop,
    "abort": _stop,
    "start": _start,
    "accept": _decide,
    "decline": _decide,
    "rescan": _change_terms,
    "record": _record,
}
