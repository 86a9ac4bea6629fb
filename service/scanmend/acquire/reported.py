"""Problems that clients report: what of them is shown, counted and recorded, and how much is listened to.

A client's word is bounded in length by the message's schema, in number and rate here; whatever it says, it takes no
place from the service's own problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from scanmend.ipc.console import ProblemInfo
from scanmend.record import ProblemNote
from scanmend.wire.messages import Problem, ProblemLevel

KEEP_S = 60.0
"""How long a problem that has happened is shown, and any problem of a session after its end."""

CLEAR_S = 5.0
"""How long one that is over is still shown, so that nothing flickers."""

UNHEARD_S = 10.0
"""How long one that stands is shown without a session, after the client said so last: it may be gone too."""

MOST_KINDS = 32
"""Kinds of problem of a session; further ones are left out."""

MOST_WITHOUT_SESSION = 32
"""Problems without a session, of all clients together."""

BURST = 64
RATE_PER_S = 16.0
"""Messages of a session that are listened to: so many at once, and so many a second after that."""

MOST_NOTES = 256
"""Notes in a session's recording."""


@dataclass(slots=True)
class _Told:
    """One kind of problem, as its client said it last."""

    problem: Problem
    since_unix_ns: int
    until_mono_s: float | None
    """Until when it is shown; None while it stands."""
    noted: int = 0
    """Its count when the recording had its last note."""


@dataclass(slots=True)
class Bucket:
    """Lets a number of messages pass at once, and then some a second."""

    level: float = BURST
    at_mono_s: float = 0.0

    def take(self, now_mono_s: float) -> bool:
        """Whether one more may pass."""
        self.level = min(BURST, self.level + RATE_PER_S * max(0.0, now_mono_s - self.at_mono_s))
        self.at_mono_s = now_mono_s
        if self.level < 1:
            return False
        self.level -= 1
        return True


@dataclass(slots=True)
class Reported:
    """What the client of one session has reported."""

    _told: dict[str, _Told] = field(default_factory=dict)
    _bucket: Bucket = field(default_factory=Bucket)
    _notes: int = 0

    def take(self, problem: Problem, *, now_mono_s: float, now_unix_ns: int) -> tuple[bool, ProblemNote | None]:
        """Take a PROBLEM.

        Returns:
            Whether it was taken, and what the recording should say of it; None where that is nothing new.
        """
        before = self._told.get(problem.code)
        if not self._bucket.take(now_mono_s) or (before is None and len(self._told) >= MOST_KINDS):
            return False, None
        problem = readable(problem)
        since = _since(problem, before, now_unix_ns)
        told = _Told(problem, since, _shown_until(problem, now_mono_s))
        if before is not None:
            most = max(problem.count, before.problem.count)
            told.problem = msgspec.structs.replace(
                problem, count=most, points=max(problem.points, before.problem.points)
            )
            told.noted = before.noted
            if before.problem.cleared and problem.cleared:
                told.until_mono_s = before.until_mono_s
        self._told[problem.code] = told
        changed = before is None or before.problem.cleared != problem.cleared
        if not (changed or told.problem.count >= 2 * told.noted) or self._notes >= MOST_NOTES:
            return True, None
        self._notes += 1
        told.noted = told.problem.count
        return True, note_of(told.problem, since)

    def read(self, note: ProblemNote, now_mono_s: float) -> None:
        """Take in what a journal says, when a session is taken up again: its client says the rest anew."""
        problem = Problem(
            session_id=0,
            code=note.code,
            text=note.text,
            mend=note.mend,
            level=ProblemLevel(note.level),
            count=note.count,
            points=note.points,
            stands=note.stands,
            cleared=note.cleared,
        )
        until = _shown_until(problem, now_mono_s)
        self._told[note.code] = _Told(problem, note.since_unix_ns, until, note.count)
        self._notes += 1

    def counts(self) -> dict[str, int]:
        """How often each kind came, for the receipt."""
        return {code: told.problem.count for code, told in self._told.items()}

    def notes(self) -> list[ProblemNote]:
        """All that was reported, for a recording that begins now."""
        return [note_of(told.problem, told.since_unix_ns) for told in self._told.values()]

    def session_over(self, now_mono_s: float) -> None:
        """The session has ended: nothing stands any more, and nothing is shown for much longer."""
        latest = now_mono_s + KEEP_S
        for told in self._told.values():
            told.until_mono_s = latest if told.until_mono_s is None else min(latest, told.until_mono_s)

    def current(self, session: str, now_mono_s: float) -> Iterator[ProblemInfo]:
        """What is shown now."""
        for told in self._told.values():
            if told.until_mono_s is None or now_mono_s <= told.until_mono_s:
                yield _info(told, session)


@dataclass(slots=True)
class ReportedWithoutSession:
    """Problems of clients that have no session, above all of instruments that cannot be reached."""

    _told: dict[tuple[str, str], _Told] = field(default_factory=dict)
    _bucket: Bucket = field(default_factory=Bucket)

    def take(self, problem: Problem, *, now_mono_s: float, now_unix_ns: int) -> bool:
        """Take a PROBLEM; whether it was taken."""
        self._forget_old(now_mono_s)
        key = (problem.client, problem.code)
        before = self._told.get(key)
        if not self._bucket.take(now_mono_s) or (before is None and len(self._told) >= MOST_WITHOUT_SESSION):
            return False
        if before is None and problem.cleared:
            return True
        problem = readable(problem)
        until = now_mono_s + (UNHEARD_S if problem.stands and not problem.cleared else KEEP_S)
        if problem.cleared:
            until = min(until, now_mono_s + CLEAR_S)
        self._told[key] = _Told(problem, _since(problem, before, now_unix_ns), until)
        return True

    def current(self, now_mono_s: float) -> Iterator[ProblemInfo]:
        """What is shown now."""
        self._forget_old(now_mono_s)
        for told in self._told.values():
            yield _info(told, "")

    def _forget_old(self, now_mono_s: float) -> None:
        self._told = {k: t for k, t in self._told.items() if t.until_mono_s is None or now_mono_s <= t.until_mono_s}


def readable(problem: Problem) -> Problem:
    """The problem without characters that a log, a terminal or a page would obey instead of showing them."""
    words = {name: _plain(getattr(problem, name)) for name in ("text", "mend", "client")}
    return msgspec.structs.replace(problem, **words)


def note_of(problem: Problem, since_unix_ns: int) -> ProblemNote:
    """What a recording says of a problem."""
    return ProblemNote(
        code=problem.code,
        text=problem.text,
        mend=problem.mend,
        level=problem.level.value,
        count=problem.count,
        points=problem.points,
        since_unix_ns=since_unix_ns,
        stands=problem.stands,
        cleared=problem.cleared,
    )


def _since(problem: Problem, before: _Told | None, now_unix_ns: int) -> int:
    """When it came first: the client's word, if that is no time to come; else what is known here."""
    known = before.since_unix_ns if before is not None and not before.problem.cleared else now_unix_ns
    return min(problem.since_unix_ns or known, now_unix_ns)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _shown_until(problem: Problem, now_mono_s: float) -> float | None:
    if problem.cleared:
        return now_mono_s + CLEAR_S
    return None if problem.stands else now_mono_s + KEEP_S


def _info(told: _Told, session: str) -> ProblemInfo:
    return ProblemInfo(
        level=told.problem.level.value,
        code=told.problem.code,
        text=told.problem.text,
        mend=told.problem.mend,
        since_unix_ns=told.since_unix_ns,
        session=session,
        count=told.problem.count,
        reported_by="microscope",
        client=told.problem.client,
    )
