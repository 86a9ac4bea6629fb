"""One session: its ledger, its plans, its journal, and the frames that wait.

::

    open ──silence──▶ detached ──frame, HELLO──▶ open
      │ END                │ abandoned
      ▼                    ▼
    ending ──answered, durable──▶ ended

A session whose start was left to an operator is open too, without credit, and is shown as `waiting`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice, takewhile

from scanmend.acquire.jobs import InFlight, Job, Slots
from scanmend.acquire.late_recording import record_plan
from scanmend.acquire.ledger import MAX_HOLES, Ledger, Verdict
from scanmend.acquire.live import Live
from scanmend.acquire.meters import Meters
from scanmend.acquire.operator_part import OperatorPart
from scanmend.acquire.reported import Reported
from scanmend.acquire.scanned import Scanned
from scanmend.errors import RecordingError
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, JournalWriter, ModelNote, Note, write_note
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import (
    Ack,
    Delivery,
    Enough,
    Hello,
    Mode,
    NackCode,
    Proposal,
    Receipt,
    Returns,
)

log = logging.getLogger(__name__)


MOST_BAD_PLANS = 1024
"""Refused plans that are remembered; the frames of others are answered as if their plan had not come."""


class SessionState(StrEnum):
    """Where a session is in its life; the diagram is at the top of the module."""

    OPEN = "open"
    DETACHED = "detached"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAsked:
    """How the session is to end."""

    count: int
    dropped: int
    checksum: int
    reason: str
    asked_mono_ns: int
    dropped_after: int = 0
    """Of `dropped`, those after the last frame."""


@dataclass(slots=True)
class Session:
    """All that acquire knows of a session; `Reception` and `EngineDesk` act on it."""

    hello: Hello
    opened_unix_ns: int
    slots: Slots
    operator: OperatorPart
    max_frame_bytes: int
    credit_frames: int
    journal: JournalWriter | None = None
    state: SessionState = SessionState.OPEN
    peer: bytes | None = None
    heard_mono_ns: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    plans: dict[int, ScanPlan] = field(default_factory=dict)
    bad_plans: set[int] = field(default_factory=set)
    """Ids of plans that were refused, `MOST_BAD_PLANS` of them at most."""
    meters: Meters = field(default_factory=Meters)
    live: Live = field(default_factory=Live)
    in_flight: InFlight = field(default_factory=InFlight)
    waiting: deque[Job] = field(default_factory=deque)
    """Received, not yet given to the engine; of an exposure some may have been answered already."""
    answers: deque[Callable[[], bool]] = field(default_factory=deque)
    """Messages that the client has not taken yet; each gives whether it went."""
    passes: int = 0
    """One more than the highest number of a pass that a frame was received of."""
    proposals: dict[int, Proposal] = field(default_factory=dict)
    """Open ones, which the client has."""
    proposals_made: int = 0
    proposal_owed: bool = False
    """Whether the last pass is restored and the engine has not said what comes next."""
    enough: Enough | None = None
    """The engine's word that no plan follows the last pass."""
    executed: dict[str, int] = field(default_factory=dict)
    scanned: Scanned = field(default_factory=Scanned)
    reported: Reported = field(default_factory=Reported)
    """Problems that the client reports."""
    end: EndAsked | None = None
    receipt: Receipt | None = None
    dose_e_per_nm2: float | None = None
    dose_max_e_per_nm2: float | None = None
    summary_asked: bool = False
    summary_known: bool = False
    """Whether nothing is left to be waited for: the summary came, or no engine has one."""
    summary_came: bool = False
    recording_failed: RecordingError | None = None
    model: str = ""
    provider: str = ""
    models_noted: set[str] = field(default_factory=set)
    """Hashes of the models that the journal names."""
    coverage: float | None = None
    sigma_mean: float | None = None
    caution: str | None = None
    """In what way the last frame was unlike those that its model was made for; see `Done.caution`."""
    credit_until: int = 0
    slots_closed: bool = False
    ack_due: bool = False
    plans_recorded: set[int] | None = None
    """Where the recording began in the middle: plans that it has."""
    _appended: deque[tuple[int, int]] = field(default_factory=deque)
    """(journal entry, seq) of frames that are not durable yet, in order."""

    @property
    def name(self) -> str:
        """The session's name."""
        return self.hello.session

    @property
    def id(self) -> int:
        """The session's id."""
        return self.hello.session_id

    @property
    def channel_index(self) -> int:
        """Which channel is restored."""
        names = [channel.name for channel in self.hello.channels]
        return names.index(self.hello.restore_channel) if self.hello.restore_channel else 0

    @property
    def restored_channel(self) -> str:
        """Its name."""
        return self.hello.channels[self.channel_index].name

    @property
    def needs_engine(self) -> bool:
        """Whether the engine gets all of its frames: somebody wants the answers, or passes add up."""
        wanted = self.hello.returns is not Returns.NONE or self.hello.rescan is not None
        return wanted or self.hello.mode is Mode.EXPOSURE

    @property
    def resume_from(self) -> int:
        """The first number that is not held safely."""
        durable = self.hello.delivery is Delivery.DURABLE
        return self.ledger.durable_upto if durable else self.ledger.received_upto

    def check_frame(self, header: FrameHeader) -> NackCode | None:
        """Whether a frame belongs to this session as it was announced; None if it does."""
        channels = self.hello.channels
        if header.channels != len(channels) or any(header.dtype != channel.dtype for channel in channels):
            return NackCode.DTYPE
        plan = self.plans.get(header.plan_id)
        if plan is None:
            return NackCode.BAD_PLAN if header.plan_id in self.bad_plans else NackCode.UNKNOWN_PLAN
        if header.first_point + header.points > plan.points:
            return NackCode.BEYOND_PLAN
        return record_plan(self, header.plan_id, plan)

    def judge(self, header: FrameHeader) -> Verdict:
        """What the ledger says of a frame."""
        return self.ledger.judge(header.seq, header.payload_xxh3)

    def take(self, job: Job) -> None:
        """Receive a checked, new frame: count it, record it, queue it.

        Raises:
            RecordingError: It cannot be recorded; it is not counted.
        """
        header = job.header
        if self.journal is not None:
            index = self.journal.append(
                EntryKind.FRAME, header.seq, [job.header_bytes, job.payload.buffer], tail_xxh3=header.payload_xxh3
            )
            self._appended.append((index, header.seq))
        self.ledger.take(header.seq, header.payload_xxh3, header.dropped_before)
        self.scanned.receive(header, self.plans)
        self.passes = max(self.passes, header.pass_index + 1)
        self.proposal_owed, self.enough = False, None
        self.meters.came(job.received_mono_ns, header.payload_bytes)
        self.waiting.append(job)

    def record(self, kind: EntryKind, number: int, data: bytes) -> bool:
        """Put a control message into the journal, where there is one that works; give whether it could be taken.

        A journal that fails just now is found out by the loop, which tells everybody; nothing is lost by not raising.

        Raises:
            InvalidInput: The message is larger than the whole queue.
        """
        if self.journal is None or self.recording_failed is not None:
            return True
        try:
            self.journal.append(kind, number, [data])
        except RecordingError as error:
            log.error("session %s: %s", self.name, error)
            return False
        return True

    def note_model(self, name: str, sha256: str, provider: str) -> None:
        """A model has restored a frame: the journal names each one once, for whoever reads the recording later."""
        if sha256 not in self.models_noted:
            self.models_noted.add(sha256)
            self.note(ModelNote(name=name, sha256=sha256, provider=provider))

    def note(self, note: Note) -> None:
        """Have the recording say something, where there is one."""
        self.record(EntryKind.NOTE, self.operator.notes, write_note(note))
        self.operator.notes += 1

    def note_durable(self) -> None:
        """Ask the journal how far it has got."""
        if self.journal is None:
            return
        durable = self.journal.durable_index
        while self._appended and self._appended[0][0] <= durable:
            self.ledger.make_durable(self._appended.popleft()[1])
            self.ack_due = True

    def stop_recording(self, error: RecordingError) -> None:
        """The journal has failed: what is durable by now stays so, and nothing else will be."""
        self.note_durable()
        self._appended.clear()
        self.recording_failed = error
        self.ledger.recording_failed()
        self.ack_due = True

    @property
    def recorded(self) -> bool:
        """Whether the identities ask for durable frames."""
        return self.hello.record or self.operator.recorded_from is not None

    @property
    def all_durable(self) -> bool:
        """Whether nothing waits for the disk, or ever will be on it."""
        return not self._appended or self.recording_failed is not None

    # Credit ----------------------------------------------------------------------------------------------------------

    def ack(self) -> Ack:
        """The acknowledgement as of now; grants what credit there is."""
        room, paused = self._room()
        granted = self.ledger.seen + room
        if self.state in (SessionState.OPEN, SessionState.DETACHED) and granted > self.credit_until:
            self.credit_until = granted
        self.ack_due = False
        # Once the count is known, frames missing at the very end are missing too.
        missing = iter(self.ledger.awaited(self.end.count)) if self.end is not None else self.ledger.holes()
        return Ack(
            session_id=self.id,
            received_upto=self.ledger.received_upto,
            durable_upto=self.ledger.durable_upto if self.recorded else 0,
            credit_until=self.credit_until,
            holes=list(islice(missing, MAX_HOLES)),
            paused=paused,
            awaits=self.operator.awaits.value,
        )

    def _room(self) -> tuple[int, str]:
        """How many frames more may come, and why there is no room where there is none."""
        if self.recording_failed is not None:
            return 0, f"recording failed: {self.recording_failed.message}"
        if not self.operator.started:
            return 0, "waiting for an operator to start the session"
        # What was answered and still waits for the engine takes memory like everything else that waits.
        answered = sum(1 for _ in takewhile(lambda job: job.answered, self.waiting))
        room = self.credit_frames - self.ledger.unanswered - answered
        why = "waiting for the restoration" if room <= 0 else ""
        if self.journal is not None:
            frames = self.journal.room_bytes // (self.max_frame_bytes + 4096)
            if frames < room:
                room, why = frames, "waiting for the disk" if frames <= 0 else ""
        return max(0, room), why

    @property
    def paused(self) -> str:
        """Why credit is held back; empty while it flows."""
        return self._room()[1]

    def credit_grew(self) -> bool:
        """Whether an ACK now would give the client at least a quarter of its credit more."""
        return self.ledger.seen + self._room()[0] >= self.credit_until + max(1, self.credit_frames // 4)
