"""Work for a request in a child process: one at a time, ended when it takes too long or nobody waits any more.

The web process loads no model and reads no journal; what does so gives way to the service's own processes, ends with
this one, and is killed when its request has left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import Request

from scanmend.web.problems import ApiError

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The other processors are the engine's."""
_LINE_BYTES = 1 << 16


async def start_child(
    *command: str, stdin: int, stdout: int, stderr: int | None = None, limit: int = _LINE_BYTES
) -> asyncio.subprocess.Process:
    """Start a command that uses one thread, in a session of its own, so that its priority counts (`be_humble`)."""
    return await asyncio.create_subprocess_exec(
        *command, stdin=stdin, stdout=stdout, stderr=stderr, limit=limit, env={**os.environ, **ONE_THREAD},
        start_new_session=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended."""

    code: int | None
    printed: bytes
    complaint: bytes


class Aside:
    """Runs one child at a time.

    Args:
        busy: Makes what is said while another request has it.
        too_slow: Makes what is said of a child that took longer than `timeout_s`.
        timeout_s: Most time of a child.
    """

    def __init__(self, *, busy: Callable[[], ApiError], too_slow: Callable[[], ApiError], timeout_s: float) -> None:
        self._busy_error, self._too_slow = busy, too_slow
        self._timeout_s = timeout_s
        self._busy = False
        self._process: asyncio.subprocess.Process | None = None

    @property
    def busy(self) -> bool:
        """Whether a request has it."""
        return self._busy

    def take(self) -> None:
        """Have it for oneself until `release`.

        Raises:
            ApiError: Another request has it.
        """
        if self._busy:
            raise self._busy_error()
        self._busy = True

    def release(self) -> None:
        """Let the next one have it."""
        self._busy = False

    async def run(self, command: Sequence[str], request: Request) -> Finished:
        """Run a command to its end; call `take` before.

        Args:
            command: The program and its words.
            request: Whoever asks, their body read; the child ends when they leave.

        Raises:
            ApiError: It took too long, or nobody waits for it any more.
        """
        process = self._process = await start_child(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        answering = asyncio.create_task(process.communicate(), name="aside")
        leaving = asyncio.create_task(_left(request), name="aside-left")
        try:
            await asyncio.wait({answering, leaving}, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return Finished(process.returncode, *answering.result())
            if leaving.done():
                raise ApiError(503, "nobody_waits", "Nobody waits for the answer.", mend="Ask again, and wait for it.")
            raise self._too_slow()
        finally:
            self._process = None
            if process.returncode is None:
                process.kill()
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            await process.wait()

    def close(self) -> None:
        """Let nothing run on."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def _left(request: Request) -> None:
    """Wait until whoever asked has gone; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
