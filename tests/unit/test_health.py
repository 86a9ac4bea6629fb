"""Readiness and the table of limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from scanmend.health import LIMITS, QUIET_S, Limit, ProblemBook, not_ready
from scanmend.ipc.console import EngineInfo, Status
from scanmend.ipc.engine_link import ModelInfo

HOT = Limit("hot", "{value:.0f} degrees.", "Cool it.", warning=10, error=20, after_s=2.0, clear_s=5.0)


@dataclass
class Clock:
    """Seconds that a test moves."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setitem(__import__("scanmend.health", fromlist=["_BY_CODE"])._BY_CODE, "hot", HOT)
    return Clock()


def _book(clock: Clock) -> ProblemBook:
    return ProblemBook(clock, lambda: int(clock.now_s * 1e9))


def _at(book: ProblemBook, clock: Clock, now_s: float, value: float) -> list[tuple[str, str]]:
    clock.now_s = now_s
    return [(p.level, p.text) for p in book.update([(HOT, "s", value)])]


def test_a_problem_comes_late_grows_and_goes_late(clock: Clock) -> None:
    book = _book(clock)
    assert _at(book, clock, 110, 15) == []
    assert _at(book, clock, 111.9, 15) == []
    assert _at(book, clock, 112, 15) == [("warning", "15 degrees.")]
    assert _at(book, clock, 113, 25) == [("error", "25 degrees.")]
    assert _at(book, clock, 114, 5) == [("error", "25 degrees.")]
    assert _at(book, clock, 118.9, 5) == [("error", "25 degrees.")]
    assert _at(book, clock, 119, 5) == []


def test_a_flicker_is_never_shown_and_does_not_hide_a_problem(clock: Clock) -> None:
    book = _book(clock)
    for i in range(20):
        assert _at(book, clock, 110 + i, 15 if i % 2 else 5) == []
    for i in range(10):
        _at(book, clock, 140 + i, 15)
    for i in range(10):
        assert len(_at(book, clock, 150 + i, 5 if i % 3 else 15)) == 1


def test_nothing_is_said_in_the_first_seconds(clock: Clock) -> None:
    book = _book(clock)
    assert _at(book, clock, 100, 99) == []
    assert _at(book, clock, 100 + QUIET_S - 0.1, 99) == []
    assert len(_at(book, clock, 100 + QUIET_S, 99)) == 1


def test_a_limit_of_time_leaves_a_new_session_in_peace(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(HOT, quiet_s=5.0)
    monkeypatch.setitem(__import__("scanmend.health", fromlist=["_BY_CODE"])._BY_CODE, "hot", slow)
    book = _book(clock)
    shown = []
    for now_s in (110, 112, 114.9, 115):
        clock.now_s = now_s
        shown.append(len(book.update([(slow, "s", 15)])))
    assert shown == [0, 0, 0, 1]


def test_since_is_when_it_was_first_shown_and_a_session_that_ends_takes_it_along(clock: Clock) -> None:
    book = _book(clock)
    _at(book, clock, 110, 15)
    _at(book, clock, 113, 15)
    clock.now_s = 120
    assert book.update([(HOT, "s", 15)])[0].since_unix_ns == 113_000_000_000
    assert book.update([]) == []


def test_every_limit_has_words_a_mend_and_an_order() -> None:
    assert len({limit.code for limit in LIMITS}) == len(LIMITS)
    for limit in LIMITS:
        assert limit.text.format(value=1.0) and limit.mend
        assert limit.warning <= limit.error if limit.above else limit.warning >= limit.error


def _status(state: str = "ready", live: bool = True, recordings: str = "there") -> Status:
    engine = EngineInfo(state=state, models=[ModelInfo(name="m", live=live)])  # type: ignore[arg-type]
    return Status(
        ask=1, version="", boot_id=1, started_unix_ns=0, address="", recordings=recordings, disk_free_bytes=0,
        engine=engine, sessions=[], problems=[], refused={}, junk={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reachable", "codes"),
    [
        (None, False, ["acquire_unreachable"]),
        (_status(), False, ["acquire_unreachable"]),
        (_status(), True, []),
        (_status("starting"), True, ["engine_starting"]),
        (_status("down"), True, ["engine_down"]),
        (_status(live=False), True, ["no_model"]),
        (_status("stuck", recordings=""), True, ["engine_stuck", "recordings_not_writable"]),
    ],
)
def test_what_keeps_the_service_from_being_ready(status: Status | None, reachable: bool, codes: list[str]) -> None:
    assert [r.code for r in not_ready(status, reachable=reachable, recording_allowed=True)] == codes


def test_a_service_that_may_not_record_needs_no_recordings() -> None:
    assert not_ready(_status(recordings=""), reachable=True, recording_allowed=False) == []
