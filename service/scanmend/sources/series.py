"""One series of an instrument: which of its points came, which are missing, and where they go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from scanmend.client import Session
from scanmend.plan import ScanPlan
from scanmend.sources.cursor import Cursor, SeriesClock
from scanmend.sources.outbox import Outbox
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.terms import SeriesOptions


class Series:
    """Points of a series on their way into a session; what is missing, or comes again, is counted.

    Args:
        name: Of its session.
        session: Open.
        options: The plan, and how points are sent.
        problems: Where problems are counted.
        plan: What each pass visits; that of the options where None.
        passes: After so many the rest is left out; those of the options where None.
        first_pass: Number of the first pass in the session.
        untold: Points lost before, that no frame has told yet.
        before_end: Told how many points of a pass were run, once, before the frame that ends it.
    """

    def __init__(
        self,
        name: str,
        session: Session,
        options: SeriesOptions,
        problems: ProblemLog,
        *,
        plan: ScanPlan | None = None,
        passes: int | None = None,
        first_pass: int = 0,
        untold: int = 0,
        before_end: Callable[[int], None] | None = None,
    ) -> None:
        self.name = name
        self.session = session
        self.cursor = Cursor()
        self._plan = plan or options.plan
        self._problems = problems
        self._clock = SeriesClock()
        self._stopping = False
        self.limit = (options.passes if passes is None else passes) * self._plan.points or None
        """Points that are wanted of it; None for as many as come."""
        self._outbox = Outbox(
            session,
            name,
            self._plan,
            options,
            problems,
            first_pass=first_pass,
            untold=untold,
            before_end=before_end,
        )

    # Taking points ----------------------------------------------------------------------------------------------

    def take(self, first: int, values: npt.NDArray[np.generic], acquired_unix_ns: int | None) -> None:
        """Take samples `(channels, points)` from a number on; what came before is left out, what is missing counted.

        Raises:
            ScanmendError: No frame of the session can be sent any more.
        """
        if self.limit is not None and first + values.shape[1] > self.limit:
            beyond = first + values.shape[1] - max(first, self.limit)
            if not self._stopping:
                self._problems.note(too_many(self.name), beyond)
            values = values[:, : values.shape[1] - beyond]
            first = min(first, self.limit)
        placed = self.cursor.place(first, values.shape[1])
        if placed.skip:
            text = f"{placed.skip} points of series {self.name} came again, from number {first} on."
            self._problems.note(Problem(Code.DUPLICATE, text, "The first ones were kept."), placed.skip)
        if placed.missing:
            self._miss(first, placed.missing)
        acquired_ns, jumped_ns = self._clock.at(acquired_unix_ns)
        if jumped_ns:
            text = f"The instrument's clock jumped by {jumped_ns / 1e9:+.3g} s at point {first} of {self.name}."
            self._problems.note(Problem(Code.CLOCK, text, "This machine's clock times the rest of the series."))
        self._outbox.put(first + placed.skip, values[:, placed.skip :], acquired_ns)

    def lose(self, first: int, points: int, problem: Problem | None) -> None:
        """Count points that came and cannot be used, and why; None where that was counted before.

        Raises:
            ScanmendError: As `take` does.
        """
        placed = self.cursor.place(first, points)
        if placed.missing:
            self._miss(first, placed.missing)
        lost = points - placed.skip
        if problem is not None:
            self._problems.note(problem, lost)
        self._outbox.lose(lost)

    def _miss(self, first: int, missing: int) -> None:
        text = f"{missing} points before number {first} of {self.name} never came."
        mend = "Look at the instrument's network and at its load."
        self._problems.note(Problem(Code.GAP, text, mend), missing)
        self._outbox.lose(missing)
        if self.cursor.every_other and not self._problems.count(Code.TWO_READERS):
            text = f"About every other point of {self.name} is missing."
            mend = "Another program reads the same stream and takes its share: stop it, or give it a stream of its own."
            self._problems.note(Problem(Code.TWO_READERS, text, mend))

    # Ending -----------------------------------------------------------------------------------------------------

    @property
    def lost(self) -> int:
        """Points lost so far, which the receipt names as dropped by the client."""
        return self._outbox.lost

    @property
    def full(self) -> bool:
        """Whether as many passes came as were asked for."""
        return self.limit is not None and self.cursor.next >= self.limit

    def stop_after_pass(self) -> None:
        """Take no more than the present pass; nothing more where one has just ended."""
        self._stopping = True
        points = self._plan.points
        limit = -(-self.cursor.next // points) * points
        self.limit = limit if self.limit is None else min(limit, self.limit)

    def flush(self) -> None:
        """Send what has waited long enough; called now and then. Raises as `take` does."""
        self._outbox.flush()

    def finish(self, missing: int, hold_s: float) -> int:
        """Send what is held, as the end of its pass.

        Args:
            missing: Points at the end that were measured and never came.
            hold_s: Longest wait for credit.

        Returns:
            Points lost that no frame was left to tell; END tells them.

        Raises:
            ScanmendError: As `take` does.
        """
        run = (self.cursor.next + missing - 1) % self._plan.points + 1
        self._outbox.lose(missing)
        return self._outbox.finish(run, hold_s)


def too_many(series: str) -> Problem:
    """A series goes on beyond the passes that were asked for."""
    text = f"Series {series} goes on, though all the passes that were wanted are there."
    return Problem(Code.TOO_MANY, text, "Ask for more passes, or let the instrument end sooner.")
