"""An operator at the API, a client at its microscope, and the running service between them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

from operating import AtApi
from running import RunningService, wait_for
from scanmend.client import AsyncClient, Client
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sessions.survey import exports_beside, look, survey
from scanmend_sim.instrument import Instrument, RunOptions
from scanmend_sim.instrument_thread import InstrumentThread
from scanmend_sim.microscope import Microscope
from scanmend_sim.scenario import load_scenario
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(64, 64), pixel_size_nm=1.0, beam_current_pa=20.0)
SPECIMEN = "nanoparticles:seed=3"


def new_name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def operator(service: RunningService) -> AtApi:
    operator = AtApi(service)
    operator.wait_until_ready()
    return operator


@pytest.fixture
def scope() -> Microscope:
    return Microscope(load_specimen(SPECIMEN), FIELD, seed=1)


def about(scope: Microscope, **more: Any) -> dict[str, Any]:
    able = {"channels": scope.channels, "capabilities": scope.generator.capabilities}
    return {**able, "min_gain": 0.0, "policy": "uncertainty", **more}


def run(scope: Microscope, plan: ScanPlan, index: int) -> np.ndarray:
    return scope.run(scope.prepare(plan), index)


def test_accepted_plans_are_run_and_the_client_simply_waits(
    service: RunningService, operator: AtApi, scope: Microscope
) -> None:
    name = new_name("accepted")
    with Client(service.address) as client, ThreadPoolExecutor(1) as hands:
        scan = client.adaptive(
            FIELD, name=name, **about(scope, approval="operator", max_passes=3, decision_timeout_s=0.2)
        )
        decided = []
        for step in scan:
            step.submit(run(scope, step.plan, step.index))
            if step.index < 2:
                decided.append(hands.submit(operator.decide, name, "accept"))
        seen = [future.result() for future in decided]
    assert scan.passes == 3 and scan.enough is not None and scan.enough.code == "passes"
    receipt = scan.receipt
    assert receipt is not None and receipt.balanced
    assert (receipt.proposals, receipt.approvals, receipt.executed) == (2, {"accepted": 2}, {"accepted": 2})
    assert all(proposal["policy"] == "uncertainty" and proposal["dose_e_per_nm2"] > 0 for proposal in seen)


async def test_a_declined_plan_ends_the_loop_and_says_by_whom(
    service: RunningService, operator: AtApi, scope: Microscope
) -> None:
    name = new_name("declined")
    async with AsyncClient(service.address) as client:
        scan = client.adaptive(FIELD, name=name, **about(scope, approval="operator"))
        async for step in scan:
            await step.submit(run(scope, step.plan, step.index))
            deciding = asyncio.create_task(asyncio.to_thread(operator.decide, name, "decline"))
        await deciding
    assert scan.passes == 1 and scan.enough is not None and scan.enough.code == "declined"
    assert "declined by Ada" in scan.why
    assert scan.receipt is not None and scan.receipt.approvals == {"declined": 1} and scan.receipt.enough == "declined"


def test_a_budget_below_what_is_used_ends_the_loop(service: RunningService, operator: AtApi, scope: Microscope) -> None:
    name = new_name("budget")
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name, **about(scope, budget_e_per_nm2=4000.0))
        for step in scan:
            if step.index == 1:
                used = scope.dose().mean_e_per_nm2
                operator.command(name, "rescan", {"budget_e_per_nm2": 0.5 * used, "policy": "edge"}, "PATCH")
                status, answer = operator.ask("PATCH", f"/sessions/{name}/rescan", {"budget_e_per_nm2": 4000.5})
                assert (status, answer["type"].rpartition(":")[2]) == (409, "over_budget") and "4000" in answer["mend"]
                shown = operator.wait_until(name, lambda view: view["rescan"] == "edge")["dose"]
                assert shown["budget_e_per_nm2"] == pytest.approx(0.5 * used)
                assert shown["client_budget_e_per_nm2"] == 4000.0
            step.submit(run(scope, step.plan, step.index))
    assert scan.passes == 2 and scan.enough is not None and scan.enough.code == "budget"
    assert scan.receipt is not None and scan.receipt.budget_e_per_nm2 == pytest.approx(0.5 * used)


def test_approval_and_policy_change_from_the_next_proposal_on(
    service: RunningService, operator: AtApi, scope: Microscope
) -> None:
    name = new_name("terms")
    with Client(service.address) as client, ThreadPoolExecutor(1) as hands:
        scan = client.adaptive(FIELD, name=name, **about(scope, max_passes=3, decision_timeout_s=5.0))
        policies = []
        for step in scan:
            if step.index == 1:
                operator.command(name, "rescan", {"approval": "operator", "policy": "edge"}, "PATCH")
            if step.proposal is not None:
                policies.append(step.proposal.policy)
            step.submit(run(scope, step.plan, step.index))
            if step.index == 1:
                deciding = hands.submit(operator.decide, name, "accept")
        deciding.result()
    assert policies == ["uncertainty", "edge"]
    assert scan.receipt is not None and scan.receipt.approvals == {"accepted": 1}
    assert scan.receipt.executed == {"accepted": 2}


def test_a_session_waits_until_an_operator_starts_it(service: RunningService, operator: AtApi) -> None:
    name = new_name("start")
    with Client(service.address) as client, client.session(name, FIELD, start="operator") as session:
        assert session.awaits == "start" and not session.wait_for_start(0.05)
        operator.wait_until(name, lambda view: view["state"] == "waiting")
        threading.Timer(0.2, operator.command, (name, "start")).start()
        assert session.wait_for_start(10.0) and session.awaits == ""
        session.send(np.zeros(FIELD.shape, np.uint16))
        assert session.receive() is not None
        status, answer = operator.ask("POST", f"/sessions/{name}/start", {})
        assert (status, answer["type"].rpartition(":")[2]) == (409, "not_waiting")
    assert session.receipt is not None and session.receipt.durable == session.receipt.count == 1


async def test_a_scan_that_waits_is_ended_in_good_order(
    service: RunningService, operator: AtApi, scope: Microscope
) -> None:
    name = new_name("never")
    async with AsyncClient(service.address) as client:
        scan = client.adaptive(FIELD, name=name, **about(scope, start="operator"))

        async def stop() -> None:
            await asyncio.to_thread(operator.wait_until, name, lambda view: view["state"] == "waiting")
            await asyncio.to_thread(operator.command, name, "abort")

        stopping = asyncio.create_task(stop())
        steps = [step async for step in scan]
        await stopping
    assert steps == [] and "abort" in scan.why
    assert scan.receipt is not None and (scan.receipt.count, scan.receipt.reason) == (0, "aborted")
    assert scan.receipt.balanced


def test_the_simulated_microscope_waits_too(service: RunningService, operator: AtApi) -> None:
    name = new_name("simulated")
    words = ["simulate", "sparse", "--wait", "--frames", "2", "--rate", "max", "--specimen", "nanoparticles:seed=1"]
    command = [sys.executable, "-m", "scanmend.cli", *words, "--address", service.address, "--session", name, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        operator.wait_until(name, lambda view: view["state"] == "waiting")
        operator.command(name, "start")
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert json.loads(out)["frames_sent"] == 2


def test_a_session_is_recorded_from_now_on(service: RunningService, operator: AtApi) -> None:
    name = new_name("recorded")
    seen: list[Any] = []
    options = RunOptions(frames=0, rate=40.0, specimen="nanoparticles:seed=1", session=name, record=False)
    instrument = Instrument(load_scenario("sparse"), service.address, options, on_progress=seen.append)
    with InstrumentThread(instrument) as thread:
        wait_for(lambda: any(progress.restored > 2 for progress in seen), 20, "nothing is restored")
        operator.command(name, "record", {"on": True})
        status, answer = operator.ask("POST", f"/sessions/{name}/record", {"on": True})
        assert (status, answer["type"].rpartition(":")[2]) == (409, "recording_already")
        operator.wait_until(name, lambda view: view["account"]["durable"] > 5)
        operator.command(name, "stop")
        receipt = thread.result(20).receipt
    assert receipt.balanced and receipt.checksum_matches and receipt.gaps == 0
    assert receipt.unrecorded > 0 and receipt.durable > 5
    assert receipt.received == receipt.unrecorded + receipt.durable
    assert receipt.recorded_from is not None and 0 < receipt.recorded_from <= receipt.unrecorded
    folder = service.data_dir / "sessions" / name
    summary, tally = survey(folder, look(folder, exports_beside(service.data_dir)), held=False)
    assert summary.state == "ended" and tally.frames == receipt.durable and tally.missing == []
    assert any(f"began with frame {receipt.recorded_from}" in miss for miss in summary.misses)


def test_an_adaptive_scan_is_recorded_from_now_on(service: RunningService, operator: AtApi, scope: Microscope) -> None:
    name = new_name("exposure")
    with Client(service.address) as client:
        scan = client.adaptive(FIELD, name=name, **about(scope, max_passes=3, record=False))
        for step in scan:
            if step.index == 1:
                operator.command(name, "record", {"on": True})
            step.submit(run(scope, step.plan, step.index))
    receipt = scan.receipt
    assert receipt is not None and receipt.balanced and scan.passes == 3
    assert (receipt.unrecorded, receipt.durable, receipt.recorded_from) == (1, 2, 1)
    assert receipt.dose_e_per_nm2 == pytest.approx(scope.dose().mean_e_per_nm2)


def planes_of(message: bytes) -> dict[str, np.ndarray]:
    size = int.from_bytes(message[:4], "little")
    head = json.loads(message[4 : 4 + size])
    found = {}
    for plane in head["planes"]:
        begin = 4 + size + plane["offset"]
        numbers = np.frombuffer(message[begin : begin + plane["bytes"]], plane["dtype"]).reshape(head["shape"])
        found[plane["name"]] = plane["add"] + plane["scale"] * numbers
    return found


def next_picture(socket: Any, good: Callable[[dict[str, np.ndarray]], bool]) -> dict[str, np.ndarray]:
    """Ask for pictures until one is good."""
    socket.send('{"ready": true}')
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        message = socket.recv(timeout=20)
        if isinstance(message, bytes):
            planes = planes_of(message)
            if good(planes):
                return planes
            socket.send('{"ready": true}')
    raise AssertionError("no such picture came")


def test_the_page_gets_the_dose_and_the_proposal_of_each_pixel(
    service: RunningService, operator: AtApi, scope: Microscope
) -> None:
    name = new_name("maps")
    token = (service.data_dir / "access-token").read_text().strip()
    url = service.page.split("/#")[0].replace("http", "ws") + f"/api/v1/live?session={name}"
    with Client(service.address) as client, ThreadPoolExecutor(1) as hands, connect(url) as socket:
        socket.send(json.dumps({"token": token}))
        socket.send(json.dumps({"planes": ["raw", "dose", "proposal"]}))
        scan = client.adaptive(FIELD, name=name, **about(scope, approval="operator", start="operator"))
        passes = hands.submit(lambda: [step.submit(run(scope, step.plan, step.index)) for step in scan])
        socket.send('{"ready": true}')
        operator.wait_until(name, lambda view: view["state"] == "waiting")
        operator.command(name, "start")
        operator.decide(name, "accept")  # the picture of the second pass is made for a page that watches by then
        proposal = operator.wait_until_asked(name)
        planes = next_picture(socket, lambda found: {"dose", "proposal"} <= set(found))
        assert set(planes) == {"raw", "dose", "proposal"}
        dose = operator.wait_until(name, lambda view: view["proposal"] is not None)["dose"]
        assert planes["dose"].mean() == pytest.approx(dose["used_e_per_nm2"], rel=1e-3)
        assert planes["dose"].max() == pytest.approx(dose["most_e_per_nm2"], rel=1e-3)
        added = FIELD.dose_e_per_nm2(float(planes["proposal"].sum()))
        assert added == pytest.approx(proposal["dose_e_per_nm2"], rel=1e-2)
        operator.decide(name, "decline")
        assert "proposal" not in next_picture(socket, lambda found: "proposal" not in found)
        assert len(passes.result(20)) == 2
    assert not list(Path(service.run_dir).glob("dose-*"))


def test_what_was_commanded_is_kept_with_who_and_what_came_of_it(service: RunningService, operator: AtApi) -> None:
    name = new_name("logged")
    with Client(service.address) as client, client.session(name, FIELD, start="operator") as session:
        operator.wait_until(name, lambda view: view["state"] == "waiting")
        keys = {"Idempotency-Key": "a-click"}
        first = operator.ask("POST", f"/sessions/{name}/start", {"by": "Ada"}, **keys)
        again = operator.ask("POST", f"/sessions/{name}/start", {"by": "Ada"}, **keys)
        assert first == again == (202, {"session": name, "action": "start", "by": "Ada"})
        assert session.wait_for_start(5.0)
        body = {"proposal_id": 7, "decision": "accept"}
        assert operator.ask("POST", f"/sessions/{name}/proposal", body)[0] == 409
    status, answer = operator.ask("GET", "/commands?limit=2")
    assert status == 200 and answer["next"] is not None
    newest, before = answer["commands"]
    assert (newest["session"], newest["action"], newest["result"]) == (name, "accept", "not_asked")
    assert newest["details"] == {"proposal_id": 7} and newest["role"] == "operate"
    assert (before["action"], before["by"], before["result"]) == ("start", "Ada", "sent")
    older = operator.ask("GET", f"/commands?limit=1&before={answer['next']}")[1]["commands"]
    assert all(entry["number"] < answer["next"] for entry in older)
    lines = (service.data_dir / "commands.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["action"] == "accept"
