"""The policy `gain`: dwell where a trained network expects that it takes most squared error away.

The network sees the restoration, its sigma, the samples and their noise, all in the field's own units, and says for
every square of 4 × 4 pixels what squared error is to be expected and how it falls with more dwell. Learning where
dwell pays is the idea of SLADS (Godaliyadda et al., IEEE Trans. Comput. Imaging 4, 1, 2018); here it learns from the
errors of our own restorers, and then from the pictures that came of its own choices. The dwell is shared out so that
the sum of the errors becomes least (see `allotment`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from scanmend.rescan.pictures import BIN_PX, binned, enlarged
from scanmend.rescan.policies.allotment import allotted
from scanmend.rescan.policies.gain_network import Judged, shipped
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture

_THIN = 0.1
"""Least dwell of a square over the mean that counts as what it has had: one visit does not settle everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Dwell where the network expects most of it.

    Args:
        least: Dwell of every pixel, over that of a uniform pass.
        most: Most dwell of a pixel, over that of a uniform pass.
        judge: Asks the network; replaced in tests.
    """

    least: float = 0.1
    most: float = 12.0
    judge: Callable[[RescanState], Judged] = field(default=lambda state: shipped().judge(state))

    def weight(self, state: RescanState) -> FloatPicture:
        """The dwell that makes the sum of the expected errors least, smooth over about 4 px.

        Raises:
            ModelError: The network cannot be executed.
        """
        judged = self.judge(state)
        dwell = _squares(state.weight)
        mean = float(dwell.mean(dtype=np.float64))
        if not (mean > 0 and judged.error.max() > 0):
            return np.ones_like(state.sigma)
        dwell = np.maximum(dwell, np.float32(_THIN * mean))
        dwell /= np.float32(mean / max(1, state.passes))
        added = allotted(judged.error, judged.exponent, dwell, least=self.least, most=self.most)
        return enlarged(added, (state.sigma.shape[0], state.sigma.shape[1]))


def _squares(picture: FloatPicture) -> FloatPicture:
    """Means over squares of pixels; those at the far edges may be cut short, and count their last pixels again."""
    more = [(0, -extent % BIN_PX) for extent in picture.shape]
    if any(after for _, after in more):
        picture = np.pad(picture, more, mode="edge")
    return binned(picture)
