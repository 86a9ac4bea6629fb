"""An adaptive scan goes on, within its budget, whichever process dies under it."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import RunningService
from scanmend.client import Client
from scanmend.field import Field
from scanmend_sim.microscope import Microscope
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(96, 96), pixel_size_nm=1.0, beam_current_pa=5.0)
BUDGET = 30.0


@pytest.mark.parametrize("name", ["acquire", "engine"])
@pytest.mark.parametrize("when", ["before a pass is sent", "after its restoration"])
def test_the_loop_outlives_the_death_of_a_process(tmp_path: Path, name: str, when: str) -> None:
    scope = Microscope(load_specimen("nanoparticles:seed=3"), FIELD, seed=1)
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        scan = client.adaptive(
            FIELD,
            name="killed",
            channels=scope.channels,
            capabilities=scope.generator.capabilities,
            budget_e_per_nm2=BUDGET,
            min_gain=0.0,
            policy="uncertainty",
        )
        answers = []
        for step in scan:
            samples = scope.run(scope.prepare(step.plan), step.index)
            if step.index == 1 and when == "before a pass is sent":
                pid = service.kill(name)
                answers.append(step.submit(samples))
                service.wait_restarted(name, pid)
            else:
                answers.append(step.submit(samples))
                if step.index == 1:
                    service.wait_restarted(name, service.kill(name))
        receipt = scan.receipt
        assert receipt is not None and receipt.balanced and receipt.gaps == 0 and receipt.enough == "budget"
        assert receipt.durable == receipt.count == scan.passes == len(answers) >= 3
        assert receipt.dose_e_per_nm2 == pytest.approx(scope.dose().mean_e_per_nm2)
        assert 0.95 * BUDGET < scope.dose().mean_e_per_nm2 <= BUDGET * (1 + 1e-9)
        last = answers[-1]
        assert last is not None and last.restored and last.frames_included == scan.passes


def test_enough_is_said_again_by_a_service_that_was_started_anew(tmp_path: Path) -> None:
    scope = Microscope(load_specimen("nanoparticles:seed=3"), FIELD, seed=1)
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        scan = client.adaptive(FIELD, name="over", channels=scope.channels, max_passes=1)
        step = next(iter(scan))
        service_pid = None
        samples = scope.run(scope.prepare(step.plan), 0)
        step.submit(samples)
        session = step.session
        while session.enough is None:
            assert session.next_proposal(timeout_s=0.2) is None
        session._core.enough = None  # as if it had been lost with the connection
        service_pid = service.kill("acquire")
        service.wait_restarted("acquire", service_pid)
        assert list(scan) == []
        assert scan.enough is not None and scan.enough.code == "passes"
        assert scan.receipt is not None and scan.receipt.enough == "passes" and scan.receipt.balanced
