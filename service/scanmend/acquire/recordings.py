"""Opens, resumes and closes the recordings of sessions.

A session's folder holds its journal, and `receipt.json` once it has ended: a folder without one is a session that
was cut off, and is taken up again when the service starts.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scanmend.acquire.late_recording import record_from_now_on
from scanmend.acquire.ledger import Ledger, Verdict
from scanmend.acquire.operator_part import OperatorPart, not_approved
from scanmend.acquire.reported import Reported
from scanmend.acquire.scanned import Scanned
from scanmend.acquire.session import EndAsked, Session
from scanmend.errors import InvalidInput, MalformedMessage, ProtocolError, RecordingError, RecordingNotWritable
from scanmend.plan import ScanPlan
from scanmend.record import (
    RECEIPT_NAME,
    Entry,
    EntryKind,
    JournalSettings,
    JournalWriter,
    Note,
    ProblemNote,
    create_journal,
    read_note,
    reopen_for_append,
    session_path,
)
from scanmend.settings import Settings
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import (
    Approval,
    ClientMessage,
    Enough,
    Executed,
    Hello,
    Plan,
    Proposal,
    ServiceMessage,
    decode_client,
    decode_service,
    encode,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Resumed:
    """A session as its journal tells it."""

    hello: Hello
    opened_unix_ns: int
    journal: JournalWriter
    ledger: Ledger
    plans: dict[int, ScanPlan]
    passes: int
    operator: OperatorPart
    proposals: dict[int, Proposal]
    """Those that the client has and has not answered."""
    proposals_made: int
    proposal_owed: bool
    """Whether a pass is complete, and nothing came after it: no frame, no proposal, no ENOUGH."""
    enough: Enough | None
    """What was said after the last pass in place of a proposal."""
    executed: dict[str, int]
    damage: str
    reported: Reported = field(default_factory=Reported)
    """Problems that the client had reported; whether they still stand, it says itself."""
    scanned: Scanned = field(default_factory=Scanned)
    """The frames' points, for the dose."""
    end: EndAsked | None = None
    """How it is to end, where it is closed without its client; the two doses are for its account."""
    dose_e_per_nm2: float | None = None
    dose_max_e_per_nm2: float | None = None


