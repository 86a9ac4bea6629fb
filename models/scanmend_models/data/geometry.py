"""Where a training exposure dwells: maps of weight, dwell over the reference dwell, 0 where not sampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scanmend_models.masks import jittered_grid, random_pixels, spiral
from scanmend_sim.specimens.procedural.canvas import blur, coloured_noise

Weight = NDArray[np.float32]
"""float32 (ny, nx)."""
Geometry = Callable[[np.random.Generator, tuple[int, int], float], Weight]

FIELD_PX = 512
"""Side of the field that a patch of a spiral is cut from."""


def _mask_of_field(draw: Callable[..., NDArray[np.bool_]]) -> Geometry:
    """A patch somewhere in a scan of a whole field."""

    def cut(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
        side = max(FIELD_PX, *shape)
        whole = draw((side, side), coverage, rng)
        top, left = (int(rng.integers(side - extent + 1)) for extent in shape)
        return whole[top : top + shape[0], left : left + shape[1]].astype(np.float32)

    return cut


def random_places(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
    """Every pixel by itself."""
    return random_pixels(shape, coverage, rng).astype(np.float32)


def jittered(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
    """One sample in every cell of a grid."""
    return jittered_grid(shape, coverage, rng).astype(np.float32)


def hopped_lines(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
    """Some lines of the raster, evenly spaced or at random, whole or in pieces."""
    ny, nx = shape
    whole = float(rng.choice([1.0, rng.uniform(0.3, 1.0)]))  # share of a line that is scanned
    count = max(1, round(ny * min(1.0, coverage / whole)))
    if rng.random() < 0.5:
        lines = (np.arange(count) * ny / count + rng.uniform(0, ny / count)).astype(int) % ny
    else:
        lines = rng.choice(ny, count, replace=False)
    weight = np.zeros(shape, np.float32)
    weight[lines] = 1.0
    if whole < 1.0:
        length = int(rng.integers(4, 33))
        kept = rng.random((ny, -(-nx // length))) < whole
        weight *= np.repeat(kept, length, 1)[:, :nx]
    return weight


def blocks(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
    """Small rectangles scanned whole, over a thin random scan."""
    ny, nx = shape
    weight = random_places(rng, shape, 0.4 * coverage)
    for _ in range(int(rng.integers(1, 5))):
        height, width = (max(4, int(side * float(rng.uniform(0.5, 1.2)) * (0.3 * coverage) ** 0.5)) for side in shape)
        top, left = int(rng.integers(-height // 2, ny)), int(rng.integers(-width // 2, nx))
        weight[max(0, top) : top + height, max(0, left) : left + width] = 1.0
    return weight


def several(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
    """Two to four thin passes of other kinds on top of each other: visits add up."""
    passes = int(rng.integers(2, 5))
    kinds = [random_places, jittered, hopped_lines]
    return np.asarray(
        sum(kinds[int(rng.integers(len(kinds)))](rng, shape, coverage / passes) for _ in range(passes)),
        dtype=np.float32,
    )


SPARSE: dict[str, tuple[Geometry, float]] = {
    "jittered": (jittered, 0.3),
    "random": (random_places, 0.27),
    "spiral": (_mask_of_field(spiral), 0.2),
    "lines": (hopped_lines, 0.1),
    "blocks": (blocks, 0.05),
    "several": (several, 0.08),
}
"""Geometries of sparse scans, and their shares."""


def sparse(rng: np.random.Generator, shape: tuple[int, int], coverage: float) -> Weight:
    """Draw a kind of scan, and a scan of it with about this coverage; there is a sample at least."""
    kinds = list(SPARSE.values())
    shares = np.array([share for _, share in kinds])
    weight = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))][0](rng, shape, coverage)
    if not weight.any():
        weight[int(rng.integers(shape[0])), int(rng.integers(shape[1]))] = 1.0
    return weight


def uneven(rng: np.random.Generator, shape: tuple[int, int]) -> Weight:
    """Dwell that differs from place to place and was not chosen by what was seen: smooth, by halves, by lines."""
    kind = int(rng.integers(3))
    if kind == 0:
        hills = coloured_noise(rng, shape, longest_px=max(shape), shortest_px=10.0, slope=2.0)
        return np.asarray(np.exp(float(rng.uniform(0.2, 1.2)) * hills), dtype=np.float32)
    visits = np.ones(shape, np.float32)
    if kind == 1:
        visits += random_places(rng, shape, float(rng.uniform(0.05, 0.6))) * float(rng.integers(1, 8))
        return visits
    return visits + hopped_lines(rng, shape, float(rng.uniform(0.1, 0.6))) * float(rng.integers(1, 4))


def revisited(rng: np.random.Generator, first: Weight, values: NDArray[np.floating], sparse_scan: bool) -> Weight:
    """Dwell that a rescan policy adds after it saw a first pass.

    Stands for the published rules and ours: more where the smoothed first pass has edges, where it is bright
    (Neyman), or at its outliers; a share is spread evenly.

    Args:
        rng: Source of randomness.
        first: Weight of the first pass, (ny, nx).
        values: What it measured, 0 where not sampled.
        sparse_scan: Whether whole pixels are chosen, as a sparse scan does, or the dwell is continuous.

    Returns:
        The dwell to add, (ny, nx).
    """
    width = float(rng.uniform(0.8, 3.0))
    covered = blur(first, width) + 1e-3
    smooth = blur(np.asarray(values * first, dtype=np.float32), width) / covered
    rule = int(rng.integers(3))
    if rule == 0:
        gy, gx = np.gradient(smooth)
        score = np.hypot(gy, gx)
    elif rule == 1:
        score = np.sqrt(np.maximum(smooth, 0.0))
    else:
        score = np.abs(values - smooth) * (first > 0)
    score = blur(np.asarray(score, dtype=np.float32), float(rng.uniform(0.5, 2.5)))
    score = score / max(float(score.mean()), 1e-12)
    added = float(rng.uniform(0.3, 3.0)) * (0.3 + 0.7 * np.minimum(score, 6.0))
    if not sparse_scan:
        return np.asarray(added, dtype=np.float32)
    share = float(rng.uniform(0.02, 0.2))
    chance = np.clip(share * (0.3 + 0.7 * score), 0.0, 1.0)
    return np.asarray(rng.random(first.shape) < chance, dtype=np.float32)
