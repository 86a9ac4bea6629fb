"""Whether a model moves atoms, fills vacancies in, or invents some: drawn lattices, of which everything is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanmend.errors import MissingExtra
from scanmend_models.arrays import Arrays
from scanmend_models.masks import jittered_grid
from scanmend_models.quality.evaluation import Contender
from scanmend_models.quality.tasks import exposure
from scanmend_sim.specimens.procedural import lattice

try:
    from scipy.ndimage import gaussian_filter
except ImportError as missing:
    raise MissingExtra("The lattice test needs scipy.", mend="Install scanmend[dev].") from missing

Picture = NDArray[np.float32]
Points = NDArray[np.float64]

SHAPE = (256, 256)
PIXEL_NM = lattice.NATURAL_PIXEL_SIZE_NM
RADIUS_PX = 0.28 * lattice.LATTICE_CONSTANT_NM / PIXEL_NM
"""Of the window in which a heavy column is looked for."""
DOSES = (5, 20, 100)
"""Electrons of a pixel of brightness 1, fully sampled."""
COVERAGES = (0.05, 0.25)
"""Of jittered grids without noise."""
COLUMN_PX = 0.052 / PIXEL_NM
"""Width (σ) of a heavy column."""
VACANT = 0.75
"""A column below this share of its neighbours' height counts as a vacancy, above `WHOLE` as whole."""
WHOLE = 0.85


@dataclass(frozen=True, slots=True)
class LatticeScore:
    """What became of the heavy columns of some drawings."""

    task: str
    method: str
    columns: int
    position_pm: float
    """Root mean square distance between where a column is found in the answer and where in the truth."""
    vacancies: int
    """Columns that are vacant in the truth."""
    filled_in: float
    """Share of them that are not vacant in the answer."""
    invented: float
    """Share of the whole columns of the truth that are vacant in the answer."""


def lattice_test(contenders: Sequence[Contender], drawings: int = 4) -> list[LatticeScore]:
    """Restore drawn lattices in several ways and look at their columns."""
    gathered: dict[tuple[str, str], list[tuple[Points, Points, Points, Points]]] = {}
    for seed in range(drawings):
        drawing = lattice.draw(100 + seed, SHAPE, PIXEL_NM, vacancy_share=0.05, boundary=False)
        columns = drawing.features["columns"]
        heavy = columns[columns[:, 2] == 0][:, :2]
        margin = 2 * RADIUS_PX
        heavy = heavy[np.all((heavy > margin) & (heavy < np.array(SHAPE) - margin), axis=1)]
        heavy = heavy[in_crystal(drawing.image, heavy)]
        truth = look(drawing.image, heavy)
        for name, asked in _exposures(drawing.image, seed):
            for one in contenders:
                answer = look(one.run(asked)["estimate"][0, 0], heavy)
                gathered.setdefault((name, one.name), []).append((*truth, *answer))
    return [_score(name, method, found) for (name, method), found in gathered.items()]


def in_crystal(truth: Picture, places: Points) -> NDArray[np.bool_]:
    """Which columns have neighbours of a fair height: a crystal may end inside of the field."""
    smooth = gaussian_filter(truth.astype(np.float64), COLUMN_PX)
    rows, columns = np.rint(places).astype(int).T
    heights = smooth[rows, columns] - float(np.percentile(smooth, 2))
    around = np.median(heights[_neighbours(places)], axis=1)
    return np.asarray(around > 0.5 * np.percentile(heights, 95))


def look(picture: Picture, places: Points) -> tuple[Points, Points]:
    """Find columns near places: (n, 2) of (y, x) in pixels, and (n,) heights over the background, of the neighbours'.

    The picture is smoothed with a column's own width first (the matched filter, which noise disturbs least); the place
    is the top of a parabola through the highest pixel of the window and its neighbours.
    """
    smooth = gaussian_filter(picture.astype(np.float64), COLUMN_PX)
    reach = int(np.ceil(RADIUS_PX))
    found = places.copy()
    heights = np.zeros(len(places))
    for number, place in enumerate(places):
        top, left = (round(float(middle)) - reach for middle in place)
        window = smooth[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
        inner = window[1:-1, 1:-1]
        row, column = (int(at) + 1 for at in np.unravel_index(int(np.argmax(inner)), inner.shape))
        found[number] = (
            top + row + _parabola(window[row - 1 : row + 2, column]),
            left + column + _parabola(window[row, column - 1 : column + 2]),
        )
        middle = window[reach - 1 : reach + 2, reach - 1 : reach + 2]
        heights[number] = float(middle.max()) - float(window.min())
    return found, _over_neighbours(places, heights)


def _parabola(three: Points) -> float:
    """Where, between -1 and 1, the parabola through three values has its top."""
    bend = float(three[0] - 2 * three[1] + three[2])
    return 0.0 if bend >= 0 else float(np.clip(0.5 * float(three[0] - three[2]) / bend, -1, 1))


def _over_neighbours(places: Points, heights: Points) -> Points:
    """Heights over the median height of the eight nearest columns."""
    median = np.median(heights[_neighbours(places)], axis=1)
    return np.asarray(heights / np.maximum(median, 1e-6), dtype=np.float64)


def _neighbours(places: Points) -> NDArray[np.int64]:
    """The eight nearest columns of each, (n, 8)."""
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    return np.argsort(distance, axis=1)[:, 1:9]


def _exposures(truth: Picture, seed: int) -> Iterator[tuple[str, Arrays]]:
    rng = np.random.default_rng(seed)
    for dose in DOSES:
        values = (rng.poisson(truth * dose) / dose).astype(np.float32)
        yield f"{dose} counts a pixel", exposure(values, np.ones_like(values), 1 / dose)
    for coverage in COVERAGES:
        mask = jittered_grid(truth.shape, coverage, rng)
        yield (
            f"jittered grid {coverage:.0%}",
            exposure(np.where(mask, truth, 0).astype(np.float32), mask.astype(np.float32), 0.0),
        )


def _score(task: str, method: str, found: list[tuple[Points, Points, Points, Points]]) -> LatticeScore:
    true_places, true_heights, places, heights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    vacant, whole = true_heights < VACANT, true_heights > WHOLE
    moved = np.hypot(*(places - true_places)[whole].T)
    return LatticeScore(
        task=task,
        method=method,
        columns=int(whole.sum()),
        position_pm=1000 * PIXEL_NM * float(np.sqrt(np.mean(moved**2))),
        vacancies=int(vacant.sum()),
        filled_in=float(np.mean(heights[vacant] >= VACANT)) if vacant.any() else 0.0,
        invented=float(np.mean(heights[whole] < VACANT)) if whole.any() else 0.0,
    )
