"""One rectangle with one dwell, for instruments that run rasters, and for plans whose points would take too long."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from scanmend.rescan.dwells import Dwells, Limits, Quanta

MOST_BLOCKS = 16
"""Blocks along a side: 18 496 rectangles to choose from, in a few milliseconds; what a policy wants is smooth."""


def whole_field(limits: Limits, shape: tuple[int, int], room: npt.NDArray[np.float64] | None) -> Quanta | None:
    """The whole field once more, as long as its fullest pixel bears; None where that is too short, or too many points.

    Args:
        limits: For all pixels together.
        shape: The field's `(ny, nx)`.
        room: Most dwell of each pixel in nanoseconds; None for no such limits.
    """
    pixels = shape[0] * shape[1]
    room_ns = limits.total_ns if room is None else float(room.min())
    dwell = int(min(limits.total_ns // pixels, room_ns, limits.most_ns)) // limits.quantum_ns * limits.quantum_ns
    if dwell < limits.least_ns or pixels > limits.max_points:
        return None
    return np.full(shape, dwell, dtype=np.uint32)


def best_rectangle(wanted: Dwells, limits: Limits, room: npt.NDArray[np.float64] | None) -> Quanta | None:
    """The rectangle whose dwell agrees best with the wanted one: most of what is given there was wanted there.

    Its edges lie on square blocks, whose side is the least power of two that makes at most `MOST_BLOCKS` along a side.

    Args:
        wanted: Dwell of each pixel in nanoseconds, `(ny, nx)`.
        limits: For all pixels together.
        room: Most dwell of each pixel in nanoseconds; None for no such limits.

    Returns:
        Dwell of each pixel, 0 outside the rectangle; None where no rectangle keeps to the limits.
    """
    ny, nx = wanted.shape
    side = 1
    while side * MOST_BLOCKS < max(ny, nx):
        side *= 2
    tops, lefts = np.arange(0, ny, side), np.arange(0, nx, side)
    heights, widths = np.diff(np.append(tops, ny)), np.diff(np.append(lefts, nx))
    pixels = (heights[:, None] * widths[None, :]).astype(np.float64)
    mean = np.add.reduceat(np.add.reduceat(wanted, tops, axis=0, dtype=np.float64), lefts, axis=1) / pixels
    least_room = None if room is None else np.minimum.reduceat(np.minimum.reduceat(room, tops, axis=0), lefts, axis=1)
    best: tuple[float, int, int, int, int, int] | None = None  # served, dwell, and the rectangle in blocks
    for high in range(1, tops.size + 1):
        for wide in range(1, lefts.size + 1):
            dwell, served = _windows(mean, pixels, least_room, (high, wide), limits)
            at = int(np.argmax(served))
            if served.flat[at] > (best[0] if best else 0.0):
                row, column = divmod(at, served.shape[1])
                best = (float(served.flat[at]), int(dwell.flat[at]), row, column, high, wide)
    if best is None:
        return None
    _, dwell_ns, row, column, high, wide = best
    given = np.zeros(wanted.shape, dtype=np.uint32)
    given[row * side : (row + high) * side, column * side : (column + wide) * side] = dwell_ns
    return given


def _windows(
    mean: npt.NDArray[np.float64],
    pixels: npt.NDArray[np.float64],
    room: npt.NDArray[np.float64] | None,
    size: tuple[int, int],
    limits: Limits,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For every place of a rectangle of so many blocks: its dwell, and how much of the wanted dwell it serves."""
    inside = sliding_window_view(pixels, size)
    area = inside.sum(axis=(2, 3))
    dwell = np.minimum(limits.total_ns / area, limits.most_ns)
    if room is not None:
        np.minimum(dwell, sliding_window_view(room, size).min(axis=(2, 3)), out=dwell)
    dwell = np.floor(dwell / limits.quantum_ns) * limits.quantum_ns
    dwell[(dwell < limits.least_ns) | (area > limits.max_points)] = 0.0
    overlap = np.minimum(sliding_window_view(mean, size), dwell[:, :, None, None]) * inside
    return dwell, overlap.sum(axis=(2, 3))
