"""How long and how often points were visited, by point of a plan or by pixel of the field."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.plan import ScanPlan


class Visits:
    """Dwell and visits by pixel or by point; arrays are made when they are needed."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._times = 0
        """How often the whole plan was run, which is not in the arrays."""
        self._dwell_ns: npt.NDArray[np.float64] | None = None
        self._visits: npt.NDArray[np.uint32] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return not self._times and self._dwell_ns is None

    def arrays(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Dwell in nanoseconds, and visits."""
        if self._dwell_ns is None or self._visits is None:
            self._dwell_ns, self._visits = np.zeros(self._length), np.zeros(self._length, dtype=np.uint32)
        return self._dwell_ns, self._visits

    def add(self, plan: ScanPlan, first: int, last: int, times: int = 1) -> None:
        """Enter points of a plan as visited so many times."""
        if (first, last) == (0, plan.points):
            self._times += times
            return
        dwell, visits = self.arrays()
        each = float(plan.dwell_ns) if plan.dwell_list is None else plan.dwells_ns[first:last].astype(np.float64)
        dwell[first:last] += each * times
        visits[first:last] += np.uint32(times)

    def place(self, field: Visits, plan: ScanPlan) -> None:
        """Add these visits of a plan's points to those of the field's pixels."""
        if self.empty:
            return
        dwell, visits = field.arrays()
        each = float(plan.dwell_ns) if plan.dwell_list is None else plan.dwells_ns.astype(np.float64)
        parts: list[tuple[Any, Any]] = [(each * self._times, np.uint32(self._times))] if self._times else []
        if self._dwell_ns is not None and self._visits is not None:
            parts.append((self._dwell_ns, self._visits))
        for more_dwell, more_visits in parts:
            if plan.is_full_raster:
                dwell += more_dwell
                visits += more_visits
            else:
                np.add.at(dwell, plan.pixels, more_dwell)
                np.add.at(visits, plan.pixels, more_visits)
