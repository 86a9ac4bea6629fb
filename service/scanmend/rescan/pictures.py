"""Smoothing and binning, quick enough to be done between two passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.restoration import FloatPicture

BIN_PX = 4
"""Neighbours within squares of so many pixels share what is learned."""


def binned(picture: npt.NDArray[np.generic]) -> FloatPicture:
    """Means over squares of `BIN_PX`; what is left over at the far edges is left out."""
    side = min(BIN_PX, *picture.shape)
    ny, nx = picture.shape[0] // side, picture.shape[1] // side
    means = np.empty((ny, nx), dtype=np.float32)
    squares(picture[: ny * side, : nx * side], out=means, side=side)
    return means


def squares(picture: npt.NDArray[Any], *, out: FloatPicture, side: int = BIN_PX) -> None:
    """Write means over squares of pixels; slice after slice, which is several times as fast as a reduction.

    Args:
        picture: `(…, ny, nx)`, both multiples of the side.
        out: `(…, ny / side, nx / side)`.
        side: Of a square.
    """
    lines = picture[..., 0::side, :].astype(np.float32)
    for place in range(1, side):
        lines += picture[..., place::side, :]
    out[:] = lines[..., 0::side]
    for place in range(1, side):
        out += lines[..., place::side]
    out *= np.float32(1 / side**2)


def blurred(picture: FloatPicture) -> FloatPicture:
    """A picture smoothed over about 2 px (two box averages of 5 px along each axis), edges repeated."""
    out: FloatPicture = picture
    for _ in range(2):
        out = _box(_box(out, 0), 1)
    return out


def _box(picture: FloatPicture, axis: int) -> FloatPicture:
    """Averages of five neighbours along an axis, edges repeated."""
    along = picture if axis == 0 else picture.T
    out = np.empty_like(picture)
    summed = out if axis == 0 else out.T
    last = along.shape[0] - 1
    if last < 4:
        near = np.clip(np.arange(last + 1)[:, None] + np.arange(-2, 3), 0, last)
        summed[:] = along[near].mean(axis=1)
        return out
    inner = summed[2:-2]
    np.add(along[:-4], along[1:-3], out=inner)
    for i in range(2, 5):
        inner += along[i : last - 3 + i]
    summed[0] = 3 * along[0] + along[1] + along[2]
    summed[1] = 2 * along[0] + along[1] + along[2] + along[3]
    summed[last] = 3 * along[last] + along[last - 1] + along[last - 2]
    summed[last - 1] = 2 * along[last] + along[last - 1] + along[last - 2] + along[last - 3]
    out *= np.float32(0.2)
    return out


def enlarged(values: FloatPicture, shape: tuple[int, int], side: int = BIN_PX) -> FloatPicture:
    """A picture of a number for each square of pixels, interpolated linearly between the squares' centres.

    Args:
        values: `(⌈ny / side⌉, ⌈nx / side⌉)`.
        shape: `(ny, nx)` of the result.
        side: Of a square, in pixels.
    """
    out = values
    for axis in (1, 0):  # the lines last: they are written as they lie in memory
        along = out if axis == 0 else out.T
        before = np.diff(along, axis=0, prepend=along[:1])
        after = np.diff(along, axis=0, append=along[-1:])
        grown = np.empty((along.shape[0] * side, along.shape[1]), dtype=np.float32)
        for place in range(side):
            offset = (place + 0.5) / side - 0.5
            part = grown[place::side]
            np.multiply(before if offset < 0 else after, np.float32(offset), out=part)
            part += along
        out = grown if axis == 0 else np.ascontiguousarray(grown.T)
    return np.ascontiguousarray(out[: shape[0], : shape[1]])
