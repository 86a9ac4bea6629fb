"""Atomic columns of several plane symmetries, with vacancies, dopants, strain and grain boundaries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanmend_sim.specimens.procedural.canvas import add_spots, blur, coloured_noise, smoothstep

Picture = NDArray[np.float32]
Points = NDArray[np.float64]

CELLS: dict[str, tuple[tuple[float, float], tuple[tuple[float, float, float], ...]]] = {
    # (b over a, angle in degrees), then the columns of the cell: (along a, along b, brightness)
    "square": ((1.0, 90.0), ((0, 0, 1.0),)),
    "rock salt": ((1.0, 90.0), ((0, 0, 1.0), (0.5, 0.5, 0.45))),
    "perovskite": ((1.0, 90.0), ((0, 0, 1.0), (0.5, 0.5, 0.6), (0.5, 0, 0.12), (0, 0.5, 0.12))),
    "rectangular": ((1.4, 90.0), ((0, 0, 1.0), (0.5, 0.5, 0.7))),
    "hexagonal": ((1.0, 60.0), ((0, 0, 1.0),)),
    "honeycomb": ((1.0, 60.0), ((1 / 3, 1 / 3, 1.0), (2 / 3, 2 / 3, 1.0))),
    "dichalcogenide": ((1.0, 60.0), ((1 / 3, 1 / 3, 1.0), (2 / 3, 2 / 3, 0.4))),
    "dumbbells": ((1.41, 90.0), ((0, 0, 1.0), (0.25, 0, 1.0), (0.5, 0.5, 1.0), (0.75, 0.5, 1.0))),
    "oblique": ((1.2, 75.0), ((0, 0, 1.0),)),
}


def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """Draw one or several grains on a support, in float32 (ny, nx)."""
    name = list(CELLS)[int(rng.integers(len(CELLS)))]
    constant_px = float(np.exp(rng.uniform(np.log(5.0), np.log(40.0))))
    seeds = rng.uniform(-0.1, 1.1, (int(rng.choice([1, 1, 2, 3, 5])), 2)) * shape
    columns, heights = [], []
    for number in range(len(seeds)):
        places, bright = _grain(rng, name, shape, constant_px)
        owner = np.argmin(((places[:, None, :] - seeds[None]) ** 2).sum(2), 1)
        columns.append(places[owner == number])
        heights.append(bright[owner == number])
    places, bright = np.concatenate(columns), np.concatenate(heights)
    kept = rng.random(len(places)) >= rng.choice([0.0, 0.01, 0.06])
    doped = rng.random(len(places)) < rng.choice([0.0, 0.02, 0.1])
    bright = np.where(doped, bright * float(rng.uniform(0.4, 2.2)), bright)
    bright = bright * (1 + 0.06 * rng.standard_normal(len(bright)))
    places, bright = places[kept], bright[kept]
    places = places + 0.02 * constant_px * rng.standard_normal(places.shape)
    picture = np.zeros(shape, np.float32)
    spread_px = constant_px * float(rng.uniform(0.09, 0.22))
    add_spots(picture, places, bright, max(spread_px, 0.8))
    if rng.random() < 0.35:  # an edge, and vacuum or support beyond it
        hills = coloured_noise(rng, shape, longest_px=0.8 * max(shape), shortest_px=30.0, slope=2.0)
        picture *= smoothstep(hills, -0.1, 0.1)
    if rng.random() < 0.7:  # thickness, contamination, background
        hills = coloured_noise(rng, shape, longest_px=max(shape), shortest_px=40.0, slope=1.5)
        picture = picture * (1 + 0.15 * hills) + float(rng.uniform(0.0, 0.3)) * hills
    if rng.random() < 0.5:
        picture = picture + float(rng.uniform(0.01, 0.08)) * coloured_noise(
            rng, shape, longest_px=12.0, shortest_px=2.0, slope=0.5
        )
    return blur(picture, float(rng.uniform(0.0, 0.8)))


def _grain(rng: np.random.Generator, name: str, shape: tuple[int, int], constant_px: float) -> tuple[Points, Points]:
    """Columns of one grain over the whole field: (n, 2) of (y, x) in pixels, and their brightness."""
    (ratio, degrees), motif = CELLS[name]
    turn, angle = float(rng.uniform(0, 2 * np.pi)), np.deg2rad(degrees)
    a = constant_px * np.array([np.sin(turn), np.cos(turn)])
    b = constant_px * ratio * np.array([np.sin(turn + angle), np.cos(turn + angle)])
    reach = int(np.hypot(*shape) / (constant_px * np.sin(angle))) + 2
    steps = np.arange(-reach, reach + 1)
    n, m = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
    middle = np.array(shape) / 2 + rng.uniform(0, 1) * a + rng.uniform(0, 1) * b
    places = np.concatenate([(n + u)[:, None] * a + (m + v)[:, None] * b + middle for u, v, _ in motif])
    bright = np.repeat([height for _, _, height in motif], len(n))
    inside = np.all((places > -constant_px) & (places < np.array(shape) + constant_px), 1)
    places, bright = places[inside], bright[inside]
    if rng.random() < 0.5:  # strain: a slow wave of displacement
        wave = rng.uniform(-2 * np.pi, 2 * np.pi, 2) / np.array(shape)
        bend = np.sin(places @ wave + rng.uniform(0, 2 * np.pi))[:, None]
        places = places + bend * rng.uniform(-0.5, 0.5, 2) * constant_px
    return places, bright
