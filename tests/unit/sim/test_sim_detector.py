"""Detectors: Poisson statistics, calibration, saturation, dtypes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.field import Channel, DetectorKind
from scanmend_sim.detector import Detector, Sees

N = 60_000


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def detector(**channel: object) -> Detector:
    return Detector(channel=Channel(name="D", **{"dtype": "float32", **channel}))


@pytest.mark.parametrize("mean", [0.05, 1.0, 5.0, 9.9, 10.1, 80.0, 3000.0])
def test_counts_have_the_mean_and_variance_of_poisson(mean: float) -> None:
    counts = Detector(channel=Channel(name="D", dtype="uint32")).read(np.full(N, mean), 1000, rng()).astype(float)
    assert np.array_equal(counts, np.rint(counts))
    assert abs(counts.mean() - mean) < 4.5 * math.sqrt(mean / N)
    spread_of_variance = math.sqrt((mean + 2 * mean**2) / N)  # from Poisson's fourth central moment, λ + 3λ²
    assert abs(counts.var() - mean) < 4.5 * spread_of_variance
    assert abs((counts == 0).mean() - math.exp(-mean)) < 4.5 * math.sqrt(max(math.exp(-mean), 1e-9) / N) + 1e-9


def test_gain_offset_and_read_noise_of_a_counting_detector() -> None:
    samples = detector(units_per_electron=7.5, offset_units=40.0, read_noise_units=12.0).read(
        np.full(N, 20.0), 500, rng()
    )
    assert samples.mean() == pytest.approx(40 + 7.5 * 20, rel=0.005)
    assert samples.var() == pytest.approx(7.5**2 * 20 + 12**2, rel=0.03)


@pytest.mark.parametrize("dwell_ns", [250, 1000, 8000])
def test_an_analogue_level_keeps_its_mean_and_loses_noise_with_dwell(dwell_ns: int) -> None:
    analogue = detector(
        kind=DetectorKind.ANALOGUE, units_per_electron=10.0, offset_units=100.0, reference_dwell_ns=1000
    )
    electrons = 30.0 * dwell_ns / 1000
    samples = analogue.read(np.full(N, electrons), dwell_ns, rng())
    assert samples.mean() == pytest.approx(100 + 10 * 30, rel=0.005)
    assert samples.var() == pytest.approx(10**2 * 30 * 1000 / dwell_ns, rel=0.03)
    assert analogue.expected(np.array([electrons]), dwell_ns)[0] == pytest.approx(400)


def test_each_point_has_its_own_dwell() -> None:
    dwell = np.repeat([500, 4000], N // 2)
    analogue = detector(kind=DetectorKind.ANALOGUE, units_per_electron=2.0)
    low, high = np.split(analogue.read(0.05 * dwell, dwell, rng()), 2)
    assert low.mean() == pytest.approx(100, rel=0.01)
    assert high.mean() == pytest.approx(100, rel=0.01)
    assert low.var() / high.var() == pytest.approx(8, rel=0.08)


@pytest.mark.parametrize(
    ("dtype", "saturation", "top"),
    [
        ("uint8", None, 255),
        ("uint8", 200.0, 200),
        ("uint16", None, 65535),
        ("uint16", 4095.0, 4095),
        ("int16", None, 32767),
    ],
)
def test_saturation_clips_and_nothing_wraps(dtype: str, saturation: float | None, top: int) -> None:
    bright = Detector(channel=Channel(name="D", dtype=dtype, saturation_units=saturation))
    samples = bright.read(np.full(200, 1e6), 1000, rng())
    assert samples.dtype == np.dtype(dtype)
    assert set(samples.tolist()) == {top}


def test_read_noise_below_zero_is_clipped_by_unsigned_types_only() -> None:
    unsigned = detector(dtype="uint16", read_noise_units=5.0).read(np.zeros(N), 1000, rng())
    signed = detector(dtype="int16", read_noise_units=5.0).read(np.zeros(N), 1000, rng())
    assert unsigned.min() == 0
    assert signed.min() < -10
    assert abs(float(signed.mean())) < 0.15


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32"])
def test_samples_have_the_channels_dtype(dtype: str) -> None:
    samples = Detector(channel=Channel(name="D", dtype=dtype)).read(np.full(10, 3.0), 1000, rng())
    assert samples.dtype == np.dtype(dtype).newbyteorder("<")


def test_a_bright_field_detector_sees_the_rest() -> None:
    signal = np.array([0.0, 0.25, 1.0], np.float32)
    scattered = Detector(efficiency=0.5).mean_electrons(signal, 40.0)
    rest = Detector(efficiency=0.5, sees=Sees.REST).mean_electrons(signal, 40.0)
    assert scattered == pytest.approx([0, 5, 20])
    assert rest == pytest.approx([20, 15, 0])


@pytest.mark.parametrize("wrong", [{"efficiency": 0.0}, {"efficiency": 1.5}, {"true_gain": -1.0}])
def test_impossible_detectors_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Detector(**wrong)


def test_an_offset_at_saturation_is_refused() -> None:
    with pytest.raises(InvalidInput, match="saturated without any electron"):
        Detector(channel=Channel(name="D", dtype="uint8", offset_units=300.0))


def test_an_unknown_gain_can_be_true_all_the_same() -> None:
    secret = Detector(channel=Channel(name="D", dtype="float32", units_per_electron=None), true_gain=25.0)
    assert secret.read(np.full(N, 4.0), 1000, rng()).mean() == pytest.approx(100, rel=0.02)
