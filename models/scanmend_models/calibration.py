"""Finds by what factor a model's standard deviation is wrong, for every coverage and dose.

One factor cannot make every interval right where errors are not Gaussian: the one is taken with which the worst of
the nominal 68, 90 and 95 % intervals misses least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanmend_models.arrays import Arrays, Run
from scanmend_models.data.exposures import Camera
from scanmend_models.masks import jittered_grid, random_pixels, spiral
from scanmend_models.quality.scores import NOMINAL

Picture = NDArray[np.float32]

COVERAGES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
"""Of sparse scans without noise."""
NOISY_COVERAGES = (0.05, 0.25, 1.0)
ELECTRONS = (0.5, 1.0, 2.0, 5.0, 20.0, 100.0)
"""Mean electrons of a sample."""
GEOMETRIES = (jittered_grid, random_pixels, spiral)
FACTORS = np.exp(np.linspace(np.log(0.25), np.log(4.0), 161))
SHARES = {"68": 0.68, "90": 0.90, "95": 0.95}
RATIOS_KEPT = 20_000
"""Of an exposure, drawn at random: every exposure counts the same."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Factors on sigma; what stands between the grid points is interpolated in the logarithm of both."""

    pictures: int
    noise_free: list[float]
    """One for each of `COVERAGES`."""
    noisy: list[list[float]]
    """One row for each of `NOISY_COVERAGES`, one column for each of `ELECTRONS`."""

    def plain(self) -> dict[str, object]:
        """As the manifest holds it."""
        return {
            "pictures": self.pictures,
            "noise_free": {"coverage": list(COVERAGES), "factor": self.noise_free},
            "noisy": {"coverage": list(NOISY_COVERAGES), "electrons": list(ELECTRONS), "factor": self.noisy},
        }


def calibrate(run: Run, pictures: Sequence[Picture], *, seed: int = 0) -> Calibration:
    """Measure a model on pictures that it was not trained on.

    Args:
        run: The model.
        pictures: Each float32 (ny, nx), from 0 to 1.
        seed: Of masks and noise.
    """
    noise_free = [best_factor(ratios(run, _sparse(pictures, coverage, seed), seed)) for coverage in COVERAGES]
    noisy = [
        [best_factor(ratios(run, _noisy(pictures, coverage, electrons, seed), seed)) for electrons in ELECTRONS]
        for coverage in NOISY_COVERAGES
    ]
    return Calibration(len(pictures), noise_free, noisy)


def best_factor(ratio: NDArray[np.float32]) -> float:
    """Give the factor on sigma with which the worst of the nominal intervals misses least.

    Args:
        ratio: Error over sigma of many pixels, without sign; must not be empty.
    """
    ordered = np.sort(ratio)
    inside = {name: np.searchsorted(ordered, width * FACTORS) / len(ordered) for name, width in NOMINAL.items()}
    misses = np.max([np.abs(inside[name] - share) for name, share in SHARES.items()], axis=0)
    return round(float(FACTORS[int(np.argmin(misses))]), 3)


def ratios(run: Run, tasks: Iterator[tuple[Arrays, Picture]], seed: int) -> NDArray[np.float32]:
    """Give error over sigma, without sign, of pixels in doubt."""
    rng = np.random.default_rng([seed, 3])
    gathered = []
    for asked, truth in tasks:
        answer = run(asked)
        estimate, sigma = answer["estimate"][0, 0], answer["sigma"][0, 0]
        unsure = sigma > 0
        ratio = np.abs(estimate[unsure] - truth[unsure]) / sigma[unsure]
        gathered.append(rng.choice(ratio, min(len(ratio), RATIOS_KEPT), replace=False))
    return np.concatenate(gathered).astype(np.float32)


def _sparse(pictures: Sequence[Picture], coverage: float, seed: int) -> Iterator[tuple[Arrays, Picture]]:
    for number, truth in enumerate(pictures):
        rng = np.random.default_rng([seed, number])
        mask = GEOMETRIES[number % len(GEOMETRIES)](truth.shape, coverage, rng)
        if mask.any():
            yield _asked(np.where(mask, truth, 0.0), mask, 0.0), truth


def _noisy(
    pictures: Sequence[Picture], coverage: float, electrons: float, seed: int
) -> Iterator[tuple[Arrays, Picture]]:
    for number, truth in enumerate(pictures):
        rng = np.random.default_rng([seed, number])
        draw = GEOMETRIES[number % len(GEOMETRIES)]
        mask = np.ones(truth.shape, bool) if coverage >= 1 else draw(truth.shape, coverage, rng)
        weight = mask.astype(np.float32)
        camera = Camera(electrons / max(float(truth.mean()), 0.02), 0.0)
        example = camera.example(camera.passes(rng, truth, weight), weight, truth)
        if mask.any():
            yield _asked(example.values, weight, example.units_per_electron), truth


def _asked(values: NDArray[np.floating], weight: NDArray[np.generic], units_per_electron: float) -> Arrays:
    return {
        "values": values[None, None].astype(np.float32),
        "weight": weight[None, None].astype(np.float32),
        "units_per_electron": np.full((1, 1, 1, 1), units_per_electron, np.float32),
        "read_variance": np.zeros((1, 1, 1, 1), np.float32),
    }
