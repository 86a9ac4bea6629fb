"""Readiness and the table of limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from fake_acquire import FakeAcquire
from scanmend.health import LIMITS, QUIET_S, Limit, ProblemBook, Recent, not_ready, readings
from scanmend.ipc import console
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
        assert limit.text.format(value=1.0, detail="why") and limit.mend
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


class Watched:
    """A service with one session whose account a test changes, and what an operator hears of it."""

    def __init__(self, clock: Clock) -> None:
        status = console.decode_from_acquire(FakeAcquire(Path("/nowhere"), size=8)._answer(console.AskStatus(ask=1))[0])
        assert isinstance(status, Status)
        info = status.sessions[0]
        quiet = msgspec.structs.replace(info.account, received=0, restored_out=0)
        info = msgspec.structs.replace(info, account=quiet, model="pushpull", caution=None)
        self.status = msgspec.structs.replace(status, sessions=[info])
        self.clock, self.book, self.recent = clock, _book(clock), Recent(clock)
        for _ in range(12):
            self.after(1.0)

    def session(self, **changes: object) -> None:
        info = msgspec.structs.replace(self.status.sessions[0], **changes)
        self.status = msgspec.structs.replace(self.status, sessions=[info])

    def account(self, **changes: object) -> None:
        self.session(account=msgspec.structs.replace(self.status.sessions[0].account, **changes))

    def engine(self, **changes: object) -> None:
        engine = msgspec.structs.replace(self.status.engine, **changes)
        self.status = msgspec.structs.replace(self.status, engine=engine)

    def after(self, seconds: float) -> dict[str, tuple[str, str]]:
        self.clock.now_s += seconds
        return {p.code: (p.level, p.text) for p in self.book.update(readings(self.status, self.recent))}


@pytest.fixture
def watched(clock: Clock) -> Watched:
    made = Watched(clock)
    assert made.after(1.0) == {}
    return made


def _on_gpu(watched: Watched, provider: str) -> None:
    model = msgspec.structs.replace(watched.status.engine.models[0], provider=provider, live=True)
    watched.engine(models=[model])


CHANGES: dict[str, tuple[Callable[[Watched], object], str, str]] = {
    "frames_missing": (lambda w: w.account(gaps=3), "warning", "3 frames"),
    "frames_rejected": (lambda w: w.account(rejected={"too_large": 2, "plan": 0}), "error", "2 too large"),
    "frames_unrestored": (
        lambda w: w.account(restored_out=60, passed_through={"deadline": 30, "engine_failed": 10}),
        "warning",
        "40 % of the frames of the last half minute were passed through unrestored: 30 deadline, 10 engine failed",
    ),
    "frames_discarded": (lambda w: w.account(dropped_by_client=7), "warning", "discard 7"),
    "frames_damaged": (lambda w: w.account(damaged=200), "error", "200 messages"),
    "nack_conflict": (lambda w: w.account(conflicts=1), "error", "1 frames"),
    "latency_high": (lambda w: w.session(latency_ms={"p50": 1.0, "p95": 2000.0}), "warning", "2000 ms"),
    "queue_long": (lambda w: w.session(queued=300), "error", "300 frames"),
    "caution": (lambda w: w.session(caution="much darker"), "warning", "made for: much darker."),
    "model_stepped_in": (
        lambda w: w.session(hello=msgspec.structs.replace(w.status.sessions[0].hello, model="quality")),
        "warning",
        "pushpull restores in place of quality.",
    ),
    "engine_restarted": (lambda w: w.engine(generation=2), "warning", "1 times"),
    "dose_budget": (lambda w: w.account(dose_e_per_nm2=39.0), "warning", "98 %"),
    "disk_low": (lambda w: setattr(w, "status", msgspec.structs.replace(w.status, disk_free_bytes=0)), "error", "0 MB"),
}


@pytest.mark.parametrize("code", CHANGES)
def test_an_operator_hears_of_it(watched: Watched, code: str) -> None:
    change, level, words = CHANGES[code]
    change(watched)
    heard: dict[str, tuple[str, str]] = {}
    for _ in range(6):
        heard = watched.after(1.0)
    assert heard.keys() == {code}
    assert heard[code][0] == level and words in heard[code][1]


def test_what_is_over_goes_though_it_is_counted_for_ever(watched: Watched) -> None:
    watched.account(dropped_by_client=7, restored_out=10, passed_through={"deadline": 5}, damaged=3)
    for _ in range(6):
        heard = watched.after(1.0)
    assert heard.keys() == {"frames_discarded", "frames_unrestored", "frames_damaged"}
    for _ in range(45):
        heard = watched.after(1.0)
    assert heard == {}
    watched.engine(generation=3)
    assert watched.after(1.0).keys() == {"engine_restarted"}
    for _ in range(62):
        heard = watched.after(10.0)
    assert heard == {}


def test_all_frames_pass_while_the_engine_is_down_and_that_is_said_once(watched: Watched) -> None:
    watched.engine(state="down")
    watched.account(passed_through={"engine_down": 50})
    for _ in range(6):
        assert watched.after(1.0) == {}


def test_an_engine_that_has_left_its_accelerator_is_noticed(watched: Watched) -> None:
    _on_gpu(watched, "CUDAExecutionProvider")
    for _ in range(6):
        assert watched.after(1.0) == {}
    _on_gpu(watched, "CPUExecutionProvider")
    for _ in range(6):
        heard = watched.after(1.0)
    assert heard.keys() == {"engine_on_cpu"} and "CUDAExecutionProvider" in heard["engine_on_cpu"][1]


def test_an_acquire_that_was_started_anew_counts_from_the_beginning(watched: Watched) -> None:
    watched.account(dropped_by_client=50)
    watched.status = msgspec.structs.replace(watched.status, boot_id=watched.status.boot_id + 1)
    watched.engine(generation=1)
    for _ in range(6):
        assert watched.after(1.0) == {}


def test_samples_are_few_however_often_acquire_is_asked(clock: Clock) -> None:
    watched = Watched(clock)
    for _ in range(2000):
        watched.after(0.2)
    assert len(watched.recent._tracks["demo"].samples) < 40 and len(watched.recent._starts) < 420
