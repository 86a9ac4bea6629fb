"""Turns what an instrument's adapter says into sessions, in a process of its own.

Each series becomes a session, or a pass of an adaptive scan; whatever goes wrong becomes a problem, and the relay goes
on::

    connecting ──open──▶ waiting ──first points──▶ running ──all points, end, silence, stop──▶ waiting
         ▲                  │                         │
         └── cut off ───────┴─────────────────────────┘  (a running series is ended as aborted)

A point goes from `Source.read` through `intake` (does it belong to the series?), `values` (samples of the session's
channels), `series` (is one missing?) and `outbox` (frames) to the client. `course` says which session that is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from scanmend.client import Client, Session
from scanmend.errors import InvalidInput, NotConnected, ScanmendError
from scanmend.sources.adaptive import AdaptiveScans
from scanmend.sources.course import Course, EachSeries
from scanmend.sources.intake import Intake
from scanmend.sources.kit import Instrument, Remark
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.reducers import CameraNoise, VirtualDetector
from scanmend.sources.telling import Telling
from scanmend.sources.terms import AdaptiveTerms, RelayOptions, SeriesOptions, SeriesReport, SessionNames
from scanmend.sources.values import Values

LOOK_S = 0.05
"""Longest wait for the instrument before the service is listened to again."""

LAST_WORDS_S = 1.0
"""An instrument that was stopped has so long to say how far it came."""

REPORTS_KEPT = 256


class Relay:
    """Runs one instrument against one service.

    Args:
        instrument: The adapter's; not connected yet.
        address: The service's.
        options: How to behave.
        series: How a series becomes a session.
        adaptive: When an adaptive scan is done; None where each series is a session of its own.
        detectors: Virtual detectors, for a source of images.
        camera: What the values of its images mean; counts where None.
        problems: Where problems are counted.
        on_series: Told of each series, or adaptive scan, that has ended.

    Raises:
        InvalidInput: A source of images without virtual detectors, a controller is asked for and there is none, or
            the terms of an adaptive scan cannot be.
        PlanError: The controller cannot run the plan.
    """

    def __init__(
        self,
        instrument: Instrument,
        address: str,
        options: RelayOptions,
        series: SeriesOptions,
        *,
        adaptive: AdaptiveTerms | None = None,
        detectors: tuple[VirtualDetector, ...] = (),
        camera: CameraNoise | None = None,
        problems: ProblemLog | None = None,
        on_series: Callable[[SeriesReport], None] | None = None,
    ) -> None:
        drive = options.drive or adaptive is not None
        if drive and instrument.controller is None:
            raise InvalidInput("The instrument cannot be told to begin.", mend="Begin its series by its own software.")
        self.options = options
        self.problems = problems or ProblemLog()
        self.stop_asked = False
        """Set it, from a signal handler or another thread, to end after the present pass."""
        self.ended: deque[SeriesReport] = deque(maxlen=REPORTS_KEPT)
        """The last series or adaptive scans, oldest first."""
        self._source = instrument.source
        self._controller = instrument.controller if drive else None
        if self._controller is not None:
            series = replace(series, plan=self._controller.prepare(series.plan))
        self._passes = 1 if adaptive is not None else series.passes
        self._on_series = on_series
        self._address = address
        self._to_begin = True
        self._heard_s = 0.0
        names, problem_log = SessionNames(options.name), self.problems
        self._course: Course
        if adaptive is None or self._controller is None:
            self._course = EachSeries(names, series, problem_log, self._report)
        else:
            self._course = AdaptiveScans(
                names,
                series,
                adaptive,
                self._controller,
                problem_log,
                self._report,
                stopping=lambda: self.stop_asked,
            )
        values = Values(instrument.source.channels, detectors, camera, series)
        self._intake = Intake(values, self._course, self.problems)

    @property
    def running(self) -> str:
        """The series that runs now; empty where none does."""
        return self._intake.series

    @property
    def session_name(self) -> str:
        """Its session; empty before its first points."""
        return "" if self._intake.open is None else self._intake.open.name

    @property
    def points(self) -> int:
        """Points of it so far, those missing included."""
        return 0 if self._intake.open is None else self._intake.open.cursor.next

    def _session(self) -> Session | None:
        return None if self._intake.open is None else self._intake.open.session

    # From beginning to end --------------------------------------------------------------------------------------

    def run(self, series: int = 0) -> None:
        """Relay until so many series, or adaptive scans, have ended, 0 for ever, or until `stop_asked`; once.

        Raises:
            ScanmendError: The instrument can never be used so.
        """
        with (
            Client(self._address, program=f"scanmend source, {self.options.name}"[:64]) as self._course.client,
            Telling(self._course.client, self.problems, self._session) as self._telling,
            self._ending_at_once(),
        ):
            while not self._finished(series):
                try:
                    self._source.open()
                    self._telling.instrument_there()
                    while not self._finished(series):
                        self._begin()
                        self._turn()
                except NotConnected as problem:
                    self._cut_off(problem)
                    self._rest()
                finally:
                    self._source.close()
            self._intake.end("stopped")
            self._course.leave("stopped", "The relay was stopped.")

    @contextmanager
    def _ending_at_once(self) -> Iterator[None]:
        """End the running session when something that is no problem of an instrument stops the relay."""
        try:
            yield
        except BaseException:
            self._intake.end("aborted", hurry=True)
            self._course.leave("aborted", "The relay was ended.", hurry=True)
            raise

    def _finished(self, series: int) -> bool:
        busy = self._intake.series or self._course.due
        return bool(series and self._course.done >= series) or (self.stop_asked and not busy)

    def _begin(self) -> None:
        """Tell the instrument what to run, once for each series."""
        if self._controller is None or not self._to_begin:
            return
        plan = self._course.order()
        if plan is None:
            return
        self._to_begin = False
        try:
            self._intake.expects = self._controller.begin(plan, self._passes)
        except ScanmendError as problem:
            self._note(Code.CONTROL, problem.message, problem.mend)
            self._course.refused(problem)
            raise NotConnected("The instrument did not begin.", mend="It is told again after a pause.") from problem
        self._heard_s = time.monotonic()

    def _cut_off(self, problem: NotConnected) -> None:
        self._note(Code.NO_INSTRUMENT, problem.message, problem.mend)
        self._intake.end("aborted", why=problem.message)
        self._course.leave("aborted", problem.message)
        self._to_begin = True

    def _rest(self) -> None:
        until_s = time.monotonic() + self.options.retry_s
        while time.monotonic() < until_s and not self.stop_asked:
            time.sleep(min(LOOK_S, self.options.retry_s))

    # One turn ---------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Take one event, and look after the running series."""
        if self._controller is not None and self._to_begin:
            return
        intake, ran = self._intake, self._intake.series
        event = self._source.read(LOOK_S)
        try:
            if event is not None:
                intake.take(event)
            if intake.open is not None:
                intake.open.flush()
                self._obey()
            elif self.stop_asked:
                self._stop_waiting()
            if event is not None and not isinstance(event, Remark):
                self._heard_s = time.monotonic()  # what took long here was no silence of the instrument
            self._watch()
        except InvalidInput as problem:
            self._give_up(Code.SETTINGS, problem)
        except ScanmendError as problem:
            self._give_up(Code.SERVICE, problem)
        self._telling.look()
        if ran and not intake.series:
            self._to_begin = True

    def _obey(self) -> None:
        """Do what an operator asked for, or who started this program."""
        intake, series = self._intake, self._intake.open
        if series is None:
            return
        if series.session.command == "abort":
            self._stop_instrument("aborted", "An operator asked to abort.")
            intake.end("aborted")
        elif self.stop_asked or series.session.command == "stop":
            intake.asked = "stopped"
            series.stop_after_pass()
            if series.full:
                self._stop_instrument("stopped", "It was asked to stop.")
                intake.end("stopped")

    def _stop_waiting(self) -> None:
        """End what has no point yet: a series, or a plan that was ordered."""
        if self._intake.series or self._course.due:
            self._stop_instrument("stopped", "The relay was stopped.")
        self._intake.end("stopped")
        self._course.leave("stopped", "The relay was stopped.")

    def _watch(self) -> None:
        """End what has gone silent, or was ordered and never came."""
        course, running = self._course, self._intake.series
        silent_s = time.monotonic() - self._heard_s
        if not (running or course.due) or silent_s <= self.options.silence_s + course.takes_s:
            return
        what = f"series {running}" if running else "the plan that was to be run"
        text = f"Nothing came of {what} for {silent_s:.3g} s, and no word that it has ended."
        self._note(Code.SILENT, text, "Look whether the instrument was stopped, lost its trigger or its network.")
        self._stop_instrument("aborted", text)
        self._intake.end("aborted")
        self._course.leave("aborted", text)
        self._to_begin = True

    def _stop_instrument(self, reason: str, why: str) -> None:
        """Stop what it runs, and take what it still has to say of that: those points have had their dose."""
        intake = self._intake
        intake.asked, intake.asked_why = reason, why
        if self._controller is None:
            return
        try:
            self._controller.abort()
        except ScanmendError as problem:
            self._note(Code.CONTROL, problem.message, problem.mend)
            return
        until_s = time.monotonic() + LAST_WORDS_S
        while intake.series and time.monotonic() < until_s:
            try:
                event = self._source.read(LOOK_S)
            except NotConnected as problem:
                self._note(Code.NO_INSTRUMENT, problem.message, problem.mend)
                return
            if event is not None:
                intake.take(event)

    def _give_up(self, code: Code, problem: ScanmendError) -> None:
        """Leave out the rest of a series that the service cannot take."""
        self._note(code, problem.message, problem.mend)
        self._intake.give_up()
        self._stop_instrument("aborted", problem.message)

    def _report(self, report: SeriesReport) -> None:
        self.ended.append(report)
        if self._on_series is not None:
            self._on_series(report)

    def _note(self, code: Code, text: str, mend: str) -> None:
        self.problems.note(Problem(code, text, mend))
