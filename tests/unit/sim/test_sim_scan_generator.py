"""Scan electronics: rounding, limits, timing."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.errors import PlanError
from scanmend.field import Capabilities
from scanmend.plan import Cost, Order, ScanPlan
from scanmend.plan.fit import cut
from scanmend_sim.scan_generator import ScanGenerator

SHAPE = (16, 20)


@pytest.mark.parametrize(
    ("asked", "runs"), [(1, 125), (125, 125), (187, 125), (188, 250), (1000, 1000), (10**8, 8_191_875)]
)
def test_dwell_is_rounded_to_the_quantum_and_kept_in_range(asked: int, runs: int) -> None:
    assert ScanGenerator().prepare(ScanPlan.raster(SHAPE, asked)).dwell_ns == runs


def test_a_dwell_for_each_point_is_rounded_too() -> None:
    plan = ScanPlan.point_list(SHAPE, [100, 300, 1000], xy=[[0, 0], [5, 5], [1, 1]])
    assert ScanGenerator().prepare(plan).dwells_ns.tolist() == [125, 250, 1000]


def test_a_plan_that_fits_is_left_as_it_is() -> None:
    plan = ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=3)
    assert ScanGenerator().prepare(plan) is plan


def test_a_plan_too_long_is_cut_at_its_end() -> None:
    generator = ScanGenerator(capabilities=Capabilities(max_points=50))
    plan = ScanPlan.raster(SHAPE, np.arange(1, 321))
    shorter = generator.prepare(plan)
    assert shorter.points == 50
    assert np.array_equal(shorter.pixels, plan.pixels[:50])
    assert np.array_equal(shorter.dwells_ns, plan.dwells_ns[:50])


@pytest.mark.parametrize(
    ("limits", "plan"),
    [
        ({"points": False}, ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=3)),
        ({"dwell_per_point": False}, ScanPlan.raster(SHAPE, np.full(320, 500))),
        ({"points": False}, ScanPlan.raster(SHAPE, 1000, top=3)),
        ({"points": False, "segments": True}, ScanPlan.raster(SHAPE, 1000, top=3)),
        ({"points": False, "rectangles": True}, ScanPlan.segments(SHAPE, 1000, runs=[[2, 3, 5]])),
    ],
)
def test_what_the_electronics_cannot_do_is_declined(limits: dict[str, bool], plan: ScanPlan) -> None:
    with pytest.raises(PlanError) as error:
        ScanGenerator(capabilities=Capabilities(**limits)).prepare(plan)
    assert error.value.mend


@pytest.mark.parametrize(
    ("limits", "plan"),
    [
        ({}, ScanPlan.serpentine(SHAPE, 1000)),
        ({"segments": True}, ScanPlan.segments(SHAPE, 1000, runs=[[2, 3, 5]])),
        ({"rectangles": True}, ScanPlan.raster(SHAPE, 1000, top=3)),
    ],
)
def test_electronics_without_points_run_the_whole_field_and_what_else_they_can(
    limits: dict[str, bool], plan: ScanPlan
) -> None:
    assert ScanGenerator(capabilities=Capabilities(points=False, **limits)).prepare(plan) is plan


def test_blanking_that_is_not_there_is_taken_out() -> None:
    plan = cut(ScanPlan.raster(SHAPE, 1000), np.ones(320, bool))
    blanked = ScanPlan.of(SHAPE, plan.pattern, 1000, blank_between=True)
    assert not ScanGenerator(capabilities=Capabilities(blanking=False)).prepare(blanked).blank_between
    assert ScanGenerator().prepare(blanked).blank_between


def test_times_hold_command_settling_flyback_and_dwells() -> None:
    capabilities = Capabilities(settle_ns=300, command_ns=5000, flyback_ns=1000)
    scan = ScanGenerator(capabilities=capabilities).scan(ScanPlan.raster(SHAPE, 100))
    assert scan.wait_ns == 16 * 300 + 15 * 1000
    assert scan.duration_ns == 5000 + scan.wait_ns + 320 * 100
    assert scan.end_ns(0) == 5000 + 300 + 100
    assert scan.end_ns(20) - scan.end_ns(19) == 300 + 1000 + 100
    middle = scan.stretch().middle_ns()
    assert middle[0] == 5000 + 300 + 50
    assert (np.diff(middle) > 0).all()


@pytest.mark.parametrize("plan", [ScanPlan.raster(SHAPE, 250), ScanPlan.jittered_grid(SHAPE, 250, pitch_px=2.5)])
def test_duration_agrees_with_the_plans_own(plan: ScanPlan) -> None:
    capabilities = Capabilities(settle_ns=700)
    assert ScanGenerator(capabilities=capabilities).scan(plan).duration_ns == plan.duration_ns(settle_ns=700)


SOME = np.random.default_rng(3).random(SHAPE) < 0.4
ROUTES = {
    "raster": ScanPlan.raster(SHAPE, 250),
    "raster with dwells": ScanPlan.raster(SHAPE, 250 + np.arange(320)),
    "serpentine": ScanPlan.serpentine(SHAPE, 250),
    "rectangle": ScanPlan.raster(SHAPE, 250, top=2, left=3, height=5, width=13),
    "mask": ScanPlan.mask(SOME, 250),
    "mask there and back": ScanPlan.mask(SOME, 250 + np.arange(SOME.sum()), order=Order.SERPENTINE),
    "mask at random": ScanPlan.mask(SOME, 250, order=Order.RANDOM),
    "points": ScanPlan.point_list(SHAPE, 250, xy=[[3, 3], [2, 3], [3, 3], [19, 4], [19, 5], [0, 5], [0, 5]]),
    "jittered grid": ScanPlan.jittered_grid(SHAPE, 250, pitch_px=2.5),
    "spiral": ScanPlan.spiral(SHAPE, 250, pitch_px=1.7),
    "segments": ScanPlan.segments(SHAPE, 250, runs=[[0, 0, 20], [19, 1, -20], [0, 2, 3], [3, 2, 4], [5, 9, 1]]),
}
TIMES = {
    "nothing": Capabilities(),
    "command": Capabilities(command_ns=5_000_000),
    "settling": Capabilities(settle_ns=700),
    "flyback": Capabilities(flyback_ns=9_000),
    "segments": Capabilities(segment_ns=7_000),
    "all": Capabilities(command_ns=5_000_000, settle_ns=700, flyback_ns=9_000, segment_ns=7_000),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("times", TIMES)
def test_the_services_price_is_the_time_it_takes(route: str, times: str) -> None:
    """Two programs count it: the service before the scan, the simulator point by point."""
    scan = ScanGenerator(capabilities=TIMES[times]).scan(ROUTES[route])
    assert scan.duration_ns == Cost.of(ROUTES[route], TIMES[times]).duration_ns
    assert (np.diff(scan.ends_ns) >= 250).all()


@pytest.mark.parametrize("points", [1, 7, 320, 1000])
def test_chunks_cover_the_pass_in_order(points: int) -> None:
    scan = ScanGenerator().scan(ScanPlan.serpentine(SHAPE, 500))
    chunks = list(scan.chunks(points))
    assert [first for first, _, _ in chunks] == list(range(0, 320, points))
    assert sum(count for _, count, _ in chunks) == 320
    assert chunks[-1][2] == scan.duration_ns
    joined = np.concatenate([scan.stretch(first, count).pixels for first, count, _ in chunks])
    assert np.array_equal(joined, scan.plan.pixels)


@pytest.mark.parametrize(("first", "count"), [(0, 0), (-1, 5), (319, 2), (320, None)])
def test_points_outside_the_plan_are_refused(first: int, count: int | None) -> None:
    with pytest.raises(PlanError):
        ScanGenerator().scan(ScanPlan.raster(SHAPE, 500)).stretch(first, count)


def test_a_4096_raster_is_timed_in_reasonable_memory_and_order() -> None:
    scan = ScanGenerator().scan(ScanPlan.raster((1024, 1024), 125))
    assert scan.duration_ns == 1024 * 1024 * 125
    since, jump_y, jump_x = scan.stretch(1024, 4).last_jumps()
    assert since.tolist() == [62.5, 187.5, 312.5, 437.5]
    assert set(jump_y) == {1.0}
    assert set(jump_x) == {-1023.0}
