"""What the specimen has had, and what more it may have, in electrons per square nanometre."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.units import dose_e_per_nm2


class DoseLedger:
    """Sums the dwell of all points that were really scanned; belongs to one thread.

    A beam that waits, settles or flies back without being blanked also doses the specimen; that is not counted here.

    Args:
        field: The area being imaged.
        budget_e_per_nm2: Most dose, averaged over the field, that plans may bring it to; None for no limit.
        pixel_budget_e_per_nm2: Most dose that plans may bring any pixel to; None for no limit.
        pixel_rate_e_per_nm2_s: Most dose of any pixel by a plan over the plan's whole time; None for no limit.
    """

    def __init__(
        self,
        field: Field,
        budget_e_per_nm2: float | None = None,
        pixel_budget_e_per_nm2: float | None = None,
        pixel_rate_e_per_nm2_s: float | None = None,
    ) -> None:
        self.field = field
        self.pixel_rate_e_per_nm2_s = pixel_rate_e_per_nm2_s
        self.budget_e_per_nm2 = budget_e_per_nm2
        self.pixel_budget_e_per_nm2 = pixel_budget_e_per_nm2
        self.total_dwell_ns = 0
        """Dwell summed over all points, exact."""
        self._everywhere_ns = 0
        self._dwell_ns: npt.NDArray[np.float64] | None = None

    def add(self, plan: ScanPlan, first: int, last: int, times: int = 1) -> None:
        """Enter points `first` to `last - 1` of a plan as scanned so many times."""
        whole = (first, last) == (0, self.field.pixels)
        if plan.dwell_list is None:
            self.total_dwell_ns += plan.dwell_ns * (last - first) * times
            if whole and plan.is_full_raster:  # live views: one number instead of a picture a frame
                self._everywhere_ns += plan.dwell_ns * times
                return
            dwell: float | npt.NDArray[np.float64] = float(plan.dwell_ns * times)
        else:
            given = plan.dwells_ns[first:last]
            self.total_dwell_ns += int(given.sum(dtype=np.uint64)) * times
            dwell = given.astype(np.float64) * times
        if self._dwell_ns is None:
            self._dwell_ns = np.zeros(self.field.pixels)
        if plan.is_full_raster:
            self._dwell_ns[first:last] += dwell
        else:
            # Of the sum's own type: numpy takes fifteen times as long to add whole numbers to it.
            np.add.at(self._dwell_ns, plan.pixels[first:last], dwell)

    @property
    def dwell_ns(self) -> npt.NDArray[np.float64]:
        """Summed dwell of each pixel, float64 `(ny, nx)`, in nanoseconds."""
        if self._dwell_ns is None:
            return np.full(self.field.shape, float(self._everywhere_ns))
        return (self._dwell_ns + self._everywhere_ns).reshape(self.field.shape)

    @property
    def dose_e_per_nm2(self) -> npt.NDArray[np.float32] | None:
        """Dose of each pixel, float32 `(ny, nx)`; None where the beam current is not known."""
        one = self._dose(1, self.field.pixel_size_nm**2)
        if not one > 0:
            return None
        if self._dwell_ns is None:
            return np.full(self.field.shape, one * self._everywhere_ns, dtype=np.float32)
        dose = np.multiply(self._dwell_ns, one, dtype=np.float32, casting="unsafe")
        dose += np.float32(one * self._everywhere_ns)
        return dose.reshape(self.field.shape)

    @property
    def spent_e_per_nm2(self) -> float:
        """Dose averaged over the field; NaN where the beam current is not known."""
        return self._dose(self.total_dwell_ns, self.field.area_nm2)

    @property
    def spent_max_e_per_nm2(self) -> float:
        """Dose of the pixel that has had the most; NaN where the beam current is not known."""
        most = self._everywhere_ns + (0.0 if self._dwell_ns is None else float(self._dwell_ns.max()))
        return self._dose(most, self.field.pixel_size_nm**2)

    def price_e_per_nm2(self, plan: ScanPlan) -> float:
        """Dose that a plan adds, averaged over the field; NaN where the beam current is not known."""
        return self._dose(plan.total_dwell_ns, self.field.area_nm2)

    @property
    def affordable_dwell_ns(self) -> float:
        """Most dwell that a plan may have in all; inf where there is no budget, 0 where nothing is left.

        Exact: the dose of all that was scanned and of such a plan together is not above the budget.
        """
        budget = self.budget_e_per_nm2
        if budget is None:
            return math.inf
        one = self._dose(1, self.field.area_nm2)
        if not one > 0:
            return 0.0  # without a beam current no budget can be kept
        left = math.floor(min(budget / one, 1e18)) - self.total_dwell_ns
        while left > 0 and self._dose(self.total_dwell_ns + left, self.field.area_nm2) > budget:
            left -= 1 + left // (1 << 50)
        return float(max(0, min(left, 1 << 53)))

    @property
    def affordable_px_dwell_ns(self) -> npt.NDArray[np.float64] | None:
        """Most dwell that a plan may have at each pixel, whole nanoseconds `(ny, nx)`; None where there is no limit."""
        budget, area = self.pixel_budget_e_per_nm2, self.field.pixel_size_nm**2
        if budget is None:
            return None
        one = self._dose(1, area)
        if not one > 0:
            return np.zeros(self.field.shape)  # without a beam current no budget can be kept
        most = math.floor(min(budget / one, 1e15))
        while most > 0 and self._dose(most, area) > budget:
            most -= 1
        return np.maximum(most - self.dwell_ns, 0.0)

    @property
    def px_dwell_share(self) -> float:
        """Most dwell that a plan may give any pixel per nanosecond of its own time; inf where there is no limit."""
        if self.pixel_rate_e_per_nm2_s is None:
            return math.inf
        under_the_beam = self._dose(1e9, self.field.pixel_size_nm**2)  # e/nm² in a second
        return self.pixel_rate_e_per_nm2_s / under_the_beam if under_the_beam > 0 else 0.0

    def _dose(self, dwell_ns: float, area_nm2: float) -> float:
        current = self.field.beam_current_pa
        return math.nan if current is None else dose_e_per_nm2(current, dwell_ns, area_nm2)
