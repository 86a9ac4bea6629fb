"""Plans for machines that cannot do everything, and their price in time."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.field import Capabilities, Field
from scanmend.plan import Cost, Mask, Order, Points, Raster, ScanPlan, Segments, Serpentine
from scanmend.rescan import DoseLedger, Focused, ProposedPlan, RescanState, policy_named, propose
from scanmend.rescan.cells import Cells
from scanmend.rescan.focus import MARGIN_PX
from scanmend.rescan.planning import OVERHEAD
from scanmend.rescan.registry import POLICIES
from scanmend_sim.microscope import Microscope
from scanmend_sim.scan_generator import ScanGenerator
from scanmend_sim.specimens import load_specimen

SHAPE = (64, 96)


def ledger_after(shape: tuple[int, int], dwell_ns: int, budget: float | None, px_budget: float | None) -> DoseLedger:
    """A ledger after one raster; the budgets are in doses of that raster."""
    field = Field(shape=shape, pixel_size_nm=1.0, beam_current_pa=10.0)
    one = DoseLedger(field)
    one.add(ScanPlan.raster(shape, dwell_ns), 0, field.pixels)
    dose = one.spent_e_per_nm2
    ledger = DoseLedger(
        field, None if budget is None else dose * budget, None if px_budget is None else dose * px_budget
    )
    ledger.add(ScanPlan.raster(shape, dwell_ns), 0, field.pixels)
    return ledger


def state_of(ledger: DoseLedger, sigma: np.ndarray, able: Capabilities, share: float = math.inf) -> RescanState:
    flat = np.full(sigma.shape, 10.0, dtype=np.float32)
    return RescanState(
        field=ledger.field,
        capabilities=able,
        estimate=flat,
        sigma=sigma.astype(np.float32),
        values=flat,
        weight=np.ones_like(flat),
        units_per_electron=1.0,
        read_variance=0.0,
        dwell_ns=ledger.dwell_ns,
        passes=1,
        affordable_dwell_ns=ledger.affordable_dwell_ns,
        affordable_px_dwell_ns=ledger.affordable_px_dwell_ns,
        px_dwell_share=share,
    )


def planned(sigma: np.ndarray, able: Capabilities, *, dwell_ns: int = 2000, share: float = math.inf) -> ProposedPlan:
    shape = (sigma.shape[0], sigma.shape[1])
    made = propose(policy_named("variance"), state_of(ledger_after(shape, dwell_ns, None, None), sigma, able, share))
    assert made is not None
    return made


def bright_disc() -> np.ndarray:
    """Sigma that is five times as large in a disc."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.where((y - 20) ** 2 + (x - 60) ** 2 < 225, 5.0, 1.0)


def dwell_map(plan: ScanPlan) -> np.ndarray:
    return np.bincount(plan.pixels, plan.dwells_ns, plan.shape[0] * plan.shape[1]).reshape(plan.shape)


def line_by_line(plan: ScanPlan) -> ScanPlan:
    """The same points, written in the same way, each line from left to right."""
    order = np.argsort(plan.pixels, kind="stable")
    dwell: Any = plan.dwell_ns if plan.dwell_list is None else plan.dwells_ns[order]
    pattern = plan.pattern
    match pattern:
        case Serpentine():
            return ScanPlan.of(plan.shape, Raster(**msgspec.structs.asdict(pattern)), dwell)
        case Mask():
            return ScanPlan.of(plan.shape, Mask(bits=pattern.bits), dwell)
        case Points():
            return ScanPlan.point_list(plan.shape, dwell, xy=np.stack([plan.x, plan.y], axis=1)[order])
        case Segments():
            x, y, length = np.frombuffer(pattern.runs, dtype="<i4").reshape(-1, 3).T
            left = np.where(length < 0, x + length + 1, x)
            runs = np.stack([left, y, np.abs(length)], axis=1)[np.lexsort((left, y))]
            return ScanPlan.segments(plan.shape, dwell, runs=runs)
    return plan


