"""Bent fibres lying over each other above a skin with holes, as an electrospun mat looks in secondary electrons.

Ground truth: `fibres` (n, 3): y, x of the fibre's middle, diameter in pixels.
"""

from __future__ import annotations

import numpy as np

from scanmend_sim.specimens.base import Drawing, to_signal
from scanmend_sim.specimens.procedural.canvas import (
    Picture,
    Points,
    blur,
    coloured_noise,
    generator,
    secondary_electrons,
    smoothstep,
)

NATURAL_PIXEL_SIZE_NM = 20.0
DIAMETER_NM = 420.0
"""Median diameter of a fibre."""


def _path(rng: np.random.Generator, shape: tuple[int, int], step_px: float) -> Points:
    """Walk from outside the field across it, turning slowly: (n, 2) of (y, x)."""
    span = float(np.hypot(*shape))
    steps = int(2.4 * span / step_px)
    wander = np.cumsum(rng.standard_normal(steps))
    wander = np.convolve(wander, np.hanning(max(steps // 6, 3)) / max(steps // 12, 1), mode="same")
    turns = rng.uniform(0, 2 * np.pi) + 0.9 * (wander - wander[steps // 2]) * np.sqrt(step_px / span)
    moves = step_px * np.column_stack([np.sin(turns), np.cos(turns)])
    path = np.cumsum(moves, axis=0)
    return np.asarray(path - path[steps // 2] + rng.uniform(-0.1, 1.1, 2) * shape, dtype=np.float64)


def _lay(height: Picture, path: Points, base: Points, radius_px: float) -> None:
    """Raise the landscape to a round fibre along a path, in place."""
    ny, nx = height.shape
    direction = np.gradient(path, axis=0)
    direction /= np.maximum(np.hypot(direction[:, :1], direction[:, 1:]), 1e-9)
    across = np.arange(-radius_px, radius_px + 0.25, 0.5)
    rows = np.rint(path[:, :1] + direction[:, 1:] * across).astype(np.int64)
    cols = np.rint(path[:, 1:] - direction[:, :1] * across).astype(np.int64)
    profile = np.sqrt(np.maximum(radius_px**2 - across**2, 0.0))
    tops = (base[:, None] + profile).astype(np.float32)
    inside = (rows >= 0) & (rows < ny) & (cols >= 0) & (cols < nx)
    np.maximum.at(height.ravel(), rows[inside] * nx + cols[inside], tops[inside])


def draw(seed: int, shape: tuple[int, int], pixel_size_nm: float, *, count: float = 34) -> Drawing:
    """Draw the specimen.

    Args:
        seed: Which one.
        shape: Grid `(ny, nx)`.
        pixel_size_nm: Pixel size in nm; 10 to 40 show fibres.
        count: Number (rounded down) of fibres that cross the field.

    Returns:
        The picture and `fibres`.
    """
    rng = generator("fibres", seed, shape)
    px = pixel_size_nm
    unit = DIAMETER_NM / px
    hills = coloured_noise(rng, shape, longest_px=30 * unit, shortest_px=5 * unit, slope=1.6)
    holes = coloured_noise(rng, shape, longest_px=9 * unit, shortest_px=2.2 * unit, slope=1.6)
    open_ = smoothstep(holes, -1.15, -1.45)
    floor = -9.0 * unit + 0.8 * unit * hills - 3.0 * unit * open_
    height = floor.astype(np.float32).copy()
    middles = []
    for index in range(int(count)):
        radius = float(np.clip(0.5 * unit * rng.lognormal(0.0, 0.4), 0.8, 0.2 * min(shape)))
        path = _path(rng, shape, 0.5)
        depth = -8.0 * unit * (1.0 - (index + 1) / max(count, 1.0)) + 0.8 * unit * rng.standard_normal()
        sag = np.convolve(rng.standard_normal(len(path)), np.hanning(min(301, len(path))), mode="same")
        base = depth + 0.5 * unit * sag / max(float(np.abs(sag).max()), 1e-9)
        _lay(height, path, base, radius)
        middles.append((*path[len(path) // 2], 2 * radius))
    streaks = coloured_noise(rng, shape, longest_px=2.5 * unit, shortest_px=0.1 * unit, slope=1.2)
    ground = blur(height, 0.7) + 0.035 * unit * streaks
    lit = secondary_electrons(ground, edge=0.5, light=0.22, occlusion=0.7, reach_px=1.3 * unit)
    deep = smoothstep(height, -13.0 * unit, 1.0 * unit)
    picture = lit * (0.2 + 0.8 * deep) * (1.0 + 0.035 * streaks + 0.05 * hills)
    picture = blur(np.maximum(picture, 0.0) ** 0.9, 0.55)
    low, high = (float(np.percentile(picture, q)) for q in (0.2, 99.7))
    return Drawing(to_signal(picture, low, high), {"fibres": np.array(middles, dtype=np.float64).reshape(-1, 3)})