def check_folder(folder: Path) -> None:
    """Make the recordings folder, and see that files can be written in it.

    Raises:
        RecordingNotWritable: They cannot.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        (folder / "sessions").mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise RecordingNotWritable(
            f"The recordings folder {folder} cannot be written: {error.strerror}.",
            mend="Give the service's user the right to write there, or name another folder with --data-dir.",
        ) from error


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder; 0 where the folder is not there any more."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def has_recording(folder: Path, name: str) -> bool:
    """Whether a session of this name was recorded before."""
    return session_path(folder, name).is_dir()


def open_recording(settings: Settings, folder: Path, hello: Hello, opened_unix_ns: int) -> JournalWriter:
    """Begin the recording of a new session with its HELLO.

    Raises:
        RecordingError: It cannot be begun; the error says why.
    """
    journal = create_journal(folder, hello.session, hello.session_id, settings=_sizes(settings))
    journal.append(EntryKind.SESSION, opened_unix_ns, [encode(hello)])
    return journal


def begin_recording(settings: Settings, folder: Path, session: Session, by: str) -> None:
    """Record a session from now on that was not recorded so far.

    Raises:
        RecordingError: It cannot be begun; the error says why, and the session goes on without.
    """
    free, wanted = free_bytes(folder), settings.free_bytes + settings.segment_bytes
    if free < wanted:
        raise RecordingError(
            f"The recordings disk has {free >> 20} MiB free, {wanted >> 20} MiB are needed.",
            mend="Free some space, and ask again.",
        )
    record_from_now_on(session, open_recording(settings, folder, session.hello, session.opened_unix_ns), by)


def _sizes(settings: Settings) -> JournalSettings:
    return JournalSettings(
        segment_bytes=settings.segment_bytes, queue_bytes=settings.queue_bytes, reserve_bytes=settings.free_bytes
    )


def unfinished(folder: Path) -> Iterator[Path]:
    """Folders of sessions that have a journal and no receipt."""
    sessions = folder / "sessions"
    if not sessions.is_dir():
        return
    for path in sorted(sessions.iterdir()):
        if path.is_dir() and not path.is_symlink() and not (path / RECEIPT_NAME).exists():
            if any(path.glob("journal-*.smj")):
                yield path


def resume(settings: Settings, folder: Path, path: Path, beat: Callable[[], None] | None = None) -> Resumed:
    """Read a cut-off session from its journal, and go on writing where it stopped.

    What had become of its frames before is not in the journal: each is counted as dropped, policy
    `service_restarted`, so that the account stays whole; they are durable all the same.

    Args:
        settings: The service's.
        folder: The recordings.
        path: The session's folder.
        beat: Shows that this process lives; called with every entry, since reading a long journal takes minutes.

    Raises:
        InvalidInput: No session can have this name.
        RecordingError: There is no session in it.
    """
    reading = _Reading(path.name, beat=beat or (lambda: None))
    journal, report = reopen_for_append(folder, path.name, settings=_sizes(settings), each=reading.take)
    if reading.hello is None:
        journal.close()
        raise RecordingError(
            f"The journal of session {path.name} holds no session.",
            mend="Move its folder away; nothing in it had been acknowledged.",
        )
    lost = report.entries_lost
    damage = f"{lost} entries of the journal are damaged." if lost else ""
    reading.ledger.forget(reading.operator.forgotten_upto)
    for seq in reading.frames:  # what was read is on the disk for certain only now
        reading.ledger.make_durable(seq)
    return Resumed(
        hello=reading.hello,
        opened_unix_ns=reading.opened_unix_ns,
        journal=journal,
        ledger=reading.ledger,
        plans=reading.plans,
        passes=reading.passes,
        operator=reading.operator,
        proposals=reading.proposals,
        proposals_made=reading.proposals_made,
        proposal_owed=reading.owed and reading.hello.rescan is not None,
        enough=reading.enough,
        executed=reading.executed,
        reported=reading.reported,
        scanned=reading.scanned,
        damage=damage,
    )


@dataclass(slots=True)
class _Reading:
    """A journal's entries, taken in one after the other."""

    name: str
    beat: Callable[[], None]
    hello: Hello | None = None
    opened_unix_ns: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    plans: dict[int, ScanPlan] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)
    passes: int = 0
    operator: OperatorPart = field(default_factory=OperatorPart)
    proposals: dict[int, Proposal] = field(default_factory=dict)
    proposals_made: int = 0
    owed: bool = False
    enough: Enough | None = None
    executed: dict[str, int] = field(default_factory=dict)
    reported: Reported = field(default_factory=Reported)
    scanned: Scanned = field(default_factory=Scanned)

    def take(self, entry: Entry, head: memoryview, tail: memoryview) -> None:
        """Take in one entry; one that cannot be understood is logged and passed over."""
        self.beat()
        try:
            if entry.kind is EntryKind.FRAME:
                self._frame(FrameHeader.unpack(head, max_payload_bytes=1 << 62))
            elif entry.kind in (EntryKind.PROPOSAL, EntryKind.ENOUGH):
                self._choice(decode_service(head))
            elif entry.kind is EntryKind.NOTE and (note := read_note(head)) is not None:
                self._note(note)
            elif entry.kind in (EntryKind.SESSION, EntryKind.PLAN, EntryKind.EXECUTED):
                self._message(entry, decode_client(head))
        except (ProtocolError, InvalidInput) as error:
            log.error("%s, entry %d: %s", self.name, entry.index, error)

    def _message(self, entry: Entry, message: ClientMessage) -> None:
        match message:
            case Hello():
                self.hello, self.opened_unix_ns = message, entry.seq
                self.operator = OperatorPart.of(message)
            case Plan():
                self.plans[message.plan_id] = message.plan
            case Executed():
                held = self.operator.held
                if held is not None and held.proposal_id == message.proposal_id:
                    self.operator.settle(Approval.ACCEPTED, "")
                self.proposals.pop(message.proposal_id, None)
                self.executed[message.status] = self.executed.get(message.status, 0) + 1

    def _choice(self, message: ServiceMessage) -> None:
        match message:
            case Proposal():
                if not self.operator.read_proposal(message):
                    self.proposals[message.proposal_id] = message
                self.proposals_made += 1
                self.owed = False
            case Enough():
                self.enough, self.owed = message, False

    def _note(self, note: Note) -> None:
        if isinstance(note, ProblemNote):
            self.reported.read(note, time.monotonic())
        held, self.operator.notes = self.operator.held, self.operator.notes + 1
        passed_on = self.operator.read(note)
        if passed_on is not None:
            self.proposals[passed_on.proposal_id] = passed_on
        decided = self.operator.decided
        if held is None or self.operator.held is not None or decided is None:
            return
        if decided[1] in (Approval.DECLINED, Approval.EXPIRED):  # the ENOUGH itself may have come too late for the disk
            self.owed = False
            self.enough = not_approved(
                held, decided[1], decided[2], frames=self.ledger.highest, passes=self.passes, dose_e_per_nm2=None
            )

    def _frame(self, header: FrameHeader) -> None:
        if self.ledger.judge(header.seq, header.payload_xxh3) is not Verdict.NEW:
            raise MalformedMessage(f"Frame {header.seq} stands in the journal twice.")
        self.ledger.take(header.seq, header.payload_xxh3, header.dropped_before)
        self.ledger.dropped["service_restarted"] += 1
        self.scanned.receive(header, self.plans)
        self.frames.append(header.seq)
        self.passes = max(self.passes, header.pass_index + 1)
        self.operator.started = True
        self.owed, self.enough = header.end_of_pass, None
