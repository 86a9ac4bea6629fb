"""Passes made beforehand, for bursts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.plan import ScanPlan
from scanmend_sim.microscope import Microscope


class FramePool:
    """Passes made beforehand, for when frames must come faster than Poisson's numbers can be drawn."""

    def __init__(self, microscope: Microscope, plan: ScanPlan, passes: int) -> None:
        """Make the passes; none of them is on the books yet.

        Args:
            microscope: Whose frames they are.
            plan: A prepared plan.
            passes: How many different passes to keep, at least 1.
        """
        self._microscope, self._plan = microscope, plan
        self._samples = [microscope.preview(plan, index) for index in range(max(passes, 1))]
        for samples in self._samples:
            samples.flags.writeable = False

    def take(self, pass_index: int) -> npt.NDArray[np.generic]:
        """Give a whole pass, (channels, points), read-only; the dose of each is put on the books."""
        self._microscope.book_pass(self._plan)
        return self._samples[pass_index % len(self._samples)]
