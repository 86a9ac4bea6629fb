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
        top, left, height, width = region if margin_px == 0 else Focused.reach(region, margin_px=margin_px)
        kept = np.zeros_like(picture)
        part = slice(top, top + height), slice(left, left + width)
        kept[part] = picture[part]
        return kept

    @staticmethod
    def reach(region: Region, *, margin_px: int = MARGIN_PX) -> Region:
        """The region with its margin, as far as the field's near edges allow; it may reach beyond the far ones."""
        top, left, height, width = region
        above, before = min(margin_px, top), min(margin_px, left)
        return top - above, left - before, above + height + margin_px, before + width + margin_px
