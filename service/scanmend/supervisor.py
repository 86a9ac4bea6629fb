"""Starts acquire, engine, web and keeper, starts a dead one again, and brings them all to a clean end.

::

    starting ──all beat──▶ running ──SIGTERM, SIGINT──▶ draining ──all ended──▶ stopped
                              │ a sixth death within 60 s, or a fault of the settings
                              └──────────────────────▶ failed

The keeper takes no part in this: the service is ready without it, and goes on when it cannot be kept alive.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from types import FrameType

from scanmend.child import Child
from scanmend.errors import ConfigurationError
from scanmend.ipc import HeartbeatBoard, RunDir, remove_stale_run_dirs
from scanmend.settings import Settings

log = logging.getLogger(__name__)

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
"""More deaths of one process than this within the window, and the service fails loudly instead of going on."""

STUCK_S = 10.0
"""A process that has not beaten for this long is ended and started again."""

FIRST_BEAT_S = 60.0
"""A new process has this long until its first beat: a model may take a while to load."""

PATIENT_STUCK_S = 120.0
PATIENT_FIRST_BEAT_S = 300.0
"""The same two for a process that lets all others go first, and may get no turn for a while."""

REST_S = 60.0
"""Such a process that has died too often is left alone for so long, and then tried again."""

DRAIN_S = 9.5
"""After SIGTERM, acquire has this long to write the receipts."""

EXIT_CONFIGURATION = 3
"""Exit code of a process that cannot start with its settings; starting it again would not help."""

TURN_S = 0.1


class ServiceState(StrEnum):
    """Where the service is in its life; the diagram is at the top of the module."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Supervisor:
    """Runs the service: `startup`, `turn` again and again, `shutdown`.

    Args:
        settings: Of all processes.
    """

    NAMES = ("acquire", "engine", "web", "keeper")
    VITAL = ("acquire", "engine", "web")

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = ServiceState.STARTING
        self.failure = ""
        self._signals = 0
        self._run_dir: RunDir | None = None
        self._board: HeartbeatBoard | None = None
        self.children: dict[str, Child] = {}

    @property
    def run_dir(self) -> Path:
        """Where rings, doorbells and heartbeats are.

        Raises:
            ConfigurationError: Before `startup`.
        """
        if self._run_dir is None:
            raise ConfigurationError("The service has not been started.", mend="Call startup first.")
        return self._run_dir.path

    def startup(self) -> None:
        """Make the run directory and start the processes.

        Raises:
            ConfigurationError: No room for the run directory.
        """
        remove_stale_run_dirs()
        self._run_dir = RunDir.create()
        self._board = HeartbeatBoard.create(self.run_dir / "heartbeat", self.NAMES)
        settings_path = self.run_dir / "settings.json"
        settings_path.touch(mode=0o600)
        settings_path.write_text(self.settings.model_dump_json())
        for name in self.NAMES:
            command = [sys.executable, "-m", f"scanmend.{name}", str(settings_path), str(self.run_dir)]
            self.children[name] = Child(name, command, vital=name in self.VITAL)
            self.children[name].start()
        self._note()

    def ask_to_stop(self, *_: int | FrameType | None) -> None:
        """Begin to drain; asked a second time, end everything at once. May be called from a signal handler."""
        self._signals += 1

    @property
    def stop_asked(self) -> bool:
        """Whether `ask_to_stop` was called."""
        return self._signals > 0

    def turn(self) -> None:
        """Look after the processes once, and wait a tenth of a second."""
        for child in self.children.values():
            self._look_after(child)
        if self.state is ServiceState.STARTING and self.ready:
            self.state = ServiceState.RUNNING
            self._note()
        time.sleep(TURN_S)

    @property
    def ready(self) -> bool:
        """Whether each process but the keeper has beaten, and acquire and web can be reached."""
        board = self._board
        if board is None or any(board.age_s(name) == float("inf") for name in self.VITAL):
            return False
        return (self.run_dir / "acquire.address").exists() and (self.run_dir / "web.json").exists()

    @property
    def address(self) -> str:
        """Where microscopes connect, once acquire listens; else empty."""
        path = self.run_dir / "acquire.address"
        return path.read_text() if path.exists() else ""

    @property
    def http_port(self) -> int | None:
        """Port of the page, once web listens."""
        path = self.run_dir / "web.json"
        return int(json.loads(path.read_text())["port"]) if path.exists() else None

    @property
    def pids(self) -> dict[str, int]:
        """The processes as they are now."""
        return {name: child.process.pid for name, child in self.children.items() if child.process is not None}

    def _look_after(self, child: Child) -> None:
        board = self._board
        if board is None:
            return
        if child.running:
            age = board.age_s(child.name)
            alive_s = time.monotonic() - child.started_mono_s
            first_s, stuck_s = (FIRST_BEAT_S, STUCK_S) if child.vital else (PATIENT_FIRST_BEAT_S, PATIENT_STUCK_S)
            silent = alive_s > first_s if age == float("inf") else age > stuck_s and alive_s > stuck_s
            if silent:
                log.error("%s has not been heard for %.0f s and is ended", child.name, min(age, alive_s))
                child.signal(signal.SIGKILL)
            return
        code = child.exit_code
        if code == EXIT_CONFIGURATION and child.vital:
            self._fail(f"{child.name} cannot start with these settings; its message is above.")
            return
        if self.state is ServiceState.FAILED:
            return
        now = time.monotonic()
        if child.rests_until_mono_s:
            if now < child.rests_until_mono_s:
                return
            child.rests_until_mono_s = 0.0
            child.deaths_mono_s.clear()
        child.deaths_mono_s.append(now)
        while child.deaths_mono_s[0] < now - RESTART_WINDOW_S:
            child.deaths_mono_s.popleft()
        if len(child.deaths_mono_s) > MAX_RESTARTS and not child.vital:
            log.error("%s ended with code %s, too often, and is left alone for %.0f s", child.name, code, REST_S)
            child.rests_until_mono_s = now + REST_S
            self._note()
            return
        if len(child.deaths_mono_s) > MAX_RESTARTS:
            self._fail(f"{child.name} died {len(child.deaths_mono_s)} times within {RESTART_WINDOW_S:.0f} s.")
            return
        child.restarts += 1
        log.error("%s ended with code %s and is started again (%d)", child.name, code, child.restarts)
        board.clear(child.name)
        child.start()
        self._note()

    def _fail(self, why: str) -> None:
        self.failure = why
        self.state = ServiceState.FAILED
        log.critical("the service stops: %s", why)
        self._note()

    def shutdown(self) -> int:
        """Drain, end every process, remove the run directory.

        Returns:
            0 after a clean end, 3 for a fault of the settings, 1 otherwise.
        """
        failed = self.state is ServiceState.FAILED
        if not failed:
            self.state = ServiceState.DRAINING
            self._note()
        if "keeper" in self.children:
            self.children["keeper"].signal(signal.SIGTERM)  # its export must not compete with what acquire has to write
        clean = self._end("acquire", DRAIN_S)
        clean = self._end("engine", 2.0) and clean
        clean = self._end("web", 4.0) and clean
        self._end("keeper", 2.0)  # killed, it leaves nothing half done
        configuration = any(child.vital and child.exit_code == EXIT_CONFIGURATION for child in self.children.values())
        if self._board is not None:
            self._board.close()
        if self._run_dir is not None:
            self._run_dir.remove()
        if not failed:
            self.state = ServiceState.STOPPED
        return EXIT_CONFIGURATION if configuration else int(failed or not clean)

    def _end(self, name: str, patience_s: float) -> bool:
        """Ask a process to end, then make it; whether it went by itself."""
        child = self.children.get(name)
        if child is None or child.process is None:
            return True
        child.signal(signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while child.running and time.monotonic() < deadline and self._signals < 2:
            time.sleep(0.02)
        went = not child.running
        if not went:
            log.error("%s did not end within %.1f s and is killed", name, patience_s)
            child.signal(signal.SIGKILL)
        child.process.wait()
        return went

    def _note(self) -> None:
        """Leave the processes' state where web can read it."""
        aside = self.run_dir / f".supervisor-{os.getpid()}"
        state = {
            "state": self.state.value,
            "pid": os.getpid(),
            "failure": self.failure,
            "processes": {
                child.name: {
                    "pid": child.process.pid if child.process is not None else 0,
                    "running": child.running,
                    "restarts": child.restarts,
                    "rests": child.rests_until_mono_s > 0,
                }
                for child in self.children.values()
            },
        }
        aside.write_text(json.dumps(state))
        aside.rename(self.run_dir / "supervisor.json")
