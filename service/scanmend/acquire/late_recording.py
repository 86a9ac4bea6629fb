"""A recording that is begun in the middle of a session: what it must hold besides the frames that are to come."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend.record import ApprovalNote, EntryKind, JournalWriter, RecordNote, StartNote
from scanmend.wire.messages import NackCode, Plan, encode

if TYPE_CHECKING:
    from scanmend.acquire.session import Session

log = logging.getLogger(__name__)


def record_from_now_on(session: Session, journal: JournalWriter, by: str) -> None:
    """Record a session that was not recorded so far; the journal is fresh and holds the HELLO."""
    session.journal, part, ledger = journal, session.operator, session.ledger
    part.recorded_from, part.notes = ledger.highest, 0
    session.note(RecordNote(from_seq=ledger.highest, forgotten_upto=ledger.received_upto, by=by))
    if part.started:
        session.note(StartNote(by=""))
    for reported in session.reported.notes():
        session.note(reported)
    ledger.begin_recording()
    session.models_noted.clear()
    session.plans_recorded = set()
    if part.held is not None:
        session.note(ApprovalNote(proposal_id=part.held.proposal_id, what="awaited"))
    for proposal in [*session.proposals.values(), *([] if part.held is None else [part.held])]:
        try:
            session.record(EntryKind.PROPOSAL, proposal.proposal_id, encode(proposal))
        except InvalidInput as error:  # larger than the whole queue: the recording does without
            log.warning("session %s: proposal %d: %s", session.name, proposal.proposal_id, error)
    if session.enough is not None:
        session.record(EntryKind.ENOUGH, session.enough.based_on_frames, encode(session.enough))
    session.ack_due = True


def record_plan(session: Session, plan_id: int, plan: ScanPlan) -> NackCode | None:
    """Have such a recording hold the plan of a frame before the frame; why it cannot just now, None where it does."""
    if session.plans_recorded is None or plan_id in session.plans_recorded:
        return None
    data = encode(Plan(session_id=session.id, plan_id=plan_id, plan=plan))
    try:
        recorded = session.record(EntryKind.PLAN, plan_id, data)
    except InvalidInput:  # larger than the whole queue
        return NackCode.BAD_PLAN
    if not recorded:
        return NackCode.UNKNOWN_PLAN
    session.plans_recorded.add(plan_id)
    return None
