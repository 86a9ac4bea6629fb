"""The pass that an adaptive scan begins with, where its caller gives none."""

from __future__ import annotations

import math

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan

SHARE_OF_BUDGET = 0.25
"""What the first pass takes of the budget: enough to see where more is worth it, and three such passes are left."""

USUAL_DWELL_NS = 1000
"""Dwell of each pixel where there is no budget to divide."""


def first_plan(field: Field, able: Capabilities, budget_e_per_nm2: float | None) -> ScanPlan:
    """Every pixel once where the instrument and a quarter of the budget allow it, else a jittered grid.

    Args:
        field: The area being imaged.
        able: What the instrument can run.
        budget_e_per_nm2: Dose averaged over the field for all passes; None for no limit.

    Raises:
        InvalidInput: The budget does not pay for the least that the instrument can do, or the beam current that it
            needs is not known.
    """
    quantum = able.dwell_quantum_ns
    least = -(-able.min_dwell_ns // quantum) * quantum
    most = able.max_dwell_ns // quantum * quantum
    if budget_e_per_nm2 is None:
        dwell, points = max(least, min(USUAL_DWELL_NS // quantum * quantum, most)), field.pixels
    else:
        per_ns = field.dose_e_per_nm2(1.0)
        if per_ns is None:
            raise InvalidInput(
                "A dose budget cannot be kept where the beam current is not known.",
                mend="Give the field's beam_current_pa, or leave the budget out.",
            )
        total_ns = SHARE_OF_BUDGET * budget_e_per_nm2 / per_ns
        dwell = min(math.floor(total_ns / field.pixels / quantum) * quantum, most)
        points = field.pixels
        if dwell < least:
            dwell, points = least, math.floor(total_ns / least)
    points = min(points, able.max_points)
    if points >= field.pixels:
        return ScanPlan.raster(field.shape, dwell)
    if points < 1 or not able.points:
        raise InvalidInput(
            "A quarter of the dose budget does not pay for the shortest pass that this instrument can run.",
            mend="Give a larger budget, a lower beam current, a larger field, or a first plan of your own.",
        )
    pitch = math.sqrt(field.pixels / points)
    plan = ScanPlan.jittered_grid(field.shape, dwell, pitch_px=pitch)
    while plan.points > points:  # cells are whole in number, so a grid may have a few more points than asked
        pitch *= 1.01
        plan = ScanPlan.jittered_grid(field.shape, dwell, pitch_px=pitch)
    return plan
