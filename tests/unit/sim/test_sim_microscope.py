"""The microscope: dose bookkeeping, truth, determinism, any plan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, PlanError
from scanmend.field import Channel, DetectorKind, Field
from scanmend.plan import Order, ScanPlan
from scanmend.units import ELEMENTARY_CHARGE_C
from scanmend_sim.column import Column
from scanmend_sim.detector import Detector, Sees
from scanmend_sim.frame_pool import FramePool
from scanmend_sim.microscope import Microscope
from scanmend_sim.specimens import load_specimen

SHAPE = (48, 64)
FIELD = Field(shape=SHAPE, pixel_size_nm=0.5, beam_current_pa=10.0)
SPECIMEN = load_specimen("nanoparticles:seed=1")
RESTLESS = Column(
    probe_fwhm_nm=0.6,
    drift_x_nm_per_s=4,
    walk_nm_per_sqrt_s=1,
    jitter_nm=0.1,
    hum_nm=0.1,
    settle_time_us=2,
    flicker=0.05,
)


def microscope(**settings: object) -> Microscope:
    return Microscope(SPECIMEN, FIELD, **settings)


PLANS = {
    "raster": ScanPlan.raster(SHAPE, 1000),
    "rectangle": ScanPlan.raster(SHAPE, 500, top=5, left=7, height=20, width=30),
    "serpentine": ScanPlan.serpentine(SHAPE, 750),
    "jittered": ScanPlan.jittered_grid(SHAPE, 2000, pitch_px=4.47, seed=3, order=Order.SERPENTINE),
    "random": ScanPlan.random(SHAPE, 1000, coverage=0.2, seed=2, order=Order.RANDOM),
    "spiral": ScanPlan.spiral(SHAPE, 1500, pitch_px=3.0, step_px=0.7),
    "segments": ScanPlan.segments(SHAPE, 1000, runs=[[0, 3, 20], [40, 9, -15]]),
    "points": ScanPlan.point_list(SHAPE, [125, 1000, 250, 250], xy=[[3, 4], [3, 4], [63, 47], [0, 0]]),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("column", [None, RESTLESS], ids=["calm", "restless"])
def test_dose_is_current_times_dwell_over_charge_at_each_pixel(plan: ScanPlan, column: Column | None) -> None:
    scope = microscope(column=column)
    foretold = scope.dose_after(plan)
    samples = scope.run(scope.prepare(plan))
    assert samples.shape == (1, plan.points)
    assert scope.dose().mean_e_per_nm2 == pytest.approx(foretold)
    electrons = np.zeros(SHAPE[0] * SHAPE[1])
    for pixel, dwell_ns in zip(plan.pixels.tolist(), plan.dwells_ns.tolist(), strict=True):
        electrons[pixel] += 10e-12 * dwell_ns * 1e-9 / ELEMENTARY_CHARGE_C
    assert scope.dose_e_per_nm2.ravel() * 0.25 == pytest.approx(electrons, rel=1e-9)
    report = scope.dose()
    assert report.delivered_electrons == pytest.approx(electrons.sum(), rel=1e-9)
    assert report.mean_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(plan.total_dwell_ns), rel=1e-9)
    assert report.max_e_per_nm2 == pytest.approx(electrons.max() / 0.25, rel=1e-9)
    assert report.points == plan.points


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_samples_average_to_the_truth_at_their_pixels(plan: ScanPlan) -> None:
    scope = microscope(column=Column(probe_fwhm_nm=0.8))
    repeats = 300
    mean = np.mean([scope.run(plan, index)[0] for index in range(repeats)], axis=0)
    per_ns = scope.truth_electrons(1.0).ravel()[plan.pixels]
    expected = per_ns * plan.dwells_ns
    z = (mean - expected) / np.sqrt(expected / repeats)
    assert np.abs(z).max() < 6
    assert z.std() == pytest.approx(1, abs=0.1 + 2 / np.sqrt(2 * plan.points))


def test_electrons_balance_over_a_whole_frame() -> None:
    scope = microscope()
    counts = scope.run(PLANS["raster"]).astype(float)
    expected = float(scope.truth_electrons(1000).sum())
    assert abs(counts.sum() - expected) < 4.5 * np.sqrt(expected)


def test_an_analogue_channel_is_calibrated_as_its_definition_says() -> None:
    channel = Channel(
        name="SE",
        kind=DetectorKind.ANALOGUE,
        units_per_electron=9.0,
        offset_units=120,
        reference_dwell_ns=2000,
        dtype="float32",
    )
    scope = microscope(detectors=Detector(channel=channel, efficiency=0.5))
    for dwell_ns in (500, 2000, 4000):
        level = scope.run(ScanPlan.raster(SHAPE, dwell_ns), dwell_ns)[0].astype(float)
        electrons = (level - channel.offset_units) / 9.0
        assert electrons.mean() == pytest.approx(float(scope.truth_electrons(2000).mean()), rel=0.03)


@pytest.mark.parametrize("column", [None, RESTLESS], ids=["calm", "restless"])
def test_the_same_calls_give_the_same_samples(column: Column | None) -> None:
    def session(seed: int) -> list[np.ndarray]:
        scope = microscope(column=column, seed=seed)
        plan = PLANS["jittered"]
        return [scope.run(plan, 0, 0, 40), scope.run(plan, 0, 40), scope.run(PLANS["raster"], 1), scope.run(plan, 2)]

    first, again, other = session(7), session(7), session(8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])
    assert not np.array_equal(first[3][:, :40], first[0])


def test_chunks_keep_the_timing_of_their_pass() -> None:
    column = Column(drift_x_nm_per_s=500.0, probe_fwhm_nm=2.0)
    detector = Detector(channel=Channel(name="D", dtype="uint32"))
    field = Field(shape=SHAPE, pixel_size_nm=0.5, beam_current_pa=1e6)
    whole, parts = (Microscope(SPECIMEN, field, column=column, detectors=detector) for _ in range(2))
    plan = ScanPlan.raster(SHAPE, 2000)
    at_once = whole.run(plan)[0].astype(float)
    chunked = np.concatenate([parts.run(plan, 0, first, n)[0] for first, n, _ in parts.scan(plan).chunks(500)])
    assert parts.clock_ns == whole.clock_ns == plan.total_dwell_ns
    assert np.abs(at_once - chunked).max() < 8 * np.sqrt(at_once.max()), "only the counting noise differs"
    assert parts.dose() == whole.dose()


def test_passes_follow_each_other_in_time() -> None:
    scope = microscope()
    plan = PLANS["raster"]
    scope.run(plan, 0)
    scope.run(plan, 1)
    assert scope.clock_ns == 2 * plan.total_dwell_ns
    assert scope.dose().mean_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(2 * plan.total_dwell_ns))


def test_drift_shows_in_samples_and_in_the_truth_of_that_time() -> None:
    column = Column(drift_x_nm_per_s=2.0, probe_fwhm_nm=1.5)
    field = Field(shape=SHAPE, pixel_size_nm=0.5, beam_current_pa=1e4)
    scope = Microscope(SPECIMEN, field, column=column, detectors=Detector(channel=Channel(name="D", dtype="uint32")))
    plan = PLANS["raster"]
    scope.clock_ns = 2_000_000_000  # 4 nm, that is 8 pixels, later
    picture = scope.run(plan)[0].reshape(SHAPE).astype(float)
    then, before = scope.truth_electrons(1000, at_ns=2_001_500_000), scope.truth_electrons(1000)
    assert np.abs(picture - then).mean() < 0.25 * np.abs(picture - before).mean()
    assert then[:, 8:] == pytest.approx(before[:, :-8], rel=0.1, abs=0.05 * float(before.max()))


def test_unblanked_waits_are_counted_apart_from_the_dose() -> None:
    scope = microscope()
    settling = ScanPlan.of(SHAPE, PLANS["jittered"].pattern, 2000, settle_ns=1000)
    blanked = ScanPlan.of(SHAPE, PLANS["jittered"].pattern, 2000, settle_ns=1000, blank_between=True)
    scope.run(blanked, 0)
    assert scope.dose().idle_electrons == 0
    scope.run(settling, 1)
    expected = 10e-12 * settling.jumps * 1000e-9 / ELEMENTARY_CHARGE_C
    assert scope.dose().idle_electrons == pytest.approx(expected)


def test_a_dose_limit_cuts_the_pixels_that_have_had_enough() -> None:
    scope = microscope()
    per_visit = FIELD.dose_e_per_nm2(1000) * FIELD.pixels
    scope.run(ScanPlan.raster(SHAPE, 1000, height=10))
    limited = ScanPlan.of(SHAPE, PLANS["raster"].pattern, 1000, max_dose_e_per_nm2=1.5 * per_visit)
    fitted = scope.prepare(limited)
    assert fitted.points == 38 * 64
    assert int(fitted.y.min()) == 10
    scope.run(fitted, 1)
    assert scope.dose().max_e_per_nm2 == pytest.approx(per_visit)
    with pytest.raises(PlanError, match="every pixel above its limit"):
        scope.prepare(limited)


def test_an_expired_plan_is_declined() -> None:
    plan = ScanPlan.of(SHAPE, PLANS["raster"].pattern, 1000, expires_unix_ns=1000)
    with pytest.raises(PlanError, match="expired"):
        microscope().prepare(plan, now_unix_ns=1001)
    assert microscope().prepare(plan, now_unix_ns=999).points == plan.points


@pytest.mark.parametrize("action", ["prepare", "run"])
def test_a_plan_for_another_grid_is_declined(action: str) -> None:
    with pytest.raises(PlanError):
        getattr(microscope(), action)(ScanPlan.raster((8, 8), 1000))


def test_several_detectors_give_several_channels() -> None:
    detectors = (
        Detector(channel=Channel(name="HAADF"), efficiency=0.4),
        Detector(channel=Channel(name="BF"), sees=Sees.REST, efficiency=0.6),
    )
    scope = microscope(detectors=detectors)
    samples = scope.run(PLANS["raster"])
    assert samples.shape == (2, 48 * 64)
    assert [channel.name for channel in scope.channels] == ["HAADF", "BF"]
    assert np.corrcoef(samples)[0, 1] < -0.5
    assert samples[1].mean() == pytest.approx(float(scope.truth_electrons(1000, channel=1).mean()), rel=0.02)


def test_detectors_of_different_dtype_do_not_fit_a_frame() -> None:
    pair = (Detector(), Detector(channel=Channel(name="BF", dtype="uint8")))
    with pytest.raises(InvalidInput, match="different dtypes"):
        microscope(detectors=pair)


def test_a_beam_without_current_is_refused() -> None:
    with pytest.raises(InvalidInput, match="beam current"):
        Microscope(SPECIMEN, Field(shape=SHAPE, pixel_size_nm=0.5))


def test_flicker_brightens_and_dims_with_its_share() -> None:
    field = Field(shape=SHAPE, pixel_size_nm=0.5, beam_current_pa=1e4)
    column = Column(flicker=0.1, jitter_period_us=3.0)
    scope = Microscope(SPECIMEN, field, column=column, detectors=Detector(channel=Channel(name="D", dtype="uint32")))
    ratio = scope.run(PLANS["raster"])[0] / scope.truth_electrons(1000).ravel()
    assert ratio.std() == pytest.approx(0.1, rel=0.15)


def test_another_place_keeps_clock_and_dose() -> None:
    scope = microscope()
    scope.run(PLANS["raster"])
    before, clock = scope.dose(), scope.clock_ns
    picture = scope.truth(sharp=True)
    scope.insert(scope.specimen.variant(1))
    assert not np.array_equal(picture, scope.truth(sharp=True))
    assert scope.dose() == before
    assert scope.clock_ns == clock


def test_a_pool_gives_different_frames_and_books_each() -> None:
    scope = microscope()
    plan = PLANS["raster"]
    pool = FramePool(scope, plan, 3)
    assert scope.dose().points == 0
    frames = [pool.take(index) for index in range(6)]
    assert scope.dose().points == 6 * plan.points
    assert scope.clock_ns == 6 * plan.total_dwell_ns
    assert not np.array_equal(frames[0], frames[1])
    assert frames[3] is frames[0]
    assert not frames[0].flags.writeable


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_points_with_any_dwell_balance(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    xy = data.draw(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 47)), min_size=count, max_size=count))
    dwell = data.draw(st.lists(st.integers(1, 20_000), min_size=count, max_size=count))
    scope = microscope(column=data.draw(st.sampled_from([None, RESTLESS])))
    plan = scope.prepare(ScanPlan.point_list(SHAPE, dwell, xy=xy))
    cutting = data.draw(st.integers(1, count))
    samples = [scope.run(plan, 0, first, n) for first, n, _ in scope.scan(plan).chunks(cutting)]
    assert sum(part.shape[1] for part in samples) == count
    assert all(int(value) % 125 == 0 for value in plan.dwells_ns)
    assert scope.dose().mean_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(plan.total_dwell_ns))
    assert scope.clock_ns == plan.total_dwell_ns
