"""An exposure adds frames in any order and keeps its three states apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import ExposureError
from scanmend.exposure import Exposure, ExposureBuilder
from scanmend.field import Channel, DetectorKind, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan

FIELD = Field(shape=(6, 7), pixel_size_nm=1.0)
COUNTING = Channel(name="C")


def built(frames, channel=COUNTING, **options):
    builder = ExposureBuilder(FIELD, channel, **options)
    for plan, samples, first in frames:
        builder.add(Frame(plan_id=0, samples=np.asarray(samples).reshape(1, -1), first_point=first), plan)
    return builder.view()


@given(data=st.data(), kind=st.sampled_from(list(DetectorKind)), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_order_of_frames_does_not_matter(data, kind, seed):
    channel = Channel(name="C", kind=kind, units_per_electron=2.0, offset_units=1.0, reference_dwell_ns=100)
    random = np.random.default_rng(seed)
    frames = []
    for pitch in (1, 2, 3):
        plan = ScanPlan.jittered_grid(FIELD.shape, 100 * pitch, pitch_px=pitch, seed=seed)
        cut = int(random.integers(1, plan.points)) if plan.points > 1 else 1
        samples = random.integers(0, 60_000, plan.points, np.uint16)
        frames += [(plan, part, first) for part, first in ((samples[:cut], 0), (samples[cut:], cut)) if part.size]
    shuffled = data.draw(st.permutations(frames))
    one, other = built(frames, channel, reference_dwell_ns=100), built(shuffled, channel, reference_dwell_ns=100)
    for name in ("signal", "dwell_ns", "visits"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_pixel_visited_twice_in_one_frame_counts_twice():
    plan = ScanPlan.point_list(FIELD.shape, [100, 300, 100], xy=[[2, 1], [2, 1], [0, 0]])
    exposure = built([(plan, np.array([5, 7, 0], np.uint16), 0)], reference_dwell_ns=100)
    assert exposure.visits[1, 2] == 2 and exposure.signal[1, 2] == 12 and exposure.dwell_ns[1, 2] == 400
    assert exposure.weight[1, 2] == 4 and exposure.values[1, 2] == pytest.approx(12 / 4)


def test_not_sampled_and_measured_zero_are_two_states():
    plan = ScanPlan.point_list(FIELD.shape, 100, xy=[[0, 0]])
    exposure = built([(plan, np.array([0], np.uint16), 0)])
    assert exposure.visits[0, 0] == 1 and exposure.visits[0, 1] == 0
    assert exposure.values[0, 0] == 0 and exposure.values[0, 1] == 0
    assert exposure.weight[0, 0] == 1 and exposure.weight[0, 1] == 0
    assert exposure.coverage == pytest.approx(1 / 42)


SCALING = [
    # kind, gain, offset, dwells, raw values, values at the reference dwell of 100 ns
    ("counts add up with the dwell", DetectorKind.COUNTING, 1.0, 0.0, (100, 200), (10, 20), 10.0),
    ("counts with gain and offset", DetectorKind.COUNTING, 2.0, 4.0, (100, 200), (24, 44), 10.0),
    ("levels stay the same", DetectorKind.ANALOGUE, 1.0, 0.0, (100, 200), (10, 10), 10.0),
    ("levels with gain and offset", DetectorKind.ANALOGUE, 2.0, 4.0, (100, 200), (24, 24), 10.0),
    ("levels without a gain stay in units", DetectorKind.ANALOGUE, None, 4.0, (100, 200), (24, 24), 20.0),
    ("counts without a gain stay in units", DetectorKind.COUNTING, None, 4.0, (100, 200), (24, 44), 20.0),
]


@pytest.mark.parametrize(
    "kind, gain, offset, dwells, raw, value", [c[1:] for c in SCALING], ids=[c[0] for c in SCALING]
)
def test_dwell_gain_and_offset(kind, gain, offset, dwells, raw, value):
    channel = Channel(name="C", kind=kind, units_per_electron=gain, offset_units=offset, reference_dwell_ns=100)
    frames = [
        (ScanPlan.point_list(FIELD.shape, dwell, xy=[[3, 3]]), np.array([sample], np.uint16), 0)
        for dwell, sample in zip(dwells, raw, strict=True)
    ]
    exposure = built(frames, channel, reference_dwell_ns=100)
    assert exposure.weight[3, 3] == pytest.approx(sum(dwells) / 100)
    assert exposure.values[3, 3] == pytest.approx(value)
    assert exposure.electrons_per_unit == (None if gain is None else 1.0)


def test_a_raster_and_the_same_pixels_as_points_give_the_same():
    values = np.arange(42, dtype=np.uint16)
    raster = ScanPlan.raster(FIELD.shape, 100)
    y, x = np.divmod(np.arange(42), 7)
    points = ScanPlan.point_list(FIELD.shape, 100, xy=np.stack([x, y], axis=1))
    one, other = built([(raster, values, 0)]), built([(points, values, 0)])
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.values, values.reshape(6, 7).astype(np.float32))


def test_the_second_channel_and_clearing():
    plan = ScanPlan.raster(FIELD.shape, 100)
    builder = ExposureBuilder(FIELD, COUNTING)
    samples = np.stack([np.zeros(42, np.uint16), np.full(42, 3, np.uint16)])
    builder.add(Frame(plan_id=0, samples=samples), plan, channel_index=1)
    assert (builder.view().values == 3).all() and builder.frames == 1
    builder.clear()
    assert builder.frames == 0 and builder.view().coverage == 0


def test_frames_that_do_not_fit_are_refused():
    plan = ScanPlan.raster(FIELD.shape, 100)
    builder = ExposureBuilder(FIELD, COUNTING)
    cases = [
        (Frame(plan_id=0, samples=np.zeros((1, 43), np.uint16)), plan, 0),
        (Frame(plan_id=0, samples=np.zeros((1, 42), np.uint16), first_point=1), plan, 0),
        (Frame(plan_id=0, samples=np.zeros((1, 42), np.uint16)), plan, 1),
        (Frame(plan_id=0, samples=np.full((1, 42), math.nan, np.float32)), plan, 0),
        (Frame(plan_id=0, samples=np.zeros((1, 16), np.uint16)), ScanPlan.raster((4, 4), 100), 0),
    ]
    for frame, its_plan, index in cases:
        with pytest.raises(ExposureError) as caught:
            builder.add(frame, its_plan, channel_index=index)
        assert caught.value.mend
    assert builder.frames == 0 and builder.view().coverage == 0


def test_from_samples_keeps_means_and_ignores_what_was_not_sampled():
    values = np.array([[2.0, math.nan], [0.0, 7.0]], np.float32)
    exposure = Exposure.from_samples(values, np.array([[3, 0], [1, 2]], np.uint16), electrons_per_unit=math.inf)
    np.testing.assert_array_equal(exposure.values, [[2, 0], [0, 7]])
    np.testing.assert_array_equal(exposure.weight, [[3, 0], [1, 2]])
    assert exposure.units_per_electron == 0.0 and exposure.coverage == 0.75


BAD = [
    (np.zeros(4), np.ones(4, int), {}),
    (np.zeros((2, 2)), np.ones((2, 3), int), {}),
    (np.zeros((0, 2)), np.ones((0, 2), int), {}),
    (np.zeros((2, 2)), np.ones((2, 2)), {}),
    (np.zeros((2, 2)), -np.ones((2, 2), int), {}),
    (np.full((2, 2), math.nan), np.ones((2, 2), int), {}),
    (np.zeros((2, 2), complex), np.ones((2, 2), int), {}),
    (np.zeros((2, 2)), np.ones((2, 2), int), {"electrons_per_unit": 0.0}),
    (np.zeros((2, 2)), np.ones((2, 2), int), {"electrons_per_unit": math.nan}),
    (np.zeros((2, 2)), np.ones((2, 2), int), {"read_noise": -1.0}),
]


@pytest.mark.parametrize("values, visits, options", BAD)
def test_samples_that_are_none_are_refused(values, visits, options):
    with pytest.raises(ExposureError) as caught:
        Exposure.from_samples(values, visits, **options)
    assert caught.value.mend
