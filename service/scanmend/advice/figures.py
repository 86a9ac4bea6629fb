"""A mean and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        """Whether 0 is as likely as the mean is."""
        return self.low <= 0 <= self.high


def interval(values: Sequence[float], groups: Sequence[str], seed: int = 0) -> Interval:
    """Bootstrap a mean: whole groups are drawn anew, as pictures of one group are alike; single ones of one group.

    Args:
        values: At least one.
        groups: The group of each.
        seed: Of the draws.
    """
    found = np.asarray(values, dtype=np.float64)
    names = sorted(set(groups))
    units = [[i] for i in range(len(found))]
    if len(names) > 1:
        units = [[i for i, group in enumerate(groups) if group == name] for name in names]
    sums = np.array([found[unit].sum() for unit in units])
    sizes = np.array([len(unit) for unit in units])
    drawn = np.random.default_rng(seed).integers(len(units), size=(DRAWS, len(units)))
    low, high = np.percentile(sums[drawn].sum(1) / sizes[drawn].sum(1), [2.5, 97.5])
    return Interval(float(found.mean()), float(low), float(high))
