"""Brings sessions to their end: waits for what is on its way, then writes the receipt."""

from __future__ import annotations

import logging

from scanmend.acquire.answers import forget_live
from scanmend.acquire.context import Context, Posted
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.recordings import Resumed
from scanmend.acquire.scanned import dose_e_per_nm2
from scanmend.acquire.session import EndAsked, Session, SessionState
from scanmend.errors import RecordingError
from scanmend.record import EntryKind, JournalState, write_receipt
from scanmend.wire.messages import Command, Receipt, encode

log = logging.getLogger(__name__)

HOLES_NS = 5_000_000_000
"""A session that ends with frames missing waits this long for them."""

SUMMARY_NS = 3_000_000_000
"""A session that ends waits this long for the engine's last word on its dose."""

KEPT_ENDED = 32
"""Ended sessions that stay in the list."""


def account(session: Session | Resumed) -> Receipt:
    """The account of a session as it stands, or as its journal tells it; final where it has its END."""
    ledger, end, operator = session.ledger, session.end, session.operator
    recorded = session.hello.record or operator.recorded_from is not None
    count = end.count if end else ledger.highest
    dropped = end.dropped if end else ledger.dropped_by_client
    missing = ledger.missing(count)
    gaps = sum(last - first for first, last in missing)
    return Receipt(
        session=session.hello.session,
        session_id=session.hello.session_id,
        count=count,
        scanned=count + dropped,
        dropped_by_client=dropped,
        received=ledger.received,
        durable=ledger.durable,
        unrecorded=ledger.unrecorded,
        rejected=dict(ledger.rejected),
        gaps=gaps,
        missing=missing[:64],
        duplicates=ledger.duplicates,
        conflicts=ledger.conflicts,
        damaged=ledger.damaged,
        restored_in=ledger.restored_in,
        restored_out=ledger.restored_out,
        passed_through=dict(ledger.passed_through),
        dropped=dict(ledger.dropped),
        live_in=ledger.live_in,
        live_out=ledger.live_out,
        live_dropped=ledger.live_dropped,
        proposals=session.proposals_made,
        approvals=dict(operator.approvals),
        executed=dict(session.executed),
        problems=session.reported.counts(),
        enough=session.enough.code if session.enough is not None else "",
        dose_e_per_nm2=session.dose_e_per_nm2,
        dose_max_e_per_nm2=session.dose_max_e_per_nm2,
        budget_e_per_nm2=operator.terms.budget_e_per_nm2,
        checksum_matches=gaps == 0 and end is not None and ledger.checksum(count) == end.checksum,
        recording=session.hello.session if recorded else "",
        recorded_from=operator.recorded_from,
        delivery=session.hello.delivery,
        reason=end.reason if end else "",
        balanced=end is not None and ledger.balances(count, dropped - end.dropped_after, recorded=recorded),
    )


def watch_sessions(context: Context, desk: EngineDesk) -> None:
    """Look after silent, ending and ended sessions; called on every turn of the loop."""
    now = context.clock.mono_ns()
    for session in list(context.sessions.values()):
        if session.state is SessionState.OPEN:
            _probe(context, session, now)
        elif session.state is SessionState.DETACHED:
            if now - session.heard_mono_ns > context.settings.abandon_s * 1e9:
                end_now(session, "abandoned", now)
        elif session.state is SessionState.ENDING:
            if session.receipt is None and _may_end(desk, session, now):
                _write_account(session)
            if session.receipt is not None and _journal_closed(session):
                _finish(context, session, session.receipt)
        if session.state is SessionState.ENDED:
            session.in_flight.sweep()
    _forget_old(context)


def end_now(session: Session, reason: str, now_mono_ns: int) -> None:
    """End a session on the service's word, with the frames that it has."""
    session.end = EndAsked(
        count=session.ledger.highest,
        dropped=session.ledger.dropped_by_client,
        checksum=session.ledger.checksum(session.ledger.highest),
        reason=reason,
        asked_mono_ns=now_mono_ns - HOLES_NS,
    )
    session.state = SessionState.ENDING


