"""What comes of the instrument, event by event: which series runs, what belongs to it, and how it ends."""

from __future__ import annotations

from scanmend.sources.course import Course, Ending
from scanmend.sources.cursor import Cursor
from scanmend.sources.kit import Event, Images, Lost, Remark, Samples, SeriesBegan, SeriesEnded, points_of
from scanmend.sources.over import Over
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.series import Series
from scanmend.sources.values import Values

MOST_MISSING = 1 << 24
"""A number that is further ahead is taken for a damaged one, and not for so many lost points."""


class Intake:
    """One series after another.

    Args:
        values: Makes samples of what comes.
        course: Where they go.
        problems: Where problems are counted.
    """

    def __init__(self, values: Values, course: Course, problems: ProblemLog) -> None:
        self.series = ""
        """The one that runs; empty where none does."""
        self.open: Series | None = None
        """The same, once a point of it came that can be used."""
        self.asked = ""
        """As what the running series ends, stopped or aborted, where somebody wants it to end."""
        self.asked_why = ""
        """The same in words."""
        self.expects: str | None = None
        """The only series that is taken; None for any."""
        self._values = values
        self._course = course
        self._problems = problems
        self._over = Over()
        self._expected: int | None = None
        self._early = Cursor()
        """Points that came before the first one that can be used."""

    def take(self, event: Event) -> None:
        """Take what the adapter said.

        Raises:
            InvalidInput: What was asked for does not fit what comes.
            ScanmendError: The service cannot take it.
        """
        if isinstance(event, Remark):
            self._problems.note(event.problem)
        elif self._is_old(event):
            self._leave_out(event)
        elif isinstance(event, SeriesEnded):
            if self.series:
                self._end_as_told(event)
        else:
            # A beginning is told once, so a second one under the same name is of an instrument started anew.
            if self.series and (event.series != self.series or isinstance(event, SeriesBegan)):
                text = f"Series {event.series} came before the end of {self.series} was told."
                self._note(Code.ENDED_EARLY, text, "The instrument was started anew, or its last message was lost.")
                self.end("aborted")
            if isinstance(event, SeriesBegan):
                self._over.begins_anew(event.series)
                self._begin(event)
            else:
                self._take_points(event)

    def _is_old(self, event: SeriesBegan | Samples | Images | Lost | SeriesEnded) -> bool:
        """Whether it belongs to no series that is wanted."""
        if self.expects is not None and event.series != self.expects:
            return True
        return event.series in self._over and not isinstance(event, SeriesBegan)

    def _leave_out(self, event: SeriesBegan | Samples | Images | Lost | SeriesEnded) -> None:
        if isinstance(event, Samples | Images | Lost):
            problem = self._over.problem(event.series)
            if problem is not None:
                self._problems.note(problem, points_of(event))

    def _begin(self, event: SeriesBegan) -> None:
        self.series, self._expected = event.series, event.points
        self.asked = self.asked_why = ""
        self._early = Cursor()
        self._values.begin(event.dead)

    # Points -----------------------------------------------------------------------------------------------------

    def _take_points(self, event: Samples | Images | Lost) -> None:
        if not self.series:
            text = f"Series {event.series} was joined at point {event.first}, without its beginning."
            self._note(Code.JOINED_LATE, text, "Start the relay before the series, and let no other program read it.")
            self._begin(SeriesBegan(series=event.series))
        at = 0 if self.open is None else self.open.cursor.next
        if not 0 <= event.first <= at + MOST_MISSING or not 0 <= points_of(event) <= MOST_MISSING:
            text = f"Series {event.series} has a point number {event.first} after {at} points."
            self._note(Code.MALFORMED, text, "It was left out: look whether the adapter fits the instrument's version.")
            return
        values = event.problem if isinstance(event, Lost) else self._values.of(event)
        if isinstance(values, Problem):
            self._lose(event, values)
            return
        if self.open is None:
            self.open = self._course.open(event.series, self._values.channels)
            if self._early.next:
                self.open.lose(0, self._early.next, None)
        self.open.take(event.first, values, getattr(event, "acquired_unix_ns", None))
        if self.open.full:
            self.end(self.asked or "finished", over=Code.TOO_MANY)

    def _lose(self, event: Samples | Images | Lost, problem: Problem) -> None:
        if self.open is not None:
            self.open.lose(event.first, points_of(event), problem)
        else:
            placed = self._early.place(event.first, points_of(event))
            self._problems.note(problem, points_of(event) - placed.skip)

    # Ending -----------------------------------------------------------------------------------------------------

    def _end_as_told(self, event: SeriesEnded) -> None:
        """What an instrument has finished was measured: what is not here is lost, and not merely left out."""
        reason = self.asked or ("aborted" if event.aborted else "finished")
        measured = 0
        if self.open is not None:
            wanted = self._wanted(self.open)
            if event.points is not None:
                measured = min(event.points, wanted)
            elif reason == "finished":
                measured = wanted
            measured = max(0, measured - self.open.cursor.next)
        self.end(reason, missing=measured)

    def _wanted(self, series: Series) -> int:
        return min(self._expected or series.limit or 0, series.limit or self._expected or 0)

    def end(
        self, reason: str, *, missing: int = 0, why: str = "", over: Code = Code.LEFTOVER, hurry: bool = False
    ) -> None:
        """End the running series, where there is one.

        Args:
            reason: finished, stopped or aborted.
            missing: Points at its end that were measured and never came.
            why: The same in words, where nothing else says it.
            over: What it is when more of the series comes; nothing where somebody stopped it here.
            hurry: Whether nobody can wait for the service now.
        """
        if not self.series:
            return
        series, name, why = self.open, self.series, why or self.asked_why
        if series is None:
            text = f"Series {name} ended without a point that can be used."
            self._note(Code.ENDED_EARLY, text, "Look at the problems before this one, and at the instrument.")
            why = why or text
        else:
            short = max(0, self._wanted(series) - series.cursor.next)
            if short and reason != "stopped":
                text = f"Series {name} ended after {series.cursor.next} points of {self._wanted(series)}."
                self._note(Code.ENDED_EARLY, text, "Look whether the instrument was stopped.", missing or short)
                why = why or text
        self._forget(None if reason == "stopped" else over)
        self._course.close(
            series, Ending(series=name, reason=reason, missing=missing, why=why or f"It was {reason}.", hurry=hurry)
        )

    def give_up(self) -> None:
        """Leave out the rest of the running series, which the service cannot take."""
        if self.series:
            series, name = self.open, self.series
            self._forget(None)
            self._course.abandon(series, name)

    def _forget(self, over: Code | None) -> None:
        self._over.add(self.series, over)
        self.series, self.open, self._expected = "", None, None
        self.asked = self.asked_why = ""

    def _note(self, code: Code, text: str, mend: str, points: int = 0) -> None:
        self._problems.note(Problem(code, text, mend), points)
