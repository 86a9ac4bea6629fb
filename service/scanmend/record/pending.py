"""An entry between `append` and the disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import xxhash

from scanmend.record.disk import Buffer
from scanmend.record.format import (
    EMPTY_XXH3,
    ENTRY_HEADER_BYTES,
    EntryHeader,
    EntryKind,
    body_check,
    pack_entry_header,
    stored_bytes,
)

_COPY_BELOW_BYTES = 4096
"""A shorter first part is joined to the entry header: one buffer for the kernel instead of two."""


@dataclass(slots=True)
class PendingEntry:
    """What was handed to the journal; holds the caller's memory until it is written."""

    kind: EntryKind
    index: int
    seq: int
    parts: Sequence[Buffer]
    head_bytes: int
    tail_bytes: int
    tail_xxh3: int | None
    unix_ns: int

    @classmethod
    def of(cls, kind: EntryKind, seq: int, parts: Sequence[Buffer], tail_xxh3: int | None) -> PendingEntry:
        """Measure and time an entry; the writer gives it its index."""
        head_bytes = _nbytes(parts[0]) if parts else 0
        tail_bytes = sum(map(_nbytes, parts[1:]))
        return cls(kind, -1, seq, parts, head_bytes, tail_bytes, tail_xxh3, time.time_ns())

    @property
    def body_bytes(self) -> int:
        """Length of the body."""
        return self.head_bytes + self.tail_bytes

    @property
    def stored_bytes(self) -> int:
        """Length in the file."""
        return stored_bytes(self.body_bytes)

    def add_to(self, buffers: list[Buffer], salt: int) -> None:
        """Put header, body and padding behind what is to be written."""
        head, tail = (self.parts[0] if self.parts else b""), self.parts[1:]
        tail_xxh3 = _xxh3(tail) if self.tail_xxh3 is None else self.tail_xxh3
        header = EntryHeader(
            self.kind,
            0,
            self.index,
            self.seq,
            self.head_bytes,
            self.tail_bytes,
            self.unix_ns,
            body_check(head, tail_xxh3),
        )
        packed = pack_entry_header(header, salt)
        if self.head_bytes < _COPY_BELOW_BYTES:
            buffers.append(packed + bytes(head))
        else:
            buffers += (packed, _in_bytes(head))
        buffers.extend(_in_bytes(part) for part in tail if _nbytes(part))
        padding = self.stored_bytes - ENTRY_HEADER_BYTES - self.body_bytes
        if padding:
            buffers.append(bytes(padding))


def _nbytes(part: Buffer) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


def _in_bytes(part: Buffer) -> Buffer:
    """The same memory, its length counted in bytes."""
    if isinstance(part, memoryview) and (part.ndim != 1 or part.itemsize != 1):
        return part.cast("B")
    return part


def _xxh3(parts: Sequence[Buffer]) -> int:
    if not parts:
        return EMPTY_XXH3
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
    return digest.intdigest()
