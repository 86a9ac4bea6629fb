"""The pass that an adaptive scan begins with."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scanmend.client.first_pass import SHARE_OF_BUDGET, first_plan
from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Field

FIELD = Field(shape=(64, 48), pixel_size_nm=1.0, beam_current_pa=10.0)


def price(field: Field, plan: object) -> float:
    return field.dose_e_per_nm2(plan.total_dwell_ns) or 0.0  # type: ignore[attr-defined]


def test_every_pixel_gets_its_share_of_the_budget() -> None:
    plan = first_plan(FIELD, Capabilities(), 400.0)
    assert plan.is_full_raster
    assert price(FIELD, plan) == pytest.approx(100.0, rel=0.01)


def test_where_that_is_too_little_for_a_dwell_fewer_pixels_get_one() -> None:
    able = Capabilities(min_dwell_ns=16_000)
    plan = first_plan(FIELD, able, 400.0)
    assert plan.dwell_ns == 16_000 and 0.05 < plan.coverage < 0.2
    assert 90.0 < price(FIELD, plan) <= 100.0


def test_without_a_budget_each_pixel_gets_a_microsecond_or_what_the_instrument_can() -> None:
    assert first_plan(FIELD, Capabilities(), None).dwell_ns == 1000
    assert first_plan(FIELD, Capabilities(min_dwell_ns=3000), None).dwell_ns == 3000
    assert first_plan(FIELD, Capabilities(dwell_quantum_ns=600), None).dwell_ns == 600
    assert first_plan(FIELD, Capabilities(max_points=1000), None).points <= 1000


@pytest.mark.parametrize(
    ("field", "able", "budget"),
    [
        (Field(shape=(64, 48), pixel_size_nm=1.0), Capabilities(), 100.0),
        (FIELD, Capabilities(points=False, min_dwell_ns=1_000_000), 1.0),
        (FIELD, Capabilities(min_dwell_ns=1_000_000_000), 1e-3),
    ],
    ids=["no current", "rasters only", "less than a point"],
)
def test_what_cannot_be_begun_says_why(field: Field, able: Capabilities, budget: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        first_plan(field, able, budget)
    assert caught.value.mend


@given(
    budget=st.floats(1e-3, 1e6),
    quantum=st.sampled_from([1, 7, 125, 1000]),
    least=st.integers(1, 100_000),
    points=st.integers(1, 5000),
)
def test_it_never_takes_more_than_its_share_and_keeps_to_the_instrument(
    budget: float, quantum: int, least: int, points: int
) -> None:
    able = Capabilities(dwell_quantum_ns=quantum, min_dwell_ns=least, max_points=points)
    try:
        plan = first_plan(FIELD, able, budget)
    except InvalidInput:
        assume(False)
        raise
    assert price(FIELD, plan) <= SHARE_OF_BUDGET * budget * (1 + 1e-9)
    assert plan.points <= points
    assert plan.dwell_ns >= least and plan.dwell_ns % quantum == 0
