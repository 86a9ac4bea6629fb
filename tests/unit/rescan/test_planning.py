"""Plans within every limit an instrument may have."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan
from scanmend.rescan import DoseLedger, Policy, ProposedPlan, RescanState, planning, policy_named, policy_names, propose
from scanmend.rescan.layout import Layout
from scanmend.rescan.policies.uncertainty import Uncertainty
from scanmend.rescan.registry import DEFAULT, POLICIES


def state_after(ledger: DoseLedger, sigma: np.ndarray, able: Capabilities | None = None, **more: Any) -> RescanState:
    """A full field of 10 electrons a visit, unless something else is said."""
    flat = np.full(sigma.shape, 10.0, dtype=np.float32)
    given: dict[str, Any] = {
        "field": ledger.field,
        "capabilities": able or Capabilities(),
        "estimate": flat,
        "sigma": sigma.astype(np.float32),
        "values": flat,
        "weight": np.ones_like(flat),
        "units_per_electron": 1.0,
        "read_variance": 0.0,
        "dwell_ns": ledger.dwell_ns,
        "passes": 1,
        "affordable_dwell_ns": ledger.affordable_dwell_ns,
        "affordable_px_dwell_ns": ledger.affordable_px_dwell_ns,
    }
    return RescanState(**{**given, **more})


def proposed(
    sigma: np.ndarray, ledger: DoseLedger, able: Capabilities | None = None, policy: Policy | None = None
) -> ProposedPlan | None:
    return propose(policy or policy_named("uncertainty"), state_after(ledger, sigma, able))


def after_a_pass(
    shape: tuple[int, int], budget: float | None = None, dwell_ns: int = 2000, pixel_budget: float | None = None
) -> DoseLedger:
    ledger = DoseLedger(Field(shape=shape, pixel_size_nm=1.0, beam_current_pa=10.0), budget, pixel_budget)
    ledger.add(ScanPlan.raster(shape, dwell_ns), 0, shape[0] * shape[1])
    return ledger


def test_names() -> None:
    assert DEFAULT in policy_names() and policy_names()[0] == "uniform"
    with pytest.raises(InvalidInput, match="uncertainty"):
        policy_named("nonsense")


def test_dwell_follows_sigma_and_a_share_stays_uniform() -> None:
    sigma = np.ones((64, 64))
    sigma[:, 32:] = 3.0
    made = proposed(sigma, after_a_pass((64, 64)))
    assert made is not None
    dwell = np.zeros(64 * 64)
    dwell[made.plan.pixels] = made.plan.dwells_ns
    left, right = dwell.reshape(64, 64)[:, :24].mean(), dwell.reshape(64, 64)[:, 40:].mean()
    # 30 % of 2000 ns is uniform, the rest as 1 to 3.
    assert left == pytest.approx(0.3 * 2000 + 0.7 * 1000, rel=0.02)
    assert right == pytest.approx(0.3 * 2000 + 0.7 * 3000, rel=0.02)
    assert made.plan.total_dwell_ns == pytest.approx(64 * 64 * 2000, rel=0.01)
    assert 0.5 < made.sigma_expected / made.sigma_now < 0.8  # twice the dwell is worth 0.71


def test_short_dwells_become_fewer_visits() -> None:
    """With a shortest dwell above the mean, neighbourhoods keep their sums."""
    sigma = np.ones((64, 64))
    sigma[32:] = 3.0
    ledger = after_a_pass((64, 64), dwell_ns=100)
    made = proposed(sigma, ledger, Capabilities(min_dwell_ns=1000, dwell_quantum_ns=125))
    assert made is not None
    assert made.plan.points < 64 * 64 / 5
    visits = np.zeros(64 * 64)
    visits[made.plan.pixels] = made.plan.dwells_ns
    upper, lower = visits.reshape(64, 64)[:28].mean(), visits.reshape(64, 64)[36:].mean()
    assert upper == pytest.approx(65, rel=0.1)
    assert lower == pytest.approx(135, rel=0.1)


def test_one_dwell_and_rasters_only() -> None:
    sigma = np.random.default_rng(0).random((32, 32)) + 0.1
    made = proposed(sigma, after_a_pass((32, 32)), Capabilities(dwell_per_point=False))
    assert made is not None
    assert made.plan.dwell_list is None
    made = proposed(sigma, after_a_pass((32, 32)), Capabilities(points=False))
    assert made is not None
    assert made.plan.is_full_raster
    assert made.plan.dwell_list is None


@pytest.mark.parametrize(
    "sigma", [np.zeros((16, 16)), np.full((16, 16), np.nan), np.full((16, 16), np.inf)], ids=["zero", "nan", "inf"]
)
def test_nothing_is_proposed_where_nothing_is_to_be_gained(sigma: np.ndarray) -> None:
    assert proposed(sigma, after_a_pass((16, 16))) is None


def test_nothing_is_proposed_when_the_budget_is_spent() -> None:
    ledger = after_a_pass((16, 16))
    spent = DoseLedger(ledger.field, ledger.spent_e_per_nm2)
    spent.add(ScanPlan.raster((16, 16), 2000), 0, 256)
    assert proposed(np.ones((16, 16)), spent) is None


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    left=st.floats(0, 3),
    first_dwell=st.integers(1, 5000),
    quantum=st.sampled_from([1, 8, 125, 1000]),
    least=st.integers(1, 3000),
    longest=st.sampled_from([3000, 100_000, 4_000_000_000]),
    max_points=st.sampled_from([1, 7, 100, 1 << 28]),
    per_point=st.booleans(),
    points=st.booleans(),
    seed=st.integers(0, 99),
    name=st.sampled_from(sorted(POLICIES)),
    pixel_left=st.none() | st.floats(0, 3),
)
def test_no_plan_crosses_the_budget_or_the_capabilities(
    shape: tuple[int, int],
    left: float,
    first_dwell: int,
    quantum: int,
    least: int,
    longest: int,
    max_points: int,
    per_point: bool,
    points: bool,
    seed: int,
    name: str,
    pixel_left: float | None,
) -> None:
    plain = after_a_pass(shape, dwell_ns=first_dwell)
    budget = plain.spent_e_per_nm2 * (1 + left)
    pixel_budget = None if pixel_left is None else plain.spent_e_per_nm2 * (1 + pixel_left)
    ledger = after_a_pass(shape, budget, first_dwell, pixel_budget)
    able = Capabilities(
        points=points,
        dwell_per_point=per_point,
        dwell_quantum_ns=quantum,
        min_dwell_ns=least,
        max_dwell_ns=longest,
        max_points=max_points,
    )
    made = proposed(np.random.default_rng(seed).random(shape) ** 4, ledger, able, policy_named(name))
    if made is None:
        return
    made.plan.validate(ledger.field)
    assert ledger.spent_e_per_nm2 + ledger.price_e_per_nm2(made.plan) <= budget * (1 + 1e-12)
    assert made.plan.points <= max_points
    after = after_a_pass(shape, budget, first_dwell)
    after.add(made.plan, 0, made.plan.points)
    assert pixel_budget is None or after.spent_max_e_per_nm2 <= pixel_budget * (1 + 1e-12)
    dwells = made.plan.dwells_ns
    assert dwells.min() >= least
    assert dwells.max() <= longest
    assert not (dwells % quantum).any()
    assert len(np.unique(dwells)) == 1 or per_point
    assert made.plan.is_full_raster or points
    assert math.isfinite(made.sigma_expected)
    assert made.sigma_expected <= made.sigma_now * (1 + 1e-6)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made.plan), type=ScanPlan) == made.plan


def test_what_full_pixels_leave_goes_to_the_others() -> None:
    sigma = np.ones((64, 64))
    sigma[:, 32:] = 3.0
    plain = after_a_pass((64, 64))
    ledger = after_a_pass((64, 64), pixel_budget=1.75 * plain.spent_e_per_nm2)
    made = proposed(sigma, ledger)
    assert made is not None
    dwell = np.bincount(made.plan.pixels, made.plan.dwells_ns, 64 * 64).reshape(64, 64)
    assert dwell[:, 40:].mean() == pytest.approx(1500, rel=0.01)  # would be 2700
    assert dwell[:, :24].mean() > 1350  # would be 1300
    assert proposed(sigma, after_a_pass((64, 64), pixel_budget=plain.spent_e_per_nm2)) is None


def test_the_cap_keeps_one_wild_pixel_from_taking_all() -> None:
    sigma = np.ones((64, 64))
    sigma[20, 20] = 1e6
    policy = Uncertainty(cap=4.0, uniform_share=0.3)
    ledger = after_a_pass((64, 64))
    made = proposed(sigma, ledger, policy=policy)
    assert made is not None
    assert np.bincount(made.plan.pixels, made.plan.dwells_ns).min() > 0


ABLE = [
    Capabilities(),
    Capabilities(settle_ns=500, rectangles=True),
    Capabilities(dwell_per_point=False),
    Capabilities(points=False, segments=True),
    Capabilities(points=False, segments=True, segment_ns=100, rectangles=True),
    Capabilities(points=False, segments=True, dwell_per_point=False),
    Capabilities(points=False, rectangles=True),
]


@pytest.mark.parametrize("able", ABLE)
@pytest.mark.parametrize("most_bytes", [4 * 64 * 64, 4000, 1500])
@pytest.mark.parametrize("name", ["uncertainty", "uniform"])
def test_every_plan_fits_into_a_message(
    able: Capabilities, most_bytes: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MOST_BYTES", most_bytes)
    sigma = np.random.default_rng(0).random((64, 64)) + np.linspace(0.1, 2.0, 64)
    made = proposed(sigma, after_a_pass((64, 64)), able, policy_named(name))
    assert made is not None
    made.plan.validate()
    assert len(msgspec.msgpack.encode(made.plan)) < most_bytes + 200  # which the rest of a message has room for
    assert made.plan.total_dwell_ns == pytest.approx(64 * 64 * 2000, rel=0.03) or not able.dwell_per_point
    dwell = np.bincount(made.plan.pixels, made.plan.dwells_ns, 64 * 64).reshape(64, 64)
    if name == "uniform" and able.points:
        assert made.plan.points == 64 * 64 and made.plan.dwell_list is None
    elif able.points:
        assert dwell[:, 32:].sum() > 1.2 * dwell[:, :32].sum()


def test_the_largest_plan_leaves_room_for_the_rest_of_its_message() -> None:
    assert planning.MAX_PLAN_BYTES - planning.MOST_BYTES >= planning.MAX_CONTROL_BYTES


@pytest.mark.parametrize("able", ABLE)
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_the_size_of_a_plan_is_known_before_it_is_made(able: Capabilities, share: float) -> None:
    random = np.random.default_rng(1)
    dwell = random.integers(100, 2000, (60, 50), dtype=np.uint32)
    dwell[random.random(dwell.shape) > share] = 0
    found = Layout.cheapest(dwell, able)
    assert 0 < len(msgspec.msgpack.encode(found.plan())) - found.size_bytes < 200
