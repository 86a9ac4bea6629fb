"""Which session is worked on next: the one that ended last first, a failed one later, some tries each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scanmend.ipc.keeper_status import KeeperError
from scanmend.keeper.job import Doing

RETRY_S = (10.0, 60.0)
"""Waits before the second and the third try; there is no fourth before the service starts anew."""

_ERRORS_KEPT = 20


@dataclass(slots=True)
class Work:
    """Something to be done for a session."""

    doing: Doing
    session: str
    ended_unix_ns: int
    """When the session ended; the later, the sooner it is exported."""
    tries: int = 0
    not_before_s: float = 0.0
    given_up: str = ""
    """Why it is not tried any more."""


class WorkQueue:
    """What is to be done, what went wrong, and what was given up.

    Args:
        unix_ns: The time of day, for people.
    """

    def __init__(self, unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._unix_ns = unix_ns
        self._works: dict[tuple[Doing, str], Work] = {}
        self.errors: deque[KeeperError] = deque(maxlen=_ERRORS_KEPT)

    def add(self, doing: Doing, session: str, ended_unix_ns: int = 0) -> None:
        """Take something in, unless it is there already."""
        self._works.setdefault((doing, session), Work(doing, session, ended_unix_ns))

    def forget_all_but(self, there: Callable[[str], bool]) -> None:
        """Drop what was to be done for sessions that have gone."""
        for key in [key for key in self._works if not there(key[1])]:
            del self._works[key]

    def done(self, work: Work) -> None:
        """It is done."""
        self._works.pop((work.doing, work.session), None)

    def failed(self, work: Work, text: str, now_s: float) -> None:
        """It went wrong: try it again later, or give it up."""
        work.tries += 1
        if work.tries > len(RETRY_S):
            work.given_up = text
        else:
            work.not_before_s = now_s + RETRY_S[work.tries - 1]
        self.errors.append(
            KeeperError(
                at_unix_ns=self._unix_ns(),
                doing=work.doing,
                session=work.session,
                text=text,
                given_up=bool(work.given_up),
            )
        )

    def due(self, now_s: float) -> Iterator[Work]:
        """What may be begun now, the next one first; closing comes before exporting, which it makes possible."""
        return (work for work in self.waiting() if work.not_before_s <= now_s)

    def waiting(self) -> list[Work]:
        """What is not done and not given up, in the order of `due`."""
        works = (work for work in self._works.values() if not work.given_up)
        return sorted(works, key=lambda work: (work.doing != "close", -work.ended_unix_ns, work.session))

    def given_up(self) -> list[Work]:
        """What is not tried any more."""
        return [work for work in self._works.values() if work.given_up]
