"""When frames are due."""

from __future__ import annotations

import pytest

from scanmend_sim.pacing import Pacer


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("rate", "speed", "beam_ns", "passes", "expected_s"),
    [
        ("realtime", 1.0, 2_000_000_000, 7.0, 52.0),
        ("realtime", 4.0, 2_000_000_000, 7.0, 50.5),
        (10.0, 1.0, 2_000_000_000, 7.0, 50.7),
        (0.5, 9.0, 0, 0.25, 50.5),
        ("max", 1.0, 2_000_000_000, 7.0, 50.0),
    ],
)
def test_due(rate: object, speed: float, beam_ns: int, passes: float, expected_s: float) -> None:
    assert Pacer(rate, speed=speed, clock=Clock()).due_s(beam_ns, passes) == pytest.approx(expected_s)


def test_what_comes_late_moves_everything_after_it() -> None:
    clock = Clock()
    pacer = Pacer(10.0, clock=clock)
    clock.now_s = 50.6  # the first frame was due at 50.1, and was held for half a second
    pacer.left(pacer.due_s(0, 1.0))
    assert pacer.due_s(0, 2.0) == pytest.approx(50.7)


def test_a_little_lateness_is_caught_up_with() -> None:
    clock = Clock()
    pacer = Pacer(10.0, clock=clock)
    clock.now_s = 50.11
    pacer.left(pacer.due_s(0, 1.0))
    assert pacer.due_s(0, 2.0) == pytest.approx(50.2)


def test_work_begins_early_enough() -> None:
    pacer = Pacer(10.0, clock=Clock())
    for _ in range(40):
        pacer.worked(0.03)
    assert pacer.start_work_s(60.0) == pytest.approx(59.97, abs=1e-4)
