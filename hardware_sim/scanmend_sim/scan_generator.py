"""The scan generator: from a plan to timed points, within what the electronics can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import PlanError
from scanmend.field import Capabilities
from scanmend.plan import Raster, ScanPlan, Segments, Serpentine
from scanmend.plan.fit import fit

DEFAULT_CAPABILITIES = Capabilities(
    points=True,
    dwell_per_point=True,
    dwell_quantum_ns=125,
    min_dwell_ns=125,
    max_dwell_ns=8_191_875,
    max_points=1 << 24,
    blanking=True,
    settle_ns=0,
    command_ns=0,
)
"""A generator of the kind of Open Beam Interface: dwell times are a 16-bit number of 125 ns units."""


class Scan:
    """A plan as the generator runs it: every point with its time."""

    def __init__(self, plan: ScanPlan, capabilities: Capabilities) -> None:
        """Work out the times.

        Args:
            plan: A plan that `ScanGenerator.prepare` has made fit.
            capabilities: The generator's limits; gives settle, flyback, command and segment times.
        """
        self.plan = plan
        self.y, self.x = plan.y, plan.x
        dy, dx = np.diff(self.y, prepend=self.y[:1]), np.diff(self.x, prepend=self.x[:1])
        jumps = (np.abs(dx) > 1) | (np.abs(dy) > 1)
        jumps[0] = True
        settle = max(capabilities.settle_ns, plan.settle_ns)
        at = np.flatnonzero(jumps)
        far = np.abs(dx[at]) > plan.shape[1] // 2
        waits = np.full(len(at), settle, dtype=np.int64) + np.where(far, capabilities.flyback_ns, 0)
        self.jump_y, self.jump_x = dy[at].astype(np.float64), dx[at].astype(np.float64)
        self.wait_ns = int(waits.sum())
        """Time spent waiting after jumps, in nanoseconds."""
        if plan.dwell_list is None:
            self.dwell: npt.NDArray[np.int64] | None = None
            ends = np.arange(1, plan.points + 1, dtype=np.int64) * plan.dwell_ns
        else:
            self.dwell = plan.dwells_ns.astype(np.int64)
            ends = np.cumsum(self.dwell)
        self.jump_before = np.repeat(np.arange(len(at)), np.diff(np.append(at, plan.points)))
        ends += (np.cumsum(waits) + capabilities.command_ns)[self.jump_before]
        if capabilities.segment_ns:
            commanded = np.zeros(plan.points, dtype=np.int64)
            commanded[_commands_at(plan, dy, dx)] = capabilities.segment_ns
            ends += np.cumsum(commanded)
        self.ends_ns = ends
        first = at
        dwell_there = plan.dwell_ns if self.dwell is None else self.dwell[first]
        # The beam is moved when its command has been taken up, so it settles after that.
        self.jump_ns = ends[first] - dwell_there - waits

    @property
    def points(self) -> int:
        """Number of points."""
        return self.plan.points

    @property
    def duration_ns(self) -> int:
        """Time of the whole pass in nanoseconds: commands, waits and dwells."""
        return int(self.ends_ns[-1])

    def end_ns(self, point: int) -> int:
        """Give the time at which a point's dwell ends, in nanoseconds since the pass began."""
        return int(self.ends_ns[point])

    def stretch(self, first_point: int = 0, points: int | None = None) -> Stretch:
        """Give a run of points.

        Args:
            first_point: Index of its first point within the plan.
            points: How many; None for all that are left.

        Raises:
            PlanError: Outside the plan.
        """
        last = self.points if points is None else first_point + points
        if not 0 <= first_point < last <= self.points:
            raise PlanError(
                f"Points {first_point} to {last} are not in a plan of {self.points} points.",
                mend="Ask for at least one point of the plan.",
            )
        return Stretch(self, first_point, last - first_point)

    def chunks(self, points: int) -> Iterator[tuple[int, int, int]]:
        """Cut the pass into runs as they leave the detector.

        Args:
            points: Points of a run, at least 1; the last run may be shorter.

        Yields:
            First point, number of points, and the time at which the last of them ends, in nanoseconds.
        """
        for first in range(0, self.points, points):
            count = min(points, self.points - first)
            yield first, count, self.end_ns(first + count - 1)


class Stretch:
    """A run of points of a scan, with times in nanoseconds since the pass began."""

    def __init__(self, scan: Scan, first_point: int, points: int) -> None:
        """Take a run that lies inside the scan; `Scan.stretch` checks it."""
        self._scan = scan
        self._part = slice(first_point, first_point + points)
        self.first_point = first_point
        """Index of the first point within the plan."""
        self.points = points
        """Number of points."""

    @property
    def pixels(self) -> npt.NDArray[np.int32]:
        """Flat pixel indices `y * nx + x`, (n,)."""
        return self._scan.plan.pixels[self._part]

    @property
    def y(self) -> npt.NDArray[np.int32]:
        """Lines, (n,)."""
        return self._scan.y[self._part]

    @property
    def x(self) -> npt.NDArray[np.int32]:
        """Columns, (n,)."""
        return self._scan.x[self._part]

    @property
    def dwell_ns(self) -> npt.NDArray[np.int64] | int:
        """Dwell at each point, (n,), or one for all."""
        return self._scan.plan.dwell_ns if self._scan.dwell is None else self._scan.dwell[self._part]

    def middle_ns(self) -> npt.NDArray[np.float64]:
        """Middle of each dwell, (n,)."""
        return np.asarray(self._scan.ends_ns[self._part] - 0.5 * self.dwell_ns)

    def last_jumps(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give, for each point, the last jump before it.

        Returns:
            Time from the jump to the middle of the dwell in nanoseconds, and how far the jump went along y and
            along x in pixels; each (n,).
        """
        which = self._scan.jump_before[self._part]
        return (
            np.asarray(self.middle_ns() - self._scan.jump_ns[which]),
            self._scan.jump_y[which],
            self._scan.jump_x[which],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanGenerator:
    """Scan electronics."""

    capabilities: Capabilities = DEFAULT_CAPABILITIES
    """What it can run; the client announces the same to the service."""

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        """Make a plan fit: round dwell times to the quantum, keep them in range, cut what is too long.

        Args:
            plan: Any plan.

        Returns:
            The plan as it will run; the same object where nothing had to change.

        Raises:
            PlanError: The electronics cannot run such a plan at all.
        """
        return fit(plan, self.capabilities)

    def scan(self, plan: ScanPlan) -> Scan:
        """Give a prepared plan its times."""
        return Scan(plan, self.capabilities)


def _commands_at(
    plan: ScanPlan, dy: npt.NDArray[np.integer], dx: npt.NDArray[np.integer]
) -> int | npt.NDArray[np.integer]:
    """Indices of the points before which the electronics take a command: one for a block, one for each run."""
    pattern = plan.pattern
    if isinstance(pattern, Raster | Serpentine):
        return 0
    if isinstance(pattern, Segments):
        lengths = np.abs(np.frombuffer(pattern.runs, dtype="<i4")[2::3]).astype(np.int64)
        return np.asarray(np.cumsum(lengths) - lengths)
    return np.flatnonzero((dy != 0) | (np.abs(dx) != 1))
