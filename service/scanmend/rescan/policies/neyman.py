"""The policy `neyman`: dwell in proportion to the noise of a visit, which is the square root of the signal.

Neyman's allocation (J. R. Stat. Soc. 97, 558, 1934) makes the summed variance of independent pixels least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanmend.rescan.pictures import blurred
from scanmend.rescan.policies.shares import shared
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Neyman:
    """Dwell as the standard deviation of a visit."""

    uniform_share: float = 0.3
    cap: float = 4.0

    def weight(self, state: RescanState) -> FloatPicture:
        """Noise of a visit, by the restored brightness; even where the samples have no noise."""
        noise = visit_variance(state)
        return shared(np.sqrt(noise), uniform=self.uniform_share, cap=self.cap)


def visit_variance(state: RescanState) -> FloatPicture:
    """Variance of one more visit of the reference dwell at each pixel; never quite 0, nor below the field's dark."""
    bright = blurred(np.maximum(state.estimate, np.float32(0)))
    variance = np.float32(state.units_per_electron) * bright + np.float32(state.read_variance)
    floor = 0.05 * float(variance.mean(dtype=np.float64))
    found: FloatPicture = np.maximum(variance, np.float32(floor if floor > 0 else 1.0))
    return found
