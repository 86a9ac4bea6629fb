"""What is asked of every model: the three tables of sparse scans, of few electrons, and of equal dose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from scanmend_models.arrays import Arrays
from scanmend_models.masks import Mask, jittered_grid, random_pixels, spiral

Picture = NDArray[np.float32]


class Table(StrEnum):
    """Which table a task belongs to."""

    SPARSE = "sparse"
    """Samples without noise, of some of the pixels."""
    DOSE = "dose"
    """All pixels, few electrons."""
    EQUAL = "equal dose"
    """The same electrons on all pixels, or more on some."""


MASKS = {
    "jittered grid 1/20": (jittered_grid, 0.05),
    "random 25 %": (random_pixels, 0.25),
    "spiral 1/20": (spiral, 0.05),
    "jittered grid 1/100": (jittered_grid, 0.01),
}
COUNTS = (2, 5, 20)
"""Electrons of a pixel of brightness 1."""
EQUAL_COUNTS = 5
EQUAL_COVERAGE = 0.25


@dataclass(frozen=True, slots=True)
class Truth:
    """A picture taken as the truth."""

    name: str
    group: str
    image: Picture
    """float32 (ny, nx), from 0 to 1."""

    @property
    def key(self) -> str:
        """A hash of the picture, for the cache of scores."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Task:
    """One exposure of one truth."""

    name: str
    table: Table
    truth: Picture
    asked: Arrays
    sampled: Mask
    counts_per_unit: float
    """0 for samples without noise."""


def exposure(values: Picture, weight: Picture, units_per_electron: float, read_variance: float = 0.0) -> Arrays:
    """Shape samples (ny, nx) as a model's inputs."""
    return {
        "values": values[None, None].astype(np.float32),
        "weight": weight[None, None].astype(np.float32),
        "units_per_electron": np.full((1, 1, 1, 1), units_per_electron, np.float32),
        "read_variance": np.full((1, 1, 1, 1), read_variance, np.float32),
    }


def tasks(truth: Picture, seed: int) -> Iterator[Task]:
    """Expose one truth, (ny, nx) from 0 to 1, in every way that is evaluated."""
    rng = np.random.default_rng(seed)
    full = np.ones(truth.shape, bool)
    for name, (draw, coverage) in MASKS.items():
        mask = draw(truth.shape, coverage, rng)
        values = np.where(mask, truth, 0).astype(np.float32)
        yield Task(name, Table.SPARSE, truth, exposure(values, mask.astype(np.float32), 0.0), mask, 0.0)
    for counts in COUNTS:
        values = (rng.poisson(truth * counts) / counts).astype(np.float32)
        asked = exposure(values, np.ones_like(values), 1 / counts)
        yield Task(f"{counts} counts a pixel", Table.DOSE, truth, asked, full, counts)
    dwell = 1 / EQUAL_COVERAGE
    mask = random_pixels(truth.shape, EQUAL_COVERAGE, rng)
    counts_here = EQUAL_COUNTS * dwell
    values = np.where(mask, rng.poisson(truth * counts_here) / counts_here, 0).astype(np.float32)
    asked = exposure(values, dwell * mask.astype(np.float32), 1 / EQUAL_COUNTS)
    yield Task(f"{EQUAL_COVERAGE:.0%} at {dwell:.0f} times the dwell", Table.EQUAL, truth, asked, mask, EQUAL_COUNTS)
