"""What the entries of a journal add up to, counted so that the count can go on where it stopped.

Only headers are read, and the bodies of a few small entries: a recording of any size is counted in the time that its
number of frames takes, not its bytes. Damage inside a frame's samples therefore does not show here; `scan` finds it.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import msgspec

from scanmend.errors import DamagedRecording, ProtocolError
from scanmend.record import Entry, EntryKind, JournalReader, ModelNote, Place, RecordNote, read_note
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import (
    Enough,
    Executed,
    Hello,
    Plan,
    Proposal,
    Receipt,
    decode_client,
    decode_service,
)

ANY_SIZE = 1 << 62


class Tally(msgspec.Struct):
    """The counts of one journal up to a place in it."""

    place: Place = Place()
    session_id: int | None = None
    entries: int = 0
    entries_lost: int = 0
    """Entries that were there, as the indexes of the others tell."""
    unreadable: int = 0
    """Entries whose place is known and whose content cannot be read."""
    first_unix_ns: int | None = None
    opened_unix_ns: int | None = None
    """When the service took the session's HELLO."""
    last_unix_ns: int | None = None
    """When the last entry was written."""
    hello: bytes = b""
    receipt: bytes = b""
    """The last receipt in the journal."""
    frames: int = 0
    """Frames, each number once."""
    seqs: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """Their numbers as ranges `(first, last + 1)`, ascending."""
    payload_bytes: int = 0
    passes: int = 0
    dropped_by_client: int = 0
    dwell_ns: float = 0.0
    """Dwell summed over all points."""
    mean_dwells_ns: dict[int, float] = msgspec.field(default_factory=dict)
    """Mean dwell of a point of each plan."""
    models: list[ModelNote] = msgspec.field(default_factory=list)
    proposals: int = 0
    executed: dict[str, int] = msgspec.field(default_factory=dict)
    enough: str = ""
    recorded_from: int = 0
    """The first frame number of a recording that an operator had begun in the middle of its session."""

    @property
    def highest(self) -> int:
        """One more than the highest frame number."""
        return self.seqs[-1][1] if self.seqs else 0

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Ranges of frame numbers below the highest that are not there, of those that were to be recorded."""
        ends = [self.recorded_from] + [max(last, self.recorded_from) for _, last in self.seqs]
        firsts = [first for first, _ in self.seqs]
        return [(end, first) for end, first in zip(ends, firsts, strict=False) if end < first]

    @property
    def opening(self) -> Hello | None:
        """The session's HELLO, where it can be read."""
        message = decode_client(self.hello) if self.hello else None
        return message if isinstance(message, Hello) else None

    @property
    def account(self) -> Receipt | None:
        """The receipt in the journal, where there is one."""
        message = decode_service(self.receipt) if self.receipt else None
        return message if isinstance(message, Receipt) else None


def count(path: Path, tally: Tally | None = None) -> Tally:
    """Count a journal, or what has come since it was counted; also while it grows.

    Args:
        path: The session's folder.
        tally: What an earlier call gave; it is changed.

    Raises:
        RecordingError: There is no such folder, or the disk does not give the bytes.
    """
    tally = tally or Tally()
    with JournalReader(path, tally.place) as reader:
        for entry in reader.entries():
            _take(tally, reader, entry)
        tally.place = reader.place
        if tally.session_id is None:
            tally.session_id = reader.session_id
    return tally


def _take(tally: Tally, reader: JournalReader, entry: Entry) -> None:
    expected = tally.entries + tally.entries_lost
    tally.entries_lost += max(0, entry.index - expected)
    tally.entries += 1
    tally.last_unix_ns = entry.header.unix_ns
    if tally.first_unix_ns is None:
        tally.first_unix_ns = entry.header.unix_ns
    try:
        if entry.kind is EntryKind.FRAME:
            _frame(tally, FrameHeader.unpack(reader.head(entry), max_payload_bytes=ANY_SIZE))
        else:
            _message(tally, entry, reader)
    except (DamagedRecording, ProtocolError, ValueError):
        tally.unreadable += 1


def _frame(tally: Tally, header: FrameHeader) -> None:
    if not add_number(tally.seqs, header.seq):
        return
    tally.enough = ""
    tally.frames += 1
    tally.payload_bytes += header.payload_bytes
    tally.passes = max(tally.passes, header.pass_index + 1)
    tally.dropped_by_client += header.dropped_before
    # Of a plan with a dwell for each point, a part counts with the mean: exact again once the pass is whole.
    tally.dwell_ns += header.points * tally.mean_dwells_ns.get(header.plan_id, 0.0)


def _message(tally: Tally, entry: Entry, reader: JournalReader) -> None:
    match entry.kind:
        case EntryKind.SESSION:
            body = reader.read(entry)[0]
            decode_client(body)
            tally.hello, tally.opened_unix_ns = bytes(body), entry.seq
        case EntryKind.PLAN:
            message = decode_client(reader.read(entry)[0])
            if isinstance(message, Plan):
                dwells = message.plan.dwell_list
                mean = message.plan.total_dwell_ns / (len(dwells) // 4) if dwells else message.plan.dwell_ns
                tally.mean_dwells_ns[message.plan_id] = float(mean)
        case EntryKind.EXECUTED:
            message = decode_client(reader.read(entry)[0])
            if isinstance(message, Executed):
                tally.executed[message.status] = tally.executed.get(message.status, 0) + 1
        case EntryKind.PROPOSAL | EntryKind.ENOUGH:
            said = decode_service(reader.read(entry)[0])
            tally.proposals += isinstance(said, Proposal)
            tally.enough = said.code if isinstance(said, Enough) else ""
        case EntryKind.RECEIPT:
            body = reader.read(entry)[0]
            decode_service(body)
            tally.receipt = bytes(body)
        case EntryKind.NOTE:
            note = read_note(reader.read(entry)[0])
            if isinstance(note, RecordNote):
                tally.recorded_from = note.from_seq
            elif isinstance(note, ModelNote) and note.sha256 not in [known.sha256 for known in tally.models]:
                tally.models.append(note)


def add_number(ranges: list[tuple[int, int]], seq: int) -> bool:
    """Put a number into ascending ranges; whether it is new."""
    if ranges and ranges[-1][1] == seq:  # the next one, as nearly always
        ranges[-1] = (ranges[-1][0], seq + 1)
        return True
    at = bisect_right(ranges, (seq, 1 << 64))
    if at and ranges[at - 1][1] > seq:
        return False
    first, last = seq, seq + 1
    if at < len(ranges) and ranges[at][0] == last:
        last = ranges.pop(at)[1]
    if at and ranges[at - 1][1] == seq:
        first = ranges.pop(at - 1)[0]
        at -= 1
    ranges.insert(at, (first, last))
    return True
