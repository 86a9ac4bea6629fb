"""The loop of the keeper: one thread, which looks, begins one piece of work at a time, and tends it.

::

    starting ──acquire listens──▶ idle ◀──done, failed──┬── exporting, closing (a job in a process of its own)
                                    │ ──due─────────────┘
                                    └──every 5 minutes, after an export──▶ pruning ──▶ idle
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from scanmend.errors import RecordingError, ScanmendError
from scanmend.ipc import HeartbeatBoard
from scanmend.keeper.exporting import Exporting, NoRoom
from scanmend.keeper.job import Job, close_job
from scanmend.keeper.pace import HEAVY_BYTES_PER_S, Rate, Turns, written_bytes
from scanmend.keeper.queue import Work, WorkQueue
from scanmend.keeper.report import Reporter
from scanmend.keeper.retaining import EVERY_S, Retaining
from scanmend.keeper.watch import SessionWatch, noted_exports
from scanmend.sessions.folders import held_inodes
from scanmend.settings import Settings

log = logging.getLogger(__name__)

NAME = "keeper"
"""The process's name on the heartbeat board."""

IDLE_S = 0.5
WORKING_S = 0.1
"""How long a turn waits, without and with a job."""

NO_ROOM_S = 15.0
"""After this it is seen again whether there is room for an export."""

AGAIN_S = 300.0
"""After this an export is begun again that was stopped half-way for want of room; it costs none of its tries."""

_UNFINISHED_S = 5.0
"""So often it is seen who holds the unfinished sessions."""


LEAST_PATIENCE_S = 5.0
"""Between letting a recording go and leaving its receipt, acquire needs a moment."""


class Stop(Exception):
    """The service ends."""


