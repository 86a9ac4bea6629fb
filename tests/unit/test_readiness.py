"""Waiting for a service that was started: it comes, it says what is amiss, or it fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scanmend import readiness
from scanmend.errors import NotConnected
from scanmend.ipc import RunDir
from scanmend.readiness import wait_ready
from scanmend.settings import Settings
from scanmend.supervisor import ServiceState, Supervisor

AMISS = {"reasons": [{"text": "2 of 4 models are loaded.", "mend": "Wait."}]}
Make = Callable[[int], Supervisor]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Gives a supervisor in state RUNNING whose page says so often that it is not ready, and then that it is."""
    servers: list[HTTPServer] = []

    def made(refusals: int) -> Supervisor:
        left = [refusals]

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/readyz"
                left[0] -= 1
                self.send_response(503 if left[0] >= 0 else 200)
                self.end_headers()
                self.wfile.write(json.dumps(AMISS if left[0] >= 0 else {}).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Page)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        supervisor = Supervisor(Settings(data_dir=tmp_path / "data"))
        supervisor._run_dir = RunDir.create(tmp_path)
        (supervisor.run_dir / "web.json").write_text(json.dumps({"port": server.server_port}))
        supervisor.state = ServiceState.RUNNING
        return supervisor

    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


def test_it_waits_until_the_models_are_loaded(make: Make) -> None:
    turns: list[None] = []
    assert wait_ready(make(3), lambda: turns.append(time.sleep(0.01))) and len(turns) == 4


def test_too_late_says_what_is_amiss(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "READY_S", 0.1)
    with pytest.raises(NotConnected, match=r"2 of 4 models are loaded\. Wait\."):
        wait_ready(make(10**6), lambda: time.sleep(0.01))


def test_a_service_that_fails_or_is_stopped_is_not_waited_for(make: Make) -> None:
    failing, stopped = make(10**6), make(10**6)
    began_s = time.monotonic()
    turns = iter(range(3))

    def fail() -> None:
        if next(turns, None) is None:
            failing.state = ServiceState.FAILED

    assert not wait_ready(failing, fail)
    assert not wait_ready(stopped, stopped.ask_to_stop)
    assert time.monotonic() - began_s < readiness.READY_S / 4


def test_a_page_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "READY_S", 0.1)
    supervisor = Supervisor(Settings(data_dir=tmp_path / "data"))
    supervisor._run_dir = RunDir.create(tmp_path)
    (supervisor.run_dir / "web.json").write_text('{"port": 9}')
    supervisor.state = ServiceState.RUNNING
    with pytest.raises(NotConnected, match="The page does not answer"):
        wait_ready(supervisor, lambda: time.sleep(0.01))
