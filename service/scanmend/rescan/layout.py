"""From a map of dwells to a plan: the most compact pattern that the instrument runs, in the order that travels less."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities
from scanmend.plan import Cost, Order, ScanPlan
from scanmend.plan.cost import Moves, travels
from scanmend.rescan.dwells import Quanta

DWELL_BYTES, POINT_BYTES, RUN_BYTES = 4, 8, 12
"""What a plan takes for each dwell that is not that of all points, for each position, and for each run."""


class Form(Enum):
    """How the pixels are written down."""

    BLOCK = auto()
    """A raster or serpentine of a rectangle."""
    MASK = auto()
    POINTS = auto()
    SEGMENTS = auto()
    """Runs of neighbours with the same dwell."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The dwell of each pixel, how and in which order the pixels are visited, and what that costs."""

    dwell: Quanta
    """Nanoseconds `(ny, nx)`; 0 where a pixel is left out."""
    form: Form
    order: Order
    """Raster, or serpentine."""
    cost: Cost

    @classmethod
    def cheapest(cls, dwell: Quanta, able: Capabilities) -> Layout:
        """Lay out a map that has at least one dwell; serpentine only where that takes less time than line by line."""
        form, total = _form(dwell, able), int(dwell.sum(dtype=np.uint64))
        if not travels(able, able.settle_ns):
            return cls(dwell, form, Order.RASTER, Cost.made(able, total, Moves(0, 0, 0)))
        found = [
            cls(dwell, form, order, Cost.made(able, total, _moves(dwell, form, order)))
            for order in (Order.RASTER, Order.SERPENTINE)
        ]
        return min(found, key=lambda layout: layout.cost.duration_ns)  # the first of two alike

    @property
    def size_bytes(self) -> int:
        """How many bytes the plan's lists take in a message; the few words around them are not counted."""
        longest = int(self.dwell.max())
        alike = int(self.dwell.min(where=self.dwell > 0, initial=longest)) == longest
        visited = int(np.count_nonzero(self.dwell))
        dwells = 0 if alike else DWELL_BYTES * visited
        match self.form:
            case Form.BLOCK:
                return dwells
            case Form.MASK:
                return dwells + -(-self.dwell.size // 8)
            case Form.POINTS:
                return dwells + POINT_BYTES * visited
            case Form.SEGMENTS:
                return dwells + RUN_BYTES * _runs(self.dwell, self.form, self.order)[0].size

    def plan(self) -> ScanPlan:
        """The plan, checked."""
        ny, nx = self.dwell.shape
        seen = _as_the_beam_goes(self.dwell, self.form, self.order)
        times = seen.reshape(-1) if seen.all() else seen[seen > 0]
        given: int | npt.NDArray[np.uint32] = int(times[0]) if bool((times == times[0]).all()) else times
        match self.form:
            case Form.BLOCK:
                make = ScanPlan.raster if self.order is Order.RASTER else ScanPlan.serpentine
                if times.size == seen.size:
                    return make((ny, nx), given)
                lines, columns = (np.flatnonzero(self.dwell.any(axis=axis)) for axis in (1, 0))
                top, left = int(lines[0]), int(columns[0])
                return make((ny, nx), given, top=top, left=left, height=lines.size, width=columns.size)
            case Form.MASK:
                return ScanPlan.mask(self.dwell > 0, given, order=self.order)
            case Form.POINTS:
                y, x = np.nonzero(seen)
                x = np.where(_backwards(self.dwell, self.form, self.order)[y], nx - 1 - x, x)
                return ScanPlan.point_list((ny, nx), given, xy=np.stack([x, y], axis=1))
            case Form.SEGMENTS:
                line, first, last = _runs(self.dwell, self.form, self.order)
                length = last - first + np.where(last < first, -1, 1)  # a single pixel runs to the right
                return ScanPlan.segments((ny, nx), given, runs=np.stack([first, line, length], axis=1))


def _form(dwell: Quanta, able: Capabilities) -> Form:
    visited = int(np.count_nonzero(dwell))
    alike = able.points or bool((dwell == dwell.reshape(-1)[0]).all())
    if visited == dwell.size and alike:
        return Form.BLOCK
    if able.rectangles and _is_rectangle(dwell, visited):
        return Form.BLOCK
    if not able.points:
        return Form.SEGMENTS
    # Eight bytes a point against one bit a pixel.
    return Form.POINTS if visited * 64 < dwell.size else Form.MASK


def _is_rectangle(dwell: Quanta, visited: int) -> bool:
    """Whether all that is visited is a rectangle with one dwell."""
    lines, columns = np.flatnonzero(dwell.any(axis=1)), np.flatnonzero(dwell.any(axis=0))
    inside = dwell[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]
    return inside.size == visited and bool((inside == inside[0, 0]).all())


def _backwards(dwell: Quanta, form: Form, order: Order) -> npt.NDArray[np.bool_]:
    """Which lines are visited from right to left, `(ny,)`: of a mask the odd ones, else every second visited one."""
    backwards = np.zeros(dwell.shape[0], dtype=bool)
    if order is Order.SERPENTINE:
        if form is Form.MASK:
            backwards[1::2] = True
        else:
            backwards[np.flatnonzero(dwell.any(axis=1))[1::2]] = True
    return backwards


def _as_the_beam_goes(dwell: Quanta, form: Form, order: Order) -> Quanta:
    """The map with the lines turned around that are visited backwards: read line by line, it is in visiting order."""
    if order is Order.RASTER:
        return dwell
    backwards = _backwards(dwell, form, order)
    seen = dwell.copy()
    seen[backwards] = dwell[backwards, ::-1]
    return seen


def _runs(
    dwell: Quanta, form: Form, order: Order
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Line, first and last column of each stretch of neighbours along a line, in visiting order, each `(n,)`."""
    ny, nx = dwell.shape
    seen = _as_the_beam_goes(dwell, form, order)
    if form is not Form.SEGMENTS:
        seen = (seen > 0).astype(np.uint8)
    ends = np.ones((ny, nx + 1), dtype=bool)  # before each pixel of a line, and after its last
    ends[:, 1:-1] = seen[:, 1:] != seen[:, :-1]
    visited = seen > 0
    starts = np.flatnonzero(ends[:, :-1] & visited).astype(np.int32)
    stops = np.flatnonzero(ends[:, 1:] & visited).astype(np.int32)
    y = starts // np.int32(nx)
    first, last = starts - y * np.int32(nx), stops - y * np.int32(nx)
    turned = _backwards(dwell, form, order)[y]
    return y, np.where(turned, np.int32(nx - 1) - first, first), np.where(turned, np.int32(nx - 1) - last, last)


def _moves(dwell: Quanta, form: Form, order: Order) -> Moves:
    y, first, last = _runs(dwell, form, order)
    return Moves.between(y, first, last, dwell.shape[1], commands=1 if form is Form.BLOCK else y.size)
