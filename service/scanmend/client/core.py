"""The client's side of the protocol as a pure state machine: no socket, no thread, no clock of its own.

A shell owns the socket. It hands in what came (`feed`), lets time pass (`tick`), and sends what is due::

    while (parts := core.outgoing()) is not None:
        socket.send_multipart(parts)
        core.sent()

State chart::

    GREETING ──WELCOME──▶ OPEN ──RECEIPT──▶ ENDED
      │  ▲                 │
      │  └─ no_session, or ┘
      │     1 s of silence with something owed
      └──REFUSE──▶ FAILED

In GREETING only HELLO goes out. A WELCOME that takes a session up again tells from where to resend: if the service
is the same process (`boot_id`), it still has what it acknowledged as received; if not, only what it holds safely.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from scanmend.client.answers import Answers
from scanmend.client.numbering import Numbering
from scanmend.client.plans import PlanBook
from scanmend.client.problems import ProblemBook
from scanmend.client.proposals import ProposalBook
from scanmend.client.rejections import Rejections
from scanmend.client.restored import Restored, read_restored
from scanmend.client.ring import FrameRing, RingFrame
from scanmend.client.samples import Piece
from scanmend.client.troubles import Troubles
from scanmend.errors import ProtocolError, SessionRefused
from scanmend.plan import ScanPlan
from scanmend.wire.header import RestoredHeader
from scanmend.wire.messages import (
    RETRIABLE,
    Ack,
    Awaits,
    Command,
    Enough,
    ExecutedStatus,
    Feature,
    Hello,
    Nack,
    NackCode,
    Proposal,
    Receipt,
    Refuse,
    Returns,
    Welcome,
    decode_service,
    encode,
)

SILENCE_S = 1.0
"""Silence of the service after which HELLO, or END, is said again."""

GREETING_PAUSE_S = 0.5
"""Time between two HELLOs while none is answered."""

Parts = Sequence[bytes | memoryview]
Event = Welcome | Refuse | Ack | Nack | Proposal | Enough | Command | Receipt | Restored


class State(StrEnum):
    """Where a session stands."""

    GREETING = "greeting"
    """HELLO was said, or must be said again; nothing else is sent."""
    OPEN = "open"
    """Frames flow."""
    ENDED = "ended"
    """The receipt is here."""
    FAILED = "failed"
    """The service refused the session."""


class SessionCore:
    """One session.

    Args:
        hello: The HELLO that opens it.
        clock: Seconds that never go back.
        unread: Most answers kept unread.
        drop_oldest: Whether the oldest unread answer makes room for a new one; without it, sending is held.
        ring_bytes: Most payload bytes kept for resending; sending is held above it.
        verify: Whether the checksums of answers are compared.
    """

    def __init__(
        self,
        hello: Hello,
        *,
        clock: Callable[[], float],
        unread: int = 64,
        drop_oldest: bool = False,
        ring_bytes: int = 1 << 30,
        verify: bool = True,
    ) -> None:
        self.hello = hello
        self.state = State.GREETING
        self.welcome: Welcome | None = None
        self.receipt: Receipt | None = None
        self.command: str | None = None
        self.awaits = ""
        """What an operator must do before the session goes on, one of `Awaits`."""
        self.enough: Enough | None = None
        self.paused = ""
        self.troubles = Troubles()
        self.reconnects = 0
        self.lost = 0
        """Frames that a service started anew did not have, and that were no longer held here."""
        self.ring = FrameRing(hello.delivery)
        self.answers = Answers(bound=unread, drop_oldest=drop_oldest)
        self.plans = PlanBook(hello.session_id)
        self.proposals = ProposalBook(hello.session_id)
        self.problems = ProblemBook(hello.session_id)
        """What the caller reports; told where the service knows such messages."""
        self._rejections = Rejections(self.ring, self.answers, self.plans, self.troubles)
        self.ending = False
        self.last_heard_s = clock()
        self._clock = clock
        self._ring_bytes = ring_bytes
        self._verify = verify
        self._answered = hello.returns is not Returns.NONE
        names = [channel.name for channel in hello.channels]
        self._channel_index = names.index(hello.restore_channel) if hello.restore_channel in names else 0
        self._credit_until = 0
        self._credit_bytes = 0
        self._numbering = Numbering(hello)
        self._controls: deque[bytes] = deque()
        self._hello_due = True
        self._hello_s = self.last_heard_s
        self._end = b""
        self._end_due = False
        self._end_s = 0.0
        self._offer: RingFrame | None = None
        self._offers_problem = False
        self._broke_below = 0
        """Answers to frames below it may be lost, because the connection broke since the last WELCOME."""

    # What the caller asks for -----------------------------------------------------------------------------------

    def add_plan(self, plan: ScanPlan) -> int:
        """Announce a plan, unless it is announced already.

        Raises:
            PlanError: It cannot be run on the session's field.
            OversizeMessage: Its bytes are above the limit.
        """
        known = self.plans.find(plan)
        if known is not None:
            return known
        plan.validate(self.hello.field)
        plan_id, new = self.plans.add(plan)
        if new:
            self._controls.append(self.plans.encoded(plan_id) or b"")
        return plan_id

    @property
    def over(self) -> bool:
        """Whether no frame can be sent any more."""
        return self.troubles.failure is not None or self.state in (State.ENDED, State.FAILED)

    def why_held(self, size: int) -> str:
        """Why a frame of so many bytes must wait; empty where it can go at once."""
        if self.state is State.GREETING:
            return f"The service has been silent for {self._clock() - self.last_heard_s:.1f} s."
        if self._answered and self.answers.full:
            return f"{len(self.answers.unread)} answers are unread."
        if self.ring.held_bytes and self.ring.held_bytes + size > self._ring_bytes:
            return self.paused or f"{len(self.ring)} frames wait to be safe with the service."
        if not self.ring.fits(size, self._credit_until, self._credit_bytes):
            return self.paused or "The service gives no credit."
        return ""

    def push(self, piece: Piece) -> int:
        """Take a frame into the ring and give it its number; it goes out as soon as the credit allows."""
        frame = self._numbering.frame(piece)
        self.ring.push(frame)
        self.enough = None
        if self._answered:
            self.answers.expect(frame.seq, piece.pass_index, full_raster=piece.full_raster, now_s=self._clock())
        return frame.seq

    def decide(
        self, proposal: Proposal, status: ExecutedStatus, *, plan_id: int | None = None, reason: str = ""
    ) -> None:
        """Tell the service what becomes of a proposal.

        Raises:
            InvalidInput: It is not open.
        """
        self._controls.append(
            self.proposals.decide(proposal, status, next_seq=self.ring.next_seq, plan_id=plan_id, reason=reason)
        )

    def end(self, reason: str, dropped_after: int = 0) -> None:
        """Say END after the last frame, and how many frames were discarded after that."""
        if not self.ending:
            self.ending = True
            self._end_due = True
            self._end = self._numbering.end(reason, dropped_after)

    # What goes out ----------------------------------------------------------------------------------------------

    def outgoing(self) -> tuple[bytes | memoryview, ...] | None:
        """The message that is due, or None; call `sent` once it is with the socket."""
        self._offer, self._offers_problem = None, False
        if self.state in (State.ENDED, State.FAILED):
            return None
        if self._hello_due:
            return (encode(msgspec.structs.replace(self.hello, held_from=self.ring.held_from)),)
        if self.state is State.GREETING:
            return None
        if self._controls:
            return (self._controls[0],)
        if self.welcome is not None and Feature.PROBLEMS in self.welcome.features:
            problem = self.problems.due(self._clock(), hurry=self.ending)
            if problem is not None:
                self._offers_problem = True
                return (problem,)
        if self.troubles.failure is None:
            frame = self.ring.due(self._clock(), self._credit_until, self._credit_bytes)
            if frame is not None:
                self._offer = frame
                return (frame.header, frame.payload)
        if self._end_due and (self.troubles.failure is not None or self.ring.all_sent):
            return (self._end,)
        return None

    def sent(self) -> None:
        """The message that `outgoing` gave is with the socket."""
        now_s = self._clock()
        if self._offer is not None:
            self.ring.sent(self._offer, now_s)
        elif self._hello_due:
            self._hello_due, self._hello_s = False, now_s
        elif self._offers_problem:
            self.problems.sent(now_s)
        elif self._controls:
            self._controls.popleft()
        else:
            self._end_due, self._end_s = False, now_s

    def tick(self) -> None:
        """Let time pass: say again what was not answered."""
        now_s = self._clock()
        self.answers.tick(now_s)
        if self.state is State.GREETING:
            self._hello_due = self._hello_due or now_s - self._hello_s >= GREETING_PAUSE_S
        elif self.state is State.OPEN and now_s - self.last_heard_s >= SILENCE_S:
            if self.ending and self._end_s:
                self._end_due = self._end_due or now_s - self._end_s >= SILENCE_S
            elif not self._hello_due and now_s - self._hello_s >= SILENCE_S:
                # With frames outstanding this is a resume; without, it only shows that the client is alive.
                self._hello_due = True
                if len(self.ring):
                    self.state = State.GREETING

    # What comes in ----------------------------------------------------------------------------------------------

    def connection_broke(self) -> None:
        """The connection broke: what was in it is lost, and answers made until the service hears this client again.

        Frames are resent, answers never are; how long they are waited for is settled by the next WELCOME.
        """
        self._broke_below = self.ring.next_seq

    def feed(self, parts: Parts) -> Event | None:
        """Take a message of the service.

        Args:
            parts: Its parts.

        Returns:
            What it was, or None where it means nothing to this session.
        """
        self.last_heard_s = self._clock()
        try:
            if len(parts) > 1:
                return self._on_restored(parts)
            message = decode_service(parts[0])
        except ProtocolError:
            self.troubles.damaged += 1
            return None
        if isinstance(message, Refuse):
            self._on_refuse(message)
        elif message.session_id != self.hello.session_id:
            if isinstance(message, Nack) and message.session_id == 0:  # too damaged to tell whose it was
                self.troubles.remark(message)
            return None
        elif isinstance(message, Ack):
            self._on_ack(message)
        elif isinstance(message, Welcome):
            self._on_welcome(message)
        elif isinstance(message, Nack):
            self._on_nack(message)
        elif isinstance(message, Proposal):
            return message if self.proposals.take(message) else None
        elif isinstance(message, Enough):
            if message.based_on_frames < self.ring.next_seq:
                return None  # frames that were sent since then get an answer of their own
            self.enough = message
        elif isinstance(message, Command):
            self._on_command(message)
        else:
            self.receipt, self.state = message, State.ENDED
            self.ring.acknowledge(self.ring.next_seq, self.ring.next_seq)
            self.answers.give_up(self.ring.next_seq)
        return message

    def _on_restored(self, parts: Parts) -> Restored | None:
        header = RestoredHeader.unpack(parts[0])
        if header.session_id != self.hello.session_id or not self.answers.wanted(header.seq):
            return None
        awaited = self.answers.get(header.seq)
        restored = read_restored(
            header,
            parts,
            shape=self.hello.field.shape,
            channel_index=self._channel_index,
            full_raster=awaited is not None and awaited.full_raster,
            verify=self._verify,
            round_trip_ms=float("nan") if awaited is None else 1e3 * (self.last_heard_s - awaited.since_s),
        )
        self.answers.take(restored)
        return restored

    def _on_refuse(self, refuse: Refuse) -> None:
        self.troubles.failure = SessionRefused(refuse.reason, code=refuse.code, mend=refuse.mend)
        self.state = State.FAILED

    def _on_command(self, command: Command) -> None:
        if command.action != "start":
            self.command = command.action
        elif self.awaits == Awaits.START:
            self.awaits = Awaits.NOTHING.value

    def _on_welcome(self, welcome: Welcome) -> None:
        before, self.welcome = self.welcome, welcome
        self.awaits = welcome.awaits
        forgotten = before is not None and before.boot_id != welcome.boot_id
        if before is None or forgotten:
            self._credit_until = welcome.credit_until
        else:
            self._credit_until = max(self._credit_until, welcome.credit_until)
        self._credit_bytes = welcome.credit_bytes
        broke_below, self._broke_below = self._broke_below, 0
        resumed = before is not None and (forgotten or self.state is State.GREETING)
        self.state = State.OPEN
        if before is not None:
            self.problems.tell_again()
        if not resumed:
            self._wait_less(broke_below)
            return
        self.reconnects += 1
        if forgotten:
            self.answers.ask_anew(welcome.resume_from)
        else:
            self.answers.doubt(self.ring.received_upto, self.last_heard_s)
        self.lost += self.ring.rewind(welcome.resume_from, forgotten=forgotten)
        self._controls = deque(
            self.plans.unknown(welcome.plans_known) + self.proposals.undelivered(self.ring.received_upto)
        )
        self._end_due = self.ending

    def _wait_less(self, broke_below: int) -> None:
        """The service was quiet, though every frame is safe with it: an answer takes its time, or was lost."""
        self.answers.doubt(min(broke_below, self.ring.received_upto), self.last_heard_s)
        if self.answers.awaited:
            self.answers.be_patient(self.ring.received_upto, self.last_heard_s)

    def _on_ack(self, ack: Ack) -> None:
        if self.state is State.GREETING:
            return  # the WELCOME that is on its way knows more
        self._credit_until = max(self._credit_until, ack.credit_until)
        self.paused, self.awaits = ack.paused, ack.awaits
        self.ring.acknowledge(ack.received_upto, ack.durable_upto)
        for first, end in ack.holes:
            self.ring.resend(range(first, min(end, self.ring.next_seq)), self.last_heard_s)

    def _on_nack(self, nack: Nack) -> None:
        if nack.code == NackCode.NO_SESSION:
            if self.state is State.OPEN:
                self.state, self._hello_due = State.GREETING, True
        elif nack.code not in RETRIABLE:
            self._rejections.take(nack)
        elif nack.seq is not None and self.state is State.OPEN:
            plan = self._rejections.resend(nack.seq, nack, self.last_heard_s)
            if plan is not None and plan not in self._controls:
                self._controls.append(plan)
