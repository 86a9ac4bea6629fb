"""A process that the supervisor started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field

from scanmend.ipc.parent import end_with_parent


@dataclass(slots=True)
class Child:
    """One of the processes."""

    name: str
    command: list[str]
    vital: bool = True
    """Whether the service fails without it."""
    process: subprocess.Popen[bytes] | None = None
    started_mono_s: float = 0.0
    restarts: int = 0
    deaths_mono_s: deque[float] = field(default_factory=deque)
    rests_until_mono_s: float = 0.0
    """Until then a process that has died too often is left alone; 0 when it is not."""

    def start(self) -> None:
        """Start it, from the main thread; it ends when this process does, however early in its life."""
        supervisor = os.getpid()

        def prepare() -> None:
            end_with_parent(signal.SIGTERM, parent=supervisor)

        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            preexec_fn=prepare,
            start_new_session=True,  # Ctrl-C is for the supervisor, which drains them in order
        )
        self.started_mono_s = time.monotonic()

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.poll() if self.process is not None else None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None and self.running:
            self.process.send_signal(number)
