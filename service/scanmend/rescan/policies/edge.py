"""The policy `edge`: dwell where the restored picture is steep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanmend.rescan.pictures import blurred
from scanmend.rescan.policies.shares import shared
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Dwell in proportion to the slope."""

    uniform_share: float = 0.3
    cap: float = 4.0

    def weight(self, state: RescanState) -> FloatPicture:
        """Magnitude of the gradient of the restoration, smoothed over about 2 px."""
        slopes = [
            np.gradient(state.estimate, axis=axis) if extent > 1 else np.zeros_like(state.estimate)
            for axis, extent in enumerate(state.estimate.shape)
        ]
        return shared(blurred(np.hypot(*slopes)), uniform=self.uniform_share, cap=self.cap)
