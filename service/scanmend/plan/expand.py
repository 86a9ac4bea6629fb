"""From a pattern to the ordered pixels it stands for.

Every rule here is exact and written down in `docs/protocol.md`, so that a client in another language visits
the same pixels in the same order. Randomness comes from SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014) used as a hash of a counter, which is vectorised easily and takes
three lines in any language.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scanmend.errors import PlanError
from scanmend.plan.patterns import (
    JitteredGrid,
    Mask,
    Order,
    Pattern,
    Points,
    RandomPixels,
    Raster,
    Segments,
    Serpentine,
    Spiral,
)

Indices = npt.NDArray[np.int32]
"""Flat pixel indices `y * nx + x`, in visiting order."""

MAX_POINTS = 1 << 28
"""Most points of one plan."""

MAX_SPIRAL_POINTS = 1 << 26
"""Most points of a spiral, those outside the field included, so that a few bytes cannot ask for hours."""

LEAST_SPIRAL_PX = 1 / 256
"""Least pitch and step of a spiral in pixels; keeps its arithmetic far from the edge of double precision."""

SPIRAL_NEWTON_STEPS = 4
"""Enough for 1e-9 pixels from the starting value at any pitch, so that other solvers find the same pixels."""

_SPIRAL_CHUNK = 1 << 16

_HASH_CHUNK = 1 << 15

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def most_points(shape: tuple[int, int]) -> int:
    """Most points of a plan on a field `(ny, nx)`, so that a short message cannot ask for all the memory."""
    return min(MAX_POINTS, max(1 << 20, 64 * shape[0] * shape[1]))


def splitmix64(seed: int, counters: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash counters to 64 random bits each: output number `counter` of SplitMix64 started at `seed`.

    Args:
        seed: 0 to 2**64 - 1.
        counters: Which outputs, starting from 0, `(n,)`.

    Returns:
        One u64 for each counter.
    """
    out = np.empty(counters.shape, dtype=np.uint64)
    for first in range(0, counters.size, _HASH_CHUNK):  # pieces that stay in the cache: three times as fast
        z = counters[first : first + _HASH_CHUNK] + np.uint64(1)
        z *= _GOLDEN
        z += np.uint64(seed)
        z ^= z >> np.uint64(30)
        z *= np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(27)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        out[first : first + _HASH_CHUNK] = z
    return out


def expand(pattern: Pattern, shape: tuple[int, int]) -> Indices:
    """Pixels of a pattern on a field, in visiting order.

    Args:
        pattern: Any pattern.
        shape: The field's `(ny, nx)`.

    Returns:
        Flat pixel indices, int32, shape `(n,)`, read-only.

    Raises:
        PlanError: The pattern is empty, malformed, or reaches outside the field.
    """
    match pattern:
        case Raster():
            pixels = _rectangle(pattern, shape)
        case Serpentine():
            pixels = _rectangle(pattern, shape, serpentine=True)
        case RandomPixels():
            pixels = _random_pixels(pattern, shape)
        case JitteredGrid():
            pixels = _jittered_grid(pattern, shape)
        case Spiral():
            pixels = _spiral(pattern, shape)
        case Segments():
            pixels = _segments(pattern, shape)
        case Mask():
            pixels = _mask(pattern, shape)
        case Points():
            pixels = _points(pattern, shape)
    if pixels.size == 0:
        raise PlanError("The plan visits no pixel.", mend="Give at least one point inside the field.")
    if pixels.size > most_points(shape):
        raise _too_many(pixels.size, shape)
    pixels.flags.writeable = False
    return pixels


def _rectangle(pattern: Raster | Serpentine, shape: tuple[int, int], *, serpentine: bool = False) -> Indices:
    ny, nx = shape
    height = pattern.height or ny - pattern.top
    width = pattern.width or nx - pattern.left
    inside = 0 <= pattern.top and 0 <= pattern.left and pattern.top + height <= ny and pattern.left + width <= nx
    if not inside or height < 1 or width < 1:
        raise PlanError(
            f"A rectangle of {height} × {width} pixels at line {pattern.top}, pixel {pattern.left} "
            f"reaches outside the field of {ny} × {nx}.",
            mend="Keep top + height ≤ ny and left + width ≤ nx.",
        )
    if (height, width) == shape and not serpentine:
        return np.arange(ny * nx, dtype=np.int32)
    lines = np.arange(pattern.top, pattern.top + height, dtype=np.int32) * np.int32(nx)
    columns = np.arange(pattern.left, pattern.left + width, dtype=np.int32)
    grid = lines[:, None] + columns[None, :]
    if serpentine:
        grid[1::2] = grid[1::2, ::-1].copy()
    return grid.reshape(-1)


