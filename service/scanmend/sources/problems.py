"""Problems of an instrument's stream: each a sentence with its mend, counted by kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

log = logging.getLogger(__name__)


class Code(StrEnum):
    """What kind of problem it is."""

    NO_INSTRUMENT = "no_instrument"
    """It cannot be reached, or its connection was cut."""
    GAP = "gap"
    """Numbers are missing inside a series."""
    DUPLICATE = "duplicate"
    """A number came again; the first one is kept."""
    LEFTOVER = "leftover"
    """Points of a series that has ended."""
    JOINED_LATE = "joined_late"
    """A series was running already, or its beginning was lost."""
    ENDED_EARLY = "ended_early"
    """A series ended before all of its points were there."""
    TOO_MANY = "too_many"
    """A series went on beyond what was asked for."""
    SILENT = "silent"
    """A series stopped without a word."""
    WRONG_SIZE = "wrong_size"
    """An image of another size than the series began with, or another number of channels."""
    UNDECODABLE = "undecodable"
    """Samples that cannot be unpacked: an unknown compression, or damaged bytes."""
    MALFORMED = "malformed"
    """A message that is none of this instrument's."""
    CLOCK = "clock"
    """The instrument's clock jumped."""
    TWO_READERS = "two_readers"
    """Another program takes a part of the stream."""
    CONTROL = "control"
    """The instrument did not do what it was told."""
    SETTINGS = "settings"
    """What was asked for does not fit what the instrument sends."""
    SERVICE = "service"
    """The service refused, has gone, or holds frames back for too long."""

    @property
    def level(self) -> Literal["warning", "error"]:
        """`error` where nothing good comes before somebody has done something."""
        return "error" if self in _NEEDS_SOMEBODY else "warning"


_NEEDS_SOMEBODY = frozenset(
    {
        Code.NO_INSTRUMENT,
        Code.SILENT,
        Code.WRONG_SIZE,
        Code.UNDECODABLE,
        Code.TWO_READERS,
        Code.CONTROL,
        Code.SETTINGS,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, in words."""

    code: Code
    text: str
    """What is wrong, in one sentence."""
    mend: str = ""
    """What to do about it, in one sentence."""

    def __str__(self) -> str:
        """Give the text, followed by the mend where there is one."""
        return f"{self.text} {self.mend}".rstrip()


@dataclass(slots=True)
class Entry:
    """All problems of one kind."""

    problem: Problem
    """The newest."""
    count: int
    """How often it came."""
    points: int
    """Points that it cost, over all of them."""
    first_unix_s: float
    last_unix_s: float

    def to_json(self) -> dict[str, object]:
        """As a plain map."""
        return {
            "code": self.problem.code.value,
            "text": self.problem.text,
            "mend": self.problem.mend,
            "count": self.count,
            "points": self.points,
            "first_unix_s": self.first_unix_s,
            "last_unix_s": self.last_unix_s,
        }


class ProblemLog:
    """Counts problems by kind, so that ten thousand of one kind take no more room than one.

    Args:
        tell: Told of the first problem of a kind, and of the 2nd, 4th, 8th, …, with how many there have been.
    """

    def __init__(self, tell: Callable[[Problem, int], None] | None = None) -> None:
        self.entries: dict[Code, Entry] = {}
        """By kind, oldest first."""
        self.on_note: Callable[[Problem, int], None] | None = None
        """Told of every problem, with the points that it cost."""
        self._tell = tell or _to_log

    def note(self, problem: Problem, points: int = 0) -> None:
        """Count a problem, and the points that it cost."""
        now = time.time()
        entry = self.entries.get(problem.code)
        if entry is None:
            entry = self.entries[problem.code] = Entry(problem, 0, 0, now, now)
        entry.problem, entry.last_unix_s = problem, now
        entry.count += 1
        entry.points += points
        if entry.count & (entry.count - 1) == 0:
            self._tell(problem, entry.count)
        if self.on_note is not None:
            self.on_note(problem, points)

    def count(self, code: Code) -> int:
        """How often a kind came."""
        return self.entries[code].count if code in self.entries else 0

    def points(self, code: Code) -> int:
        """How many points a kind cost."""
        return self.entries[code].points if code in self.entries else 0

    def to_json(self) -> list[dict[str, object]]:
        """All kinds as plain maps."""
        return [entry.to_json() for entry in self.entries.values()]


def _to_log(problem: Problem, count: int) -> None:
    log.warning("%s%s", problem, f" ({count} times)" if count > 1 else "")
