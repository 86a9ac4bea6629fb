"""What series are for: each a session of its own, or (in `adaptive`) all of them the passes of one adaptive scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scanmend.client import Client, Session
from scanmend.errors import ScanmendError
from scanmend.field import Channel
from scanmend.plan import ScanPlan
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.series import Series
from scanmend.sources.terms import SeriesOptions, SeriesReport, SessionNames

RECEIPT_S = 30.0
"""Longest wait for credit for the last points of a session, and for its receipt."""

ABORT_S = 2.0
"""The same where the relay leaves a session in a hurry."""

Tell = Callable[[SeriesReport], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a series ended."""

    series: str
    reason: str
    """finished, stopped or aborted."""
    missing: int
    """Points at its end that were measured and never came."""
    why: str
    """In words, for people."""
    hurry: bool = False
    """Whether nobody can wait for the service now."""


class Course(Protocol):
    """Where the points of series go, and what is run next; the relay calls everything from its one thread."""

    client: Client
    """Connects to the service; set before anything is called."""
    done: int
    """Sessions that have ended, and series that had none."""
    due: bool
    """Whether something was ordered that has to come by itself, and nothing of it is here yet."""
    takes_s: float
    """Time of the pass that runs, or was ordered, in seconds: an instrument may say nothing before its end."""

    @property
    def session(self) -> Session | None:
        """The one that is open."""

    def order(self) -> ScanPlan | None:
        """What the controller is to run now, called before each series; None where a session has just ended instead.

        May wait for the service for long; `stopping` ends that.
        """

    def refused(self, problem: ScanmendError) -> None:
        """The controller did not begin what was ordered."""

    def open(self, series: str, channels: tuple[Channel, ...]) -> Series:
        """Take the first points of a series.

        Raises:
            ScanmendError: The service cannot take them.
        """

    def close(self, series: Series | None, ending: Ending) -> None:
        """A series has ended; None where it had no point that can be used."""

    def abandon(self, series: Series | None, name: str) -> None:
        """The service cannot take more of a series."""

    def leave(self, reason: str, why: str, *, hurry: bool = False) -> None:
        """No series runs, and none is to follow in the session that is open, where one is."""


class EachSeries:
    """Each series is a session, opened at its first points.

    Args:
        names: For sessions.
        options: What a session is asked for.
        problems: Where problems are counted.
        tell: Told of each series that has ended.
    """

    client: Client

    def __init__(self, names: SessionNames, options: SeriesOptions, problems: ProblemLog, tell: Tell) -> None:
        self.session: Session | None = None
        self.done = 0
        self.due = False  # a series may wait for its trigger for as long as it likes
        self.takes_s = 0.0
        self._names = names
        self._options = options
        self._problems = problems
        self._tell = tell

    def order(self) -> ScanPlan | None:
        """The same plan each time."""
        return self._options.plan

    def refused(self, problem: ScanmendError) -> None:
        """It is told again."""

    def open(self, series: str, channels: tuple[Channel, ...]) -> Series:
        """Open the session."""
        options, name = self._options, self._names.new(series)
        session = self.client.session(name, options.field, **options.session_options(channels))
        self.session = session
        return Series(name, session, options, self._problems)

    def close(self, series: Series | None, ending: Ending) -> None:
        """End the session, and report its receipt."""
        self.done += 1
        if series is None:
            return
        wait_s = ABORT_S if ending.hurry else RECEIPT_S
        try:
            untold = series.finish(ending.missing, wait_s)
            series.session.end(ending.reason, dropped_after=untold, timeout_s=wait_s)
        except ScanmendError as problem:
            self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend))
        finally:
            series.session.close()
        self._report(series, ending.series)

    def abandon(self, series: Series | None, name: str) -> None:
        """Close the connection."""
        self.done += 1
        if series is not None:
            series.session.close()
            self._report(series, name)

    def leave(self, reason: str, why: str, *, hurry: bool = False) -> None:
        """No session is open where no series runs."""

    def _report(self, series: Series, name: str) -> None:
        self.session = None
        self._tell(
            SeriesReport(
                series=name,
                session=series.name,
                points=series.cursor.next,
                lost=series.lost,
                receipt=series.session.receipt,
            )
        )
