"""Reading single entries of a journal, also of one that another process is still writing."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from scanmend.errors import DamagedRecording
from scanmend.record.folder import SessionFolder
from scanmend.record.format import SEGMENT_HEADER_BYTES, EntryHeader, EntryKind
from scanmend.record.report import Entry
from scanmend.record.segment_file import SegmentFile

_OPEN_FILES = 8


class Place(NamedTuple):
    """How far a journal has been read."""

    segment: int = -1
    offset: int = SEGMENT_HEADER_BYTES
    next_index: int = 0
    """Least index of what follows."""


class JournalReader:
    """Finds entries by index, and frames by seq; reads one body at a time and checks it.

    Only headers are read to find things, so a recording of any size opens fast, and damage to a body shows when that
    body is read. On a live journal `refresh` takes in what has become whole since; it neither waits for the writer
    nor disturbs it. A reader sees what is *written*; whether it is *durable* only the writer knows.

    Args:
        path: The session's folder.
        begin: Where an earlier reader of the same journal had got to; what lies before is not read again.

    Raises:
        RecordingError: There is no such folder, or the disk does not give the bytes.
    """

    def __init__(self, path: Path, begin: Place = Place()) -> None:  # noqa: B008 - a constant
        self._folder = SessionFolder.open(path)
        self._files: OrderedDict[int, SegmentFile] = OrderedDict()
        self._indexes = array("Q")
        self._segments = array("L")
        self._offsets = array("Q")
        self._frames: dict[int, int] = {}
        self._segment, self._offset, self._least = begin
        self._seal: EntryHeader | None = None
        self.refresh()

    @property
    def session_id(self) -> int | None:
        """From the first readable segment header; None while there is none."""
        for number in self._folder.segments():
            header = self._file(number).header
            if header is not None:
                return header.session_id
        return None

    @property
    def place(self) -> Place:
        """How far it has read: where another reader can go on."""
        return Place(self._segment, self._offset, self._indexes[-1] + 1 if self._indexes else self._least)

    @property
    def frame_seqs(self) -> Collection[int]:
        """The seqs of the frames, in the order in which they were recorded."""
        return self._frames.keys()

    @property
    def seal(self) -> EntryHeader | None:
        """The last segment's seal, whose index is the one that the next entry has; None where it is not sealed."""
        return self._seal

    def __len__(self) -> int:
        """How many entries are known."""
        return len(self._indexes)

    def hold(self) -> None:
        """Keep the recording from being removed until this reader is closed.

        Raises:
            RecordingError: It is just being removed.
        """
        self._folder.hold()

    def refresh(self) -> int:
        """Take in the entries that have become whole since the last time.

        Returns:
            How many.
        """
        known = len(self._indexes)
        numbers = self._folder.segments()
        for number in numbers[bisect_left(numbers, self._segment) :]:
            if number != self._segment:
                self._segment, self._offset = number, SEGMENT_HEADER_BYTES
            self._index_segment(self._file(number), has_successor=number != numbers[-1])
        return len(self._indexes) - known

    def entries(self, first_index: int = 0, *, kinds: Collection[EntryKind] | None = None) -> Iterator[Entry]:
        """Known entries from an index on, in order, without their bodies.

        Args:
            first_index: Where to begin.
            kinds: Only these; by default all.
        """
        for position in range(bisect_left(self._indexes, first_index), len(self._indexes)):
            entry = self._entry(position)
            if kinds is None or entry.kind in kinds:
                yield entry

    def read(self, entry: Entry) -> tuple[memoryview, memoryview]:
        """Head and tail of an entry: for a frame, its wire header and its payload.

        Raises:
            DamagedRecording: They do not fit their check.
        """
        body = self._file(entry.segment).body(entry.offset, entry.header)
        if body is None:
            raise _damaged(f"entry {entry.index}", entry.segment, entry.offset)
        return body

    def head(self, entry: Entry) -> bytes:
        """The head of an entry without its tail, unchecked: a frame's wire header, which carries a check of its own."""
        return self._file(entry.segment).head(entry.offset, entry.header)

    def frame(self, seq: int) -> tuple[memoryview, memoryview] | None:
        """Wire header and payload of a frame, as they were received; None when no such frame is recorded.

        Raises:
            DamagedRecording: It was recorded, and is damaged.
        """
        position = self._frames.get(seq)
        return None if position is None else self.read(self._entry(position))

    def close(self) -> None:
        """Close the files; safe to call twice."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._folder.close()

    def __enter__(self) -> JournalReader:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _index_segment(self, file: SegmentFile, *, has_successor: bool) -> None:
        self._seal = None
        if file.header is None and not file.load_header():
            return
        size = file.size_bytes
        # A segment that was cut, or that another one follows, is finished: what is not whole in it is damage.
        finished = has_successor or (file.header is not None and size < file.header.segment_bytes)
        while True:
            least = self._indexes[-1] + 1 if self._indexes else self._least
            entry = file.entry_at(self._offset)
            if entry is None or entry.index < least:
                found = file.next_entry(self._offset + 8, least) if finished else None
                if found is None:
                    return
                self._offset, entry = found
            if entry.kind is EntryKind.SEAL:
                self._seal = entry
                return
            end = self._offset + entry.stored_bytes
            # The writer copies entries in order: a whole header behind this one means that this body is there too.
            if not finished and file.entry_at(end) is None and not file.body_is_good(self._offset, entry):
                return
            if end <= size:
                self._add(entry, file.number)
            self._offset = end

    def _add(self, entry: EntryHeader, segment: int) -> None:
        if entry.kind is EntryKind.FRAME:
            self._frames.setdefault(entry.seq, len(self._indexes))
        self._indexes.append(entry.index)
        self._segments.append(segment)
        self._offsets.append(self._offset)

    def _entry(self, position: int) -> Entry:
        segment, offset = self._segments[position], self._offsets[position]
        header = self._file(segment).entry_at(offset)
        if header is None:
            raise _damaged(f"entry {self._indexes[position]}", segment, offset)
        return Entry(header, segment, offset)

    def _file(self, number: int) -> SegmentFile:
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        if len(self._files) >= _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        self._files[number] = file = SegmentFile(self._folder, number)
        return file


def _damaged(what: str, segment: int, offset: int) -> DamagedRecording:
    return DamagedRecording(
        f"The recording of {what} (segment {segment}, byte {offset}) does not fit its checksum.",
        mend="Restore the file from a copy; every other entry can still be read.",
    )
