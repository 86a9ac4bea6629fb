"""What plans cost in time, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities
from scanmend.plan import Cost, Order, ScanPlan

SHAPE = (4, 6)
ABLE = Capabilities(command_ns=1_000_000, settle_ns=10_000, flyback_ns=400, segment_ns=3)
EVERY_SECOND = np.tile([True, False], (4, 3))
ROWS = np.array([[1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]], dtype=bool)

TABLE = [
    # name, plan, jumps, far moves, commands
    ("a raster flies back after each line", ScanPlan.raster(SHAPE, 7), 4, 3, 1),
    ("a serpentine never jumps", ScanPlan.serpentine(SHAPE, 7), 1, 0, 1),
    ("a narrow rectangle steps, or jumps near", ScanPlan.raster(SHAPE, 7, left=2, width=2), 1, 0, 1),
    ("a rectangle of three columns", ScanPlan.raster(SHAPE, 7, top=1, left=1, width=3), 3, 0, 1),
    ("its serpentine", ScanPlan.serpentine(SHAPE, 7, top=1, left=1, width=3), 1, 0, 1),
    ("no two neighbours in a line", ScanPlan.mask(EVERY_SECOND, 7), 12, 3, 12),
    ("the same there and back", ScanPlan.mask(EVERY_SECOND, 7, order=Order.SERPENTINE), 9, 0, 12),
    ("runs of a mask", ScanPlan.mask(ROWS, 7), 5, 3, 5),
    ("runs of a mask there and back", ScanPlan.mask(ROWS, 7, order=Order.SERPENTINE), 4, 2, 5),
    ("a run of points, and one across", ScanPlan.point_list(SHAPE, 7, xy=[[1, 1], [0, 1], [0, 0], [4, 0]]), 2, 1, 3),
    ("segments that touch", ScanPlan.segments(SHAPE, 7, runs=[[0, 0, 2], [2, 0, 4], [5, 1, -6]]), 1, 0, 3),
    ("segments line by line", ScanPlan.segments(SHAPE, 7, runs=[[0, 0, 6], [0, 2, 6]]), 2, 1, 2),
]


@pytest.mark.parametrize(("name", "plan", "jumps", "far", "commands"), TABLE, ids=[row[0] for row in TABLE])
def test_where_the_time_goes(name: str, plan: ScanPlan, jumps: int, far: int, commands: int) -> None:
    cost = Cost.of(plan, ABLE)
    assert (cost.settle_ns, cost.flyback_ns, cost.segment_ns) == (10_000 * jumps, 400 * far, 3 * commands)
    assert cost.dwell_ns == plan.total_dwell_ns
    assert cost.travel_ns == 10_000 * jumps + 400 * far + 3 * commands
    assert cost.duration_ns == 1_000_000 + plan.total_dwell_ns + cost.travel_ns
    assert plan.duration_ns(settle_ns=10_000) == cost.dwell_ns + cost.settle_ns


def test_of_the_plans_settle_time_and_the_instruments_the_longer_counts() -> None:
    plan = ScanPlan.of(SHAPE, ScanPlan.raster(SHAPE, 7).pattern, 7, settle_ns=30_000)
    assert Cost.of(plan, ABLE).settle_ns == 4 * 30_000
    assert Cost.of(plan, Capabilities()).duration_ns == 4 * 30_000 + 24 * 7
    assert Cost.of(ScanPlan.raster(SHAPE, 7), Capabilities(command_ns=5)).duration_ns == 5 + 24 * 7


@pytest.mark.parametrize("name", ["settle_ns", "command_ns", "segment_ns", "flyback_ns"])
def test_no_time_is_negative(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        Capabilities(**{name: -1})  # type: ignore[arg-type]


@pytest.mark.parametrize("points", [1, 2, 5, 24])
@pytest.mark.parametrize("most", [1, 3, 40_000, 4_000_000_000])
def test_the_dwell_of_a_plan_with_many_is_their_median(points: int, most: int) -> None:
    dwell = np.random.default_rng(points).integers(1, most, points, endpoint=True)
    xy = np.stack([np.arange(points) % 6, np.arange(points) // 6], axis=1)
    assert ScanPlan.point_list(SHAPE, dwell, xy=xy).dwell_ns == int(np.median(dwell))
