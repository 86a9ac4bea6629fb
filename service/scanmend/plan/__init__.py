"""Scan plans: an ordered list of probe positions with a dwell time each, written compactly.

>>> plan = ScanPlan.jittered_grid((512, 512), pitch_px=4.47, dwell_ns=2000, seed=7)
>>> plan.points, round(plan.coverage, 3)
(13225, 0.05)
"""

from scanmend.plan.cost import Cost
from scanmend.plan.patterns import (
    JitteredGrid,
    Mask,
    Order,
    Pattern,
    Points,
    RandomPixels,
    Raster,
    Segments,
    Serpentine,
    Spiral,
)
from scanmend.plan.scan_plan import ScanPlan

__all__ = [
    "Cost",
    "JitteredGrid",
    "Mask",
    "Order",
    "Pattern",
    "Points",
    "RandomPixels",
    "Raster",
    "ScanPlan",
    "Segments",
    "Serpentine",
    "Spiral",
]
