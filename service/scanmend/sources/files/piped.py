"""Files that another program reads, in a process and an environment of its own, and hands over through a pipe.

`docs/adapters.md` says what goes through the pipe. This keeps readers under other licences out of this program: nothing
of theirs is imported here.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from scanmend.errors import DamagedFile, InvalidInput
from scanmend.sources.files.signals import BLOCK_BYTES, Array, Signal, can_be

VERSION = 1
MAX_HEADER_BYTES = 1 << 20
MAX_SIGNALS = 256
KINDS = "buifc"
END_S = 5.0
"""How long a reader may take to end once its pipe is closed."""


class _PipedSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal, as the header line has it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    images: bool = False
    pixel_nm: float | None = None
    dwell_ns: float | None = None
    beam_current_pa: float | None = None
    beam_energy_kev: float | None = None


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line."""

    scanmend_reader: int
    signals: list[_PipedSignal]


class PipedReader:
    """A file that another program reads.

    Args:
        words: The program and its first arguments; the file's path comes behind them.
        path: The file.

    Raises:
        InvalidInput: The program cannot be started, does not read this file, or does not speak as the pipe asks.
    """

    def __init__(self, words: Sequence[str], path: Path) -> None:
        self._words, self._path = [*words, str(path.resolve())], path
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        pipe = self._start([])
        try:
            self.signals = tuple(_signal(one) for one in self._header(pipe).signals)
        finally:
            self.close()
        if not self.signals:
            raise InvalidInput(f"{path} holds no picture.", mend="Give a file with an array of two or more sides.")

    def read(self, chosen: Sequence[int]) -> Generator[Array, None, None]:
        """See `Reader.read`."""
        first = self.signals[chosen[0]]
        pipe = self._start([word for index in chosen for word in ("--signal", str(index))])
        try:
            self._header(pipe)
            height, width = first.side
            step_bytes = len(chosen) * height * width * first.dtype.itemsize
            most = max(1, BLOCK_BYTES // step_bytes)
            for done in range(0, first.steps, most):
                steps = min(most, first.steps - done)
                data = pipe.read(steps * step_bytes)
                whole = len(data) // step_bytes
                if whole:
                    values = np.frombuffer(data[: whole * step_bytes], first.dtype)
                    yield values.reshape(whole, len(chosen), height, width)
                if whole < steps:
                    raise DamagedFile(
                        f"The reader of {self._path.name} ended at picture {done + whole} of {first.steps}: "
                        f"{self._complaint()}.",
                        mend="Is the file whole?",
                    )
        finally:
            self.close()

    def close(self) -> None:
        """End the reader."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdout is not None:
                process.stdout.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _start(self, words: Sequence[str]) -> IO[bytes]:
        self.close()
        self._complaints = tempfile.TemporaryFile()
        # Whatever this program's own environment makes Python import, the reader's must not.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        try:
            self._process = subprocess.Popen(
                [*self._words, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=environment,
            )
        except OSError as error:
            self.close()
            raise InvalidInput(
                f"The reader {self._words[0]} cannot be started: {error.strerror}.",
                mend="Give the path of a Python with the package rosettasciio by --reader-python.",
            ) from error
        pipe = self._process.stdout
        if pipe is None:
            raise RuntimeError("a process that was asked for a pipe has none")
        return pipe

    def _header(self, pipe: IO[bytes]) -> _Header:
        line = pipe.readline(MAX_HEADER_BYTES)
        try:
            header = msgspec.json.decode(line, type=_Header)
            if header.scanmend_reader != VERSION or len(header.signals) > MAX_SIGNALS:
                raise ValueError(f"version {header.scanmend_reader}, {len(header.signals)} signals")
            return header
        except (msgspec.DecodeError, ValueError) as error:
            self._wait_for_complaint()
            raise InvalidInput(
                f"{self._path} cannot be read: {self._complaint() or error}.",
                mend="Is the file whole, and of a format that the reader knows?",
            ) from error

    def _wait_for_complaint(self) -> None:
        """Let the reader end, so that all is written that it has to say."""
        if self._process is None:
            return
        if self._process.stdout is not None:
            self._process.stdout.close()  # one that still writes notices
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _complaint(self) -> str:
        """The last line that the reader wrote to its standard error."""
        if self._complaints is None:
            return ""
        self._complaints.seek(max(0, os.fstat(self._complaints.fileno()).st_size - 4096))
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return "".join(char if char.isprintable() else " " for char in lines[-1])[:300].rstrip(".") if lines else ""


def _signal(piped: _PipedSignal) -> Signal:
    try:
        dtype = np.dtype(piped.dtype)
    except TypeError as error:
        raise InvalidInput(f"The reader names the type {piped.dtype!r}.", mend="Give numpy's: '<u2'.") from error
    if dtype.kind not in KINDS or not can_be(piped.shape):
        raise InvalidInput(
            f"The signal {piped.name} has the shape {piped.shape} and the type {piped.dtype}.",
            mend="Choose another file: pictures of numbers can be replayed.",
        )
    return Signal(
        name=piped.name,
        shape=piped.shape,
        dtype=dtype,
        images=piped.images,
        pixel_nm=piped.pixel_nm,
        dwell_ns=piped.dwell_ns,
        beam_current_pa=piped.beam_current_pa,
        beam_energy_kev=piped.beam_energy_kev,
    )
