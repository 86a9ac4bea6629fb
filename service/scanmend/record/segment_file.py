"""One segment file while it is being read.

Everything is read with pread and never through a mapping: a live journal is cut at its clean end, and a mapped page
behind the new end would kill the reading process with SIGBUS.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import xxhash

from scanmend.record.disk import recording_error
from scanmend.record.folder import SessionFolder
from scanmend.record.format import (
    ENTRY_HEADER_BYTES,
    ENTRY_MAGIC,
    SEGMENT_HEADER_BYTES,
    EntryHeader,
    SegmentHeader,
    body_check,
    unpack_entry_header,
    unpack_segment_header,
)

_CHUNK_BYTES = 1 << 20


class SegmentFile:
    """A segment, read by position; no method raises for what the bytes are, only for a disk that does not give them.

    Args:
        folder: The session's folder.
        number: The segment.

    Raises:
        RecordingError: There is no such file, or it cannot be read.
    """

    def __init__(self, folder: SessionFolder, number: int) -> None:
        self.number = number
        try:
            self._fd = folder.open_segment(number)
        except OSError as error:
            raise recording_error(error, f"open segment {number}") from error
        self.header: SegmentHeader | None = None
        self.header_whole = False
        self.load_header()

    def load_header(self) -> bool:
        """Read the first block (again); whether it is a segment's."""
        found = unpack_segment_header(self._read(0, SEGMENT_HEADER_BYTES))
        if found is not None and found[0].number == self.number:
            self.header, self.header_whole = found
        return self.header is not None

    @property
    def size_bytes(self) -> int:
        """The file's size now."""
        return os.fstat(self._fd).st_size

    def entry_at(self, offset: int) -> EntryHeader | None:
        """The entry header at an offset, or None when there is no valid one."""
        if self.header is None:
            return None
        return unpack_entry_header(self._read(offset, ENTRY_HEADER_BYTES), self.header.salt)

    def body_is_good(self, offset: int, entry: EntryHeader) -> bool:
        """Whether the whole body is there and fits its check; reads it a megabyte at a time."""
        start = offset + ENTRY_HEADER_BYTES
        head = self._read(start, entry.head_bytes)
        digest = xxhash.xxh3_64()
        seen = 0
        for chunk in self._chunks(start + entry.head_bytes, entry.tail_bytes):
            digest.update(chunk)
            seen += len(chunk)
        whole = len(head) == entry.head_bytes and seen == entry.tail_bytes
        return whole and body_check(head, digest.intdigest()) == entry.body_check

    def body(self, offset: int, entry: EntryHeader) -> tuple[memoryview, memoryview] | None:
        """Head and tail of a body that fits its check, else None."""
        data = memoryview(self._read(offset + ENTRY_HEADER_BYTES, entry.body_bytes))
        head, tail = data[: entry.head_bytes], data[entry.head_bytes :]
        if len(data) != entry.body_bytes or body_check(head, xxhash.xxh3_64_intdigest(tail)) != entry.body_check:
            return None
        return head, tail

    def head(self, offset: int, entry: EntryHeader) -> bytes:
        """The first part of a body as it stands there, which only the body's check could vouch for."""
        return self._read(offset + ENTRY_HEADER_BYTES, entry.head_bytes)

    def next_entry(self, offset: int, least_index: int) -> tuple[int, EntryHeader] | None:
        """The first valid entry header from an offset on whose index is at least `least_index`."""
        base = offset
        for chunk in self._chunks(offset, self.size_bytes - offset):
            at = chunk.find(ENTRY_MAGIC)
            while at >= 0:
                if (base + at) % 8 == 0:
                    entry = self.entry_at(base + at)
                    if entry is not None and entry.index >= least_index:
                        return base + at, entry
                at = chunk.find(ENTRY_MAGIC, at + 1)
            base += len(chunk)
        return None

    def used_from(self, offset: int) -> int:
        """How many bytes from an offset on up to the last one that is not zero."""
        used = 0
        base = 0
        for chunk in self._chunks(offset, self.size_bytes - offset):
            stripped = chunk.rstrip(b"\0")
            if stripped:
                used = base + len(stripped)
            base += len(chunk)
        return used

    def close(self) -> None:
        """Close it; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _chunks(self, offset: int, length: int) -> Iterator[bytes]:
        """Pieces whose borders lie on multiples of 8 from `offset`, so that no aligned magic is cut in two."""
        while length > 0:
            piece = self._read(offset, min(length, _CHUNK_BYTES))
            if not piece:
                return
            yield piece
            offset += len(piece)
            length -= len(piece)

    def _read(self, offset: int, length: int) -> bytes:
        """What there is of these bytes."""
        pieces = []
        got = 0
        try:
            # A file shorter than a header claims is found out here before anything is allocated for it.
            length = min(length, max(0, self.size_bytes - offset))
            while got < length and (piece := os.pread(self._fd, length - got, offset + got)):
                pieces.append(piece)
                got += len(piece)
        except OSError as error:
            raise recording_error(error, "be read") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
