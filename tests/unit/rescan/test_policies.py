"""What each policy looks at."""

from __future__ import annotations

import numpy as np
import pytest
from test_planning import state_after

from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.rescan import DoseLedger, policy_named, policy_names
from scanmend.rescan.policies.shares import shared

SHAPE = (64, 48)


def state(**more: object) -> object:
    ledger = DoseLedger(Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=10.0))
    ledger.add(ScanPlan.raster(SHAPE, 2000), 0, SHAPE[0] * SHAPE[1])
    sigma = more.pop("sigma", np.ones(SHAPE))
    return state_after(ledger, np.asarray(sigma), **more)


def halves(left: float, right: float) -> np.ndarray:
    picture = np.full(SHAPE, left, dtype=np.float32)
    picture[:, SHAPE[1] // 2 :] = right
    return picture


def ratio(weight: np.ndarray) -> float:
    return float(weight[:, 32:].mean() / weight[:, :16].mean())


@pytest.mark.parametrize("name", policy_names())
def test_weights_are_pictures_of_positive_numbers_and_the_same_each_time(name: str) -> None:
    rng = np.random.default_rng(4)
    seen = rng.random(SHAPE) < 0.4
    values = np.where(seen, rng.poisson(9, SHAPE), 0).astype(np.float32)
    given = state(
        sigma=rng.random(SHAPE), estimate=values, values=values, weight=seen.astype(np.float32), read_variance=0.5
    )
    before = given.values.copy(), given.sigma.copy()
    first, second = (policy_named(name).weight(given) for _ in range(2))
    assert first.dtype == np.float32 and first.shape == SHAPE
    assert np.isfinite(first).all() and (first >= 0).all() and first.any()
    assert np.array_equal(first, second)
    assert np.array_equal(given.values, before[0]) and np.array_equal(given.sigma, before[1])


@pytest.mark.parametrize("name", policy_names())
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_the_smallest_fields(name: str, shape: tuple[int, int]) -> None:
    flat = np.ones(shape, np.float32)
    weight = policy_named(name).weight(state(sigma=flat, estimate=flat, values=flat, weight=flat))
    assert weight.shape == shape and np.isfinite(weight).all() and weight.any()


def test_uniform_looks_at_nothing() -> None:
    weight = policy_named("uniform").weight(state(sigma=halves(1, 9), estimate=halves(1, 9)))
    assert (weight == weight[0, 0]).all()


def test_neyman_follows_the_root_of_the_signal() -> None:
    weight = policy_named("neyman").weight(state(estimate=halves(4.0, 36.0)))
    assert ratio(weight - 0.3) == pytest.approx(3.0, rel=0.01)
    assert ratio(policy_named("neyman").weight(state(estimate=halves(4.0, 36.0), units_per_electron=0.0))) == 1


def test_uncertainty_and_variance_follow_sigma() -> None:
    given = state(sigma=halves(1.0, 3.0))
    assert ratio(policy_named("uncertainty").weight(given) - 0.3) == pytest.approx(3.0, rel=0.01)
    assert ratio(policy_named("variance").weight(given) - 0.2) == pytest.approx(9.0, rel=0.01)


def test_edge_follows_the_slope_of_the_restoration() -> None:
    weight = policy_named("edge").weight(state(estimate=halves(1.0, 5.0)))
    assert weight[:, 22:26].min() > 3 * weight[:, :12].max()


def test_outlier_takes_what_its_neighbours_contradict_and_nothing_else() -> None:
    values = np.full(SHAPE, 100.0, np.float32)
    values[10, 10], values[20, 20] = 130.0, 108.0  # 3 and 0.8 standard deviations
    weight = policy_named("outlier").weight(state(values=values))
    assert weight[10, 10] == 1 and weight.sum() == 1
    assert policy_named("outlier").weight(state(values=np.full(SHAPE, 7.0, np.float32))).all()


def test_outlier_asks_sampled_pixels_only() -> None:
    seen = np.zeros(SHAPE, np.float32)
    seen[::2, ::2] = 1
    values = (50 * seen).astype(np.float32)
    values[4, 4] = 90
    weight = policy_named("outlier").weight(state(values=values, weight=seen))
    assert not weight[seen == 0].any() or weight.all()


def test_a_share_stays_uniform_and_no_pixel_takes_all() -> None:
    spike = np.ones(SHAPE, np.float32)
    spike[5, 5] = 1e9
    weight = shared(spike, uniform=0.3, cap=4.0)
    assert weight.mean() == pytest.approx(1, rel=1e-5) and weight.min() > 0.29
    assert (shared(np.zeros(SHAPE, np.float32), uniform=0.3, cap=4.0) == 1).all()
