"""Takes what microscopes send: one function a message, in the order in which a session lives."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import zmq

from scanmend.acquire.context import MENDS, Context
from scanmend.acquire.doorman import greeting, refuse_error, welcome
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.jobs import Job
from scanmend.acquire.ledger import Verdict
from scanmend.acquire.session import MOST_BAD_PLANS, EndAsked, Session, SessionState
from scanmend.errors import (
    ChecksumMismatch,
    InvalidInput,
    OversizeMessage,
    PlanError,
    ProtocolError,
    RecordingError,
    UnsupportedVersion,
)
from scanmend.record import EntryKind
from scanmend.wire.header import FRAME_MAGIC, FrameHeader
from scanmend.wire.messages import (
    Approval,
    End,
    Executed,
    Hello,
    Nack,
    NackCode,
    Plan,
    Problem,
    Refuse,
    decode_client,
)

log = logging.getLogger(__name__)

REJECTS = frozenset(
    {NackCode.DTYPE, NackCode.BEYOND_PLAN, NackCode.OVERSIZE, NackCode.BAD_PLAN, NackCode.RECORDING_FAILED}
)
"""With these a frame is rejected for good: its number counts as rejected in the receipt."""

ANY_SIZE = 1 << 62
"""A frame's size is judged by its session, which counts it."""

TOO_MANY_PROBLEMS = "too_many_problems"
"""What PROBLEMs that were left out are counted as."""

MOST_FRAMES = 1 << 48
"""Most frames that END may name, sent or dropped: a thousand a second for nine thousand years, and sums that fit."""


