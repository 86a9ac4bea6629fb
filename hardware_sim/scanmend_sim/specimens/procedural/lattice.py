"""An oxide crystal seen along an axis in HAADF: heavy and light columns, defects, strain and a grain boundary.

Ground truth, (y, x) in pixels first: `columns` (n, 4): y, x, sublattice (0 heavy, 1 light), grain (0 or 1);
`vacancies` (n, 3): y, x, share of the column's atoms that are missing; `dopants` (n, 3): y, x, brightness
relative to a whole column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend_sim.specimens.base import Drawing, to_signal
from scanmend_sim.specimens.procedural.canvas import Points, add_spots, coloured_noise, generator, smoothstep

NATURAL_PIXEL_SIZE_NM = 0.025
LATTICE_CONSTANT_NM = 0.3905
"""Of SrTiO3 along [001], the heavy columns' distance."""
LEAST_PIXELS_PER_CELL = 4.0


def _grain(shape: tuple[int, int], constant_px: float, angle: float, shift: Points) -> Points:
    """List the columns of one grain that lie in or near the field: (y, x, sublattice)."""
    reach = int(np.hypot(*shape) / constant_px / 2) + 3
    i, j = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    cells = np.stack([i.ravel(), j.ravel()], axis=1).astype(np.float64)
    both = np.concatenate([cells, cells + 0.5])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = (both + shift) @ turn.T * constant_px + np.array(shape) / 2
    near = np.all((places > -constant_px) & (places < np.array(shape) + constant_px), axis=1)
    return np.column_stack([places, np.repeat([0.0, 1.0], len(cells))])[near]