def ask_to_stop(context: Context, session: Session, action: str, by: str) -> Posted:
    """Pass an operator's word on to the microscope."""
    command = Command(session_id=session.id, action="abort" if action == "abort" else "stop", by=by)
    return context.send(session.peer, command)


def _probe(context: Context, session: Session, now: int) -> None:
    """See whether a silent client is still connected: an ACK to one that is not cannot be sent."""
    silence = context.settings.detach_s * 1e9
    if now - session.heard_mono_ns < silence:
        return
    if context.send(session.peer, session.ack()) is Posted.AWAY:
        session.state = SessionState.DETACHED
        context.problem(
            "detached",
            "The microscope is not connected any more.",
            mend="It may come back and go on where it stopped.",
            session=session.name,
            level="warning",
        )
    else:
        session.heard_mono_ns = now


def _may_end(desk: EngineDesk, session: Session, now: int) -> bool:
    """Whether everything that is on its way has arrived."""
    end = session.end
    if end is None or session.ledger.unanswered or session.answers or not session.all_durable:
        return False
    waited = now - end.asked_mono_ns
    to_come = desk.state == "ready" or (desk.state == "stuck" and waited <= HOLES_NS + SUMMARY_NS)
    if session.waiting and to_come and not session.summary_asked:
        return False  # answered, but too late for a restoration: the engine is still to have it, for the dose
    if waited < HOLES_NS and session.ledger.awaited(end.count):
        return False
    if not session.summary_asked:
        session.scanned.end(end.dropped_after, session.plans)
        desk.ask_summary(session)
    return session.summary_known or desk.summary_lost(session) or waited > HOLES_NS + SUMMARY_NS


def _write_account(session: Session) -> None:
    """Settle the account, and let the journal end behind it without waiting for the disk."""
    if not session.live.fetched:
        session.ledger.live_dropped += 1
        session.live.fetched = True
    forget_live(session)
    if not session.summary_came:  # no engine was there to the end: what one said before is of the frames until then
        counted, told = dose_e_per_nm2(session.scanned, session.hello.field, session.plans), session.dose_e_per_nm2
        if counted is not None and (told is None or counted > told * (1 + 1e-9)):
            session.dose_e_per_nm2, session.dose_max_e_per_nm2 = counted, None
    session.receipt = account(session)
    session.record(EntryKind.RECEIPT, session.receipt.count, encode(session.receipt))
    if session.journal is not None:
        session.journal.finish()


def _journal_closed(session: Session) -> bool:
    return session.journal is None or session.journal.state is not JournalState.OPEN


def _finish(context: Context, session: Session, receipt: Receipt) -> None:
    """Send the receipt, and leave it beside the journal, which is closed by now."""
    if session.journal is not None:
        try:
            session.journal.close()
            if context.recordings is not None:
                write_receipt(context.recordings, receipt)
        except RecordingError as error:
            log.error("session %s: %s", session.name, error)
            context.problem("receipt_not_written", error.message, mend=error.mend, session=session.name)
        session.journal = None
    session.state = SessionState.ENDED
    session.reported.session_over(context.clock.mono_ns() / 1e9)
    context.send(session.peer, receipt)
    level = logging.INFO if receipt.balanced else logging.ERROR
    log.log(level, "session %s ended: %d frames, balanced %s", session.name, receipt.count, receipt.balanced)
    if not receipt.balanced:
        context.problem("unbalanced", "The account of a session does not balance.", session=session.name)


def _forget_old(context: Context) -> None:
    """Remove the rings of ended sessions, and the oldest of them from the list."""
    ended = [s for s in context.sessions.values() if s.state is SessionState.ENDED]
    for session in ended:
        if not session.slots_closed and session.slots.idle and not session.in_flight:
            session.slots.close()
            session.slots_closed = True
    for session in ended[: max(0, len(ended) - KEPT_ENDED)]:
        if session.slots_closed:
            del context.sessions[session.id]
