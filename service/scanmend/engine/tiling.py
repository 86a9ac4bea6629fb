"""Large fields in tiles, so that memory and time grow with the number of pixels and no seam shows.

Above `TILE_PX` on a side a field is cut into tiles of one size that overlap; in the overlap one tile fades into the
next. The weights of all tiles add up to 1 in every pixel, so results are added straight into the output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scanmend.engine.runtimes import Picture
from scanmend.restoration import FloatPicture

TILE_PX = 1024
"""Largest side of a tile."""

MAX_OVERLAP_PX = 256
LEAST_OVERLAP_PX = 16
_FEW_SAMPLES = 64
_ROUND_PX = 16
"""Lengths of spans are multiples of this, which pyramids need not pad much."""

Run = Callable[[Picture, FloatPicture, FloatPicture], None]


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """One tile's place along one axis, and how much it counts there."""

    first: int
    last: int
    """One behind its last pixel."""
    weight: FloatPicture
    """`(last - first,)`; all spans' weights add up to 1 in every pixel."""


def needs_tiles(shape: tuple[int, ...]) -> bool:
    """Whether a field is larger than one tile."""
    return max(shape) > TILE_PX


def spans(length: int, overlap_px: int, tile_px: int = TILE_PX) -> list[Span]:
    """Cut an axis into spans of equal length.

    Args:
        length: Pixels along the axis.
        overlap_px: Least overlap of neighbours.
        tile_px: Greatest length of a span.
    """
    if length <= tile_px:
        return [Span(0, length, np.ones(length, dtype=np.float32))]
    count = -(-(length - overlap_px) // (tile_px - overlap_px))
    # No longer than it takes: 2048 px in three spans of 768, not of 1024, which would be twice the work.
    needed = -(-(length + (count - 1) * overlap_px) // count)
    tile_px = min(tile_px, -(-needed // _ROUND_PX) * _ROUND_PX)
    starts = [round(i * (length - tile_px) / (count - 1)) for i in range(count)]
    weights = np.ones((count, tile_px), dtype=np.float64)
    for i in range(count - 1):
        shared = starts[i] + tile_px - starts[i + 1]
        # The outer quarter of an overlap is where a tile lacks its surroundings: it counts for nothing there.
        rise = np.clip((np.arange(shared) + 0.5) / shared * 2 - 0.5, 0, 1)
        weights[i + 1, :shared] *= rise
        weights[i, tile_px - shared :] *= 1 - rise
    total = np.zeros(length)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + tile_px] += weight
    return [
        Span(start, start + tile_px, (weight / total[start : start + tile_px]).astype(np.float32))
        for start, weight in zip(starts, weights, strict=True)
    ]


def run_tiled(
    run: Run,
    picture: Picture,
    estimate: FloatPicture,
    sigma: FloatPicture,
    *,
    overlap_px: int,
    beat: Callable[[], None] = lambda: None,
    tile_px: int = TILE_PX,
) -> None:
    """Restore a field tile by tile.

    Args:
        run: Restores one tile, as `Runtime.run`.
        picture: The whole field.
        estimate: `(ny, nx)`; filled.
        sigma: `(ny, nx)`; filled.
        overlap_px: How far tiles must overlap, from the model's manifest.
        beat: Called after each tile.
        tile_px: Side of a tile.
    """
    ny, nx = picture.values.shape
    # Both tiles of an overlap need the receptive field on their side of the fade.
    overlap = min(max(2 * overlap_px, LEAST_OVERLAP_PX), MAX_OVERLAP_PX, tile_px // 2)
    estimate[:] = 0
    sigma[:] = 0
    coarse: tuple[FloatPicture, FloatPicture, int] | None = None
    for row in spans(ny, overlap, tile_px):
        for column in spans(nx, overlap, tile_px):
            place = np.s_[row.first : row.last, column.first : column.last]
            values = np.ascontiguousarray(picture.values[place])
            weight = np.ascontiguousarray(picture.weight[place])
            out = np.empty((2, *values.shape), dtype=np.float32)
            if np.count_nonzero(weight) < min(_FEW_SAMPLES, weight.size):
                coarse = _coarse(run, picture, tile_px) if coarse is None else coarse
                for half, small in zip(out, coarse[:2], strict=True):
                    half[:] = _enlarged(small, coarse[2], row, column)
            else:
                part = Picture(
                    values=values,
                    weight=weight,
                    units_per_electron=picture.units_per_electron,
                    read_variance=picture.read_variance,
                )
                run(part, out[0], out[1])
            fade = row.weight[:, None] * column.weight[None, :]
            out *= fade
            estimate[place] += out[0]
            sigma[place] += out[1]
            beat()


def _coarse(run: Run, picture: Picture, tile_px: int) -> tuple[FloatPicture, FloatPicture, int]:
    """The whole field in one tile, of larger pixels: what is known of a tile that holds next to no samples."""
    ny, nx = picture.values.shape
    factor = -(-max(ny, nx) // tile_px)
    weight = _binned(picture.weight, factor)
    signal = _binned(picture.weight * picture.values, factor)
    values = np.divide(signal, weight, out=np.zeros_like(signal), where=weight > 0)
    small = Picture(
        values=values,
        weight=weight,
        units_per_electron=picture.units_per_electron,
        read_variance=picture.read_variance,
    )
    out = np.empty((2, *values.shape), dtype=np.float32)
    run(small, out[0], out[1])
    return out[0], out[1], factor


def _binned(array: FloatPicture, factor: int) -> FloatPicture:
    ny, nx = array.shape
    rows = np.add.reduceat(array, np.arange(0, ny, factor), axis=0)
    return np.add.reduceat(rows, np.arange(0, nx, factor), axis=1)


def _enlarged(small: FloatPicture, factor: int, row: Span, column: Span) -> FloatPicture:
    lines = np.arange(row.first, row.last) // factor
    pixels = np.arange(column.first, column.last) // factor
    return small[lines[:, None], pixels[None, :]]
