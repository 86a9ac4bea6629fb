"""How good a picture is: the figure, the simplest picture it is compared with, and the truth that both are held to."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.field import Channel, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend_sim.detector import Detector
from scanmend_sim.microscope import Microscope
from scanmend_sim.quality import MOST_WAITING, QualityMeter, fill_nearest, psnr_db
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(24, 40), pixel_size_nm=0.5, beam_current_pa=100.0)


def test_psnr_uses_the_range_of_the_truth() -> None:
    truth = np.array([[0.0, 4.0], [2.0, 2.0]])
    assert psnr_db(truth + 0.4, truth) == pytest.approx(20.0)
    assert psnr_db(truth, truth) == math.inf
    assert math.isnan(psnr_db(truth, np.ones((2, 2))))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_each_pixel_takes_the_nearest_sample(shape: tuple[int, int], share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sampled = rng.random(shape) < share
    sampled[tuple(rng.integers(size) for size in shape)] = True
    number = np.arange(sampled.size, dtype=np.float32).reshape(shape)
    source = fill_nearest(number, sampled).astype(int)
    y, x = np.mgrid[: shape[0], : shape[1]]
    found = np.hypot(source // shape[1] - y, source % shape[1] - x)
    sy, sx = np.nonzero(sampled)
    least = np.hypot(y[..., None] - sy, x[..., None] - sx).min(axis=2)
    assert sampled.reshape(-1)[source].all()
    np.testing.assert_allclose(found, least)


def _meter(channel: Channel, *, adds_up: bool = False, true_gain: float | None = None) -> QualityMeter:
    detector = Detector(channel=channel, true_gain=true_gain)
    microscope = Microscope(load_specimen("nanoparticles:seed=1"), FIELD, detectors=detector)
    return QualityMeter(microscope, adds_up=adds_up)


def _scan(meter: QualityMeter, plan: ScanPlan, number: int, seq: int) -> np.ndarray:
    microscope = meter._microscope
    meter.begin_pass(microscope.clock_ns)
    samples = microscope.run(plan, number)
    meter.add(Frame(plan_id=0, samples=samples, pass_index=number), plan)
    meter.expect(seq)
    return samples


def _answer(seq: int, image: np.ndarray | None, *, restored: bool = True) -> SimpleNamespace:
    return SimpleNamespace(seq=seq, restored=restored, image=image)


def test_of_a_dense_scan_the_input_is_the_samples_themselves() -> None:
    meter = _meter(Channel(name="SE"))
    plan = ScanPlan.raster(FIELD.shape, 1000)
    samples = _scan(meter, plan, 0, seq=5)
    meter.take(_answer(5, samples[0].reshape(FIELD.shape).astype(np.float32)))
    meter.work()
    quality = meter.mean()
    assert quality is not None and quality.psnr_input == pytest.approx(quality.psnr_restored)
    assert 5 < quality.psnr_input < 60


@pytest.mark.parametrize("told", [4.0, None])
def test_the_truth_is_in_the_units_of_the_answer(told: float | None) -> None:
    """Electrons where the gain is told, detector units where it is not; the mean of a visit of the plan's dwell."""
    meter = _meter(Channel(name="SE", units_per_electron=told), true_gain=4.0)
    plan = ScanPlan.raster(FIELD.shape, 1000)
    _scan(meter, plan, 0, seq=0)
    electrons = meter._microscope.truth_electrons(1000)
    meter.take(_answer(0, electrons if told else electrons * np.float32(4.0)))
    meter.work()
    quality = meter.last
    assert quality is not None and quality.psnr_restored > 100 > quality.psnr_input


def test_passes_that_add_up_are_compared_together_and_the_last_counts() -> None:
    meter = _meter(Channel(name="SE"), adds_up=True)
    plan = ScanPlan.raster(FIELD.shape, 1000)
    truth = meter._microscope.truth_electrons(1000)
    for number in range(8):
        _scan(meter, plan, number, seq=number)
        meter.take(_answer(number, truth))
        meter.work()
    inputs = [quality.psnr_input for quality in meter._measured]
    assert inputs[-1] - inputs[0] == pytest.approx(10 * math.log10(8), abs=0.7), "eight passes have an eighth the noise"
    assert meter.mean() == meter._measured[-1] and meter.count == 8


def test_what_was_not_restored_or_not_expected_is_not_compared() -> None:
    meter = _meter(Channel(name="SE"))
    plan = ScanPlan.raster(FIELD.shape, 1000)
    _scan(meter, plan, 0, seq=0)
    meter.take(_answer(0, None, restored=False))
    meter.take(_answer(9, np.zeros(FIELD.shape, np.float32)))
    assert meter.waiting == 0 and meter.mean() is None


def test_only_so_many_answers_wait() -> None:
    meter = _meter(Channel(name="SE"))
    plan = ScanPlan.raster(FIELD.shape, 1000)
    for number in range(MOST_WAITING + 5):
        _scan(meter, plan, number, seq=number)
        meter.take(_answer(number, np.zeros(FIELD.shape, np.float32)))
    assert meter.waiting == MOST_WAITING