def _seed(seed: int) -> int:
    if not 0 <= seed < 1 << 64:
        raise PlanError(f"The seed {seed} does not fit 64 bits.", mend="Give a seed from 0 to 2**64 - 1.")
    return seed


def _ordered(pixels: Indices, order: Order, seed: int, nx: int) -> Indices:
    """Put ascending pixels in an order; the random one sorts by the hash of the pixel index."""
    if order is Order.RASTER:
        return pixels
    if order is Order.RANDOM:
        # The seed's complement, so that the order is not the order in which random pixels were drawn.
        keys = splitmix64(_seed(seed) ^ 0xFFFFFFFFFFFFFFFF, pixels.astype(np.uint64))
        return pixels[np.argsort(keys, kind="stable")]
    y, x = np.divmod(pixels, np.int32(nx))
    backwards = np.where(y % 2 == 1, np.int32(nx - 1) - x, x)
    return pixels[np.argsort(y.astype(np.int64) * nx + backwards, kind="stable")]


def _random_pixels(pattern: RandomPixels, shape: tuple[int, int]) -> Indices:
    ny, nx = shape
    if not 1 <= pattern.count <= ny * nx:
        raise PlanError(
            f"{pattern.count} different pixels cannot be drawn from a field of {ny * nx}.",
            mend="Give a count from 1 to ny · nx.",
        )
    keys = splitmix64(_seed(pattern.seed), np.arange(ny * nx, dtype=np.uint64))
    # Most keys are far above the one that counts; looking at the others alone is ten times as fast for sparse plans.
    share = (pattern.count + 8 * math.sqrt(pattern.count) + 8) / keys.size
    near = np.flatnonzero(keys < np.uint64(int(share * 2**64))) if share < 0.5 else np.arange(keys.size)
    if near.size < pattern.count:
        near = np.arange(keys.size)
    chosen = near[np.argpartition(keys[near], pattern.count - 1)[: pattern.count]]
    return _ordered(np.sort(chosen).astype(np.int32), pattern.order, pattern.seed, nx)


def _jittered_grid(pattern: JitteredGrid, shape: tuple[int, int]) -> Indices:
    ny, nx = shape
    pitch = pattern.pitch_px
    if not (math.isfinite(pitch) and pitch >= 1):
        raise PlanError(f"A jittered grid with a pitch of {pitch} pixels.", mend="Give pitch_px of 1 or more.")
    rows, columns = max(1, round(ny / pitch)), max(1, round(nx / pitch))
    hashes = splitmix64(_seed(pattern.seed), np.arange(rows * columns, dtype=np.uint64)).reshape(rows, columns)
    top = np.arange(rows + 1, dtype=np.uint64) * np.uint64(ny) // np.uint64(rows)
    left = np.arange(columns + 1, dtype=np.uint64) * np.uint64(nx) // np.uint64(columns)
    # The upper half places the line, the lower half the pixel: floor(u32 · size / 2**32): no bias that counts.
    y = top[:-1, None] + ((hashes >> np.uint64(32)) * np.diff(top)[:, None] >> np.uint64(32))
    x = left[None, :-1] + ((hashes & np.uint64(0xFFFFFFFF)) * np.diff(left)[None, :] >> np.uint64(32))
    pixels = np.sort((y * np.uint64(nx) + x).reshape(-1)).astype(np.int32)
    return _ordered(pixels, pattern.order, pattern.seed, nx)


