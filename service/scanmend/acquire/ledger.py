"""The account of every frame of a session: pure arithmetic on sequence numbers, no clocks, sockets or disks.

Each sequence number is, once and for all, one of *received*, *rejected* or *missing*; a received one may become
*durable*; and each received one has exactly one outcome: restored, passed through, or dropped by policy.
`docs/protocol.md` gives the identities that `account` checks.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

import xxhash

MAX_HOLES = 32
"""Most missing ranges that an ACK names."""

MAX_AHEAD = 1 << 16
"""Furthest that a sequence number may lie beyond the first missing one; credit keeps honest clients far below."""


class Verdict(Enum):
    """What a frame with this number and checksum is."""

    NEW = auto()
    """Not seen before: take it or reject it."""
    DUPLICATE = auto()
    """Held already with the same samples; drop it and acknowledge again."""
    CONFLICT = auto()
    """Held already with other samples; the first is kept."""
    TOO_FAR = auto()
    """So far ahead that no credit can have covered it."""


@dataclass(slots=True)
class Ledger:
    """Who has come, who is safe, who is missing.

    The numbers below `received_upto` cost 8 bytes each; only those beyond a hole cost more.

    Args:
        begin: The first number that can still come; those below are forgotten. More than 0 where a service that was
            started anew takes up a session that was not recorded.
    """

    begin: int = 0
    duplicates: int = 0
    conflicts: int = 0
    damaged: int = 0
    """Messages that failed a check and may come again."""
    received: int = 0
    dropped_by_client: int = 0
    """Sum of `dropped_before`."""
    rejected: Counter[str] = field(default_factory=Counter)
    restored_out: int = 0
    passed_through: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    live_in: int = 0
    live_out: int = 0
    live_dropped: int = 0
    _checksums: array[int] = field(default_factory=lambda: array("Q"))
    _ahead: dict[int, int] = field(default_factory=dict)
    _forgotten: list[tuple[int, int]] = field(default_factory=list)
    """Ranges `(first, last + 1)` below `received_upto` that never came and that the client cannot send any more."""
    _rejected: set[int] = field(default_factory=set)
    _durable_upto: int = 0
    _durable_ahead: set[int] = field(default_factory=set)
    _durable: int = 0
    _undurable: int = 0
    """Received frames that never will be durable."""
    unrecorded: int = 0
    """Frames received before the recording began; 0 where it began with the session."""

    def __post_init__(self) -> None:
        self.forget(self.begin)

    # What has come --------------------------------------------------------------------------------------------------

    @property
    def received_upto(self) -> int:
        """Every number below is received, rejected, or missing for good."""
        return len(self._checksums)

    @property
    def highest(self) -> int:
        """One more than the highest number seen."""
        return max(self._ahead, default=self.received_upto - 1) + 1

    @property
    def seen(self) -> int:
        """How many numbers are received, rejected, or missing for good."""
        return len(self._checksums) + len(self._ahead)

    def judge(self, seq: int, payload_xxh3: int) -> Verdict:
        """Say what a frame is, without taking it; duplicates and conflicts are counted here."""
        if seq < self.received_upto:
            known = self._checksums[seq]
        elif seq in self._ahead:
            known = self._ahead[seq]
        else:
            return Verdict.NEW if seq < self.received_upto + MAX_AHEAD else Verdict.TOO_FAR
        if known == payload_xxh3:
            self.duplicates += 1
            return Verdict.DUPLICATE
        self.conflicts += 1
        return Verdict.CONFLICT

    def take(self, seq: int, payload_xxh3: int, dropped_before: int = 0) -> None:
        """Count a new frame as received."""
        self._note(seq, payload_xxh3)
        self.received += 1
        self.dropped_by_client += dropped_before

    def reject(self, seq: int, payload_xxh3: int, code: str, dropped_before: int = 0) -> None:
        """Count a new frame as one that is never taken."""
        self._note(seq, payload_xxh3)
        self._rejected.add(seq)
        self.rejected[code] += 1
        self.dropped_by_client += dropped_before
        self._advance_durable()

    def forget(self, upto: int) -> None:
        """The client holds no frame below a number any more: those of them that have not come are missing for good."""
        for first, last in [*self.holes(), (self.highest, upto)]:
            last = min(last, upto)
            if first >= last:
                continue
            self._forgotten.append((first, last))
            self._checksums.frombytes(bytes(8 * (last - first)))
            self._close_up()
        self._advance_durable()

    def _note(self, seq: int, payload_xxh3: int) -> None:
        self._ahead[seq] = payload_xxh3
        self._close_up()

    def _close_up(self) -> None:
        while (following := len(self._checksums)) in self._ahead:
            self._checksums.append(self._ahead.pop(following))

    def holes(self) -> Iterator[tuple[int, int]]:
        """Missing ranges `(first, last + 1)` below the highest number seen, in order."""
        expected = self.received_upto
        for seq in sorted(self._ahead):
            if seq > expected:
                yield (expected, seq)
            expected = seq + 1

    # What is safe ---------------------------------------------------------------------------------------------------

    @property
    def durable(self) -> int:
        """How many received frames are on the disk."""
        return self._durable

    @property
    def durable_upto(self) -> int:
        """Every number below is on the disk or rejected."""
        return self._durable_upto

    def begin_recording(self) -> None:
        """What was received so far is in no recording; what comes from now on will be durable."""
        self.unrecorded = self.received
        self._durable_upto = self.received_upto
        self._durable_ahead = set(self._ahead) - self._rejected
        self._advance_durable()

    def make_durable(self, seq: int) -> None:
        """Note that a received frame is on the disk."""
        self._durable_ahead.add(seq)
        self._durable += 1
        self._advance_durable()

    def recording_failed(self) -> None:
        """Nothing more gets onto the disk: what was received and is not there counts as rejected."""
        lost = self.received - self.unrecorded - self._durable - self._undurable
        if lost:
            self.rejected["recording_failed"] += lost
            self._undurable += lost

    def _advance_durable(self) -> None:
        while True:
            seq = self._durable_upto
            if seq in self._durable_ahead:
                self._durable_ahead.discard(seq)
            elif seq not in self._rejected:
                behind = next((last for first, last in self._forgotten if first == seq), None)
                if behind is None:
                    return
                self._durable_upto = behind
                continue
            self._durable_upto += 1

    # The end --------------------------------------------------------------------------------------------------------

    @property
    def restored_in(self) -> int:
        """Frames that were to be restored: every one that was received."""
        return self.received

    @property
    def unanswered(self) -> int:
        """Received frames without an outcome so far."""
        return self.received - self.restored_out - self.passed_through.total() - self.dropped.total()

    def checksum(self, count: int) -> int:
        """XXH3-64 of the payload checksums of numbers 0 to `count - 1` (little-endian u64), as far as there are."""
        return int(xxhash.xxh3_64_intdigest(memoryview(self._checksums)[:count].cast("B")))

    def missing(self, count: int) -> list[tuple[int, int]]:
        """Every missing range `(first, last + 1)` of numbers 0 to `count - 1`."""
        forgotten = [(first, min(last, count)) for first, last in self._forgotten if first < count]
        return forgotten + self.awaited(count)

    def awaited(self, count: int) -> list[tuple[int, int]]:
        """Those of the missing ranges that can still come."""
        ranges = [hole for hole in self.holes() if hole[0] < count]
        if self.highest < count:
            ranges.append((self.highest, count))
        return ranges

    def balances(self, count: int, dropped: int, *, recorded: bool) -> bool:
        """Whether every identity holds for a session that ended with this count.

        Args:
            count: END's number of frames.
            dropped: END's number of frames that the client discarded itself before its last frame.
            recorded: Whether received frames must also be durable, but for those before the recording began.
        """
        gaps = sum(last - first for first, last in self.missing(count))
        kept = self._durable + self.unrecorded if recorded else self.received
        return (
            count == kept + self.rejected.total() + gaps
            and self.received == self.restored_out + self.passed_through.total() + self.dropped.total()
            and self.live_in == self.live_out + self.live_dropped
            and (gaps > 0 or dropped == self.dropped_by_client)
        )
