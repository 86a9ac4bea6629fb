"""The loop as control software has it: plan, samples, restoration, next plan, through the running service."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from running import RunningService
from scanmend.client import AsyncClient, Client
from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan
from scanmend_sim.microscope import Microscope
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(128, 128), pixel_size_nm=1.0, beam_current_pa=20.0)
BUDGET = 40.0


def name() -> str:
    return f"adaptive-{uuid.uuid4().hex[:8]}"


def microscope(**more: Any) -> Microscope:
    return Microscope(load_specimen("nanoparticles:seed=3"), FIELD, seed=1, **more)


def about(scope: Microscope) -> dict[str, Any]:
    """What a session must know of an instrument: its detectors, and what its electronics can run."""
    return {"channels": scope.channels, "capabilities": scope.generator.capabilities}


def run(scope: Microscope, plan: ScanPlan, index: int) -> np.ndarray:
    return scope.run(scope.prepare(plan), index)


def test_a_budget_is_spent_to_the_benefit_of_the_picture_and_never_crossed(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope), budget_e_per_nm2=BUDGET, min_gain=0.0)
        sigmas, prices = [], []
        for step in scan:
            assert (step.proposal is None) == (step.index == 0)
            prices.append(step.dose_e_per_nm2)
            answer = step.submit(run(scope, step.plan, step.index))
            assert answer is not None and answer is step.restoration
            assert answer.image is not None and answer.image.shape == FIELD.shape
            assert scope.dose().mean_e_per_nm2 <= BUDGET * (1 + 1e-9)
            sigmas.append(answer.sigma_mean)
        assert scan.passes == len(sigmas) >= 3
        assert sigmas[-1] < sigmas[0]
        assert sum(prices) > 0.98 * BUDGET
        assert scan.enough is not None and scan.enough.code == "budget" and scan.why == scan.enough.reason
        receipt = scan.receipt
        assert receipt is not None and receipt.balanced and receipt.enough == "budget" and receipt.gaps == 0
        assert receipt.proposals == receipt.executed["accepted"] == scan.passes - 1
        assert receipt.dose_e_per_nm2 == pytest.approx(scope.dose().mean_e_per_nm2)


def test_a_target_ends_the_scan_before_the_budget_does(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        options: dict[str, Any] = {**about(scope), "budget_e_per_nm2": 1e4, "policy": "uncertainty"}
        first = ScanPlan.raster(FIELD.shape, 20_000)
        loose = client.adaptive(FIELD, name=name(), target_sigma=0.5, first=first, **options)
        for step in loose:
            step.submit(run(scope, step.plan, step.index))
        assert loose.passes == 1 and loose.enough is not None and loose.enough.code == "target"
        assert loose.enough.sigma_of_range <= 0.5


def test_a_pass_that_would_not_pay_is_not_asked_for(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope), min_gain=0.1, max_passes=40)
        for step in scan:
            step.submit(run(scope, step.plan, step.index))
        assert scan.enough is not None and scan.enough.code == "gain"
        assert 2 <= scan.passes < 20


def test_half_a_plan_another_order_and_another_plan_are_what_counts(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope), max_passes=4, min_gain=0.0)
        for step in scan:
            if step.index == 1:  # the pass ends in the middle
                samples = scope.run(scope.prepare(step.plan), 1, n=step.plan.points // 2)
                step.submit(samples)
            elif step.index == 2:  # backwards
                xy = np.stack([step.plan.x, step.plan.y], axis=1)[::-1]
                back = ScanPlan.point_list(FIELD.shape, step.plan.dwells_ns[::-1].copy(), xy=xy)
                step.submit(run(scope, back, 2), plan=back)
            elif step.index == 3:  # something else
                raster = ScanPlan.raster(FIELD.shape, 500)
                step.submit(run(scope, raster, 3), plan=raster)
            else:
                step.submit(run(scope, step.plan, step.index))
        receipt = scan.receipt
        assert receipt is not None and receipt.executed == {"changed": 3} and receipt.enough == "passes"
        assert receipt.dose_e_per_nm2 == pytest.approx(scope.dose().mean_e_per_nm2)


def test_a_pass_in_pieces_says_before_its_last_frame_what_was_run(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope), max_passes=3, min_gain=0.0)
        for step in scan:
            samples = run(scope, step.plan, step.index)
            run_points = samples.shape[1] if step.index < 2 else 500
            step.session.send_samples(step.plan, samples[:, :400], step.index, end_of_pass=False)
            step.ran(step.plan, run_points)
            with pytest.raises(InvalidInput, match="done"):
                step.ran(step.plan, run_points)
            last = samples[:, 400:run_points]
            step.session.send_samples(step.plan, last, step.index, first_point=400, end_of_pass=True)
            answer = step.restored()
            assert answer is not None and answer is step.restoration and answer.end_of_pass
        assert scan.receipt is not None and scan.receipt.executed == {"accepted": 1, "changed": 1}
        assert scan.passes == 3 and scan.receipt.balanced


def test_a_plan_that_is_declined_ends_the_scan_in_good_order(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope))
        for step in scan:
            if step.proposal is None:
                step.submit(run(scope, step.plan, 0))
            else:
                step.decline("the sample has drifted")
        assert "the sample has drifted" in scan.why
        assert scan.receipt is not None and scan.receipt.executed == {"declined": 1}
        assert scan.receipt.reason == "finished" and scan.passes == 1


def test_a_loop_that_is_left_ends_its_session(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        with client.adaptive(FIELD, name=name(), **about(scope)) as scan:
            for step in scan:
                step.submit(run(scope, step.plan, step.index))
                break
        assert scan.receipt is not None and scan.receipt.reason == "stopped" and scan.receipt.balanced


def test_a_turn_without_samples_is_an_error_that_says_what_to_do(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope))
        with pytest.raises(InvalidInput, match=r"step\.submit"):
            for _step in scan:
                pass
        assert scan.receipt is not None and scan.receipt.reason == "aborted"


def test_too_many_samples_and_a_second_submit_are_refused(service: RunningService) -> None:
    scope = microscope()
    with Client(service.address) as client, client.adaptive(FIELD, name=name(), **about(scope)) as scan:
        step = next(iter(scan))
        samples = run(scope, step.plan, 0)
        with pytest.raises(InvalidInput, match="points"):
            step.submit(np.concatenate([samples, samples], axis=1))
        step.submit(samples)
        with pytest.raises(InvalidInput, match="done"):
            step.submit(samples)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "frames"},
        {"rescan": "variance"},
        {"returns": "none"},
        {"budget_e_per_nm2": 1.0, "first": ScanPlan.raster(FIELD.shape, 1_000_000)},
        {"target_sigma": -1.0},
    ],
    ids=["mode", "rescan", "no answers", "a first pass above the budget", "a target below nothing"],
)
def test_options_that_contradict_the_loop_are_refused(service: RunningService, options: dict[str, Any]) -> None:
    with Client(service.address) as client, pytest.raises(InvalidInput) as caught:
        client.adaptive(FIELD, **options)
    assert caught.value.mend


def test_an_instrument_with_a_coarse_dwell_runs_what_is_proposed(service: RunningService) -> None:
    able = Capabilities(dwell_quantum_ns=500, min_dwell_ns=1000, settle_ns=200, command_ns=1_000_000)
    scope = microscope()
    with Client(service.address) as client:
        scan = client.adaptive(
            FIELD, name=name(), channels=scope.channels, capabilities=able, budget_e_per_nm2=BUDGET, max_passes=3
        )
        for step in scan:
            assert (step.plan.dwells_ns % 500 == 0).all() and step.plan.dwells_ns.min() >= 1000
            if step.proposal is not None:
                assert step.proposal.duration_ns >= step.plan.total_dwell_ns + 1_000_000
            step.submit(run(scope, step.plan, step.index))
        assert scan.passes >= 2


async def test_the_same_loop_under_asyncio(service: RunningService) -> None:
    scope = microscope()
    async with AsyncClient(service.address) as client:
        scan = client.adaptive(FIELD, name=name(), **about(scope), budget_e_per_nm2=BUDGET, min_gain=0.0)
        async for step in scan:
            await step.submit(run(scope, step.plan, step.index))
        assert scan.passes >= 3 and scan.enough is not None and scan.enough.code == "budget"
        assert scan.receipt is not None and scan.receipt.balanced
        async with client.adaptive(FIELD, name=name(), **about(scope)) as left:
            async for step in left:
                await step.submit(run(scope, step.plan, step.index))
                break
        assert left.receipt is not None and left.receipt.reason == "stopped"
