"""Stained tissue: cell processes with membranes, mitochondria, vesicles, reticulum and myelin.

Heavy-metal stain scatters: membranes are bright in a dark-field or backscatter picture (`contrast="bright"`)
and dark in a bright-field one.
Ground truth, (y, x) in pixels first: `mitochondria` (n, 4): y, x, half length, radius; `vesicles` (n, 3): y, x, radius.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend_sim.specimens.base import Drawing, to_signal
from scanmend_sim.specimens.procedural.canvas import (
    Picture,
    Points,
    add_spots,
    blur,
    coloured_noise,
    generator,
    scattered,
    smoothstep,
)

NATURAL_PIXEL_SIZE_NM = 6.0
PROCESS_NM = 620.0
"""Mean distance of neighbouring cell processes."""

_CLEAR, _TERMINAL, _DENDRITE, _MYELIN = range(4)


def _processes(
    rng: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float
) -> tuple[npt.NDArray[np.int32], Picture, Picture, int]:
    """Cut the field into processes: a power diagram of scattered seeds, bent by smooth noise.

    Returns:
        The process of each pixel, the distance to its border in nm (true near the border), the same without
        ridges in the middle of a process, and the number of processes.
    """
    grain = PROCESS_NM / pixel_size_nm
    warp = [coloured_noise(rng, shape, longest_px=1.5 * grain, shortest_px=0.25 * grain, slope=1.8) for _ in range(2)]
    yy = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.16 * grain) * warp[0]
    xx = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(0.16 * grain) * warp[1]
    seeds = scattered(rng, shape, grain, jitter=1.0)
    power = (0.55 * grain * rng.random(len(seeds)) ** 2) ** 2
    best = np.full(shape, np.inf, dtype=np.float32)
    second = np.full(shape, np.inf, dtype=np.float32)
    owner, runner_up = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    reach = 2.6 * grain
    for index, (y, x) in enumerate(seeds):
        rows = slice(max(int(y - reach), 0), max(int(y + reach), 0))
        cols = slice(max(int(x - reach), 0), max(int(x + reach), 0))
        gone = (yy[rows, cols] - np.float32(y)) ** 2 + (xx[rows, cols] - np.float32(x)) ** 2 - np.float32(power[index])
        if gone.size == 0:
            continue
        first, then = best[rows, cols], second[rows, cols]
        wins, places = gone < first, gone < then
        second[rows, cols] = np.where(wins, first, np.where(places, gone, then))
        runner_up[rows, cols] = np.where(wins, owner[rows, cols], np.where(places, index, runner_up[rows, cols]))
        best[rows, cols] = np.where(wins, gone, first)
        owner[rows, cols] = np.where(wins, index, owner[rows, cols])
    between = np.hypot(*(seeds[owner] - seeds[runner_up]).transpose(2, 0, 1)).astype(np.float32)
    border = (second - best) / np.maximum(2.0 * between, 1e-3)
    # The bending stretches the diagram; dividing by the slope turns its distance back into one on the picture.
    near = border / np.clip(blur(np.hypot(*np.gradient(border)), 1.5), 0.35, 2.0)
    border, near = (np.minimum(each, 4 * grain) * np.float32(pixel_size_nm) for each in (border, near))
    return owner, near, border, len(seeds)


def _line(distance_nm: Picture, at_nm: float, width_nm: float) -> Picture:
    return np.asarray(np.exp(-0.5 * ((distance_nm - at_nm) / width_nm) ** 2), dtype=np.float32)


def _mitochondria(
    rng: np.random.Generator,
    stain: Picture,
    inside_nm: Picture,
    kinds: Picture,
    pixel_size_nm: float,
) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Draw mitochondria (two membranes, matrix, cristae) where there is room for them, in place."""
    ny, nx = stain.shape
    wanted = int(np.clip(ny * nx * (pixel_size_nm / 900.0) ** 2, 1, 400))
    drawn: list[tuple[float, float, float, float]] = []
    taken = np.zeros(stain.shape, dtype=bool)
    for y, x in rng.random((60 * wanted, 2)) * (ny, nx):
        if len(drawn) >= wanted:
            break
        room = float(inside_nm[int(y), int(x)])
        if room < 130.0 or kinds[int(y), int(x)] == _CLEAR or taken[int(y), int(x)]:
            continue
        radius = min(rng.uniform(100.0, 190.0), room - 40.0)
        half_length = min(rng.uniform(0.1, 2.2) * radius, max(room - radius, 0.0) + 0.6 * radius)
        reach = int((radius + half_length + 60.0) / pixel_size_nm) + 2
        rows, cols = (
            slice(max(int(y) - reach, 0), int(y) + reach + 1),
            slice(max(int(x) - reach, 0), int(x) + reach + 1),
        )
        dy = (np.arange(rows.start, min(rows.stop, ny)) - y)[:, None].astype(np.float32) * pixel_size_nm
        dx = (np.arange(cols.start, min(cols.stop, nx)) - x)[None, :].astype(np.float32) * pixel_size_nm
        turn, bend = rng.uniform(0, np.pi), rng.uniform(-0.0012, 0.0012)
        along, across = dy * np.sin(turn) + dx * np.cos(turn), dy * np.cos(turn) - dx * np.sin(turn)
        across = across + bend * along * along
        wobble = 1.0 + 0.07 * np.sin(along / radius * 2.0 + rng.uniform(0, 6)) + 0.05 * np.sin(across / radius * 3.0)
        depth = radius * wobble - np.hypot(np.maximum(np.abs(along) - half_length, 0.0), across)
        body = depth > -12.0
        if np.any(taken[rows, cols] & body) or float(inside_nm[rows, cols][body].min(initial=1e9)) < 14.0:
            continue
        taken[rows, cols] |= body
        wave = (
            along / rng.uniform(42, 60) + 0.9 * np.sin(across / 70.0 + rng.uniform(0, 6)) + 0.3 * np.sin(along / 90.0)
        )
        fold = np.abs(np.sin(np.pi * wave)) * 24.0
        reaching = smoothstep(depth, 16.0, 34.0) * smoothstep(
            np.sin(across / 55.0 + 2.1 * np.floor(wave)) + 0.9, 0, 0.5
        )
        patch = 0.30 + 0.33 * _line(fold.astype(np.float32), 0.0, 6.5) * reaching
        patch += 0.5 * _line(depth, 2.0, 6.5) + 0.38 * _line(depth, 22.0, 6.0)
        into = smoothstep(depth, -12.0, -2.0)
        stain[rows, cols] = stain[rows, cols] * (1 - into) + patch * into
        drawn.append((y, x, half_length / pixel_size_nm, radius / pixel_size_nm))
    return np.array(drawn, dtype=np.float64).reshape(-1, 4), taken


