"""The journal's bytes: segment header and entry header. `docs/recording.md` is their specification.

Nothing here touches a file, and nothing here knows what a body means.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import xxhash

VERSION: Final = 1
SEGMENT_MAGIC: Final = b"SMJSEG01"
ENTRY_MAGIC: Final = b"SMJE"

SEGMENT_HEADER_BYTES: Final = 4096
"""The first block of a segment; the first entry starts right after it."""
HEADER_COPY_AT: Final = (0, 2048)
"""The segment header stands in its block twice: without its salt no entry of the segment could be believed."""
ENTRY_HEADER_BYTES: Final = 64
MAX_BODY_BYTES: Final = 1 << 30
EMPTY_XXH3: Final = 0x2D06800538D394C2
"""xxh3-64 of no bytes: the tail's check of an entry that has one part."""

_SEGMENT = struct.Struct("<8sIIQQQQQq")
_ENTRY = struct.Struct("<4sBBHQQQQqQ")
_CHECK = struct.Struct("<Q")

SEGMENT_FIELDS_BYTES: Final = _SEGMENT.size + _CHECK.size


class EntryKind(IntEnum):
    """What an entry's body is; the journal does not look inside."""

    SESSION = 1
    """The client's HELLO."""
    PLAN = 2
    """A plan that the client announced."""
    FRAME = 3
    """Wire header and raw payload, exactly as received."""
    EXECUTED = 4
    """A plan as it was run."""
    PROPOSAL = 5
    """A plan that was proposed to the client."""
    END = 6
    """The client's END."""
    RECEIPT = 7
    """The account that was given to the client."""
    NOTE = 8
    """Anything else that should be found again."""
    ENOUGH = 9
    """The service's word that no further plan is proposed, and why."""
    SEAL = 255
    """The journal's own mark at a segment's clean end; it has no body and is never handed out."""


_KINDS: Final = frozenset(EntryKind)


class EntryFlag(IntEnum):
    """Bits of an entry's flags."""

    LAST_SEGMENT = 1
    """On a seal: the journal was closed here."""
    RECOVERED = 2
    """On a seal: it was set by recovery, after what stood behind the last good entry was cut off."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What the first block of a segment says."""

    session_id: int
    """The session, as on the wire."""
    number: int
    """The segment's number, as in its file name."""
    salt: int
    """Random; seeds every entry header check, so that no stale or foreign bytes can look like an entry."""
    first_index: int
    """The index of its first entry."""
    segment_bytes: int
    """How many bytes were allocated."""
    created_unix_ns: int
    """When, in nanoseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class EntryHeader:
    """The fixed part of an entry."""

    kind: EntryKind
    flags: int
    index: int
    """Position in the journal, from 0, without gaps."""
    seq: int
    """Position in the session's stream, as the caller gave it."""
    head_bytes: int
    """Length of the body's first part."""
    tail_bytes: int
    """Length of all its other parts."""
    unix_ns: int
    """When it was handed to the journal, in nanoseconds since 1970 UTC."""
    body_check: int
    """`body_check` of the body."""

    @property
    def body_bytes(self) -> int:
        """Length of the body."""
        return self.head_bytes + self.tail_bytes

    @property
    def stored_bytes(self) -> int:
        """Length of the entry in the file: header, body, zeros up to a multiple of 8."""
        return stored_bytes(self.body_bytes)


def stored_bytes(body_bytes: int) -> int:
    """How many bytes an entry with such a body takes in a segment."""
    return ENTRY_HEADER_BYTES + (body_bytes + 7 & ~7)


def body_check(head: bytes | bytearray | memoryview, tail_xxh3: int) -> int:
    """The check of a body: xxh3-64 of the head followed by the tail's own xxh3-64.

    The tail of a frame is its payload, whose checksum came with it over the wire and was verified there: the
    ingest hands it on, nothing is hashed twice, and the check holds from the instrument to the reader.
    """
    digest = xxhash.xxh3_64(head)
    digest.update(_CHECK.pack(tail_xxh3))
    return digest.intdigest()


def pack_entry_header(header: EntryHeader, salt: int) -> bytes:
    """The 64 bytes of an entry header."""
    fields = _ENTRY.pack(
        ENTRY_MAGIC,
        VERSION,
        header.kind,
        header.flags,
        header.index,
        header.seq,
        header.head_bytes,
        header.tail_bytes,
        header.unix_ns,
        header.body_check,
    )
    return fields + _CHECK.pack(xxhash.xxh3_64_intdigest(fields, seed=salt))


def unpack_entry_header(block: bytes | memoryview, salt: int) -> EntryHeader | None:
    """The entry header in these bytes, or None when they are not one of this segment."""
    if len(block) < ENTRY_HEADER_BYTES or block[:4] != ENTRY_MAGIC:
        return None
    fields = bytes(block[: _ENTRY.size])
    if _CHECK.unpack_from(block, _ENTRY.size)[0] != xxhash.xxh3_64_intdigest(fields, seed=salt):
        return None
    _, version, kind, flags, index, seq, head, tail, unix_ns, check = _ENTRY.unpack(fields)
    if version != VERSION or kind not in _KINDS or head + tail > MAX_BODY_BYTES:
        return None
    return EntryHeader(EntryKind(kind), flags, index, seq, head, tail, unix_ns, check)


def pack_segment_header(header: SegmentHeader) -> bytes:
    """The first block of a segment."""
    fields = _SEGMENT.pack(
        SEGMENT_MAGIC,
        VERSION,
        SEGMENT_HEADER_BYTES,
        header.session_id,
        header.number,
        header.salt,
        header.first_index,
        header.segment_bytes,
        header.created_unix_ns,
    )
    copy = fields + _CHECK.pack(xxhash.xxh3_64_intdigest(fields))
    block = bytearray(SEGMENT_HEADER_BYTES)
    for at in HEADER_COPY_AT:
        block[at : at + len(copy)] = copy
    return bytes(block)


def unpack_segment_header(block: bytes) -> tuple[SegmentHeader, bool] | None:
    """The segment header of a first block, and whether both its copies are whole; None when neither is."""
    good = []
    for at in HEADER_COPY_AT:
        copy = block[at : at + SEGMENT_FIELDS_BYTES]
        if len(copy) < SEGMENT_FIELDS_BYTES or copy[:8] != SEGMENT_MAGIC:
            continue
        fields = copy[: _SEGMENT.size]
        if _CHECK.unpack_from(copy, _SEGMENT.size)[0] != xxhash.xxh3_64_intdigest(fields):
            continue
        _, version, size, session, number, salt, first, allocated, created = _SEGMENT.unpack(fields)
        if version == VERSION and size == SEGMENT_HEADER_BYTES:
            good.append(SegmentHeader(session, number, salt, first, allocated, created))
    return (good[0], len(good) == len(HEADER_COPY_AT)) if good else None
