"""A program of this benchmark in a process of its own, that is spoken to by lines."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from scanmend.errors import ScanmendError

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
"""Two processes whose threads wait for each other by spinning are many times slower, ours and others' alike."""


class Child:
    """Starts it; ends it where the block is left.

    Args:
        words: The command.
        log: Where its standard error goes.
        more: Of its environment.
    """

    def __init__(self, words: Sequence[str | Path], log: Path, more: dict[str, str] | None = None) -> None:
        self._words = [str(word) for word in words]
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        ours = self._words[0] == sys.executable
        environment = {key: value for key, value in os.environ.items() if ours or not key.startswith("PYTHON")}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment | THREADS | (more or {}),
                start_new_session=True,  # so that what it has started itself can be ended with it
            )
        self._reader = threading.Thread(target=self._read, name="child-lines")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  (asked for above)
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def say(self, line: str) -> None:
        """Write a line to its standard input.

        Raises:
            ScanmendError: It has gone.
        """
        assert self._process.stdin is not None  # noqa: S101  (asked for above)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def line(self, timeout_s: float) -> str:
        """Its next line.

        Raises:
            ScanmendError: It ended, or says nothing in time.
        """
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise ScanmendError(
                f"{self._words[0]} says nothing for {timeout_s:.0f} s.", mend=f"Look at {self._log}."
            ) from None
        if line is None:
            raise self._ended()
        return line.strip()

    def _ended(self) -> ScanmendError:
        said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        return ScanmendError(f"{' '.join(self._words[:4])} ended: {' | '.join(said)}", mend=f"Look at {self._log}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
