"""What acquire tells the engine of sessions: that they are there, their plans, what becomes of proposals, their end."""

from __future__ import annotations

from dataclasses import dataclass, field

from scanmend.acquire.approvals import end_without_plan
from scanmend.acquire.context import Context
from scanmend.acquire.engine_line import EngineLine
from scanmend.acquire.session import Session
from scanmend.ipc import SlotRing
from scanmend.ipc.engine_link import CloseSession, ExecutedNotice, OpenSession, RebuildSkip, RingInfo, ToEngine
from scanmend.plan import ScanPlan
from scanmend.record import session_path
from scanmend.wire.messages import Executed, Mode

_LOST = (
    "The engine that had the exposure has ended, and what it had is in no recording: no plan can be made of the rest."
)


@dataclass(slots=True)
class Told:
    """The sessions that the engine knows; it learns all else of a session with it."""

    context: Context
    line: EngineLine
    _known: set[int] = field(default_factory=set)

    def forget_all(self) -> None:
        """The engine is gone, and the next one knows nothing."""
        self._known.clear()

    def introduce(self, session: Session) -> bool:
        """Have the engine know a session; False where its journal is not readable that far yet."""
        if session.id in self._known:
            return True
        exposure = session.hello.mode is Mode.EXPOSURE
        rebuild = exposure and _gone_by(session) > 0
        journal = ""
        skip = RebuildSkip(from_index=0)
        if session.journal is not None and self.context.recordings is not None:
            failed = session.recording_failed is not None  # then nothing more is written, and nothing waited for
            if rebuild and not failed and session.journal.written_index < session.journal.next_index - 1:
                return False
            journal = str(session_path(self.context.recordings, session.name))
            skip = RebuildSkip(
                seqs=[job.header.seq for job in session.waiting],
                from_index=session.journal.durable_index + 1 if failed else session.journal.next_index,
            )
        lost = _lost_frames(session, rebuild=rebuild) if exposure else 0
        owed = rebuild and session.proposal_owed and not session.waiting
        self._known.add(session.id)
        self.line.send(
            OpenSession(
                hello=session.operator.terms.put_into(session.hello),
                frames_in=_ring(session.slots.ring_in),
                pictures_out=_ring(session.slots.ring_out),
                journal=journal,
                rebuild=rebuild and not lost,
                rebuild_skip=skip,
                propose=owed and not lost,
                lost_frames=lost,
            )
        )
        if owed and lost:
            end_without_plan(self.context, session, _LOST, session.ledger.highest)
        for plan_id, plan in session.plans.items():
            self.tell_plan(session, plan_id, plan)
        session.scanned.begin_anew((job.header for job in session.waiting), rebuilt=exposure)
        return True

    def tell(self, session_id: int, message: ToEngine) -> bool:
        """Tell the engine something of a session, if it knows it; whether it does."""
        if session_id in self._known:
            self.line.send(message)
        return session_id in self._known

    def tell_plan(self, session: Session, plan_id: int, plan: ScanPlan) -> None:
        """A plan was announced."""
        if session.id in self._known:
            self.line.send_plan(session.id, plan_id, plan)

    def tell_executed(self, executed: Executed) -> None:
        """The client has said what became of a proposal."""
        self.tell(executed.session_id, ExecutedNotice(executed=executed))

    def tell_scanned(self, session: Session) -> None:
        """Points were scanned whose samples the engine does not get."""
        for notice in session.scanned.notices(session.id):
            self.line.send(notice)

    def tell_end(self, session: Session) -> bool:
        """The session has no more frames; whether the engine knew it, and answers with its dose."""
        if session.id not in self._known:
            return False
        self.tell_scanned(session)
        self._known.discard(session.id)
        self.line.send(CloseSession(session_id=session.id))
        return True


def _lost_frames(session: Session, *, rebuild: bool) -> int:
    """How many frames of an exposure no engine can be given again: those that are in no recording.

    What engines have answered does not tell it: one may end before its first restoration, and a frame that passed
    through while there was none is in no exposure at all.
    """
    ledger, gone_by = session.ledger, _gone_by(session)
    lost = max(session.operator.forgotten_upto, ledger.begin)
    if rebuild and session.journal is None:
        return max(lost, gone_by)
    if rebuild and session.recording_failed is not None and gone_by > ledger.unrecorded + ledger.durable:
        return max(lost, gone_by)
    return max(lost, ledger.unrecorded) if rebuild else lost


def _gone_by(session: Session) -> int:
    """How many frames the next engine does not get as `Work`: the first ones that were received."""
    return session.ledger.received - len(session.waiting)


def _ring(ring: SlotRing) -> RingInfo:
    return RingInfo(path=str(ring.path), slots=ring.slots, slot_bytes=ring.slot_bytes)
