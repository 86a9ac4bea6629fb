"""Gain and read noise from the data alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.engine.fidelity import truth_picture
from scanmend.engine.noise import estimate_noise

SCENES = {
    "constant": np.full((512, 512), 1.0, np.float32),
    "structured": truth_picture(512),
    "ramp": np.tile(np.linspace(0.2, 1, 512, dtype=np.float32), (512, 1)),
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("gain", [0.1, 1.0, 40.0])
@pytest.mark.parametrize("counts", [2, 20])
def test_dense_gain_is_found_within_a_fifth(scene: str, gain: float, counts: int) -> None:
    rng = np.random.default_rng(0)
    values = (rng.poisson(SCENES[scene] * counts) * gain).astype(np.float32)
    found = estimate_noise(values, np.ones_like(values))
    # Where gain and read noise cannot be told apart, what counts is their sum at the typical brightness.
    typical = float(values.mean())
    total = found.units_per_electron * typical + found.read_variance
    assert total == pytest.approx(gain * typical, rel=0.2)
    assert found.units_per_electron == pytest.approx(gain, rel=0.2)


@pytest.mark.parametrize("gain", [0.1, 40.0])
def test_sparse_gain_is_found_where_the_field_is_flat(gain: float) -> None:
    rng = np.random.default_rng(0)
    seen = rng.random((512, 512)) < 0.2
    values = np.where(seen, rng.poisson(10.0, seen.shape) * gain, 0).astype(np.float32)
    found = estimate_noise(values, seen.astype(np.float32))
    assert found.units_per_electron == pytest.approx(gain, rel=0.2)


def test_weights_count() -> None:
    """Pixels that were visited four times have a quarter of the variance, and the same gain."""
    rng = np.random.default_rng(0)
    weight = np.where(np.arange(512) % 2, 4.0, 1.0).astype(np.float32) * np.ones((512, 1), np.float32)
    values = (rng.poisson(10 * weight) / weight).astype(np.float32)
    assert estimate_noise(values, weight).units_per_electron == pytest.approx(1.0, rel=0.2)


def test_read_noise_is_told_from_shot_noise() -> None:
    rng = np.random.default_rng(0)
    truth = SCENES["ramp"] * 50
    values = (rng.poisson(truth) + rng.normal(0, 6, truth.shape)).astype(np.float32)
    found = estimate_noise(values, np.ones_like(values))
    assert found.units_per_electron == pytest.approx(1.0, rel=0.2)
    assert found.read_variance == pytest.approx(36, rel=0.3)


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 1e30])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (16, 16), (512, 512), (3, 4000)])
def test_fields_that_are_all_alike_are_noise_free(value: float, shape: tuple[int, int]) -> None:
    values = np.full(shape, value, np.float32)
    found = estimate_noise(values, np.ones_like(values))
    assert (found.units_per_electron, found.read_variance) == (0.0, 0.0)
    assert found.electrons_per_unit == math.inf


@settings(max_examples=60, deadline=None)
@given(
    ny=st.integers(1, 40),
    nx=st.integers(1, 40),
    coverage=st.floats(0, 1),
    scale=st.sampled_from([0.0, 1e-30, 1.0, 1e15, 3e38]),
    seed=st.integers(0, 1000),
)
def test_never_nan_never_negative(ny: int, nx: int, coverage: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = (rng.random((ny, nx)) < coverage).astype(np.float32) * rng.integers(1, 9, (ny, nx)).astype(np.float32)
    values = (rng.normal(0, 1, (ny, nx)).clip(-1, 1) * scale).astype(np.float32) * (weight > 0)
    found = estimate_noise(values, weight)
    for number in (found.units_per_electron, found.read_variance):
        assert math.isfinite(number)
        assert number >= 0
