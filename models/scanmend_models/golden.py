"""The question and answer by which a runtime proves that it executes a model rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scanmend_models.arrays import INPUTS, OUTPUTS, Arrays

RTOL = 1e-3
ATOL = 1e-4
"""Of estimate and sigma, in units of the question's values, which lie between 0 and 1."""


def question(seed: int = 20) -> Arrays:
    """Draw a small noisy sparse exposure, (1, 1, 64, 96): discs, a ramp and a grating, 40 % of it unseen."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:96].astype(np.float64)
    truth = 0.25 + 0.2 * x / 96 + 0.1 * np.sin(0.7 * x + 0.3 * y) * (y > 32)
    for row, column, radius, height in ((16, 20, 9, 0.4), (40, 60, 14, 0.3), (20, 76, 6, 0.35)):
        truth += height * ((y - row) ** 2 + (x - column) ** 2 < radius**2)
    visits = rng.choice([0, 1, 2, 8], size=truth.shape, p=[0.4, 0.4, 0.15, 0.05])
    electrons_per_unit, read_variance = 40.0, 4e-4
    counts = rng.poisson(truth * electrons_per_unit * visits) / electrons_per_unit
    noise = rng.normal(0.0, np.sqrt(read_variance), truth.shape)
    values = np.where(visits > 0, counts / np.maximum(visits, 1) + noise / np.sqrt(np.maximum(visits, 1)), 0.0)
    return {
        "values": values[None, None].astype(np.float32),
        "weight": visits[None, None].astype(np.float32),
        "units_per_electron": np.full((1, 1, 1, 1), 1 / electrons_per_unit, np.float32),
        "read_variance": np.full((1, 1, 1, 1), read_variance, np.float32),
    }


def write_golden(path: Path, asked: Arrays, answered: Arrays) -> None:
    """Write question and answer as one npz of plain arrays, the same bytes every time."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            values=asked["values"],
            weight=asked["weight"],
            units_per_electron=asked["units_per_electron"],
            read_variance=asked["read_variance"],
            estimate=answered["estimate"],
            sigma=answered["sigma"],
        )


def read_golden(path: Path) -> tuple[Arrays, Arrays]:
    """Read question and answer."""
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in INPUTS}, {name: data[name] for name in OUTPUTS}
