"""What takes long in a large field is no silence, for which the supervisor would end the engine; what hangs is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_process import frame_header
from test_session import SAMPLES, Bench

from scanmend.engine import session
from scanmend.field import MAX_FIELD_PX
from scanmend.wire.messages import Mode


class Beating(Bench):
    """A session with a policy, whose beats are counted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, None, mode=Mode.EXPOSURE, rescan="uniform")
        self.beats = 0
        self.session._beat = self._count

    def _count(self) -> None:
        self.beats += 1

    def choose_with(self, choose: Callable[..., None]) -> None:
        self.session._proposals.choose = choose  # type: ignore[assignment,method-assign]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Beating]:
    made = Beating(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("owed", [False, True])
def test_a_long_choice_is_no_silence(one: Beating, owed: bool) -> None:
    heard: list[bool] = []

    def choose(*_: object, **__: object) -> None:
        before, end = one.beats, time.monotonic() + 5
        while one.beats == before and time.monotonic() < end:
            time.sleep(0.01)
        heard.append(one.beats > before)

    one.choose_with(choose)
    if owed:  # by an engine before this one
        samples = SAMPLES.reshape(1, -1)
        header = frame_header(0, samples)
        one.session.expose(header, samples)
        one.session.choose_again(header)
    else:
        one.frame(0, SAMPLES)
    assert heard == [True]


def test_a_choice_that_hangs_falls_silent(one: Beating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CHOICE_S", 0.5)
    counts: list[int] = []

    def choose(*_: object, **__: object) -> None:
        counts.append(one.beats)
        time.sleep(2.5)
        counts.append(one.beats)

    one.choose_with(choose)
    one.frame(0, SAMPLES)
    assert counts[0] == counts[1] > 0


def test_the_longest_choice_is_within_reason() -> None:
    slowest_s = 0.4e-6 * MAX_FIELD_PX  # on two free cores
    assert 5 * slowest_s < session.CHOICE_S + session.CHOICE_S_A_PIXEL * MAX_FIELD_PX < 1000


def test_the_steps_of_an_exposure_are_heard_one_by_one(one: Beating, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them goes over the whole field, or over a whole frame."""
    heard: list[int] = []
    for owner, step in (
        (one.session.ledger, "add"),
        (one.session.exposure, "add"),
        (one.session._others, "add"),
        (one.session._specimen, "pass_done"),
        (one.session.exposure, "picture"),
    ):
        done = getattr(type(owner), step)

        def take(self: object, *given: object, done: Callable[..., object] = done, **more: object) -> object:
            heard.append(one.beats)
            return done(self, *given, **more)

        monkeypatch.setattr(type(owner), step, take)
    one.frame(0, SAMPLES)
    assert len(heard) == 5 == len(set(heard)) and one.beats > heard[-1]
