"""Replays of recordings: `scanmend replay` in a child process that sends to this service as a microscope does.

    none ──start──▶ running ──its end──▶ done, failed        running ──stop──▶ stopped

One at a time. A replay that is stopped ends its session as a microscope does that aborts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scanmend.metrics import WebCounters
from scanmend.web.aside import start_child
from scanmend.web.problems import ApiError
from scanmend.web.schemas_recordings import ReplayView, ReplayWish

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "scanmend.cli", "replay")
STOP_S = 10.0
"""A replay that was told to stop and still runs after this is killed; its session is then ended for its silence."""
MOST_REMEMBERED = 200
_UNBALANCED = 4


class Replays:
    """Runs replays.

    Args:
        data_dir: The service's data folder.
        counters: What web counts itself.
        command: What is run, before its options.
    """

    def __init__(self, data_dir: Path, counters: WebCounters, command: Sequence[str] = COMMAND) -> None:
        self._data_dir = data_dir
        self._counters = counters
        self._command = tuple(command)
        self._views: dict[str, ReplayView] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._recording = ""
        self._watching: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def of(self, recording: str) -> ReplayView | None:
        """The last replay of a recording; None where there was none."""
        return self._views.get(recording)

    async def start(self, recording: str, wish: ReplayWish, by: str, address: str) -> ReplayView:
        """Begin a replay; where one of the same recording runs, that one is given and nothing is done.

        Args:
            recording: Its name; it exists.
            wish: Speed and model.
            by: Who asked.
            address: Where this service takes microscopes.

        Raises:
            ApiError: 429, another recording is being replayed.
        """
        async with self._turn:
            if self._watching is not None and not self._watching.done():
                if self._recording == recording:
                    return self._views[recording]
                raise ApiError(
                    429,
                    "busy",
                    f"{self._recording} is being replayed.",
                    mend="Wait until it is done, or stop it.",
                    headers={"Retry-After": "10"},
                )
            name = f"{recording[:40].rstrip('.')}-{time.strftime('%Y%m%d-%H%M%S')}"
            words = [recording, f"--address={address}", f"--name={name}", f"--speed={wish.speed}"]
            words += [] if wish.model is None else [f"--model={wish.model}"]
            self._process = await start_child(
                *self._command,
                *words,
                f"--data-dir={self._data_dir}",
                "--json",
                "--child",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            self._recording = recording
            view = ReplayView(
                recording=recording,
                session=name,
                state="running",
                began_unix_s=time.time(),
                ended_unix_s=None,
                by=by,
                result=None,
                problem="",
            )
            self._keep(view)
            self._counters.replays_started += 1
            self._watching = asyncio.create_task(self._watch(self._process, view), name="replay")
            return view

    async def stop(self, recording: str) -> ReplayView | None:
        """End the replay of a recording, and wait until it has ended; None where there was none."""
        async with self._turn:
            view = self._views.get(recording)
            if view is not None and view.state == "running":
                self._keep(view.model_copy(update={"state": "stopped"}))
                await self._end()
            return self._views.get(recording)

    async def close(self) -> None:
        """Let nothing run on."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._watching is not None:
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _end(self) -> None:
        process, watching = self._process, self._watching
        if process is None or watching is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)  # as Ctrl-C does: the session is aborted in order
        done, _ = await asyncio.wait({watching}, timeout=STOP_S)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait({watching})

    async def _watch(self, process: asyncio.subprocess.Process, view: ReplayView) -> None:
        printed, complaint = await process.communicate()
        stopped = self._views[view.recording].state == "stopped"
        result = None if stopped else _result(printed)
        change: dict[str, Any] = {"ended_unix_s": time.time(), "result": result}
        if stopped:
            change["state"] = "stopped"
        elif process.returncode in (0, _UNBALANCED) and result is not None:
            change["state"] = "done"
        else:
            change |= {"state": "failed", "problem": _why(result), "result": None if _is_problem(result) else result}
            log.error(
                "the replay of %s failed with code %s: %s %s",
                view.recording,
                process.returncode,
                change["problem"],
                complaint.decode("utf-8", "replace")[-1000:],
            )
        self._keep(view.model_copy(update=change))

    def _keep(self, view: ReplayView) -> None:
        self._views.pop(view.recording, None)
        self._views[view.recording] = view
        while len(self._views) > MOST_REMEMBERED:
            del self._views[next(iter(self._views))]


def _is_problem(result: dict[str, Any] | None) -> bool:
    return result is not None and "problem" in result


def _why(result: dict[str, Any] | None) -> str:
    if result is None:
        return "It ended without a word. The service's log may have more."
    if _is_problem(result):
        problem = result["problem"]
        return f"{problem['detail']} {problem['mend']}".strip()[:500]
    return "What was recorded again is not equal to the recording."


def _result(printed: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(printed)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