def _crowded(columns: Points, least_px: float, candidates: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark columns of grain 1 that stand closer to one of grain 0 than atoms can; only `candidates` are looked at."""
    crowded = np.zeros(len(columns), dtype=bool)
    first = np.flatnonzero(candidates & (columns[:, 3] == 0))
    second = np.flatnonzero(candidates & (columns[:, 3] == 1))
    if len(first) == 0:
        return crowded
    for start in range(0, len(second), 512):
        block = second[start : start + 512]
        apart = columns[block, None, :2] - columns[None, first, :2]
        crowded[block] = np.min(np.hypot(apart[..., 0], apart[..., 1]), axis=1) < least_px
    return crowded


def _columns(rng: np.random.Generator, shape: tuple[int, int], constant_px: float, boundary: bool) -> Points:
    """Place all columns: two grains that meet along a slightly stepped line, strain, and a little disorder."""
    angle = rng.uniform(-0.12, 0.12)
    first = _grain(shape, constant_px, angle, rng.random(2))
    if not boundary:
        columns = np.column_stack([first, np.zeros(len(first))])
    else:
        tilt = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.6)
        second = _grain(shape, constant_px, angle + tilt, rng.random(2))
        turn = rng.uniform(-0.5, 0.5) + rng.choice([0.0, np.pi / 2])
        middle = np.array(shape) * (0.5 + rng.uniform(-0.12, 0.12, 2))
        wave, phase = rng.uniform(8, 14) * constant_px, rng.uniform(0, 2 * np.pi)

        def side(places: Points) -> Points:
            from_middle = places[:, :2] - middle
            across = from_middle @ np.array([np.cos(turn), np.sin(turn)])
            along = from_middle @ np.array([-np.sin(turn), np.cos(turn)])
            return np.asarray(across + 0.5 * constant_px * np.sin(2 * np.pi * along / wave + phase))

        side_first, side_second = side(first), side(second)
        keep_first, keep_second = side_first < 0, side_second > -0.25 * constant_px
        columns = np.column_stack(
            [
                np.concatenate([first[keep_first], second[keep_second]]),
                np.repeat([0.0, 1.0], [int(keep_first.sum()), int(keep_second.sum())]),
            ]
        )
        at_line = np.abs(np.concatenate([side_first[keep_first], side_second[keep_second]])) < 2 * constant_px
        columns = columns[~_crowded(columns, 0.52 * constant_px, at_line)]
        for _ in range(2):  # columns at the line relax away from each other, as a real boundary does
            columns[:, :2] += _relaxation(columns, constant_px, np.abs(side(columns)) < 1.5 * constant_px)
    reach = np.array(shape) - 1
    rows, cols = (np.clip(np.rint(columns[:, k]), 0, reach[k]).astype(int) for k in (0, 1))
    for axis in (0, 1):
        strain = coloured_noise(rng, shape, longest_px=40 * constant_px, shortest_px=14 * constant_px, slope=1.5)
        columns[:, axis] += 0.07 * constant_px * strain[rows, cols]
    columns[:, :2] += 0.012 * constant_px * rng.standard_normal((len(columns), 2))
    return np.asarray(columns, dtype=np.float64)


def _relaxation(columns: Points, constant_px: float, near: npt.NDArray[np.bool_]) -> Points:
    """Move the columns marked `near` a little away from neighbours that are too close."""
    moves = np.zeros((len(columns), 2))
    which = np.flatnonzero(near)
    places = columns[which, :2]
    for start in range(0, len(which), 512):
        apart = places[start : start + 512, None] - places[None]
        distance = np.hypot(apart[..., 0], apart[..., 1])
        least = 0.68 * constant_px
        push = np.where(
            (distance > 0) & (distance < least), 0.25 * (least - distance) / np.maximum(distance, 1e-6), 0.0
        )
        moves[which[start : start + 512]] = np.sum(push[..., None] * apart, axis=1)
    return moves


def draw(
    seed: int,
    shape: tuple[int, int],
    pixel_size_nm: float,
    *,
    vacancy_share: float = 0.012,
    dopant_share: float = 0.01,
    boundary: bool = True,
) -> Drawing:
    """Draw the specimen.

    Args:
        seed: Which one.
        shape: Grid `(ny, nx)`.
        pixel_size_nm: Pixel size in nm; below about 0.09, so that columns are apart.
        vacancy_share: Share of heavy columns that lack atoms.
        dopant_share: Share of columns that hold heavier atoms.
        boundary: Whether two grains meet in the field.

    Returns:
        The picture, `columns`, `vacancies` and `dopants`.

    Raises:
        InvalidInput: The pixel is too large to show a lattice.
    """
    constant_px = LATTICE_CONSTANT_NM / pixel_size_nm
    if constant_px < LEAST_PIXELS_PER_CELL:
        raise InvalidInput(
            f"A lattice of {LATTICE_CONSTANT_NM} nm cannot be seen with pixels of {pixel_size_nm} nm.",
            mend=f"Use a pixel size of at most {LATTICE_CONSTANT_NM / LEAST_PIXELS_PER_CELL:.3f} nm, "
            "or another specimen such as nanoparticles.",
        )
    rng = generator("lattice", seed, shape)
    columns = _columns(rng, shape, constant_px, boundary)
    light = columns[:, 2] == 1
    hills = coloured_noise(rng, shape, longest_px=0.8 * max(shape), shortest_px=3 * constant_px, slope=1.8)
    thickness = 1.0 + 0.1 * hills
    if rng.random() < 0.35:  # the crystal ends inside the field
        slant = rng.uniform(0, 2 * np.pi)
        yy, xx = np.arange(shape[0])[:, None] - shape[0] / 2, np.arange(shape[1])[None, :] - shape[1] / 2
        into = yy * np.sin(slant) + xx * np.cos(slant) + 0.32 * min(shape) + 0.8 * constant_px * hills
        thickness = thickness * smoothstep(into.astype(np.float32), 0.0, 12 * constant_px) ** 0.6
    rows = np.clip(np.rint(columns[:, 0]), 0, shape[0] - 1).astype(int)
    cols = np.clip(np.rint(columns[:, 1]), 0, shape[1] - 1).astype(int)

    whole = np.where(light, 0.42, 1.0) * thickness[rows, cols]
    atoms = 22.0  # mean number of atoms in a column; their count and their static displacements vary
    peaks = whole * (1.0 + rng.standard_normal(len(columns)) * 0.5 / np.sqrt(atoms))
    fate = rng.random(len(columns))
    missing = (fate < vacancy_share) & ~light
    lacking = np.where(missing, rng.choice([0.35, 0.55, 1.0], len(columns), p=[0.35, 0.35, 0.3]), 0.0)
    doped = (fate > 1.0 - dopant_share) & ~missing
    heavier = np.where(doped, rng.uniform(1.3, 1.7, len(columns)), 1.0)
    peaks = np.maximum(peaks, 0.0) * (1.0 - lacking) * heavier

    # A HAADF column is a narrow peak on wide tails of the probe and of thermally scattered electrons.
    crystal = np.zeros(shape, dtype=np.float32)
    for sublattice, width_nm in ((~light, 0.052), (light, 0.046)):
        add_spots(crystal, columns[sublattice, :2], 0.8 * peaks[sublattice], max(width_nm / pixel_size_nm, 0.6))
        add_spots(crystal, columns[sublattice, :2], 0.2 * peaks[sublattice], 0.115 / pixel_size_nm)
    carbon = coloured_noise(rng, shape, longest_px=1.2 * constant_px, shortest_px=0.35 * constant_px, slope=0.8)
    haze = coloured_noise(rng, shape, longest_px=30 * constant_px, shortest_px=6 * constant_px, slope=1.5)
    picture = 0.1 + 0.14 * thickness + crystal + 0.012 * carbon + 0.03 * haze
    inside = np.all((columns[:, :2] >= -0.5) & (columns[:, :2] < np.array(shape) - 0.5), axis=1)
    features = {
        "columns": columns[inside],
        "vacancies": np.column_stack([columns[:, :2], lacking])[missing & inside],
        "dopants": np.column_stack([columns[:, :2], heavier])[doped & inside],
    }
    return Drawing(to_signal(picture, -0.02, float(np.percentile(picture, 99.9)) * 1.04), features)
