"""The policy `outlier`: pixels that differ from their neighbours by more than one standard deviation, and no others.

After the multi-frame rule of Peters and Jones, for comparison. It chooses pixels by what their noise showed: measured
with a restorer behind it, the picture comes out worse than after a uniform pass of the same dose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """Revisits outliers of the raw samples."""

    deviations: float = 1.0
    """How many standard deviations of a sample an outlier differs by."""

    def weight(self, state: RescanState) -> FloatPicture:
        """1 at outliers, 0 elsewhere; ones where there is none."""
        seen = state.weight > 0
        around, witnesses = _of_neighbours(np.where(seen, state.values, 0.0)), _of_neighbours(seen)
        near = around / np.maximum(witnesses, 1.0)
        per_visit = state.units_per_electron * np.maximum(near, 0.0) + state.read_variance
        spread = np.sqrt(per_visit / np.where(seen, state.weight, 1.0))
        odd = seen & (witnesses > 0) & (np.abs(state.values - near) > self.deviations * spread)
        if not odd.any():
            return np.ones_like(state.sigma)
        return odd.astype(np.float32)


def _of_neighbours(picture: np.ndarray) -> FloatPicture:
    """Sum over the eight neighbours of each pixel; nothing lies beyond the edges."""
    ny, nx = picture.shape
    padded = np.zeros((ny + 2, nx + 2), dtype=np.float32)
    padded[1:-1, 1:-1] = picture
    lines = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    found: FloatPicture = lines[:-2] + lines[1:-1] + lines[2:] - padded[1:-1, 1:-1]
    return found
