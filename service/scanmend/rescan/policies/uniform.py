"""The policy `uniform`: another pass everywhere. What every other policy has to beat at the same dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True)
class Uniform:
    """The same dwell everywhere."""

    def weight(self, state: RescanState) -> FloatPicture:
        """Ones."""
        return np.ones_like(state.sigma)
