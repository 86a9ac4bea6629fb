"""One segment file while it is being written."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence

from scanmend.record.blocks import BLOCK_BYTES, BlockWriter
from scanmend.record.disk import Buffer, JournalIO
from scanmend.record.folder import SessionFolder
from scanmend.record.format import (
    EMPTY_XXH3,
    ENTRY_HEADER_BYTES,
    EntryHeader,
    EntryKind,
    SegmentHeader,
    body_check,
    pack_entry_header,
    pack_segment_header,
)


def pack_seal(next_index: int, flags: int, salt: int) -> bytes:
    """The entry that ends a segment."""
    check = body_check(b"", EMPTY_XXH3)
    return pack_entry_header(EntryHeader(EntryKind.SEAL, flags, next_index, 0, 0, 0, time.time_ns(), check), salt)


class OpenSegment:
    """A preallocated file that entries are appended to; for one thread. Every method may raise OSError.

    Args:
        folder: The session's folder.
        io: The disk.
        session_id: Written into the header.
        number: The segment's number.
        first_index: The index of the entry that will come first.
        segment_bytes: The size to allocate; rounded up to whole blocks.
        gather_bytes: Most bytes of one write.
    """

    def __init__(
        self,
        folder: SessionFolder,
        io: JournalIO,
        *,
        session_id: int,
        number: int,
        first_index: int,
        segment_bytes: int,
        gather_bytes: int,
    ) -> None:
        self.number = number
        self.size_bytes = -(-segment_bytes // BLOCK_BYTES) * BLOCK_BYTES
        self.salt = secrets.randbits(64)
        self._io = io
        self._fd = folder.create_segment(number)
        header = SegmentHeader(session_id, number, self.salt, first_index, self.size_bytes, time.time_ns())
        try:
            io.allocate(self._fd, self.size_bytes)
            self._blocks = BlockWriter(io, self._fd, gather_bytes)
            self._blocks.write([pack_segment_header(header)])
            io.sync(self._fd)
            # A file whose name is lost in a power cut is not durable, however often it was synced itself.
            io.sync(folder.fd, metadata=True)
        except OSError:
            # Nothing was recorded in it: an empty file left behind would only take the next try's name.
            self.abandon()
            folder.remove_segment(number)
            raise

    @property
    def room_bytes(self) -> int:
        """How many bytes of entries still fit, the seal's own 64 already set aside."""
        return self.size_bytes - self._blocks.offset - ENTRY_HEADER_BYTES

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Append whole entries."""
        self._blocks.write(buffers)

    def sync(self) -> None:
        """Make durable what was written."""
        self._io.sync(self._fd)

    def seal(self, next_index: int, flags: int) -> None:
        """Mark the end, cut off what is not used, make all of it durable and close the file."""
        self.write([pack_seal(next_index, flags, self.salt)])
        self._io.truncate(self._fd, self._blocks.offset)
        self._io.sync(self._fd)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
