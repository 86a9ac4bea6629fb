"""The policy `uncertainty`: dwell in proportion to the predicted standard deviation."""

from __future__ import annotations

from dataclasses import dataclass

from scanmend.rescan.pictures import blurred
from scanmend.rescan.policies.shares import shared
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """Dwell in proportion to sigma, with a share kept uniform."""

    uniform_share: float = 0.3
    cap: float = 4.0

    def weight(self, state: RescanState) -> FloatPicture:
        """Sigma, smoothed over about 2 px: single pixels of a sigma map are noise themselves."""
        return shared(blurred(state.sigma), uniform=self.uniform_share, cap=self.cap)
