"""The policy `variance`: dwell where it removes most of the expected squared error.

A sample informs its neighbourhood. Where the posterior variance v falls like one over the dwell t around a pixel, the
error that one more visit removes is v / t of the neighbourhood; spending a pass by it, and not all on the worst
pixels, means dwell in proportion to the neighbourhood's v.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanmend.rescan.pictures import blurred
from scanmend.rescan.policies.shares import shared
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance:
    """Dwell in proportion to the neighbourhood's variance, with a share kept uniform."""

    uniform_share: float = 0.2
    cap: float = 8.0

    def weight(self, state: RescanState) -> FloatPicture:
        """Sigma squared, smoothed over about 2 px."""
        return shared(blurred(np.square(state.sigma)), uniform=self.uniform_share, cap=self.cap)
