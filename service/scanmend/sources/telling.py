"""Passes the problems of a relay on to the service, whose page shows them: with the running session, or without one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from scanmend.client import Client, Session
from scanmend.sources.problems import Code, Problem, ProblemLog

OF_THE_SERIES = frozenset({Code.JOINED_LATE, Code.WRONG_SIZE, Code.UNDECODABLE, Code.MALFORMED})
"""What is noted before a series has a session, and concerns it: its receipt counts it all the same."""

MOST_PENDING = 64


class Telling:
    """Listens to a log of problems while its block runs.

    Args:
        client: Connected to the service.
        problems: The relay's log.
        session: Gives the session of the series that runs; None where there is none.
    """

    def __init__(self, client: Client, problems: ProblemLog, session: Callable[[], Session | None]) -> None:
        self._client, self._problems, self._current = client, problems, session
        self._known: Session | None = None
        self._pending: deque[tuple[Problem, int]] = deque(maxlen=MOST_PENDING)

    def __enter__(self) -> Self:
        self._problems.on_note = self._take
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._problems.on_note = None

    def look(self) -> None:
        """Tell a session that has just been opened what was noted of its series before; called in every turn."""
        session = self._current()
        if session is self._known:
            return
        self._known = session
        while session is not None and self._pending:
            problem, points = self._pending.popleft()
            self._client.clear_problem(problem.code)
            self._tell_session(session, problem, points)
        self._pending.clear()

    def instrument_there(self) -> None:
        """The instrument can be reached."""
        self._client.clear_problem(Code.NO_INSTRUMENT)

    def _take(self, problem: Problem, points: int) -> None:
        session = self._current()
        if session is not None and session.receipt is None and not session.closed:
            self._tell_session(session, problem, points)
            return
        if problem.code in OF_THE_SERIES:
            self._pending.append((problem, points))
        self._client.report_problem(
            problem.code,
            problem.text or problem.code,
            mend=problem.mend,
            level=problem.code.level,
            points=points,
            stands=problem.code is Code.NO_INSTRUMENT,
        )

    def _tell_session(self, session: Session, problem: Problem, points: int) -> None:
        text = problem.text or problem.code
        session.report_problem(problem.code, text, mend=problem.mend, level=problem.code.level, points=points)
