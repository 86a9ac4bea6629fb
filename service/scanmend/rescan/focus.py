"""Rescans of a region only: where the client names what it wants to be sure of, no dose goes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanmend.rescan.policy import Policy, RescanState
from scanmend.restoration import FloatPicture

MARGIN_PX = 8
"""How far outside the region a sample may lie and still inform it: about the reach of a restorer's neighbourhood."""

Region = tuple[int, int, int, int]
"""`(top, left, height, width)` in pixels."""


@dataclass(frozen=True, slots=True)
class Focused:
    """A policy that dwells in a region and its margin only."""

    policy: Policy
    region: Region

    def weight(self, state: RescanState) -> FloatPicture:
        """The policy's own weight, 0 outside."""
        return self.only(self.policy.weight(state), self.region, margin_px=MARGIN_PX)

    @staticmethod
    def only(picture: FloatPicture, region: Region, *, margin_px: int = 0) -> FloatPicture:
        """A copy of a picture `(ny, nx)` that is 0 outside the region and its margin."""
        top, left, height, width = region
        rows = slice(max(top - margin_px, 0), top + height + margin_px)
        columns = slice(max(left - margin_px, 0), left + width + margin_px)
        kept = np.zeros_like(picture)
        kept[rows, columns] = picture[rows, columns]
        return kept
