"""What an instrument makes of a plan: dwell times rounded, what is too long cut, what it cannot run refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import structs

from scanmend.errors import PlanError
from scanmend.field import Capabilities
from scanmend.plan.patterns import Points, Raster, Segments, Serpentine
from scanmend.plan.scan_plan import ScanPlan


def fit(plan: ScanPlan, able: Capabilities) -> ScanPlan:
    """Make a plan fit: round dwell times to the quantum, keep them in range, cut what is too long.

    Args:
        plan: Any plan.
        able: What the instrument can run.

    Returns:
        The plan as it will run; the same object where nothing had to change.

    Raises:
        PlanError: The instrument cannot run such a plan at all.
    """
    if not (able.points or runs_as_blocks(plan, able)):
        kinds = ["segments"] * able.segments + ["rectangles" if able.rectangles else "the whole field"]
        raise PlanError(
            f"This instrument runs {' or '.join(kinds)} only.", mend=f"Give a plan of {' or '.join(kinds)}."
        )
    if not able.dwell_per_point and plan.dwell_list is not None:
        raise PlanError("This instrument has one dwell for all points.", mend="Give a plan with one dwell.")
    if plan.blank_between and not able.blanking:
        plan = structs.replace(plan, blank_between=False)
    if plan.dwell_list is None:
        dwell = int(_fitted(np.array([plan.dwell_ns]), able)[0])
        if dwell != plan.dwell_ns:
            plan = structs.replace(plan, dwell_ns=dwell)
    else:
        wanted = plan.dwells_ns
        fitted = _fitted(wanted, able)
        if not np.array_equal(fitted, wanted):
            plan = structs.replace(plan, dwell_list=fitted.astype("<u4").tobytes())
    return cut(plan, np.arange(plan.points) < able.max_points) if plan.points > able.max_points else plan


def cut(plan: ScanPlan, keep: npt.NDArray[np.bool_]) -> ScanPlan:
    """Leave points out of a plan.

    Args:
        plan: Any plan.
        keep: bool (points,), in visiting order; at least one is true.

    Returns:
        A plan of points with everything else unchanged.
    """
    xy = np.column_stack([plan.x[keep], plan.y[keep]]).astype("<i4")
    return ScanPlan.of(
        plan.shape,
        Points(xy=xy.tobytes()),
        plan.dwell_ns if plan.dwell_list is None else plan.dwells_ns[keep],
        settle_ns=plan.settle_ns,
        blank_between=plan.blank_between,
        max_dose_e_per_nm2=plan.max_dose_e_per_nm2,
        expires_unix_ns=plan.expires_unix_ns,
    )


def runs_as_blocks(plan: ScanPlan, able: Capabilities) -> bool:
    """Whether electronics that take no lists of points can run this plan."""
    if isinstance(plan.pattern, Segments):
        return able.segments
    if not isinstance(plan.pattern, Raster | Serpentine):
        return False
    return able.rectangles or plan.points == plan.shape[0] * plan.shape[1]


def _fitted(dwell_ns: npt.NDArray[np.integer], able: Capabilities) -> npt.NDArray[np.int64]:
    quantum = able.dwell_quantum_ns
    low = -(-able.min_dwell_ns // quantum) * quantum
    high = max(able.max_dwell_ns // quantum * quantum, low)
    rounded = (dwell_ns.astype(np.int64) + quantum // 2) // quantum * quantum
    return np.clip(rounded, low, high)
