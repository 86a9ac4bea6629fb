"""Every strategy spends the same dose and never more; time limits and instruments cut it, and are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advising import ask, samples
from scanmend.advice.question import Question
from scanmend.advice.stage import Stage, Tools
from scanmend.advice.strategies import STRATEGIES, DoesNotFit, Strategy, spread
from scanmend.plan import ScanPlan
from scanmend.units import dose_e_per_nm2
from scanmend_sim.scan_generator import ScanGenerator

BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}


def scanned(question: Question, tools: Tools, strategy: Strategy, seed: int = 0) -> Stage:
    crop = question.crop().shape
    stage = Stage(question, samples(crop, 1)[0], tools, np.random.default_rng(seed))
    strategy.run(stage, seed)
    return stage


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    electrons_per_px=st.floats(1, 3000),
    current_pa=st.floats(0.5, 500),
    name=st.sampled_from(sorted(BY_NAME)),
    seed=st.integers(0, 1000),
)
def test_every_strategy_spends_the_budget_and_never_more(
    tools: Tools, electrons_per_px: float, current_pa: float, name: str, seed: int
) -> None:
    dwell_ns = electrons_per_px / (current_pa * 0.00624151)
    if dwell_ns > 1e7:
        current_pa *= dwell_ns / 1e6
    question = ask(4 * electrons_per_px, current_pa=current_pa, min_dwell_ns=10)
    try:
        stage = scanned(question, tools, BY_NAME[name], seed)
    except DoesNotFit:
        assert question.dwell_ns < 2 * 10 + 1  # the first half of an adaptive scan needs twice the shortest dwell
        return
    assert stage.ledger.spent_e_per_nm2 <= question.budget_e_per_nm2
    assert stage.ledger.spent_e_per_nm2 >= 0.965 * question.budget_e_per_nm2


@pytest.mark.parametrize("name", BY_NAME)
def test_the_dose_is_that_of_the_dwell_times(tools: Tools, name: str) -> None:
    stage = scanned(ask(), tools, BY_NAME[name])
    dwell_ns = stage.ledger.dwell_ns
    assert stage.ledger.spent_e_per_nm2 == pytest.approx(dose_e_per_nm2(20.0, dwell_ns.sum(), 64 * 64 * 0.25))
    assert stage.ledger.spent_max_e_per_nm2 == pytest.approx(dose_e_per_nm2(20.0, dwell_ns.max(), 0.25))
    # Counts are the detector's share of those electrons, where the specimen is as bright as it is.
    truth = stage.sample.truth
    expected = float((truth * dwell_ns).sum()) * 20.0 * 0.0062415 * 0.3
    picture = stage.picture()
    counted = float((picture.values * picture.weight).sum()) / picture.units_per_electron
    assert counted == pytest.approx(expected, abs=5 * expected**0.5)


def test_what_is_visited_is_what_the_name_says(tools: Tools) -> None:
    covered = {name: np.count_nonzero(scanned(ask(), tools, BY_NAME[name]).ledger.dwell_ns) / 4096 for name in BY_NAME}
    assert covered["dense"] == covered["adaptive"] == 1
    assert covered["sparse 1/4"] == pytest.approx(1 / 4, abs=0.01)
    assert covered["sparse 1/20"] == pytest.approx(1 / 20, abs=0.01)
    assert 1 / 4 < covered["adaptive, sparse first"] <= 1


def test_adaptive_passes_are_the_planners_and_come_after_half_of_the_dose(tools: Tools) -> None:
    stage = scanned(ask(), tools, BY_NAME["adaptive"])
    assert stage.passes == 3
    dwell_ns = stage.ledger.dwell_ns
    assert dwell_ns.min() >= 199 and dwell_ns.max() > 1.5 * 400


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("time_s", [0.001, 0.0012, 0.003])
def test_no_strategy_takes_longer_than_the_time(tools: Tools, name: str, time_s: float) -> None:
    """The dose takes 1.6 ms of dwell; waits come on top."""
    question = ask(time_s=time_s, settle_ns=200, flyback_ns=1000, command_ns=10_000)
    stage = scanned(question, tools, BY_NAME[name])
    assert stage.time_ns <= 1e9 * time_s
    share = stage.ledger.spent_e_per_nm2 / question.budget_e_per_nm2
    assert share <= 1
    if time_s < 0.0016:
        assert share < 0.75
    elif name != "sparse 1/4":
        assert share > 0.95


def test_a_sparse_scan_takes_fewer_pixels_where_there_is_no_time_and_a_raster_says_what_it_needs(tools: Tools) -> None:
    question = ask(time_s=0.0001, settle_ns=300)
    stage = scanned(question, tools, BY_NAME["sparse 1/4"])
    assert 0.01 < np.count_nonzero(stage.ledger.dwell_ns) / 4096 < 0.2 and stage.time_ns <= 1e5
    with pytest.raises(DoesNotFit, match="s even with the shortest dwell of 100 ns") as raised:
        scanned(question, tools, BY_NAME["dense"])
    assert raised.value.needs_s == pytest.approx(4096 * 100e-9 + 64 * 300e-9, rel=1e-3)
    with pytest.raises(DoesNotFit):
        scanned(ask(time_s=1e-6, settle_ns=300), tools, BY_NAME["sparse 1/20"])


def test_a_beam_too_strong_for_the_shortest_dwell_is_named_with_the_current_that_is_not(tools: Tools) -> None:
    with pytest.raises(DoesNotFit, match="a beam of 80 pA would make it possible") as raised:
        scanned(ask(current_pa=100, min_dwell_ns=100), tools, BY_NAME["dense"])
    assert raised.value.needs_s is None
    assert scanned(ask(current_pa=79.9), tools, BY_NAME["dense"]).passes == 1


@pytest.mark.parametrize(
    "plan",
    [
        ScanPlan.raster((64, 64), 400),
        ScanPlan.jittered_grid((64, 64), 8000, pitch_px=4.47, seed=3),
        ScanPlan.random((64, 64), 1000, coverage=0.1, seed=3),
    ],
)
def test_times_are_those_of_the_simulated_scan_generator(tools: Tools, plan: ScanPlan) -> None:
    question = ask(settle_ns=700, flyback_ns=5000, command_ns=20_000)
    stage = Stage(question, samples(count=1)[0], tools, np.random.default_rng(0))
    generator = ScanGenerator(capabilities=question.capabilities)
    assert stage.takes_ns(plan) == generator.scan(plan).duration_ns


def test_a_part_stands_for_the_field() -> None:
    """Twelve times the area takes twelve times the dwell and, for a raster, three times the flybacks."""
    question = ask(shape=(768, 1024), settle_ns=100, flyback_ns=1000)
    assert question.crop().shape == (256, 256)
    stage = Stage(question, samples((256, 256), 1)[0], None, np.random.default_rng(0))  # type: ignore[arg-type]
    taken = stage.takes_ns(ScanPlan.raster((256, 256), 400))
    assert taken == pytest.approx(768 * 1024 * 400 + 768 * 1100, rel=1e-4)


def test_whole_nanoseconds_lose_nothing() -> None:
    assert spread(4000, 10) == 400 and spread(4001, 10) == 400
    shared = spread(37, 10)
    assert isinstance(shared, np.ndarray) and shared.sum() == 37 and set(shared) == {3, 4}