limits = st.fixed_dictionaries(
    {
        "points": st.booleans(),
        "segments": st.booleans(),
        "rectangles": st.booleans(),
        "dwell_per_point": st.booleans(),
        "dwell_quantum_ns": st.sampled_from([1, 8, 125, 1000]),
        "min_dwell_ns": st.integers(1, 3000),
        "max_dwell_ns": st.sampled_from([3000, 100_000, 4_000_000_000]),
        "max_points": st.sampled_from([1, 7, 100, 1 << 28]),
        "settle_ns": st.sampled_from([0, 0, 50, 3000, 100_000]),
        "command_ns": st.sampled_from([0, 0, 40_000, 7_000_000]),
        "segment_ns": st.sampled_from([0, 0, 100, 5000, 7_000_000]),
        "flyback_ns": st.sampled_from([0, 0, 4000, 100_000]),
    }
)


@settings(max_examples=400, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    able=limits.map(lambda given: Capabilities(**given)),
    first_dwell_ns=st.integers(1, 5000),
    budget=st.none() | st.floats(1, 4),
    px_budget=st.none() | st.floats(1, 4),
    share=st.none() | st.floats(0.05, 20),
    seed=st.integers(0, 99),
    name=st.sampled_from(sorted(POLICIES)),
)
def test_no_plan_crosses_a_limit_and_each_costs_what_is_said(
    shape: tuple[int, int],
    able: Capabilities,
    first_dwell_ns: int,
    budget: float | None,
    px_budget: float | None,
    share: float | None,
    seed: int,
    name: str,
) -> None:
    ledger = ledger_after(shape, first_dwell_ns, budget, px_budget)
    sigma = np.random.default_rng(seed).random(shape) ** 4
    px_dwell_share = math.inf if share is None else share / ledger.field.pixels
    made = propose(policy_named(name), state_of(ledger, sigma, able, px_dwell_share))
    if made is None:
        return
    plan = made.plan
    plan.validate(ledger.field)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=ScanPlan) == plan
    # The instrument: nothing has to be rounded or left out, and it takes the time that was said.
    generator = ScanGenerator(capabilities=able)
    assert generator.prepare(plan) is plan
    assert made.duration_ns == Cost.of(plan, able).duration_ns == generator.scan(plan).duration_ns
    assert made.duration_ns <= Cost.of(line_by_line(plan), able).duration_ns
    if isinstance(plan.pattern, Segments):
        ends = np.cumsum(np.abs(np.frombuffer(plan.pattern.runs, dtype="<i4")[2::3]))
        assert all(len(set(run)) == 1 for run in np.split(plan.dwells_ns, ends[:-1]))
    # The specimen.
    dwell = dwell_map(plan)
    assert dwell.max() == plan.dwells_ns.max()  # no pixel twice
    assert dwell.sum() <= ledger.affordable_dwell_ns
    assert ledger.affordable_px_dwell_ns is None or (dwell <= ledger.affordable_px_dwell_ns).all()
    assert dwell.max() <= px_dwell_share * made.duration_ns
    assert made.sigma_expected <= made.sigma_now * (1 + 1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("width", [1, 7, 64, 100])
def test_cells_sum_what_their_pixels_have(length: int, width: int) -> None:
    cells = Cells((6, width), min(length, width))
    picture = np.random.default_rng(0).random((6, width)).astype(np.float32)
    means = cells.means(picture)
    assert means.shape == (6, cells.columns)
    assert cells.total(means) == pytest.approx(picture.sum(dtype=np.float64), rel=1e-5)
    chosen = (means > 0.5).astype(np.uint32) * 3
    assert cells.points(chosen) == np.count_nonzero(cells.pixels(chosen))
    assert cells.total(chosen) == cells.pixels(chosen).sum()
    assert (cells.pixels(cells.least(picture.astype(np.float64))) <= picture).all()


def test_cells_double_from_pixels_to_lines() -> None:
    assert [cells.length for cells in Cells.ladder((5, 20))] == [1, 2, 4, 8, 16, 20]
    assert [cells.length for cells in Cells.ladder((5, 1))] == [1]


def run_px(plan: ScanPlan) -> float:
    """Mean length of the runs along a line, in pixels."""
    return plan.points / (Cost.of(plan, Capabilities(segment_ns=1)).segment_ns)


def test_dearer_commands_make_longer_runs_and_keep_the_sums() -> None:
    """Below a second a pass the device's commands would take longer than the dwell, were they for single pixels."""
    sigma, lengths = bright_disc(), []
    for segment_ns in (0, 2000, 10_000, 40_000):
        able = Capabilities(min_dwell_ns=1000, segment_ns=segment_ns)
        made = planned(sigma, able, dwell_ns=200)
        cost = Cost.of(made.plan, able)
        assert cost.travel_ns <= OVERHEAD * cost.duration_ns
        assert made.plan.total_dwell_ns == pytest.approx(64 * 96 * 200, rel=0.03)
        lengths.append(run_px(made.plan))
        dwell = dwell_map(made.plan)
        assert dwell[12:28, 52:68].mean() > 2.5 * dwell[40:].mean()
    assert lengths == sorted(lengths)
    assert lengths[-1] > 3 * lengths[0]


def test_the_finest_visits_stay_where_nothing_is_gained_by_coarser_ones() -> None:
    """A long command before the plan is the same for every plan."""
    plain = planned(bright_disc(), Capabilities(min_dwell_ns=1000), dwell_ns=200)
    slow = planned(bright_disc(), Capabilities(min_dwell_ns=1000, command_ns=10**10), dwell_ns=200)
    assert slow.plan == plain.plan
    assert slow.duration_ns == plain.duration_ns + 10**10


def test_lines_that_take_too_long_become_one_block() -> None:
    able = Capabilities(points=False, segments=True, segment_ns=7_000_000)
    assert planned(bright_disc(), able).plan.is_full_raster
    made = planned(bright_disc(), Capabilities(points=False, segments=True, rectangles=True, segment_ns=7_000_000))
    assert made.plan.points < 64 * 96
    assert made.duration_ns == 7_000_000 + made.plan.total_dwell_ns


def test_segments_carry_a_dwell_each() -> None:
    made = planned(bright_disc(), Capabilities(points=False, segments=True, segment_ns=20_000))
    assert isinstance(made.plan.pattern, Segments)
    assert made.plan.dwell_list is not None
    dwell = dwell_map(made.plan)
    assert dwell[12:28, 52:68].mean() > 3 * dwell[40:].mean()
    one = planned(bright_disc(), Capabilities(points=False, segments=True, dwell_per_point=False, segment_ns=5000))
    assert isinstance(one.plan.pattern, Segments)
    assert one.plan.dwell_list is None


@pytest.mark.parametrize(
    ("able", "kind"),
    [
        (Capabilities(segment_ns=100_000), Mask),
        (Capabilities(points=False, segments=True, segment_ns=100_000), Segments),
        (Capabilities(points=False, segments=True), Segments),
        (Capabilities(points=False, rectangles=True), Raster),
    ],
)
def test_coarse_visits_leave_out_what_is_not_wanted(able: Capabilities, kind: type) -> None:
    policy = Focused(policy_named("variance"), (20, 30, 11, 21))
    made = propose(policy, state_of(ledger_after(SHAPE, 2000, None, None), bright_disc(), able))
    assert made is not None
    assert isinstance(made.plan.pattern, kind)
    outside = dwell_map(made.plan)
    outside[20 - MARGIN_PX : 31 + MARGIN_PX, 30 - MARGIN_PX : 51 + MARGIN_PX] = 0
    assert not outside.any()
    assert made.plan.total_dwell_ns == pytest.approx(64 * 96 * 2000, rel=0.03)


@pytest.mark.parametrize("segments", [False, True])
def test_a_rectangle_lies_where_the_dwell_is_wanted(segments: bool) -> None:
    """With one command for a rectangle, and hundreds for what lies in it."""
    able = Capabilities(points=False, rectangles=True, segments=segments, segment_ns=7_000_000)
    plan = planned(bright_disc(), able).plan
    assert isinstance(plan.pattern, Raster)
    assert plan.pattern.top <= 8
    assert 24 <= plan.pattern.top + plan.pattern.height <= 48
    assert 32 <= plan.pattern.left <= 52
    assert 68 <= plan.pattern.left + plan.pattern.width <= 88
    assert plan.dwell_list is None
    assert plan.total_dwell_ns == pytest.approx(64 * 96 * 2000, rel=0.001)
    assert planned(np.ones(SHAPE), able).plan.is_full_raster


@pytest.mark.parametrize(
    ("able", "kind"),
    [
        (Capabilities(settle_ns=500), Serpentine),
        (Capabilities(flyback_ns=500), Serpentine),
        (Capabilities(points=False, settle_ns=500), Serpentine),
        (Capabilities(), Raster),
        (Capabilities(segment_ns=500), Raster),
    ],
)
def test_the_way_back_is_used_where_it_saves_time(able: Capabilities, kind: type) -> None:
    assert isinstance(planned(bright_disc(), able).plan.pattern, kind)


def test_sparse_visits_go_there_and_back_too() -> None:
    made = planned(bright_disc(), Capabilities(min_dwell_ns=1000, flyback_ns=10_000), dwell_ns=200)
    assert isinstance(made.plan.pattern, Mask)
    assert made.plan.pattern.order is Order.SERPENTINE
    few_able = Capabilities(min_dwell_ns=20_000, flyback_ns=10_000)
    few = planned(np.ones((16, 512)), few_able, dwell_ns=200)
    assert isinstance(few.plan.pattern, Points)
    assert few.duration_ns < Cost.of(line_by_line(few.plan), few_able).duration_ns


def test_the_dose_rate_spreads_the_dwell_and_keeps_its_sum() -> None:
    free = planned(bright_disc(), Capabilities())
    most = dwell_map(free.plan).max() / free.duration_ns
    tight = planned(bright_disc(), Capabilities(), share=0.5 * most)
    assert dwell_map(tight.plan).max() <= 0.5 * most * tight.duration_ns
    assert tight.plan.total_dwell_ns == pytest.approx(free.plan.total_dwell_ns, rel=0.01)
    even = planned(bright_disc(), Capabilities(), share=1 / (64 * 96))
    assert even.plan.dwell_list is None
    assert even.plan.is_full_raster


@pytest.mark.parametrize("blanking", [True, False])
def test_the_beam_is_blanked_on_its_way_where_it_can_be(blanking: bool) -> None:
    sigma = bright_disc()
    for able in (Capabilities(settle_ns=500, blanking=blanking), Capabilities(segments=True, blanking=blanking)):
        plan = planned(sigma, able).plan
        assert plan.jumps > 0 and plan.blank_between is blanking
        field = Field(shape=sigma.shape, pixel_size_nm=1.0, beam_current_pa=10.0)
        scope = Microscope(load_specimen("nanoparticles:seed=1"), field, generator=ScanGenerator(capabilities=able))
        scope.run(scope.prepare(plan))
        assert (scope.dose().idle_electrons > 0) == (not blanking and able.settle_ns > 0)


def test_no_plan_where_the_dose_rate_cannot_be_kept() -> None:
    """The beam is always on some pixel: without waits, none can have less than its share of all."""
    share = 0.9 / (64 * 96)
    state = state_of(ledger_after(SHAPE, 2000, None, None), bright_disc(), Capabilities(), share)
    assert propose(policy_named("variance"), state) is None
    rested = planned(bright_disc(), Capabilities(command_ns=2_000_000), share=share)
    assert dwell_map(rested.plan).max() <= share * rested.duration_ns
