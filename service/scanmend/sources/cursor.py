"""Where a series stands: which numbers came, which are missing, which came again, and what its clock says."""

from __future__ import annotations

import time
from dataclasses import dataclass

MANY_GAPS = 8
"""So many gaps of one point each, and next to no other, and the stream is taken to have a second reader."""

AHEAD_NS = 5_000_000_000
"""A clock that gets so far ahead of ours within a series has jumped."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What of a run of points is new."""

    skip: int
    """So many at its beginning came before."""
    missing: int
    """So many between the last run and this one never came."""


class Cursor:
    """The numbers of one series, which only grow."""

    def __init__(self) -> None:
        self.next = 0
        """The number that should come next."""
        self.gaps = 0
        self.single_gaps = 0
        """Gaps of one point."""

    def place(self, first: int, points: int) -> Placed:
        """Take a run of points, or of points known to be lost."""
        skip = min(max(0, self.next - first), points)
        missing = max(0, first - self.next)
        self.next = max(self.next, first + points)
        if missing:
            self.gaps += 1
            self.single_gaps += missing == 1
        return Placed(skip, missing)

    @property
    def every_other(self) -> bool:
        """Whether about every other point is missing, as it is where two programs read from one PUSH socket."""
        return self.gaps >= MANY_GAPS and self.single_gaps >= 0.9 * self.gaps and 2.5 * self.gaps >= self.next


class SeriesClock:
    """An instrument's clock, as far as it can be believed within one series.

    Ours takes its place, for the rest of the series, once it went backwards or ran ahead. A jump forward of a clock
    that is behind ours cannot be told from a stream that was held up, so only one ahead of ours counts.
    """

    def __init__(self) -> None:
        self._began_unix_ns = time.time_ns()
        self._began_ns = time.monotonic_ns()
        self._last_ns: int | None = None
        self._allowed_ns = AHEAD_NS
        self._believed = True

    def at(self, said_unix_ns: int | None) -> tuple[int, int]:
        """When a point was taken, in Unix nanoseconds, and by how much the clock jumped just now, mostly 0.

        Args:
            said_unix_ns: What the instrument says; None where it says nothing.
        """
        # A jump of our own wall clock in the middle of a series must not become one of the instrument's.
        now_ns = self._began_unix_ns + time.monotonic_ns() - self._began_ns
        if said_unix_ns is None or not self._believed:
            return now_ns, 0
        ahead_ns = said_unix_ns - now_ns
        if self._last_ns is None:
            self._last_ns, self._allowed_ns = said_unix_ns, max(0, ahead_ns) + AHEAD_NS
        back_ns = said_unix_ns - self._last_ns
        if back_ns < 0 or ahead_ns > self._allowed_ns:
            self._believed = False
            return now_ns, back_ns
        self._last_ns = said_unix_ns
        return said_unix_ns, 0
