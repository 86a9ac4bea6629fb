"""Points of one series on their way into frames."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from scanmend.client import Session
from scanmend.errors import FrameRejected, PlanError, ScanmendError, SessionPaused
from scanmend.plan import ScanPlan
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.terms import SeriesOptions

REJECTIONS_TOLD = 3
"""A send raises earlier frames' rejections first, one a call; after so many the service is taken to want none."""


class Outbox:
    """Holds points until they are worth a frame, sends them, and says what was lost before each frame.

    The last point of an unfinished pass is held back, so that a frame is left to end the pass with, and to carry the
    number of what was lost after it.

    Args:
        session: Where frames go.
        name: Of the series, for people.
        plan: What each pass visits.
        options: How long points wait for others, and for credit.
        problems: Where problems are counted.
        first_pass: Number of the first pass in the session.
        untold: Points lost before, that no frame has told yet.
        before_end: Told how many points of a pass were run, once, before the frame that ends it.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        plan: ScanPlan,
        options: SeriesOptions,
        problems: ProblemLog,
        *,
        first_pass: int = 0,
        untold: int = 0,
        before_end: Callable[[int], None] | None = None,
    ) -> None:
        self.lost = 0
        """Points lost so far, those of `lose` included."""
        self._session = session
        self._name = name
        self._plan = plan
        self._options = options
        self._problems = problems
        self._first_pass = first_pass
        self._before_end = before_end
        self._held: list[npt.NDArray[np.generic]] = []
        self._first = self._count = 0
        self._since_s = 0.0
        self._acquired_ns = 0
        self._untold = untold
        """Lost before the points that are held."""
        self._untold_after = 0
        """Lost after them."""

    def lose(self, points: int) -> None:
        """Count points that will never be sent."""
        self.lost += points
        if self._count:
            self._untold_after += points
        else:
            self._untold += points

    def put(self, first: int, values: npt.NDArray[np.generic], acquired_ns: int) -> None:
        """Take samples `(channels, points)` from a number on; numbers only grow.

        Raises:
            ScanmendError: No frame of the session can be sent any more.
        """
        points = self._plan.points
        self._acquired_ns = acquired_ns
        while values.shape[1]:
            if self._is_apart(first):
                end = self._first + self._count
                self._send(self._count, end_of_pass=first // points != (end - 1) // points)
            if self._is_apart(first):  # still no credit: what was kept of a dropped frame goes too
                self.lost += self._count
                self._untold, self._untold_after = self._untold + self._count + self._untold_after, 0
                self._held, self._count = [], 0
            if not self._count:
                self._first, self._since_s = first, time.monotonic()
            room = points - first % points
            part = values[:, :room]
            self._held.append(part)
            self._count += part.shape[1]
            first, values = first + part.shape[1], values[:, room:]
            if first % points == 0:
                self._send(self._count, end_of_pass=True)
            elif self._count > self._options.chunk_points:
                self._send(self._count - 1, end_of_pass=False)

    def flush(self) -> None:
        """Send what has waited long enough; called now and then.

        Raises:
            ScanmendError: As `put` does.
        """
        if self._ends_pass and not self._session.paused:
            self._send(self._count, end_of_pass=True)
        elif self._count > 1 and time.monotonic() - self._since_s >= self._options.flush_s:
            self._send(self._count - 1, end_of_pass=False)
        else:
            self._session.pump()

    def finish(self, points_run: int, hold_s: float) -> int:
        """Send what is held as the end of its pass.

        Args:
            points_run: How many points of the last pass were run, for `before_end`.
            hold_s: Longest wait for credit.

        Returns:
            Points lost that no frame was left to tell.

        Raises:
            ScanmendError: As `put` does.
        """
        self._untold, self._untold_after = self._untold + self._untold_after, 0
        if self._count:
            self._send(self._count, end_of_pass=True, points_run=points_run, hold_s=hold_s)
        return self._untold

    def _is_apart(self, first: int) -> bool:
        """Whether a point cannot go into one frame with those that are held."""
        return bool(self._count) and (first != self._first + self._count or self._ends_pass)

    @property
    def _ends_pass(self) -> bool:
        """Whether the last held point is the last of its pass, kept from a frame that was dropped."""
        return bool(self._count) and (self._first + self._count) % self._plan.points == 0

    def _send(
        self, count: int, *, end_of_pass: bool, points_run: int | None = None, hold_s: float | None = None
    ) -> None:
        """Send the first `count` of the held points; `hold_s` is the longest wait for credit."""
        table = np.concatenate(self._held, axis=1) if len(self._held) > 1 else self._held[0]
        first, points = self._first, self._plan.points
        self._held = [table[:, count:]] if count < table.shape[1] else []
        self._first, self._count, self._since_s = first + count, self._count - count, time.monotonic()
        if end_of_pass and self._before_end is not None:
            tell, self._before_end = self._before_end, None
            tell(points if points_run is None else points_run)
        welcome = self._session.welcome
        size = table.shape[0] * table.dtype.itemsize
        step = max(1, min(welcome.max_frame_bytes, welcome.credit_bytes) // size)
        for start in range(0, count, step):
            part = table[:, start : min(start + step, count)]
            at, last = first + start, start + step >= count
            if not self._push(part, at // points, at % points, end_of_pass and last, hold_s):
                # Of what is dropped the last point stays, to say later how much was lost.
                kept = part[:, -1:] if last and not self._count and hold_s is None else part[:, :0]
                if kept.shape[1]:
                    self._held, self._first, self._count = [kept], first + count - 1, 1
                self.lost += part.shape[1] - kept.shape[1]
                self._untold += part.shape[1] - kept.shape[1]
        if not self._count:
            self._untold, self._untold_after = self._untold + self._untold_after, 0

    def _push(
        self, part: npt.NDArray[np.generic], pass_index: int, point: int, end_of_pass: bool, hold_s: float | None
    ) -> bool:
        """Send one frame; False where there was no credit for it."""
        for _ in range(REJECTIONS_TOLD):
            try:
                self._session.send_samples(
                    self._plan,
                    part,
                    self._first_pass + pass_index,
                    first_point=point,
                    end_of_pass=end_of_pass,
                    acquired_unix_ns=self._acquired_ns,
                    dropped_before=self._untold,
                    timeout_s=self._options.hold_s if hold_s is None else hold_s,
                )
            except (FrameRejected, PlanError) as problem:
                self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend))
            except SessionPaused as problem:
                self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend), part.shape[1])
                return False
            else:
                self._untold = 0
                return True
        raise ScanmendError(f"The service rejects what {self._name} sends.", mend="See the problems before this one.")
