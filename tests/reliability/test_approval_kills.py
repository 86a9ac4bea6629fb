"""A plan that awaits an operator outlives the death of a process, and is never run without a word."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from operating import AtApi
from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.field import Field
from scanmend_sim.microscope import Microscope
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(64, 64), pixel_size_nm=1.0, beam_current_pa=5.0)


@pytest.mark.parametrize("process", ["acquire", "engine"])
def test_a_plan_awaits_approval_whichever_process_dies(tmp_path: Path, process: str) -> None:
    scope = Microscope(load_specimen("nanoparticles:seed=3"), FIELD, seed=1)
    with (
        RunningService(tmp_path / "data") as service,
        Client(service.address) as client,
        ThreadPoolExecutor(1) as hands,
    ):
        operator = AtApi(service)
        operator.wait_until_ready()

        def decide() -> tuple[dict[str, object], dict[str, object]]:
            before = operator.wait_until_asked("approved")
            operator.command("approved", "rescan", {"budget_e_per_nm2": 50.0}, "PATCH")
            operator.wait_until("approved", lambda view: view["dose"]["budget_e_per_nm2"] == 50.0)
            boot_id = operator.boot_id()
            service.wait_restarted(process, service.kill(process))
            if process == "acquire":
                wait_for(lambda: operator.boot_id() != boot_id, 30, "the API does not hear the new acquire")
            else:  # a pass waits ten seconds for an engine, which loads its models for longer on a busy machine
                wait_for(lambda: operator.engine_starts() > 1, 30, "no engine was started again")
                operator.wait_until_ready()
            operator.wait_until("approved", lambda view: view["state"] == "open")
            after = operator.decide("approved", "accept")
            operator.decide("approved", "decline")
            return before, after

        scan = client.adaptive(
            FIELD,
            name="approved",
            channels=scope.channels,
            capabilities=scope.generator.capabilities,
            approval="operator",
            min_gain=0.0,
            policy="uncertainty",
            budget_e_per_nm2=60.0,
        )
        doses = []
        for step in scan:
            if step.index == 0:
                deciding = hands.submit(decide)
            step.submit(scope.run(scope.prepare(step.plan), step.index))
            doses.append(step.dose_e_per_nm2)
        before, after = deciding.result(60)
        assert before["proposal_id"] == after["proposal_id"] and before["dose_e_per_nm2"] == after["dose_e_per_nm2"]
        assert doses[1] == pytest.approx(after["dose_e_per_nm2"])
        receipt = scan.receipt
        assert receipt is not None and receipt.balanced and receipt.gaps == 0
        assert scan.passes == 2 and receipt.enough == "declined"
        assert receipt.approvals == {"accepted": 1, "declined": 1} and receipt.executed == {"accepted": 1}
        assert receipt.budget_e_per_nm2 == 50.0