@dataclass(slots=True)
class Reception:
    """Where messages from the ROUTER arrive."""

    context: Context
    desk: EngineDesk

    def receive(self, parts: Sequence[zmq.Frame]) -> None:
        """Take one message; whatever is wrong with it is counted and answered, never raised."""
        peer = parts[0].bytes
        try:
            if len(parts) == 3:
                self._frame(peer, parts[1], parts[2])
            elif len(parts) == 2:
                self._control(peer, parts[1])
            else:
                self._junk(peer, NackCode.MALFORMED, f"A message of {len(parts) - 1} parts.", "Send one part, or two.")
        except UnsupportedVersion as error:
            self._junk(peer, NackCode.VERSION, error.message, error.mend)
        except OversizeMessage as error:
            self._junk(peer, NackCode.OVERSIZE, error.message, error.mend)
        except ProtocolError as error:
            self._junk(peer, NackCode.MALFORMED, error.message, error.mend)

    def _junk(self, peer: bytes, code: NackCode, reason: str, mend: str, session_id: int = 0) -> None:
        """Count and answer what belongs to no session."""
        self.context.junk[code] += 1
        self.context.send(peer, Nack(session_id=session_id, code=code, reason=reason, mend=mend))

    def _control(self, peer: bytes, part: zmq.Frame) -> None:
        data = part.buffer
        try:
            message = decode_client(data)
        except ProtocolError as error:
            if b"HELLO" in bytes(data[:64]):
                self._refuse(peer, refuse_error(error))
                return
            raise
        if isinstance(message, Hello):
            self._hello(peer, message)
            return
        if isinstance(message, Problem) and message.session_id == 0:
            self._problem(message, None)
            return
        session = self._greeted(message.session_id)
        if session is None:
            reason, mend = MENDS[NackCode.NO_SESSION]
            self._junk(peer, NackCode.NO_SESSION, reason, mend, message.session_id)
            return
        self._heard(session, peer)
        match message:
            case Plan():
                self._plan(session, message, bytes(data))
            case Executed():
                self._executed(session, message, bytes(data))
            case Problem():
                self._problem(message, session)
            case End():
                self._end(session, message)

    # HELLO -----------------------------------------------------------------------------------------------------------

    def _hello(self, peer: bytes, hello: Hello) -> None:
        answer = welcome(self.context, self.desk, hello, peer)
        if isinstance(answer, Refuse):
            self._refuse(peer, answer)
            return
        self.context.send(peer, greeting(self.context, self.desk, answer))
        for proposal in answer.proposals.values():  # one may have been lost with the connection
            self.context.send(peer, proposal)
        if answer.enough is not None:
            self.context.send(peer, answer.enough)
        if answer.receipt is not None and answer.state is SessionState.ENDED:
            self.context.send(peer, answer.receipt)

    def _refuse(self, peer: bytes, refuse: Refuse) -> None:
        self.context.refused[refuse.code] += 1
        self.context.problem(
            f"refused_{refuse.code}", f"A session was refused: {refuse.reason}", mend=refuse.mend, level="warning"
        )
        self.context.send(peer, refuse)

    def _greeted(self, session_id: int) -> Session | None:
        """A session whose client has said HELLO to this service: after a restart it must do so anew."""
        session = self.context.sessions.get(session_id)
        return session if session is not None and session.peer is not None else None

    def _heard(self, session: Session, peer: bytes) -> None:
        """The client speaks; after a reconnect that it did not notice itself it has another address."""
        session.heard_mono_ns = self.context.clock.mono_ns()
        session.peer = peer
        if session.state is SessionState.DETACHED:
            session.state = SessionState.OPEN

    # PLAN ------------------------------------------------------------------------------------------------------------

    def _plan(self, session: Session, message: Plan, data: bytes) -> None:
        known = session.plans.get(message.plan_id)
        if known == message.plan:
            return  # of a recording that began in the middle, its first frame has it recorded
        if known is not None:
            self._bad_plan(session, message, "This plan id has another plan already.", "Count plan ids up.")
            return
        try:
            message.plan.validate(session.hello.field)
            recorded = session.record(EntryKind.PLAN, message.plan_id, data)
        except (PlanError, InvalidInput) as error:
            self._bad_plan(session, message, error.message, error.mend)
            return
        if not recorded:
            return  # its frames are answered unknown_plan; the client sends both again
        session.bad_plans.discard(message.plan_id)
        message.plan.forget_pixels()
        session.plans[message.plan_id] = message.plan
        self.desk.told.tell_plan(session, message.plan_id, message.plan)

    def _bad_plan(self, session: Session, message: Plan, reason: str, mend: str) -> None:
        if message.plan_id not in session.plans and len(session.bad_plans) < MOST_BAD_PLANS:
            session.bad_plans.add(message.plan_id)
        nack = Nack(session_id=session.id, code=NackCode.BAD_PLAN, reason=reason, mend=mend, plan_id=message.plan_id)
        self.context.problem("bad_plan", reason, mend=mend, session=session.name, level="warning")
        self.context.send(session.peer, nack)

    # FRAME -----------------------------------------------------------------------------------------------------------

    def _frame(self, peer: bytes, first: zmq.Frame, payload: zmq.Frame) -> None:
        header_bytes = bytes(first.buffer)
        if header_bytes[:4] != FRAME_MAGIC:
            self._junk(peer, NackCode.MALFORMED, "Two parts that are not a FRAME.", "Send header and samples.")
            return
        header = FrameHeader.unpack(header_bytes, max_payload_bytes=ANY_SIZE)
        session = self._greeted(header.session_id)
        if session is None:
            reason, mend = MENDS[NackCode.NO_SESSION]
            self._junk(peer, NackCode.NO_SESSION, reason, mend, header.session_id)
            return
        self._heard(session, peer)
        session.ack_due = True
        verdict = session.judge(header)
        if verdict is Verdict.DUPLICATE:
            return  # the ACK that is due says that it is held
        code = self._judge(session, header, verdict, payload)
        if code is None:
            self._take(session, header, header_bytes, payload)
        else:
            self._refuse_frame(session, header, code)

    def _judge(self, session: Session, header: FrameHeader, verdict: Verdict, payload: zmq.Frame) -> NackCode | None:
        """Why a frame is not taken now; None where it is."""
        if verdict is Verdict.CONFLICT:
            return NackCode.CONFLICT
        if session.summary_asked:  # the engine has let go of it, and its account is being written
            return NackCode.ENDED
        if session.recording_failed is not None:
            return NackCode.RECORDING_FAILED
        if header.seq >= session.credit_until or verdict is Verdict.TOO_FAR:
            return NackCode.CREDIT
        if header.payload_bytes > session.max_frame_bytes:
            return NackCode.OVERSIZE
        try:
            header.check_payload(payload.buffer)
        except ChecksumMismatch:
            return NackCode.CHECKSUM
        return session.check_frame(header)

    def _take(self, session: Session, header: FrameHeader, header_bytes: bytes, payload: zmq.Frame) -> None:
        now = self.context.clock.mono_ns()
        wait_ms = session.hello.deadline_ms
        job = Job(header, header_bytes, payload, now, now + wait_ms * 1_000_000 if wait_ms else None)
        try:
            session.take(job)
        except RecordingError as error:
            self.recording_failed(session, error)
            self._refuse_frame(session, header, NackCode.RECORDING_FAILED)

    def _refuse_frame(self, session: Session, header: FrameHeader, code: NackCode) -> None:
        """Answer a frame that is not taken, and reject it for good where sending it again cannot help."""
        if code is NackCode.CHECKSUM:
            session.ledger.damaged += 1
        elif code in REJECTS:
            session.ledger.reject(header.seq, header.payload_xxh3, code, header.dropped_before)
        reason, mend = MENDS.get(code, ("", ""))
        if code is NackCode.RECORDING_FAILED and session.recording_failed is not None:
            reason, mend = session.recording_failed.message, session.recording_failed.mend
        nack = Nack(session_id=session.id, code=code, reason=reason, mend=mend, seq=header.seq)
        self.context.send(session.peer, nack)
        if code is not NackCode.CREDIT:
            self.context.problem(f"nack_{code}", reason, mend=mend, session=session.name, level="warning")

    def recording_failed(self, session: Session, error: RecordingError) -> None:
        """Nothing more can be recorded: the session takes no more frames, and everybody is told."""
        if session.recording_failed is not None:
            return
        session.stop_recording(error)
        log.error("session %s: %s", session.name, error)
        self.context.problem("recording_failed", error.message, mend=error.mend, session=session.name)
        nack = Nack(session_id=session.id, code=NackCode.RECORDING_FAILED, reason=error.message, mend=error.mend)
        self.context.send(session.peer, nack)

    # PROBLEM ---------------------------------------------------------------------------------------------------------

    def _problem(self, message: Problem, session: Session | None) -> None:
        """Note what a client reports; what is beyond its measure is counted, and not answered."""
        now_s, now_ns = self.context.clock.mono_ns() / 1e9, self.context.clock.unix_ns()
        if session is None:
            taken = self.context.reported.take(message, now_mono_s=now_s, now_unix_ns=now_ns)
        elif session.receipt is not None:
            return
        else:
            taken, note = session.reported.take(message, now_mono_s=now_s, now_unix_ns=now_ns)
            if note is not None:
                word = "is over" if note.cleared else note.text
                log.warning("session %s: its client reports %s (%d): %s", session.name, note.code, note.count, word)
                session.note(note)
        if not taken:
            self.context.junk[TOO_MANY_PROBLEMS] += 1

    # EXECUTED, END ---------------------------------------------------------------------------------------------------

    def _executed(self, session: Session, message: Executed, data: bytes) -> None:
        held = session.operator.held
        if held is not None and held.proposal_id == message.proposal_id:
            # A service that was killed just after the approval had it written, but not yet on the disk.
            session.operator.settle(Approval.ACCEPTED, "")
        elif session.proposals.pop(message.proposal_id, None) is None:
            nack = Nack(
                session_id=session.id,
                code=NackCode.UNKNOWN_PROPOSAL,
                reason=f"No proposal {message.proposal_id} is open.",
                mend="Answer each proposal once.",
                proposal_id=message.proposal_id,
            )
            self.context.send(session.peer, nack)
            return
        session.executed[message.status] = session.executed.get(message.status, 0) + 1
        session.record(EntryKind.EXECUTED, message.proposal_id, data)
        self.desk.told.tell_executed(message)

    def _end(self, session: Session, message: End) -> None:
        if session.receipt is not None:
            if session.state is SessionState.ENDED:
                self.context.send(session.peer, session.receipt)
            return
        if message.count > MOST_FRAMES or message.dropped > MOST_FRAMES:
            nack = Nack(
                session_id=session.id,
                code=NackCode.MALFORMED,
                reason=f"END has the count {message.count} and {message.dropped} dropped; nothing can count so far.",
                mend="Give the number of frames of the session.",
            )
            self.context.send(session.peer, nack)
            return
        before = session.end
        if before is not None and before.count == message.count:
            session.ack_due = True  # which names what is missing; the wait for it does not begin anew
            return
        session.end = EndAsked(
            count=message.count,
            dropped=message.dropped,
            dropped_after=message.dropped_after,
            checksum=message.checksum,
            reason=message.reason,
            asked_mono_ns=self.context.clock.mono_ns(),
        )
        session.state = SessionState.ENDING
        session.ack_due = True
