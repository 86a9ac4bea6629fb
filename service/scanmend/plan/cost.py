"""What a plan costs in time on an instrument: the one model by which plans are chosen and priced.

    duration = command + dwells + settle · jumps + flyback · far moves + segment · commands of the device

A jump is a move to a pixel that is not one of the eight neighbours; the first point is one. A far move goes over more
than half the field's width. A raster or serpentine is one command of the device, a segment is one, and of any other
pattern each stretch of pixels that follow on a neighbour along their line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities
from scanmend.plan.patterns import Raster, Segments, Serpentine

if TYPE_CHECKING:
    from scanmend.plan.scan_plan import ScanPlan

Positions = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Where a plan's time goes, in nanoseconds."""

    command_ns: int
    """Before the first sample, whatever the plan."""
    dwell_ns: int
    """All points together."""
    settle_ns: int
    """After all jumps together."""
    flyback_ns: int
    """Extra for all far moves together."""
    segment_ns: int
    """For all commands of the device together."""

    @property
    def travel_ns(self) -> int:
        """Time that another order or other runs could save: all but the dwell and the plan's own command."""
        return self.settle_ns + self.flyback_ns + self.segment_ns

    @property
    def duration_ns(self) -> int:
        """Time of the whole plan."""
        return self.command_ns + self.dwell_ns + self.travel_ns

    @classmethod
    def of(cls, plan: ScanPlan, able: Capabilities) -> Cost:
        """What a plan costs; of the plan's settle time and the instrument's, the longer one counts."""
        settle = max(plan.settle_ns, able.settle_ns)
        moves = _moves(plan) if travels(able, settle) else Moves(0, 0, 0)
        return cls.made(able, plan.total_dwell_ns, moves, settle)

    @classmethod
    def made(cls, able: Capabilities, dwell_ns: int, moves: Moves, settle_ns: int | None = None) -> Cost:
        """What dwells and moves cost.

        Args:
            able: The instrument.
            dwell_ns: Dwell of all points together.
            moves: How the beam gets from point to point.
            settle_ns: Wait after a jump; the instrument's own where None.
        """
        return cls(
            command_ns=able.command_ns,
            dwell_ns=dwell_ns,
            settle_ns=moves.jumps * (able.settle_ns if settle_ns is None else settle_ns),
            flyback_ns=moves.far * able.flyback_ns,
            segment_ns=moves.commands * able.segment_ns,
        )


@dataclass(frozen=True, slots=True)
class Moves:
    """How often the beam jumps, jumps far, and is commanded anew."""

    jumps: int
    far: int
    commands: int

    @classmethod
    def between(cls, y: Positions, first_x: Positions, last_x: Positions, width: int, commands: int) -> Moves:
        """The moves between stretches of neighbouring pixels along a line, in visiting order.

        Args:
            y: Line of each stretch, `(n,)`, at least one.
            first_x: Column at which each begins, `(n,)`.
            last_x: Column at which each ends, `(n,)`.
            width: Pixels of the field's lines.
            commands: Commands of the device.
        """
        across = np.abs(first_x[1:] - last_x[:-1])
        jumps = 1 + int(np.count_nonzero((across > 1) | (np.abs(np.diff(y)) > 1)))
        return cls(jumps, int(np.count_nonzero(across > width // 2)), commands)


def travels(able: Capabilities, settle_ns: int) -> bool:
    """Whether moves cost anything; where not, nobody needs to count them."""
    return bool(settle_ns or able.flyback_ns or able.segment_ns)


def _moves(plan: ScanPlan) -> Moves:
    pattern, width = plan.pattern, plan.shape[1]
    if isinstance(pattern, Raster | Serpentine):
        lines = plan.pixels.reshape(-1, pattern.width or width - pattern.left)
        y, ends = lines[:, 0] // np.int32(width), lines[:, [0, -1]] % np.int32(width)
        return Moves.between(y, ends[:, 0], ends[:, 1], width, commands=1)
    if isinstance(pattern, Segments):
        x, y, length = np.frombuffer(pattern.runs, dtype="<i4").reshape(-1, 3).T
        return Moves.between(y, x, x + length - np.sign(length), width, commands=x.size)
    y, x = plan.y, plan.x
    starts = np.flatnonzero((np.diff(y) != 0) | (np.abs(np.diff(x)) != 1)) + 1
    first = np.concatenate([[0], starts])
    last = np.concatenate([starts, [x.size]]) - 1
    return Moves.between(y[first], x[first], x[last], width, commands=first.size)
