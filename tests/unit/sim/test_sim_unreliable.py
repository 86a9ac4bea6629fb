"""The unreliable link: faults between the client and its socket."""

from __future__ import annotations

from collections import Counter

import pytest

from scanmend.wire.header import FrameHeader, xxh3
from scanmend.wire.messages import End, Executed, ExecutedStatus, encode
from scanmend_sim.faults import Fault, FaultRates
from scanmend_sim.unreliable import UnreliableLink

END = encode(End(session_id=7, count=3))
CONTROL = encode(Executed(session_id=7, proposal_id=1, status=ExecutedStatus.DECLINED))


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def frame(seq: int) -> tuple[bytes, bytes]:
    payload = seq.to_bytes(8, "little")
    header = FrameHeader(
        session_id=7, seq=seq, plan_id=0, pass_index=seq, first_point=0, points=4, channels=1, dtype="uint16",
        payload_bytes=8, payload_xxh3=xxh3(payload),
    )  # fmt: skip
    return header.pack(), payload


def link(seed: int = 0, **rates: float) -> tuple[UnreliableLink, Clock]:
    clock = Clock()
    return UnreliableLink(FaultRates(**rates), seed, clock=clock), clock


def test_without_faults_every_message_passes_as_it_is() -> None:
    unreliable, _ = link()
    for message in (frame(0), (CONTROL,), frame(1), (END,)):
        assert list(unreliable(message)) == [message]


def test_control_messages_pass_whatever_happens_to_frames() -> None:
    unreliable, _ = link(drop=1.0)
    assert list(unreliable(frame(0))) == []
    assert list(unreliable((CONTROL,))) == [(CONTROL,)]
    assert unreliable.report.faults[Fault.DROP] == 1


def test_a_delayed_frame_leaves_with_the_first_message_after_its_time() -> None:
    unreliable, clock = link(delay=1.0, delay_ms=40.0)
    assert list(unreliable(frame(0))) == []
    assert list(unreliable((CONTROL,))) == [(CONTROL,)]
    clock.now_s += 10
    assert list(unreliable((CONTROL,))) == [frame(0), (CONTROL,)]


@pytest.mark.parametrize("fault", ["delay", "reorder"])
def test_nothing_comes_after_the_end(fault: str) -> None:
    unreliable, _ = link(**{fault: 1.0})
    left = [message for seq in range(3) for message in unreliable(frame(seq))]
    left += unreliable((END,))
    assert left[-1] == (END,)
    assert Counter(left) == Counter([frame(0), frame(1), frame(2), (END,)])


def test_the_books_say_what_left() -> None:
    unreliable, clock = link(seed=3, drop=0.1, delay=0.1, reorder=0.1, truncate=0.1, duplicate=0.1, garbage=0.1)
    left = 0
    for seq in range(300):
        clock.now_s += 0.001
        left += len(list(unreliable(frame(seq))))
    left += len(list(unreliable((END,)))) - 1
    report = unreliable.report
    assert report.messages_out == left == 300 - report.faults[Fault.DROP] + report.faults[Fault.DUPLICATE]
    assert all(report.faults[fault] > 10 for fault in Fault if fault is not Fault.WRONG_DTYPE)
