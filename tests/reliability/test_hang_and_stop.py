"""An engine that hangs, and a service that is told to stop in the middle of a stream."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import httpx
import numpy as np

from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.errors import ScanmendError
from scanmend.field import Channel, Field
from scanmend.record import EntryKind, scan, session_path

FIELD = Field(shape=(96, 96), pixel_size_nm=1.0)
CHANNEL = Channel(name="HAADF")
PICTURE = np.full(FIELD.shape, 9, dtype=np.uint16)


def problem_codes(service: RunningService) -> set[str]:
    page, token = service.page.split("/#token=")
    answer = httpx.get(f"{page}/api/v1/status", headers={"Authorization": f"Bearer {token}"})
    return {problem["code"] for problem in answer.raise_for_status().json()["problems"]}


def test_frames_pass_through_a_hung_engine_which_is_then_replaced(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        with client.session("hung", FIELD, channels=[CHANNEL], hold_timeout_s=30.0) as session:
            for _ in range(40):  # enough for acquire to know how long a restoration takes
                session.send(PICTURE)
                answer = session.receive(timeout_s=20)
                assert answer is not None and answer.restored
            pid = service.kill("engine", signal.SIGSTOP)
            before = time.monotonic()
            session.send(PICTURE)
            passed = session.receive(timeout_s=20)
            waited_s = time.monotonic() - before
            assert passed is not None and (passed.restored, passed.reason) == (False, "engine_down")
            assert waited_s < 4.0, "two seconds, and what a busy machine adds"
            wait_for(lambda: "engine_stuck" in problem_codes(service), 8, "the page does not say that the engine hangs")
            service.wait_restarted("engine", pid, timeout_s=20)

            def restored_again() -> bool:
                session.send(PICTURE)
                answer = session.receive(timeout_s=20)
                return answer is not None and answer.restored

            wait_for(restored_again, 30, "the engine does not come back")
    assert session.receipt is not None and session.receipt.balanced
    assert session.receipt.gaps == 0 and session.receipt.durable == session.receipt.count


def test_a_service_that_is_stopped_in_a_stream_writes_the_receipt(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        session = client.session("stopped", FIELD, channels=[CHANNEL], hold_timeout_s=30.0, give_up_s=5.0)
        session.__enter__()
        for n in range(60):
            session.send(PICTURE + np.uint16(n))
            while session.receive(0) is not None:
                pass
        service.process.send_signal(signal.SIGTERM)
        before = time.monotonic()
        sent = 60
        try:
            while session.command is None:
                session.send(PICTURE + np.uint16(sent))
                sent += 1
                while session.receive(0.01) is not None:
                    pass
            receipt = session.end(timeout_s=8.0)
        except ScanmendError as error:
            raise AssertionError(f"the stream was not ended in order: {error}") from error
        assert service.process.wait(timeout=12) == 0
        assert time.monotonic() - before < 10.0
        session.close()
    assert receipt.balanced and receipt.checksum_matches and receipt.reason == "stopped"
    assert receipt.count == receipt.durable == sent
    folder = session_path(tmp_path / "data", "stopped")
    assert json.loads((folder / "receipt.json").read_bytes())["balanced"] is True
    with scan(folder) as journal:
        assert sorted(e.seq for e in journal if e.kind is EntryKind.FRAME) == list(range(sent))


def test_a_silent_client_does_not_keep_the_service_from_stopping(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        session = client.session("silent", FIELD, channels=[CHANNEL])
        session.__enter__()
        session.send(PICTURE)
        assert session.receive(timeout_s=20) is not None
        service.process.send_signal(signal.SIGTERM)
        before = time.monotonic()
        assert service.process.wait(timeout=12) == 0
        assert time.monotonic() - before < 10.0
        session.close()
    receipt = json.loads((session_path(tmp_path / "data", "silent") / "receipt.json").read_bytes())
    assert receipt["balanced"] and (receipt["reason"], receipt["count"]) == ("service_stopped", 1)
