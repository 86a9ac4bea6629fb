"""Sizes of a journal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Sizes of a journal, in bytes."""

    segment_bytes: int = 64 * 2**20
    """Size of a segment file; a larger entry gets a segment of its own size."""
    queue_bytes: int = 256 * 2**20
    """Most that may wait to become durable; the caller holds credit back beyond that."""
    control_bytes: int = 8 * 2**20
    """What entries that are not frames may take beyond that: a receipt must not fail because frames wait."""
    batch_bytes: int = 8 * 2**20
    """Most between two fdatasync, so that acknowledgements come steadily (one entry may be larger)."""
    planned_bytes: int = 0
    """What the session is expected to record; it is refused at the start when the disk has not that much."""
    reserve_bytes: int = 16 * 2**20
    """Free space that a session may not begin to use."""
