"""One piece of work in a process of its own, which may be held back, ended, or die, and leaves nothing half done.

It is the command that a user would type: `scanmend export`, `scanmend sessions close`. What a model or the HDF5
library does to a process it does to that one, and what it used is given back when it ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scanmend.humble import be_humble
from scanmend.ipc.parent import end_with_parent
from scanmend.settings import Settings

Doing = Literal["export", "close"]

STALLED_S = 600.0
"""Work that has used no processor for so long, although it was let, is ended."""

_MOST_SAID = 4000


@dataclass(frozen=True, slots=True)
class Done:
    """How a job went."""

    code: int
    """Exit code; negative for the signal that ended it."""
    said: str
    """Its last words."""

    @property
    def well(self) -> bool:
        """Whether it did what it should."""
        return self.code == 0


class Job:
    """A running piece of work.

    Args:
        doing: What it is.
        session: The session's name.
        command: The words after the interpreter.
        errors: Where its standard error goes: a file that is written over.
        target: The file that an export makes.
        nice: Its priority on the processor, 0 to 19.
    """

    def __init__(
        self,
        doing: Doing,
        session: str,
        command: list[str],
        errors: Path,
        target: Path | None = None,
        *,
        nice: int = 19,
    ) -> None:
        self.doing = doing
        self.session = session
        self.target = target
        self.held = False
        """Whether it is stopped."""
        self._errors = errors
        self._moved_s: float | None = None
        self._ticks = -1
        keeper = os.getpid()

        def prepare() -> None:
            # The keeper has one thread, so that code between fork and exec is safe. SIGKILL also ends what is held.
            end_with_parent(signal.SIGKILL, parent=keeper)
            be_humble(nice)

        with errors.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                # A card is for the engine alone, and one thread is enough for what nobody waits for.
                env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
                preexec_fn=prepare,
                start_new_session=True,  # the kernel shares out time among sessions, and this one is to come last
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def aside(self) -> Path | None:
        """The hidden file that an export writes until it is whole."""
        return None if self.target is None else self.target.with_name(f".{self.target.name}.part")

    def poll(self) -> Done | None:
        """How it went; None while it runs."""
        code = self._process.poll()
        return None if code is None else Done(code, self._last_words(code))

    def hold(self) -> None:
        """Stop it until `go_on`."""
        if not self.held:
            self._process.send_signal(signal.SIGSTOP)
            self.held = True

    def go_on(self) -> None:
        """Let it work again."""
        if self.held:
            self._process.send_signal(signal.SIGCONT)
            self.held = False

    def kill(self) -> None:
        """End it at once, and remove what it had begun to write."""
        self._process.kill()
        self._process.wait()
        if self.aside is not None:
            self.aside.unlink(missing_ok=True)

    def stalled(self, now_s: float) -> bool:
        """Whether it has used no processor for `STALLED_S`; time in which it was held does not count."""
        ticks = _ticks(self.pid)
        if self.held or ticks != self._ticks or self._moved_s is None:
            self._moved_s, self._ticks = now_s, ticks
        return now_s - self._moved_s > STALLED_S

    def _last_words(self, code: int) -> str:
        if code < 0:
            return f"Its process was ended by {signal.Signals(-code).name}."
        try:
            data = self._errors.read_bytes()[-_MOST_SAID:]
        except OSError:
            data = b""
        lines = [line.strip() for line in data.decode(errors="replace").splitlines() if line.strip()]
        ours = [line for line in lines if line.startswith("scanmend: ")]
        return (ours or lines or [f"It ended with code {code}."])[-1].removeprefix("scanmend: ")[:500]


def export_job(settings: Settings, session: str, target: Path, errors: Path) -> Job:
    """Begin to export a session, with the model that it asked for and the packing of the settings."""
    words = ["export", "--data-dir", str(settings.data_dir), "--to", "nexus", "--out", str(target), "--threads", "1"]
    words += ["--compression", settings.export_compression, session]
    return Job("export", session, ["-m", "scanmend.cli", *words], errors, target, nice=settings.keeper_nice)


def close_job(settings: Settings, session: str, errors: Path) -> Job:
    """Begin to close a session that was cut off."""
    words = ["sessions", "close", "--data-dir", str(settings.data_dir), "--beside-service", session]
    return Job("close", session, ["-m", "scanmend.cli", *words], errors, nice=settings.keeper_nice)


def _ticks(pid: int) -> int:
    """Processor time that a process has used, in clock ticks."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])