class Keeper:
    """The keeper: `turn` again and again, then `close`.

    Args:
        settings: The service's.
        run_dir: The run folder.
        board: The heartbeat board.
        clock_s: Seconds that never go back; tests give their own.
        unix_ns: The time of day; tests give their own.
    """

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        board: HeartbeatBoard,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings
        self.run_dir = run_dir
        self.stop = threading.Event()
        self.job: Job | None = None
        self.queue = WorkQueue(unix_ns)
        self.watch = SessionWatch(settings.data_dir)
        self.recording = Rate()
        self._board = board
        self._clock_s = clock_s
        self._work: Work | None = None
        self._errors = run_dir / "keeper-job.txt"
        self._exporting = Exporting(settings, self.watch, self._errors)
        self._retaining = Retaining(settings, unix_ns, self._alive)
        self._turns = Turns(settings.export_share)
        self._retain_at_s = 0.0
        self._unfinished_at_s = 0.0
        self._room_at_s = 0.0
        self._report = Reporter(settings, run_dir, self._retaining, self.queue, clock_s, unix_ns)

    def turn(self) -> None:
        """Look after everything once, without waiting.

        Raises:
            Stop: The service ends.
        """
        self._alive()
        now_s = self._clock_s()
        self.recording.update(now_s, written_bytes(self._board.pid("acquire")))
        # Until acquire listens it takes up sessions that were cut off; nobody else may touch them.
        if (self.run_dir / "acquire.address").exists():
            try:
                self._look(now_s)
                if self.job is not None:
                    self._tend(self.job, now_s)
                elif now_s >= self._retain_at_s:
                    self._retain(now_s)
                else:
                    self._begin(now_s)
            except ScanmendError as error:
                self._report.trouble("look", "", error)
        self._report.write(now_s, self.job, self.watch, self.recording.per_s)

    def wait(self) -> None:
        """Wait until the next turn, or the end."""
        self.stop.wait(IDLE_S if self.job is None else WORKING_S)

    def close(self) -> None:
        """End what is being done; it is done again by the next keeper."""
        if self.job is not None:
            self.job.kill()
            self.job = None

    def _alive(self) -> None:
        self._board.beat(NAME)
        if self.stop.is_set():
            raise Stop

    def _look(self, now_s: float) -> None:
        for seen in self.watch.look(now_s):
            if not self.settings.export_when_ended or noted_exports(self.watch.path(seen.name)):
                continue
            self.queue.add("export", seen.name, seen.ended_unix_ns or 0)
        if now_s >= self._unfinished_at_s:
            self._unfinished_at_s = now_s + _UNFINISHED_S
            self._look_at_unfinished(now_s)
            self.queue.forget_all_but(lambda name: self.watch.path(name).is_dir())
        self._report.looked_well()

    def _look_at_unfinished(self, now_s: float) -> None:
        """Close what nobody holds for as long as acquire would have waited for its client."""
        held = held_inodes()
        self._report.unfinished(self.watch, held)
        for seen in self.watch.unfinished.values():
            if seen.inode in held or not self.settings.allow_recording:
                seen.since_s = now_s
            elif now_s - seen.since_s > max(self.settings.abandon_s, LEAST_PATIENCE_S):
                self.queue.add("close", seen.name)

    def _begin(self, now_s: float) -> None:
        """Begin the next piece of work that can be begun."""
        tight: NoRoom | None = None
        for work in self.queue.due(now_s):
            if work.doing == "export" and now_s < self._room_at_s:
                continue
            try:
                begun = self._job(work)
            except (ScanmendError, OSError) as error:
                self._failed(work, str(error), now_s)
                return
            if isinstance(begun, NoRoom):
                tight = tight or begun  # a smaller one may find room
            elif begun is None:
                self.queue.done(work)
            else:
                self._work, self.job = work, begun
                break
        if tight is not None:
            self._no_room(tight, now_s)
        elif self.job is not None:
            self._report.no_room = ""

    def _job(self, work: Work) -> Job | NoRoom | None:
        if work.doing == "close":
            return close_job(self.settings, work.session, self._errors)
        return self._exporting.begin(work.session)

    def _tend(self, job: Job, now_s: float) -> None:
        """Look after the job: done, held back while sessions record, out of room, or hung."""
        done = job.poll()
        work = self._work
        if done is not None and work is not None:
            self.job = self._work = None
            if done.well:
                self._finished(work, job, now_s)
            else:
                self._failed(work, done.said, now_s)
            return
        heavy = self.recording.per_s > HEAVY_BYTES_PER_S
        if self._turns.next(heavy=heavy):
            job.go_on()
        else:
            job.hold()
        no_room = self._exporting.tend(job) if job.doing == "export" else None
        if no_room is not None and work is not None:
            work.not_before_s = now_s + AGAIN_S
            self._no_room(no_room, now_s)
        elif job.stalled(now_s) and work is not None:
            self._failed(work, "It made no headway for ten minutes and was ended.", now_s)
        else:
            return
        job.kill()
        self.job = self._work = None

    def _finished(self, work: Work, job: Job, now_s: float) -> None:
        try:
            if job.doing == "export":
                self._exporting.finish(job)
                self._retain_at_s = now_s  # what is exported may go, where a limit asks for it
        except (ScanmendError, OSError) as error:
            self._failed(work, str(error), now_s)
            return
        self.queue.done(work)
        self._report.count(job)

    def _failed(self, work: Work, text: str, now_s: float) -> None:
        self.queue.failed(work, text, now_s)
        level = logging.ERROR if work.given_up else logging.WARNING
        what = "given up" if work.given_up else "tried again later"
        log.log(level, "%s of session %s failed and is %s: %s", work.doing, work.session, what, text)

    def _no_room(self, no_room: NoRoom, now_s: float) -> None:
        if not self._report.no_room:
            log.warning("%s", no_room.text)
        self._report.no_room = no_room.text
        self._room_at_s = now_s + NO_ROOM_S

    def _retain(self, now_s: float) -> None:
        self._retain_at_s = now_s + EVERY_S
        if not self.settings.data_dir.is_dir():
            return
        self._report.pruning(now_s)
        try:
            report = self._retaining.run(frozenset())
            self._report.removed += len(report.removed)
        except RecordingError as error:
            self._report.trouble("prune", "", error)
