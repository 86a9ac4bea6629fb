"""Dwell times that an instrument can run and a budget allows, as near to the wanted ones as can be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities
from scanmend.rescan.cells import Cells
from scanmend.rescan.policy import RescanState

Dwells = npt.NDArray[np.float32]
Quanta = npt.NDArray[np.uint32]

WORTH_A_COMMAND = 0.01
"""Share of an average pass that the budget must leave: less is not worth a command of the instrument."""

_SPREADS = 6
"""Turns in which what full pixels leave is given to others; each turn fills some more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the instrument and the budget allow."""

    total_ns: float
    """Dwell of all points together."""
    quantum_ns: int
    least_ns: int
    most_ns: int
    """Shortest and longest dwell, multiples of the quantum."""
    max_points: int
    one_dwell_ns: int | None
    """The dwell of every point, where all must have the same and some may be left out; None where each has its own."""

    @classmethod
    def of(cls, state: RescanState) -> Limits | None:
        """The limits, or None where they leave nothing."""
        able: Capabilities = state.capabilities
        quantum = able.dwell_quantum_ns
        least = -(-able.min_dwell_ns // quantum) * quantum
        most = min(able.max_dwell_ns, 0xFFFFFFFF) // quantum * quantum
        if least > most:
            return None
        sofar = float(state.dwell_ns.sum())
        usual_total = sofar / max(1, state.passes)
        total = min(usual_total, state.affordable_dwell_ns)
        if not max(least, WORTH_A_COMMAND * usual_total) <= total < math.inf:
            return None
        one_dwell = None
        if not able.dwell_per_point:
            visited = max(1, int(np.count_nonzero(state.dwell_ns)))
            usual = round(sofar / visited / max(1, state.passes) / quantum) * quantum
            one_dwell = min(max(usual, least), most)
        return cls(total, quantum, least, most, able.max_points, one_dwell)


def quantised(wanted: Dwells, limits: Limits, cells: Cells) -> Quanta | None:
    """Dwell times that the instrument can run, as near to the wanted ones as their sum allows; None for none.

    Args:
        wanted: Dwell that each of a cell's pixels shall have, in nanoseconds, `(ny, columns)`.
        limits: For all pixels together.
        cells: What is visited together.
    """
    scale, least = 1.0, limits.least_ns if limits.one_dwell_ns is None else limits.one_dwell_ns
    threshold = thresholds(cells.shape)[:, : cells.columns]
    dwell = _rounded(wanted, limits, least, threshold)
    total = cells.total(dwell)
    for _ in range(6):
        points = cells.points(dwell)
        if points > limits.max_points and limits.one_dwell_ns is None:
            # Fewer points with a longer dwell each.
            grown = max(least * 1.25, limits.total_ns / limits.max_points)
            least = min(math.ceil(grown / limits.quantum_ns) * limits.quantum_ns, limits.most_ns)
        elif total > limits.total_ns:
            scale *= limits.total_ns / total * 0.9995
        else:
            break
        dwell = _rounded(wanted * np.float32(scale), limits, least, threshold)
        total = cells.total(dwell)
    if total > limits.total_ns or cells.points(dwell) > limits.max_points:
        dwell = _cut(dwell, limits, cells)
    return dwell if dwell.any() else None


def quantised_within(wanted: Dwells, limits: Limits, cells: Cells, room: npt.NDArray[np.float64]) -> Quanta | None:
    """The same where each cell has a limit of its own; what it leaves out goes to the others, by their weight.

    Args:
        wanted: Dwell that each of a cell's pixels shall have, in nanoseconds, `(ny, columns)`.
        limits: For all pixels together.
        cells: What is visited together.
        room: Most dwell of each of a cell's pixels in nanoseconds; what is less than the shortest dwell is none.
    """
    least = limits.least_ns if limits.one_dwell_ns is None else limits.one_dwell_ns
    room = np.where(room < least, 0.0, np.floor(room / limits.quantum_ns) * limits.quantum_ns)
    total = cells.total(wanted)
    spread = np.minimum(wanted, room)
    for _ in range(_SPREADS):
        left, free = total - cells.total(spread), spread < room
        weight = cells.total(wanted * free)
        if left <= 1e-3 * total or weight <= 0:
            break
        np.minimum(spread + wanted * (left / weight), room, out=spread)
    dwell = quantised(spread.astype(np.float32), limits, cells)
    if dwell is None:
        return None
    above = dwell > room
    dwell[above] = 0 if limits.one_dwell_ns is not None else room[above].astype(np.uint32)
    return dwell if dwell.any() else None


def _rounded(wanted: Dwells, limits: Limits, least_ns: int, threshold: Dwells) -> Quanta:
    """Round each dwell up or down so that neighbourhoods keep their sum.

    Below the shortest dwell a cell is visited for that long or not at all; above it, its dwell is one of the two
    nearest multiples of the quantum. The larger one is taken where the fraction is above a threshold that is spread
    evenly over the plane (ordered dithering).
    """
    if limits.one_dwell_ns is not None:
        return np.where(wanted > threshold * np.float32(least_ns), np.uint32(least_ns), np.uint32(0))
    quantum = np.float32(limits.quantum_ns)
    dwell = wanted if limits.quantum_ns == 1 else wanted / quantum
    dwell = dwell + threshold
    np.floor(dwell, out=dwell)
    if limits.quantum_ns > 1:
        dwell *= quantum
    np.minimum(dwell, np.float32(limits.most_ns), out=dwell)
    if float(wanted.min()) < least_ns:
        short = wanted < np.float32(least_ns)
        visited = wanted > threshold * np.float32(least_ns)
        np.copyto(dwell, visited * np.float32(least_ns), where=short)
    # float32 keeps 24 bits: a multiple of the quantum above 16 ms may have been rounded off it.
    whole = dwell.astype(np.uint32)
    if limits.most_ns >= 1 << 24:
        if limits.quantum_ns > 1:
            whole -= whole % np.uint32(limits.quantum_ns)
        np.minimum(whole, np.uint32(limits.most_ns), out=whole)
    return whole


@lru_cache(maxsize=4)
def thresholds(shape: tuple[int, int]) -> Dwells:
    """Evenly spread numbers from 0 to 1, by the additive sequence of the plastic number (M. Roberts, 2018)."""
    y, x = (np.arange(extent, dtype=np.float64) for extent in shape)
    spread = (0.7548776662466927 * x[None, :] + 0.5698402909980532 * y[:, None] + 0.5) % 1.0
    made = spread.astype(np.float32)
    made.flags.writeable = False
    return made


def _cut(dwell: Quanta, limits: Limits, cells: Cells) -> Quanta:
    """Leave out cells, those with the shortest dwell first, until the plan fits."""
    flat = dwell.reshape(-1)
    order = np.argsort(flat, kind="stable")[::-1][: int(np.count_nonzero(flat))]
    pixels = cells.widths.astype(np.uint64)[order % cells.columns]
    fits = np.cumsum(flat[order] * pixels) <= limits.total_ns
    fits &= np.cumsum(pixels) <= limits.max_points
    kept = np.zeros_like(flat)
    kept[order[fits]] = flat[order[fits]]
    return kept.reshape(dwell.shape)
