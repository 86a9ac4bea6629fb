"""What a scan of a journal says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from scanmend.record.format import EntryHeader, EntryKind


class TailState(Enum):
    """How a journal stands."""

    CLEAN = "clean"
    """Every entry is whole, and nothing else is there."""
    TORN = "torn"
    """Behind the last entry lie bytes that are no whole entry: the writer died, or the power went, in one."""
    DAMAGED = "damaged"
    """Entries are known to have been there, and are gone; `ScanReport.damages` names them."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a journal."""

    state: TailState
    segment: int
    """The last segment that could be read; -1 when there is none."""
    offset: int
    """Behind the last good entry in it: where a torn tail begins."""
    torn_bytes: int
    """How many bytes lie behind the last good entry, up to the last that is not zero."""
    sealed: bool
    """Whether that segment has its seal."""
    closed: bool
    """Whether the journal was closed by its writer."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where bytes of a journal are not what was written."""

    segment: int
    offset: int
    """Where in the segment it begins."""
    length_bytes: int
    """0 where a whole segment is missing."""
    first_index: int
    last_index: int
    """The entries that are lost, both ends included; none when it is below `first_index`."""

    @property
    def entries(self) -> int:
        """How many entries are lost here."""
        return self.last_index - self.first_index + 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A good entry, and where it stands."""

    header: EntryHeader
    segment: int
    offset: int

    @property
    def kind(self) -> EntryKind:
        """What it is."""
        return self.header.kind

    @property
    def seq(self) -> int:
        """Its place in the session's stream."""
        return self.header.seq

    @property
    def index(self) -> int:
        """Its place in the journal."""
        return self.header.index


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found."""

    session_id: int | None
    """From the segment headers; None when none can be read."""
    entries: int
    """Good entries."""
    next_index: int
    """One more than the last entry's index, lost ones counted."""
    tail: Tail
    damages: tuple[Damage, ...]

    @property
    def entries_lost(self) -> int:
        """Entries that are known to have been there and are gone."""
        return sum(damage.entries for damage in self.damages)