def _spiral(pattern: Spiral, shape: tuple[int, int]) -> Indices:
    ny, nx = shape
    pitch, step = pattern.pitch_px, pattern.step_px
    if not all(math.isfinite(length) and length >= LEAST_SPIRAL_PX for length in (pitch, step)):
        raise PlanError(
            f"A spiral with a pitch of {pitch} and a step of {step} pixels.",
            mend=f"Give both as {LEAST_SPIRAL_PX} or more.",
        )
    growth = pitch / (2 * math.pi)  # r = growth · θ
    reach = math.hypot(ny, nx) / 2 + 1
    total = math.floor(_arc_length(growth, reach / growth) / step) + 1
    expected = total * min(1.0, ny * nx / (math.pi * reach**2))
    if total > MAX_SPIRAL_POINTS or expected > most_points(shape):
        raise PlanError("The spiral has too many points.", mend="Raise pitch_px or step_px.")
    parts = []
    for first in range(0, total, _SPIRAL_CHUNK):  # in pieces, because each point takes 100 bytes on the way
        distance = np.arange(first, min(first + _SPIRAL_CHUNK, total), dtype=np.float64) * step
        theta = np.sqrt(2 * distance / growth)  # exact far from the centre; Newton steps settle the rest
        for _ in range(SPIRAL_NEWTON_STEPS):
            root = np.sqrt(1 + theta * theta)
            theta = theta - (growth / 2 * (theta * root + np.arcsinh(theta)) - distance) / (growth * root)
        x = np.floor((nx - 1) / 2 + growth * theta * np.cos(theta) + 0.5)
        y = np.floor((ny - 1) / 2 + growth * theta * np.sin(theta) + 0.5)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        parts.append((y[inside] * nx + x[inside]).astype(np.int32))
    return np.concatenate(parts)


def _arc_length(growth: float, theta: float) -> float:
    """Length of the spiral r = growth · θ from its centre to an angle."""
    return growth / 2 * (theta * math.sqrt(1 + theta * theta) + math.asinh(theta))


def _triples(data: bytes, per_item: int, name: str) -> npt.NDArray[np.int32]:
    if len(data) % (4 * per_item) or len(data) // (4 * per_item) > MAX_POINTS:
        raise PlanError(
            f"{name} holds {len(data)} bytes, which is not a whole number of items, or too many.",
            mend=f"Give {per_item} little-endian int32 values for each item.",
        )
    return np.frombuffer(data, dtype="<i4").reshape(-1, per_item)


def _outside(x: int, y: int, shape: tuple[int, int]) -> PlanError:
    ny, nx = shape
    return PlanError(
        f"The plan visits x = {x}, y = {y}, outside the field of {ny} × {nx} pixels.",
        mend="Keep 0 ≤ x < nx and 0 ≤ y < ny; positions are (x, y), arrays are (y, x).",
    )


def _too_many(points: int, shape: tuple[int, int]) -> PlanError:
    return PlanError(
        f"The plan has {points} points, the limit for this field is {most_points(shape)}.",
        mend="Split it into several plans, or stay longer at each point.",
    )


def _segments(pattern: Segments, shape: tuple[int, int]) -> Indices:
    ny, nx = shape
    x, y, length = _triples(pattern.runs, 3, "Segments.runs").T.astype(np.int64)
    last = x + length - np.sign(length)
    bad = (x < 0) | (x >= nx) | (y < 0) | (y >= ny) | (last < 0) | (last >= nx) | (length == 0)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        if length[first] == 0:
            raise PlanError(f"Segment {first} has no length.", mend="Give each segment at least one pixel.")
        raise _outside(int(last[first]), int(y[first]), shape)
    count = np.abs(length)
    if not 1 <= int(count.sum()) <= most_points(shape):
        raise _too_many(int(count.sum()), shape) if count.size else PlanError("The plan has no segment.")
    starts = np.cumsum(count) - count
    # One running sum of 32-bit steps instead of three 64-bit tables: a pixel index never needs more.
    steps = np.repeat(np.sign(length).astype(np.int32), count)
    flat = (y * nx + x).astype(np.int32)
    steps[0] = flat[0]
    steps[starts[1:]] = flat[1:] - (flat + length.astype(np.int32) - np.sign(length).astype(np.int32))[:-1]
    return np.cumsum(steps, dtype=np.int32)


def _mask(pattern: Mask, shape: tuple[int, int]) -> Indices:
    ny, nx = shape
    if len(pattern.bits) != (ny * nx + 7) // 8:
        raise PlanError(
            f"A mask of {len(pattern.bits)} bytes does not fit a field of {ny} × {nx} pixels.",
            mend=f"Give {(ny * nx + 7) // 8} bytes: one bit a pixel, zero-padded to a byte.",
        )
    bits = np.unpackbits(np.frombuffer(pattern.bits, dtype=np.uint8), count=ny * nx)
    return _ordered(np.flatnonzero(bits).astype(np.int32), pattern.order, pattern.seed, nx)


def _points(pattern: Points, shape: tuple[int, int]) -> Indices:
    ny, nx = shape
    x, y = _triples(pattern.xy, 2, "Points.xy").T
    bad = (x < 0) | (x >= nx) | (y < 0) | (y >= ny)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise _outside(int(x[first]), int(y[first]), shape)
    return np.asarray(y * np.int32(nx) + x)
