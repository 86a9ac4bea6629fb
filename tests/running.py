"""A real service in processes of its own, for tests that kill, stop and start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self


class RunningService:
    """`scanmend serve` on free ports.

    Args:
        data_dir: Folder of recordings and token.
        options: More words for the command line.
    """

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(data_dir.name + ".log")
        words = ["serve", "--port", "0", "--http-port", "0", "--json", "--tune-s", "0", "--threads", "1"]
        self._command = [sys.executable, "-m", "scanmend.cli", *words, "--data-dir", str(data_dir), *options]

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the service did not start:\n{self.log.read_text()}"
        ready = json.loads(line)
        self.address: str = ready["address"]
        self.page: str = ready["page"]
        self.run_dir = Path(ready["run_dir"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.stop()
        if kind is None:
            assert code == 0, f"the service ended with {code}:\n{self.log.read_text()[-4000:]}"
            assert not self.run_dir.exists(), "the run directory was left behind"

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=20)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code

    def pid(self, name: str) -> int:
        """The present process of a name, as the supervisor notes it."""
        state = json.loads((self.run_dir / "supervisor.json").read_text())
        return int(state["processes"][name]["pid"])

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a process a signal; gives its pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_restarted(self, name: str, old_pid: int, timeout_s: float = 15.0) -> int:
        """Wait until the supervisor has started a process again; gives the new pid."""
        wait_for(lambda: self.pid(name) != old_pid, timeout_s, f"{name} was not started again")
        return self.pid(name)


def wait_for(condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
    """Wait until something is so, or fail with the complaint."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)
