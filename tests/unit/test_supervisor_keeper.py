"""The supervisor and a process that the service can do without."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanmend import supervisor as module
from scanmend.child import Child
from scanmend.ipc import HeartbeatBoard, RunDir
from scanmend.settings import Settings
from scanmend.supervisor import EXIT_CONFIGURATION, MAX_RESTARTS, ServiceState, Supervisor


class Watched(Supervisor):
    """A supervisor whose processes are what a test gives.

    Args:
        tmp_path: For the run folder.
        keeper: What the keeper does, as a program.
        vital: Whether the service cannot do without it.
    """

    def __init__(self, tmp_path: Path, keeper: str, *, vital: bool = False) -> None:
        super().__init__(Settings(data_dir=tmp_path / "data"))
        self._run_dir = RunDir.create(tmp_path)
        self._board = HeartbeatBoard.create(self.run_dir / "heartbeat", self.NAMES)
        self.state = ServiceState.RUNNING
        child = Child("keeper", [sys.executable, "-S", "-c", keeper], vital=vital)
        self.children = {"keeper": child}
        child.start()

    @property
    def keeper(self) -> Child:
        return self.children["keeper"]

    def turns_until_death(self) -> None:
        """Wait for the keeper's end, and look after it once."""
        assert self.keeper.process is not None
        self.keeper.process.wait(20)
        self.turn()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Watched]]:
    monkeypatch.setattr(module, "TURN_S", 0.0)
    made: list[Watched] = []

    class Ended(Watched):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            made.append(self)

    yield Ended
    for each in made:
        if each.run_dir.exists():
            each.shutdown()


@pytest.mark.parametrize("code", [1, EXIT_CONFIGURATION])
def test_a_keeper_that_cannot_live_leaves_the_service_running(
    tmp_path: Path, watched: type[Watched], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST_S", 0.05)
    service = watched(tmp_path, f"raise SystemExit({code})")
    for _ in range(MAX_RESTARTS + 1):
        service.turns_until_death()
    assert (service.state, service.failure, service.keeper.restarts) == (ServiceState.RUNNING, "", MAX_RESTARTS)
    assert service.keeper.rests_until_mono_s > 0 and not service.keeper.running
    assert '"rests": true' in (service.run_dir / "supervisor.json").read_text()
    deadline_s = time.monotonic() + 20
    while service.keeper.restarts == MAX_RESTARTS:
        assert time.monotonic() < deadline_s, "it was not tried again"
        service.turn()
    assert service.keeper.rests_until_mono_s == 0
    assert service.shutdown() == 0, "its faults are not the service's"


def test_a_vital_process_that_cannot_live_fails_the_service(tmp_path: Path, watched: type[Watched]) -> None:
    service = watched(tmp_path, "raise SystemExit(1)", vital=True)
    for _ in range(MAX_RESTARTS + 1):
        service.turns_until_death()
    assert service.state is ServiceState.FAILED and "keeper died" in service.failure
    assert service.shutdown() == 1


def test_the_service_is_ready_without_its_keeper(tmp_path: Path, watched: type[Watched]) -> None:
    service = watched(tmp_path, "import time; time.sleep(60)")
    assert not service.ready
    assert service._board is not None
    for name in Supervisor.VITAL:
        service._board.beat(name)
    (service.run_dir / "acquire.address").write_text("")
    (service.run_dir / "web.json").write_text("{}")
    assert service.ready and service._board.pid("keeper") is None
