"""Turns what an instrument's adapter says into sessions, in a process of its own.

Each series becomes a session; whatever goes wrong becomes a problem, and the relay goes on::

    connecting ──open──▶ waiting ──first points──▶ running ──all points, end, silence, stop──▶ waiting
         ▲                  │                         │
         └── cut off ───────┴─────────────────────────┘  (a running series is ended as aborted)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from scanmend.client import Client
from scanmend.errors import InvalidInput, NotConnected, ScanmendError
from scanmend.sources.kit import Event, Images, Instrument, Lost, Remark, Samples, SeriesBegan, SeriesEnded, points_of
from scanmend.sources.over import Over
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.reducers import CameraNoise, VirtualDetector
from scanmend.sources.series import Series, SeriesOptions
from scanmend.sources.terms import RelayOptions, SeriesReport, SessionNames
from scanmend.sources.values import Values
from scanmend.wire.messages import Receipt

ABORT_S = 2.0
"""Longest wait for the receipt of a session that the relay leaves in a hurry."""

LOOK_S = 0.05
"""Longest wait for the instrument before the service is listened to again."""

REPORTS_KEPT = 256

MOST_MISSING = 1 << 24
"""A number that is further ahead is taken for a damaged one, and not for so many lost points."""


class Relay:
    """Runs one instrument against one service.

    Args:
        instrument: The adapter's; not connected yet.
        address: The service's.
        options: How to behave.
        series: How a series becomes a session.
        detectors: Virtual detectors, for a source of images.
        camera: What the values of its images mean; counts where None.
        problems: Where problems are counted.
        on_series: Told of each series that has ended.

    Raises:
        InvalidInput: A source of images without virtual detectors, or a controller is asked for and there is none.
        PlanError: The controller cannot run the plan.
    """

    def __init__(
        self,
        instrument: Instrument,
        address: str,
        options: RelayOptions,
        series: SeriesOptions,
        *,
        detectors: tuple[VirtualDetector, ...] = (),
        camera: CameraNoise | None = None,
        problems: ProblemLog | None = None,
        on_series: Callable[[SeriesReport], None] | None = None,
    ) -> None:
        if options.drive and instrument.controller is None:
            raise InvalidInput("The instrument cannot be told to begin.", mend="Begin its series by its own software.")
        self.options = options
        self.problems = problems or ProblemLog()
        self.stop_asked = False
        """Set it, from a signal handler or another thread, to end after the present pass."""
        self.ended: deque[SeriesReport] = deque(maxlen=REPORTS_KEPT)
        """The last series, oldest first."""
        self._source = instrument.source
        self._controller = instrument.controller if options.drive else None
        self._series_options = series
        if self._controller is not None:
            self._series_options = replace(series, plan=self._controller.prepare(series.plan))
        self._values = Values(instrument.source.channels, detectors, camera, self._series_options)
        self._address = address
        self._on_series = on_series
        self._over = Over()
        self._to_begin = True
        self._done = 0
        self._names = SessionNames(options.name)
        self._key: str | None = None
        self._open: Series | None = None
        self._expected: int | None = None
        self._heard_s = 0.0

    @property
    def running(self) -> str:
        """The series that runs now; empty where none does."""
        return self._key or ""

    @property
    def session_name(self) -> str:
        """Its session; empty before its first points."""
        return "" if self._open is None else self._open.name

    @property
    def points(self) -> int:
        """Points of it so far, those missing included."""
        series = self._open
        return 0 if series is None else series.cursor.next

    # From beginning to end --------------------------------------------------------------------------------------

    def run(self, series: int = 0) -> None:
        """Relay series until so many have ended, 0 for ever, or until `stop_asked`.

        Raises:
            ScanmendError: The instrument can never be used so.
        """
        with Client(self._address) as self._client, self._ending_at_once():
            while not self._finished(series):
                try:
                    self._source.open()
                    while not self._finished(series):
                        self._begin()
                        self._turn()
                except NotConnected as problem:
                    self._note(Code.NO_INSTRUMENT, problem.message, problem.mend)
                    self._end("aborted")
                    self._to_begin = True
                    self._rest()
                finally:
                    self._source.close()
            self._end("stopped")

    @contextmanager
    def _ending_at_once(self) -> Iterator[None]:
        """End the running session when something that is no problem of an instrument stops the relay."""
        try:
            yield
        except BaseException:
            if self._open is not None:
                self._open.end("aborted", timeout_s=ABORT_S)
            raise

    def _finished(self, series: int) -> bool:
        return bool(series and self._done >= series) or (self.stop_asked and self._key is None)

    def _begin(self) -> None:
        """Tell the instrument to begin, once for each series."""
        if self._controller is None or not self._to_begin:
            return
        self._to_begin = False
        try:
            self._controller.begin(self._series_options.plan, self._series_options.passes)
        except ScanmendError as problem:
            self._note(Code.CONTROL, problem.message, problem.mend)
            raise NotConnected("The instrument did not begin.", mend="It is told again after a pause.") from problem

    def _rest(self) -> None:
        until_s = time.monotonic() + self.options.retry_s
        while time.monotonic() < until_s and not self.stop_asked:
            time.sleep(min(LOOK_S, self.options.retry_s))

    def _turn(self) -> None:
        """Take one event, and look after the running series."""
        event = self._source.read(LOOK_S)
        try:
            if event is not None:
                self._take(event)
            if self._open is not None:
                self._open.flush()
                self._obey(self._open)
            elif self.stop_asked:
                self._end("stopped")
            if event is not None and not isinstance(event, Remark):
                self._heard_s = time.monotonic()  # what took long here was no silence of the instrument
        except InvalidInput as problem:
            self._give_up(Code.SETTINGS, problem)
        except ScanmendError as problem:
            self._give_up(Code.SERVICE, problem)
        if self._key is not None and time.monotonic() - self._heard_s > self.options.silence_s:
            self._note(
                Code.SILENT,
                f"Nothing came of series {self._key} for {self.options.silence_s:g} s, and no word that it has ended.",
                "Look whether the instrument was stopped, lost its trigger or its network.",
            )
            self._stop_instrument()
            self._end("aborted")

    # Events -----------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if isinstance(event, Remark):
            self.problems.note(event.problem)
            return
        if event.series in self._over and not isinstance(event, SeriesBegan):
            if isinstance(event, Samples | Images | Lost):
                problem = self._over.problem(event.series)
                if problem is not None:
                    self.problems.note(problem, points_of(event))
            return
        # A beginning is told once, so a second one under the same name is a series of an instrument started anew.
        if self._key is not None and (event.series != self._key or isinstance(event, SeriesBegan)):
            text = f"Series {event.series} came before the end of {self._key} was told."
            self._note(Code.ENDED_EARLY, text, "The instrument was started anew, or its last message was lost.")
            self._end("aborted")
        if isinstance(event, SeriesBegan):
            self._over.begins_anew(event.series)
            self._key, self._expected = event.series, event.points
            self._values.begin(event.dead)
        elif isinstance(event, SeriesEnded):
            if self._key is not None:
                self._end("aborted" if event.aborted else "finished", told=True)
        else:
            self._take_points(event)

    def _take_points(self, event: Samples | Images | Lost) -> None:
        if self._key is None:
            text = f"Series {event.series} was joined at point {event.first}, without its beginning."
            self._note(Code.JOINED_LATE, text, "Start the relay before the series, and let no other program read it.")
            self._key, self._expected = event.series, None
            self._values.begin(None)
        if not 0 <= event.first <= self.points + MOST_MISSING or not 0 <= points_of(event) <= MOST_MISSING:
            text = f"Series {event.series} has a point number {event.first} after {self.points} points."
            self._note(Code.MALFORMED, text, "It was left out: look whether the adapter fits the instrument's version.")
            return
        if isinstance(event, Lost):
            self._lose(event, event.problem)
            return
        values = self._values.of(event)
        if isinstance(values, Problem):
            self._lose(event, values)
            return
        if self._open is None:
            self._open = self._session(event.series)
        self._open.take(event.first, values, event.acquired_unix_ns)
        if self._open.full:
            self._end("stopped" if self._stopping(self._open) else "finished", over=Code.TOO_MANY)

    def _lose(self, event: Samples | Images | Lost, problem: Problem) -> None:
        if self._open is not None:
            self._open.lose(event.first, points_of(event), problem)
        else:
            self.problems.note(problem, points_of(event))

    def _session(self, series: str) -> Series:
        return Series(self._client, self._names.new(series), self._values.channels, self._series_options, self.problems)

    # The service ------------------------------------------------------------------------------------------------

    def _obey(self, series: Series) -> None:
        """Do what an operator asked for, or who started this program."""
        if series.session.command == "abort":
            self._stop_instrument()
            self._end("aborted")
        elif self._stopping(series):
            series.stop_after_pass()
            if series.full:
                self._stop_instrument()
                self._end("stopped")

    def _stopping(self, series: Series) -> bool:
        return self.stop_asked or series.session.command == "stop"

    def _stop_instrument(self) -> None:
        if self._controller is None:
            return
        try:
            self._controller.abort()
        except ScanmendError as problem:
            self._note(Code.CONTROL, problem.message, problem.mend)

    def _give_up(self, code: Code, problem: ScanmendError) -> None:
        """Leave out the rest of a series that the service cannot take."""
        self._note(code, problem.message, problem.mend)
        self._stop_instrument()
        if self._open is not None:
            self._open.abandon()
            self._report(self._open, None)
        elif self._key is not None:
            self._done += 1
        self._forget(None)

    # Ending -----------------------------------------------------------------------------------------------------

    def _end(self, reason: str, *, told: bool = False, over: Code = Code.LEFTOVER) -> None:
        """End the running series, where there is one.

        Args:
            reason: finished, stopped or aborted.
            told: Whether the instrument itself said so.
            over: What it is when more of the series comes; nothing where somebody stopped it here.
        """
        if self._key is None:
            return
        series, expected = self._open, self._expected
        if series is None:
            text = f"Series {self._key} ended without a point that can be used."
            self._note(Code.ENDED_EARLY, text, "Look at the problems before this one, and at the instrument.")
            self._done += 1
        else:
            most = self._series_options.passes * self._series_options.plan.points
            wanted = min(expected or most, most or expected or 0)
            missing = max(0, wanted - series.cursor.next)
            if missing and reason != "stopped":
                text = f"Series {self._key} ended after {series.cursor.next} points of {wanted}."
                self._note(Code.ENDED_EARLY, text, "Look whether the instrument was stopped.", missing)
            # What an instrument has finished was measured: it is lost, and not merely left out.
            receipt = series.end(reason, missing if told and reason == "finished" else 0)
            self._report(series, receipt)
        self._forget(None if reason == "stopped" else over)

    def _report(self, series: Series, receipt: Receipt | None) -> None:
        self._done += 1
        report = SeriesReport(
            series=self._key or "",
            session=series.name,
            points=series.cursor.next,
            lost=series.lost,
            receipt=receipt,
        )
        self.ended.append(report)
        if self._on_series is not None:
            self._on_series(report)

    def _forget(self, over: Code | None) -> None:
        if self._key is not None:
            self._over.add(self._key, over)
        self._key = self._open = self._expected = None
        self._to_begin = True

    def _note(self, code: Code, text: str, mend: str, points: int = 0) -> None:
        self.problems.note(Problem(code, text, mend), points)
