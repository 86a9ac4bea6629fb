"""The closed loop: all series of an adaptive scan go into one session, each a pass of the plan that the service chose.

::

    first plan ──begin──▶ series ──points──▶ session opened, pass 0 ──restored──▶ proposal
                            ▲                                                        │
                            └──────────────── begin ◀── prepared by the controller ◀─┘

What the controller cannot run, or refuses, is declined; what it ran in part is told so. Either ends in a receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scanmend.client import AdaptiveScan, Client, Session, Step
from scanmend.client.adaptive import AdaptiveBase
from scanmend.errors import PlanError, ScanmendError, SessionClosed
from scanmend.field import Channel
from scanmend.plan import Cost, ScanPlan
from scanmend.sources.course import ABORT_S, RECEIPT_S, Ending, Tell
from scanmend.sources.kit import ScanController
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.series import Series
from scanmend.sources.terms import AdaptiveTerms, SeriesOptions, SeriesReport, SessionNames

NOTHING_CAME = "Nothing that can be used came of the instrument."


class AdaptiveScans:
    """One adaptive scan after another.

    Args:
        names: For sessions.
        options: What a session is asked for; its plan is the first pass, as the controller prepared it.
        terms: When a scan is done.
        controller: What runs plans.
        problems: Where problems are counted.
        tell: Told of each scan that has ended.
        stopping: Whether the relay is to end after the present pass.

    Raises:
        InvalidInput: Terms that cannot be, or a first pass above the budget.
    """

    client: Client

    def __init__(
        self,
        names: SessionNames,
        options: SeriesOptions,
        terms: AdaptiveTerms,
        controller: ScanController,
        problems: ProblemLog,
        tell: Tell,
        stopping: Callable[[], bool],
    ) -> None:
        self.done = 0
        self._names = names
        self._options = options
        self._able = controller.capabilities()
        self._asked = terms.options(options, stopping)
        self._controller = controller
        self._problems = problems
        self._tell = tell
        self.due = False
        self.takes_s = 0.0
        self._forget()
        self._asked["capabilities"] = self._able
        AdaptiveBase(options.field, self._asked)

    def _forget(self) -> None:
        self._scan: AdaptiveScan | None = None
        self._steps: Iterator[Step] = iter(())
        self._step: Step | None = None
        self._run = self._options.plan
        self._name = self._first_series = ""
        self._points = self._lost = self._untold = 0

    @property
    def session(self) -> Session | None:
        """Of the scan that runs."""
        return None if self._scan is None or self._step is None else self._step.session

    # What is run next -------------------------------------------------------------------------------------------

    def order(self) -> ScanPlan | None:
        """The first pass, or the service's next plan as the controller prepared it; None where the scan is over."""
        if self._scan is None:
            return self._ordered(self._run)
        try:
            self._step = next(self._steps, None)
        except ScanmendError as problem:
            self._fail(problem)
            return None
        if self._step is None:
            self._over()
            return None
        try:
            self._run = self._controller.prepare(self._step.plan)
        except PlanError as problem:
            self._problems.note(Problem(Code.CONTROL, problem.message, problem.mend))
            self.refused(problem)
            return None
        return self._ordered(self._run)

    def _ordered(self, plan: ScanPlan) -> ScanPlan:
        self.due = True
        self.takes_s = 1e-9 * Cost.of(plan, self._able).duration_ns
        return plan

    def refused(self, problem: ScanmendError) -> None:
        """Decline the plan, which ends the scan; a first pass has no session yet, and is told again."""
        self.due = False
        self._decline(problem.message)

    def _decline(self, reason: str) -> None:
        if self._step is None:
            return
        try:
            if not self._step.said:
                self._step.decline(reason)
            next(self._steps, None)
        except ScanmendError as error:
            self._fail(error)
        else:
            self._over()

    # Points -----------------------------------------------------------------------------------------------------

    def open(self, series: str, channels: tuple[Channel, ...]) -> Series:
        """Take the points of a pass; the session is opened at those of the first one."""
        self.due = False
        if self._scan is None:
            self._name, self._first_series = self._names.new(series), series
            asked = self._asked.copy()
            asked["name"], asked["channels"] = self._name, channels
            self._scan = self.client.adaptive(self._options.field, **asked)
            self._steps = iter(self._scan)
            self._step = next(self._steps, None)
        if self._step is None:
            raise SessionClosed("The scan ended before its first pass.", mend="Begin it again.")
        self._scan.dropped_after = 0
        return Series(
            self._name,
            self._step.session,
            self._options,
            self._problems,
            plan=self._run,
            passes=1,
            first_pass=self._step.index,
            untold=self._untold,
            before_end=self._say_run,
        )

    def _say_run(self, points: int) -> None:
        if self._step is not None:
            self._step.ran(self._run, points)

    def close(self, series: Series | None, ending: Ending) -> None:
        """End the pass and wait for its restoration; the scan ends where the instrument did not finish."""
        self.due = False
        step = self._step
        if step is None:
            self.done += 1  # a first pass without a point that can be used has no session
            return
        if series is None and ending.reason == "finished":
            self._decline(NOTHING_CAME)
            return
        if series is None:
            self.leave(ending.reason, ending.why, hurry=ending.hurry)
            return
        try:
            self._untold = series.finish(ending.missing, ABORT_S if ending.hurry else RECEIPT_S)
            self._count(series)
            if self._scan is not None:
                self._scan.dropped_after = self._untold
            if ending.reason == "finished":
                step.restored()
                return
        except ScanmendError as problem:
            self._fail(problem)
        else:
            self.leave(ending.reason, ending.why, hurry=ending.hurry)

    def _count(self, series: Series) -> None:
        self._points += series.cursor.next
        self._lost += series.lost

    # Ending -----------------------------------------------------------------------------------------------------

    def abandon(self, series: Series | None, name: str) -> None:
        """Close the connection; the service keeps what it has."""
        self.due = False
        if series is not None:
            self._count(series)
        if self._step is None:
            self._forget()
            self.done += 1
            return
        self._step.session.close()
        self.leave("aborted", "The service could not take more.")

    def leave(self, reason: str, why: str, *, hurry: bool = False) -> None:
        """End the scan where one runs; a plan that was ordered and brought nothing is declined."""
        began, self.due = self.due, False
        if self._scan is None:
            # A first plan that was begun may have run: telling it again would give its dose again.
            self.done += began
            return
        step = self._step
        try:
            if step is not None and not (step.said or step.session.closed):
                step.decline(why)
            self._scan.close(reason, why, timeout_s=ABORT_S if hurry else RECEIPT_S)
        except ScanmendError as problem:
            self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend))
        self._over()

    def _fail(self, problem: ScanmendError) -> None:
        """The service ended the scan, or has gone."""
        self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend))
        self.leave("aborted", problem.message)

    def _over(self) -> None:
        scan = self._scan
        if scan is not None:
            self.done += 1
            report = SeriesReport(
                series=self._first_series,
                session=self._name,
                points=self._points,
                lost=self._lost,
                receipt=scan.receipt,
                why=scan.why,
            )
            self._forget()
            self._tell(report)
