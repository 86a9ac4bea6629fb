"""The process that draws for this one: started when there is something to draw, ended when there has been nothing.

none ──a job──▶ working ──its end──▶ idle ──`IDLE_S`──▶ none      A job that takes too long ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

from scanmend.errors import ExportError
from scanmend.web.aside import start_child

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "scanmend.export.desk")
JOB_S = 60.0
IDLE_S = 30.0
_LONGEST_LINE = 1 << 20


class Desk:
    """Draws one thing after the other.

    Args:
        command: What is run.
        job_s: Most time of a job.
        idle_s: The process ends when it has had nothing to do for so long.
    """

    def __init__(self, command: Sequence[str] = COMMAND, *, job_s: float = JOB_S, idle_s: float = IDLE_S) -> None:
        self._command = tuple(command)
        self._job_s, self._idle_s = job_s, idle_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[int]] = set()

    async def do(self, job: dict[str, Any]) -> None:
        """Have a job done; waits for those before it.

        Raises:
            ExportError: It could not be done; the text says why.
        """
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                said = await self._ask(job)
            except BaseException:
                self._end()  # its next line would be the answer to this job
                raise
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end)
        if not said["made"]:
            raise ExportError(said["detail"], mend=said["mend"])

    async def close(self) -> None:
        """End the process, and wait for its end; safe to call twice."""
        self._end()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self) -> None:
        """Kill the process, if there is one; a later job starts another."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        ending = asyncio.get_running_loop().create_task(process.wait(), name="desk-end")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await start_child(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
            )
        reader, writer = process.stdout, process.stdin
        if reader is None or writer is None:  # both were asked for
            raise ExportError("The process that draws has no ear.", mend="Try it again.")
        try:
            async with asyncio.timeout(self._job_s):
                writer.write(json.dumps(job).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            said: dict[str, Any] = json.loads(line)
            return said
        except TimeoutError as error:
            raise ExportError(
                f"The picture was not drawn within {self._job_s:g} s.", mend="Try it when the machine is less busy."
            ) from error
        except (ValueError, OSError) as error:
            log.error("the process that draws ended with code %s", process.returncode)
            raise ExportError("The picture could not be drawn.", mend="The service's log has the reason.") from error
