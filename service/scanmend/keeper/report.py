"""Gathers what the keeper knows into `keeper.json`, and writes it when something has changed, and now and then."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from scanmend.errors import RecordingError, ScanmendError
from scanmend.health import DISK_FULL_SOON, Limit, ProblemBook
from scanmend.ipc.console import ProblemInfo
from scanmend.ipc.keeper_status import (
    MOST_NAMES,
    KeeperError,
    KeeperState,
    KeeperStatus,
    Unfinished,
    Waits,
    write_keeper_status,
)
from scanmend.keeper.job import Job
from scanmend.keeper.pace import HEAVY_BYTES_PER_S
from scanmend.keeper.queue import WorkQueue
from scanmend.keeper.retaining import Retaining
from scanmend.keeper.room import Forecast, room_on
from scanmend.keeper.watch import SessionWatch
from scanmend.sessions.survey import look, survey
from scanmend.settings import Settings

log = logging.getLogger(__name__)

EVERY_S = 5.0


class Reporter:
    """Makes the status.

    Args:
        settings: The service's.
        run_dir: The run folder.
        retaining: What was removed, and what stays.
        queue: What is to be done.
        clock_s: Seconds that never go back.
        unix_ns: The time of day.
    """

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        retaining: Retaining,
        queue: WorkQueue,
        clock_s: Callable[[], float],
        unix_ns: Callable[[], int],
    ) -> None:
        self.no_room = ""
        """Why an export has no room; empty where none waits for it."""
        self.removed = 0
        self._counts = {"export": 0, "close": 0}
        self._settings = settings
        self._run_dir = run_dir
        self._retaining = retaining
        self._queue = queue
        self._unix_ns = unix_ns
        self._forecast = Forecast()
        self._book = ProblemBook(clock_s, unix_ns)
        self._unfinished: dict[str, Unfinished] | None = None
        self._look_failed = ""
        self._since: dict[tuple[str, str], int] = {}
        self._last: KeeperStatus | None = None
        self._written_s = float("-inf")

    def count(self, job: Job) -> None:
        """A job went well."""
        self._counts[job.doing] += 1

    def trouble(self, doing: Literal["prune", "look"], session: str, error: ScanmendError) -> None:
        """Something went wrong that has no work of its own; said once until it is well again."""
        if str(error) == self._look_failed:
            return
        log.error("%s", error)
        if doing == "look":
            self._look_failed = str(error)
        self._queue.errors.append(
            KeeperError(at_unix_ns=self._unix_ns(), doing=doing, session=session, text=str(error))
        )

    def looked_well(self) -> None:
        """The data folder can be read."""
        self._look_failed = ""

    def unfinished(self, watch: SessionWatch, held: frozenset[int]) -> None:
        """Say which sessions have no receipt, who holds them, and what they miss."""
        first, before, self._unfinished = self._unfinished is None, self._unfinished or {}, {}
        for seen in list(watch.unfinished.values()):
            known = before.get(seen.name)
            holds = seen.inode in held
            if (known is None and holds and not first) or len(self._unfinished) == MOST_NAMES:
                continue  # one that was begun since, as every session is
            if known is None or (known.held and not holds):
                known = Unfinished(name=seen.name, held=holds, misses=_misses(watch.path(seen.name), held=holds))
                if not holds and known.misses:
                    log.warning("session %s is unfinished: %s", seen.name, " ".join(known.misses))
            self._unfinished[seen.name] = msgspec.structs.replace(known, held=holds)

    def pruning(self, now_s: float) -> None:
        """Say that recordings are looked through and removed, which may take a while."""
        if self._last is not None:
            changes = {"state": "pruning", "session": "", "at_unix_ns": self._unix_ns()}
            self._write(now_s, msgspec.structs.replace(self._last, **changes))

    def write(self, now_s: float, job: Job | None, watch: SessionWatch, recording_bytes_per_s: float) -> None:
        """Write the status, where it is due."""
        room = room_on(self._settings.data_dir)
        if room is not None:
            self._forecast.add(now_s, room.free_bytes)
        waiting = self._queue.waiting()
        state: KeeperState = "starting" if not (self._run_dir / "acquire.address").exists() else "idle"
        if job is not None:
            state = "exporting" if job.doing == "export" else "closing"
        heavy = recording_bytes_per_s > HEAVY_BYTES_PER_S
        waits: Waits = "recording" if job is not None and heavy else ""
        if job is None and waiting:
            waits = "room" if self.no_room else "retry"
        if not waiting:
            self.no_room = ""
        queue = [work.session for work in waiting if work.doing == "export"]
        last = self._retaining.last
        status = KeeperStatus(
            pid=os.getpid(),
            at_unix_ns=self._unix_ns(),
            state=state,
            session=job.session if job is not None else "",
            waits_for=waits,
            queue=tuple(queue[:MOST_NAMES]),
            queued=len(queue),
            exported=self._counts["export"],
            closed=self._counts["close"],
            removed=self.removed,
            unfinished=tuple((self._unfinished or {}).values()),
            errors=tuple(self._queue.errors),
            problems=(*self._book.update(self._readings()), *self._problems(len(queue))),
            exports_folder=str(self._settings.exports_folder.resolve()) if self._settings.export_when_ended else "",
            free_bytes=None if room is None else room.free_bytes,
            total_bytes=None if room is None else room.total_bytes,
            recording_bytes_per_s=recording_bytes_per_s,
            full_in_s=self._forecast.full_in_s,
            recordings_bytes=None if last is None else last.bytes_after,
            quota_bytes=self._settings.retention_bytes,
        )
        if self._last is None or _says(status) != _says(self._last) or now_s - self._written_s >= EVERY_S:
            self._write(now_s, status)

    def _write(self, now_s: float, status: KeeperStatus) -> None:
        self._last, self._written_s = status, now_s
        try:
            write_keeper_status(self._run_dir, status)
        except OSError as error:
            log.warning("the keeper's status cannot be written: %s", error)

    def _readings(self) -> Iterator[tuple[Limit, str, float]]:
        """Numbers that have a limit."""
        full_in_s = self._forecast.full_in_s
        if full_in_s is not None:
            yield DISK_FULL_SOON, "", full_in_s / 60.0

    def _problems(self, queued: int) -> list[ProblemInfo]:
        found = self._retaining.problems()
        if self.no_room:
            found.append(
                ProblemInfo(
                    level="warning",
                    code="export_no_room",
                    text=self.no_room + (f" {queued} sessions wait in all." if queued > 1 else ""),
                    mend="Move exports or recordings to another disk, or set SCANMEND_EXPORTS_DIR to a folder on one.",
                )
            )
        for work in self._queue.given_up():
            export = work.doing == "export"
            found.append(
                ProblemInfo(
                    level="error",
                    code="export_failed" if export else "close_failed",
                    text=f"Session {work.session} could not be {'exported' if export else 'closed'}: {work.given_up}",
                    mend=f"`scanmend sessions show {work.session} --check` says what is damaged. "
                    + (f"`scanmend export {work.session}` tries again." if export else "It stays as it is."),
                    session=work.session,
                )
            )
        if self._look_failed:
            found.append(ProblemInfo(level="error", code="keeper_cannot_look", text=self._look_failed))
        return self._dated(found[:MOST_NAMES])

    def _dated(self, problems: list[ProblemInfo]) -> list[ProblemInfo]:
        """The problems with the time since which each stands."""
        keys = [(problem.code, problem.session) for problem in problems]
        now = self._unix_ns()
        self._since = {key: self._since.get(key, now) for key in keys}
        return [
            msgspec.structs.replace(problem, since_unix_ns=self._since[key])
            for key, problem in zip(keys, problems, strict=True)
        ]


def _says(status: KeeperStatus) -> KeeperStatus:
    """A status without what changes at every moment."""
    return msgspec.structs.replace(
        status, at_unix_ns=0, free_bytes=None, recording_bytes_per_s=0.0, full_in_s=None, total_bytes=None
    )


def _misses(path: Path, *, held: bool) -> tuple[str, ...]:
    """What is missing in a recording that has no receipt."""
    try:
        return survey(path, look(path, frozenset()), held=held)[0].misses
    except RecordingError as error:
        return (error.message,)
