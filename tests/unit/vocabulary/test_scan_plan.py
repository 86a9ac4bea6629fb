"""The plan around a pattern: dwell times, durations, limits."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from scanmend.errors import InvalidInput, PlanError
from scanmend.field import Field
from scanmend.plan import Order, Points, Raster, ScanPlan
from scanmend.plan.scan_plan import MAX_DWELL_NS

XY = np.array([[0, 0], [1, 0], [5, 3]])


def test_one_dwell_for_all_points():
    plan = ScanPlan.raster((4, 8), 250)
    assert plan.points == 32 and plan.total_dwell_ns == 8000 and plan.coverage == 1.0 and plan.is_full_raster
    assert plan.dwells_ns.dtype == np.uint32 and (plan.dwells_ns == 250).all()
    assert plan.duration_ns() == 8000


def test_a_dwell_for_each_point():
    plan = ScanPlan.point_list((4, 8), [100, MAX_DWELL_NS, 1], xy=XY)
    assert plan.dwells_ns.tolist() == [100, MAX_DWELL_NS, 1] and plan.total_dwell_ns == MAX_DWELL_NS + 101
    assert plan.dwell_ns == 100 and plan.dwell_list is not None and len(plan.dwell_list) == 12


def test_jumps_cost_a_settle_time_each():
    plan = ScanPlan.of((4, 8), Points(xy=XY.astype("<i4").tobytes()), 100, settle_ns=7)
    assert plan.jumps == 2  # to the first point, and to (5, 3)
    assert plan.duration_ns() == 300 + 14 and plan.duration_ns(settle_ns=10) == 320
    assert ScanPlan.serpentine((4, 8), 100).jumps == 1 and ScanPlan.raster((4, 8), 100).jumps == 4


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda s: ScanPlan.raster(s, 10, top=1, left=2, height=3, width=4), (8, 9)),
        (lambda s: ScanPlan.serpentine(s, 10), (8, 9)),
        (lambda s: ScanPlan.random(s, 10, coverage=0.25, seed=3, order=Order.RANDOM), (8, 9)),
        (lambda s: ScanPlan.jittered_grid(s, 10, pitch_px=2.5, seed=1 << 63), (8, 9)),
        (lambda s: ScanPlan.spiral(s, 10, pitch_px=2), (8, 9)),
        (lambda s: ScanPlan.segments(s, 10, runs=[[0, 0, 9]]), (8, 9)),
        (lambda s: ScanPlan.mask(np.eye(8, 9) > 0, 10), (8, 9)),
        (lambda s: ScanPlan.point_list(s, [1, 2, 3], xy=XY), (8, 9)),
    ],
)
def test_plans_are_the_same_after_the_wire(make, shape):
    plan = make(shape)
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=ScanPlan)
    back.validate(Field(shape=shape, pixel_size_nm=1.0))
    assert back == plan and back.pixels.tolist() == plan.pixels.tolist() and back.points == plan.points


@pytest.mark.parametrize("coverage, points", [(1.0, 64), (0.5, 32), (1e-9, 1)])
def test_coverage_becomes_a_count(coverage, points):
    assert ScanPlan.random((8, 8), 10, coverage=coverage).points == points


BAD = [
    ("a dwell of 0", lambda: ScanPlan.raster((4, 4), 0)),
    ("a negative dwell", lambda: ScanPlan.raster((4, 4), -5)),
    ("a dwell beyond 32 bits", lambda: ScanPlan.raster((4, 4), MAX_DWELL_NS + 1)),
    ("a fraction of a nanosecond", lambda: ScanPlan.raster((4, 4), 10.5)),
    ("a dwell that is no number", lambda: ScanPlan.raster((4, 4), math.nan)),
    ("dwells that are fractions", lambda: ScanPlan.raster((1, 2), [1.5, 2.5])),
    ("a table of dwells", lambda: ScanPlan.raster((2, 2), [[1, 2], [3, 4]])),
    ("too few dwells", lambda: ScanPlan.raster((4, 4), [1, 2])),
    ("no dwell", lambda: ScanPlan.raster((4, 4), np.zeros(0, int))),
    ("a dwell of 0 among others", lambda: ScanPlan.raster((1, 2), [0, 2])),
    ("a coverage of 0", lambda: ScanPlan.random((4, 4), 10, coverage=0)),
    ("a coverage above 1", lambda: ScanPlan.random((4, 4), 10, coverage=1.01)),
    ("a coverage that is no number", lambda: ScanPlan.random((4, 4), 10, coverage=math.nan)),
    ("a negative settle time", lambda: ScanPlan.of((4, 4), Raster(), 10, settle_ns=-1)),
    ("a settle time beyond 32 bits", lambda: ScanPlan.of((4, 4), Raster(), 10, settle_ns=1 << 40)),
    ("a largest dose of 0", lambda: ScanPlan.of((4, 4), Raster(), 10, max_dose_e_per_nm2=0.0)),
    ("a field without lines", lambda: ScanPlan.raster((0, 4), 10)),
    ("a field beyond all bounds", lambda: ScanPlan.raster((65_536, 65_536), 10)),
    ("positions that are fractions", lambda: ScanPlan.point_list((4, 4), 10, xy=[[0.5, 0.5]])),
    ("positions of three numbers", lambda: ScanPlan.point_list((4, 4), 10, xy=[[1, 2, 3]])),
    ("positions beyond 32 bits", lambda: ScanPlan.point_list((4, 4), 10, xy=[[1 << 40, 0]])),
    ("a mask of three dimensions", lambda: ScanPlan.mask(np.ones((2, 2, 2)), 10)),
]


@pytest.mark.parametrize("make", [case[1] for case in BAD], ids=[case[0] for case in BAD])
def test_plans_that_cannot_be_run_are_refused_with_a_mend(make):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert caught.value.mend


def test_a_plan_belongs_to_the_grid_it_was_made_for():
    plan = ScanPlan.raster((4, 8), 10)
    plan.validate(Field(shape=(4, 8), pixel_size_nm=2.0))
    with pytest.raises(PlanError, match="grid"):
        plan.validate(Field(shape=(8, 4), pixel_size_nm=2.0))
