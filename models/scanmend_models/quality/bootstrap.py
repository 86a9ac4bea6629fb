"""How sure a mean difference is, when pictures of one source look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of paired differences, with 95 % intervals from drawing again."""

    mean: float
    by_picture: tuple[float, float]
    """Pictures drawn anew."""
    by_group: tuple[float, float]
    """Groups drawn anew, with all their pictures: wider, and the honest one."""


def paired(differences: Sequence[float], groups: Sequence[str], seed: int = 0) -> Difference:
    """Bootstrap a mean of differences, one a picture.

    Args:
        differences: At least one.
        groups: The group of each.
        seed: Of the draws.
    """
    values = np.asarray(differences, dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(len(values), size=(DRAWS, len(values)))].mean(1)
    names = sorted(set(groups))
    members = [np.flatnonzero(np.asarray(groups) == name) for name in names]
    sums = np.array([values[member].sum() for member in members])
    sizes = np.array([len(member) for member in members])
    chosen = rng.integers(len(names), size=(DRAWS, len(names)))
    clustered = sums[chosen].sum(1) / sizes[chosen].sum(1)
    return Difference(float(values.mean()), _middle(drawn), _middle(clustered))


def _middle(means: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
