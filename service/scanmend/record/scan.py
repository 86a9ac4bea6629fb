"""Reading a journal from end to end: what is in it, what is damaged, how it ends.

- An entry is good when its header check (seeded with the segment's salt) and its body check fit, and its index does
  not fall back behind the one before.
- Behind bytes that are not a good entry, the next valid header is searched. If one follows, what lies between is
  damage, and its index tells which entries are lost. If none follows, the journal ends there with a torn tail.
- A seal and a segment header carry the index of the next entry too, so the loss of a segment's last entry shows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from scanmend.errors import RecordingError
from scanmend.record.folder import SessionFolder
from scanmend.record.format import SEGMENT_HEADER_BYTES, EntryFlag, EntryHeader, EntryKind
from scanmend.record.report import Damage, Entry, ScanReport, Tail, TailState
from scanmend.record.segment_file import SegmentFile

_WHOLE_BELOW_BYTES = 64 * 2**20
"""Bodies up to this are read once and kept for `Scan.body`; larger ones are checked a megabyte at a time."""


class _Place(NamedTuple):
    segment: int
    offset: int
    length_bytes: int


class Scan:
    """Iterates over the good entries of a journal once; afterwards `report` tells the rest.

    Memory is bounded by the largest entry or 64 MiB, whichever is less. Use it in a `with` block.

    Args:
        folder: The session's folder, which stays the caller's.
    """

    def __init__(self, folder: SessionFolder) -> None:
        self._folder = folder
        self._file: SegmentFile | None = None
        self._body: tuple[int, tuple[memoryview, memoryview]] | None = None
        self._session_id: int | None = None
        self._entries = 0
        self._expected = 0
        self._suspect: _Place | None = None
        self._damages: list[Damage] = []
        self._segment = -1
        self._good_end = 0
        self._seal_flags: int | None = None
        self._numbers = folder.segments()
        self._walk = self._journal()

    def __iter__(self) -> Iterator[Entry]:
        """The good entries, in order; a second iteration goes on where the first one stopped."""
        return self._walk

    def body(self, entry: Entry) -> tuple[memoryview, memoryview]:
        """Head and tail of the entry that the iteration has just given.

        Raises:
            RecordingError: The iteration is elsewhere by now.
        """
        if self._body is not None and self._body[0] == entry.index:
            return self._body[1]
        if self._file is not None and self._file.number == entry.segment:
            found = self._file.body(entry.offset, entry.header)
            if found is not None:
                return found
        raise RecordingError("The scan is past this entry.", mend="Read it with a JournalReader.")

    @property
    def report(self) -> ScanReport:
        """What was found; it first goes through what the iteration has left."""
        for _ in self._walk:
            continue
        torn = self._suspect is not None
        lost = any(damage.entries for damage in self._damages)
        state = TailState.DAMAGED if lost else TailState.TORN if torn else TailState.CLEAN
        tail = Tail(
            state=state,
            segment=self._segment,
            offset=self._good_end,
            torn_bytes=0 if self._suspect is None else self._suspect.length_bytes,
            sealed=self._seal_flags is not None,
            closed=bool((self._seal_flags or 0) & EntryFlag.LAST_SEGMENT),
        )
        return ScanReport(self._session_id, self._entries, self._expected, tail, tuple(self._damages))

    def close(self) -> None:
        """Close the file that is open; safe to call twice."""
        self._walk.close()
        self._body = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Scan:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    # ---- the walk ---------------------------------------------------------------------------------------------

    def _journal(self) -> Generator[Entry, None, None]:
        before = -1
        for number in self._numbers:
            if number != before + 1:
                self._doubt(_Place(before + 1, 0, 0))  # a segment is missing
            before = number
            self._file = SegmentFile(self._folder, number)
            header = self._file.header
            foreign = header is not None and self._session_id not in (None, header.session_id)
            if header is None or foreign:
                used = self._file.used_from(0)
                if used:  # a blank one was being made when the power went
                    self._doubt(_Place(number, 0, used))
            else:
                self._session_id = header.session_id
                self._segment, self._good_end, self._seal_flags = number, SEGMENT_HEADER_BYTES, None
                if not self._file.header_whole:
                    self._damages.append(Damage(number, 0, SEGMENT_HEADER_BYTES, self._expected, self._expected - 1))
                self._settle(header.first_index, _Place(number, 0, 0))
                yield from self._entries_of(self._file)
            self._file.close()
            self._file = None

    def _entries_of(self, file: SegmentFile) -> Generator[Entry, None, None]:
        offset = SEGMENT_HEADER_BYTES
        while True:
            entry = file.entry_at(offset)
            if entry is None or entry.index < self._expected:
                found = file.next_entry(offset + 8, self._expected)
                if found is None:
                    used = file.used_from(offset)
                    if used:
                        self._doubt(_Place(file.number, offset, used))
                    return
                self._doubt(_Place(file.number, offset, found[0] - offset))
                offset, entry = found
            if entry.kind is EntryKind.SEAL:
                self._settle(entry.index, _Place(file.number, offset, 0))
                self._good_end, self._seal_flags = offset + entry.stored_bytes, entry.flags
                return
            if self._check(file, offset, entry):
                self._settle(entry.index, _Place(file.number, offset, 0))
                self._expected = entry.index + 1
                self._good_end = offset + entry.stored_bytes
                self._entries += 1
                yield Entry(entry, file.number, offset)
            else:
                self._doubt(_Place(file.number, offset, min(entry.stored_bytes, file.size_bytes - offset)))
            offset += entry.stored_bytes

    def _check(self, file: SegmentFile, offset: int, entry: EntryHeader) -> bool:
        self._body = None
        if entry.body_bytes > _WHOLE_BELOW_BYTES:
            return file.body_is_good(offset, entry)
        body = file.body(offset, entry)
        if body is None:
            return False
        self._body = (entry.index, body)
        return True

    def _doubt(self, place: _Place) -> None:
        """Remember the first bytes that were not good since the last that were; what they were shows later."""
        if self._suspect is None:
            self._suspect = place
        elif self._suspect.segment == place.segment:
            end = max(self._suspect.offset + self._suspect.length_bytes, place.offset + place.length_bytes)
            self._suspect = _Place(place.segment, self._suspect.offset, end - self._suspect.offset)

    def _settle(self, index: int, here: _Place) -> None:
        """Something good follows and carries this index: what lies before it was damage, or nothing."""
        if self._suspect is not None or index > self._expected:
            place = self._suspect or here
            last = max(index, self._expected) - 1
            self._damages.append(Damage(place.segment, place.offset, place.length_bytes, self._expected, last))
        self._expected = max(index, self._expected)
        self._suspect = None


class _OwningScan(Scan):
    """A scan that closes its folder as well."""

    def close(self) -> None:
        super().close()
        self._folder.close()


def scan(path: Path) -> Scan:
    """Read the journal in a session's folder.

    ::

        with scan(path) as journal:
            for entry in journal:
                if entry.kind is EntryKind.FRAME:
                    header, payload = journal.body(entry)
            print(journal.report)

    Raises:
        RecordingError: There is no such folder, or the disk does not give the bytes.
    """
    return _OwningScan(SessionFolder.open(path))