def draw(seed: int, shape: tuple[int, int], pixel_size_nm: float, *, contrast: str = "dark") -> Drawing:
    """Draw the specimen.

    Args:
        seed: Which one.
        shape: Grid `(ny, nx)`.
        pixel_size_nm: Pixel size in nm; 4 to 12 show membranes and organelles.
        contrast: `dark` membranes on a light ground (bright field), or `bright` ones (dark field, backscatter).

    Returns:
        The picture, `mitochondria` and `vesicles`.
    """
    rng = generator("cells", seed, shape)
    owner, border_nm, depth_nm, count = _processes(rng, shape, pixel_size_nm)
    kind_of = rng.choice(4, count, p=[0.24, 0.4, 0.28, 0.08])
    kinds = kind_of[owner].astype(np.float32)
    sheath_nm = np.where(kinds == _MYELIN, np.float32(110.0), np.float32(0.0))
    inside_nm = depth_nm - sheath_nm

    px = pixel_size_nm
    grains = coloured_noise(rng, shape, longest_px=70 / px, shortest_px=9 / px, slope=0.5)
    clouds = coloured_noise(rng, shape, longest_px=500 / px, shortest_px=60 / px, slope=1.2)
    tone = rng.normal(0.17, 0.03, count) + np.where(kind_of == _CLEAR, -0.05, 0.0)
    stain = tone[owner].astype(np.float32) + 0.032 * grains + 0.02 * clouds

    # Endoplasmic reticulum: pairs of membranes along level lines of a smooth field, in some places.
    field = coloured_noise(rng, shape, longest_px=260 / px, shortest_px=60 / px, slope=1.5)
    steep = np.hypot(*np.gradient(field)) / px
    level_nm = np.abs(field - 0.4) / np.maximum(steep, 1e-4)
    presence = smoothstep(clouds, 0.3, 0.9) * smoothstep(inside_nm, 40.0, 90.0) * (kinds != _CLEAR)
    stain += 0.26 * presence * _line(level_nm.astype(np.float32), 17.0, 6.0)

    dots = scattered(rng, shape, 52.0 / px, jitter=1.0)
    rows, cols = (np.clip(dots[:, k], 0, shape[k] - 1).astype(int) for k in (0, 1))
    chance = np.where(kinds[rows, cols] == _DENDRITE, 0.35, 0.1) * (inside_nm[rows, cols] > 25.0)
    dots = dots[rng.random(len(dots)) < chance]
    add_spots(stain, dots, rng.uniform(0.06, 0.16, len(dots)), max(8.5 / px, 0.55))

    mitochondria, occupied = _mitochondria(rng, stain, inside_nm, kinds, px)

    bubbles = scattered(rng, shape, 50.0 / px, jitter=0.7)
    rows, cols = (np.clip(bubbles[:, k], 0, shape[k] - 1).astype(int) for k in (0, 1))
    crowd = smoothstep(-clouds, -0.6, 0.5)[rows, cols]
    room = (inside_nm[rows, cols] > 34.0) & ~occupied[rows, cols] & (kinds[rows, cols] == _TERMINAL)
    bubbles = bubbles[room & (rng.random(len(bubbles)) < crowd)]
    add_spots(stain, bubbles, np.full(len(bubbles), 0.24), max(6.0 / px, 0.5), ring_px=18.0 / px)
    cored = rng.random(len(bubbles)) < 0.06
    add_spots(stain, bubbles[cored], np.full(int(cored.sum()), 0.4), max(11.0 / px, 0.5))

    membranes = 0.52 * _line(border_nm, 13.0, 6.0) - 0.06 * _line(border_nm, 0.0, 6.0)
    fatness = blur(np.abs(clouds), 60.0 / px)
    density = ((kind_of[owner] == _TERMINAL) & (fatness > 0.95)).astype(np.float32)
    membranes += 0.3 * density * _line(border_nm, 26.0, 13.0)
    layers = 0.62 + 0.12 * np.cos(2 * np.pi * border_nm / 14.0) * min(1.0, 4.0 / px)
    myelin = smoothstep(border_nm, 8.0, 16.0) * smoothstep(-inside_nm, -6.0, 4.0) * (kinds == _MYELIN)
    stain = (stain + membranes) * (1 - myelin) + layers * myelin
    stain = blur(stain, 0.35) + 0.012 * clouds
    picture = stain if contrast == "bright" else -stain
    low, high = (float(np.percentile(picture, q)) for q in (0.1, 99.8))
    features = {"mitochondria": mitochondria, "vesicles": np.column_stack([bubbles, np.full(len(bubbles), 18.0 / px)])}
    return Drawing(to_signal(picture, low, high), features)
