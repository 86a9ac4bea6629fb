"""What a client discarded was scanned all the same: its dose is found from the frames around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_operator_word import ScriptedEngine

from in_thread import FIELD, SHAPE, AcquireInThread, Peer, frame_parts, hello, plan_message
from running import wait_for
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.wire.header import FrameFlag, FrameHeader
from scanmend.wire.lost import Place
from scanmend.wire.messages import End, Mode, Receipt, Returns, Welcome, encode

POINTS = SHAPE[0] * SHAPE[1]
PLANS = {1: ScanPlan.raster(SHAPE, 1000), 2: ScanPlan.raster(SHAPE, 500)}.get


def header(seq: int, first: int, points: int, pass_index: int, dropped: int = 0, plan_id: int = 1) -> FrameHeader:
    """Of a frame of these points."""
    flags = FrameFlag.END_OF_PASS if first + points == POINTS else FrameFlag(0)
    about = {"plan_id": plan_id, "pass_index": pass_index, "first_point": first, "points": points, "flags": flags}
    parts = frame_parts(seq, bytes(2 * points), dropped_before=dropped, **about)
    return FrameHeader.unpack(parts[0], max_payload_bytes=1 << 30)


def test_a_gap_within_a_pass_is_what_lies_between() -> None:
    place = Place()
    assert place.go_on(header(0, 0, 100, 0), PLANS) is None
    lost = place.go_on(header(1, 160, 40, 0, dropped=3), PLANS)
    assert lost is not None and lost.known and lost.spans == {(1, 100, 60): 1}
    assert place.go_on(header(2, 200, 56, 0), PLANS) is None


def test_a_gap_over_the_end_of_passes_is_their_rests_and_all_between() -> None:
    place = Place()
    place.go_on(header(0, 0, 100, 0), PLANS)
    lost = place.go_on(header(1, 60, 40, 3, dropped=9), PLANS)
    assert lost is not None and lost.known
    assert lost.spans == {(1, 100, POINTS - 100): 1, (1, 0, POINTS): 2, (1, 0, 60): 1}


def test_what_was_lost_before_the_first_frame() -> None:
    lost = Place().go_on(header(0, 60, 40, 1, dropped=2), PLANS)
    assert lost is not None and lost.known and lost.spans == {(1, 0, POINTS): 1, (1, 0, 60): 1}


def test_pictures_between_pictures_are_pictures_like_them() -> None:
    place = Place()
    place.go_on(header(0, 0, POINTS, 0), PLANS)
    lost = place.go_on(header(1, 0, POINTS, 1, dropped=4), PLANS)
    assert lost is not None and lost.known and lost.spans == {(1, 0, POINTS): 4}
    after = place.end(2, PLANS)
    assert after is not None and after.known and after.spans == {(1, 0, POINTS): 2}
    assert place.end(0, PLANS) is None


def test_where_it_cannot_be_told_that_is_said() -> None:
    place = Place()
    place.go_on(header(0, 0, POINTS, 0), PLANS)
    lost = place.go_on(header(1, 0, 40, 1, dropped=4), PLANS)  # a part of a pass, and nothing between
    assert lost is not None and not lost.known and not lost.spans
    lost = place.go_on(header(2, 0, 40, 4, dropped=4, plan_id=2), PLANS)  # passes of a plan that no frame names
    assert lost is not None and not lost.known
    assert lost.spans == {(1, 40, POINTS - 40): 1, (2, 0, POINTS): 2}
    rest = place.end(1, PLANS)
    assert rest is not None and rest.spans == {(2, 40, POINTS - 40): 1}
    assert place.end(1, {}.get) is not None and not place.end(1, {}.get).known  # type: ignore[union-attr]


def test_a_frame_that_comes_late_takes_nothing_back() -> None:
    place = Place()
    place.go_on(header(0, 0, 50, 0), PLANS)
    place.go_on(header(2, 100, 50, 0), PLANS)
    assert place.go_on(header(1, 50, 50, 0), PLANS) is None
    lost = place.go_on(header(3, 200, 56, 0, dropped=1), PLANS)
    assert lost is not None and lost.spans == {(1, 150, 50): 1}


@given(st.lists(st.booleans(), min_size=2, max_size=40), st.sampled_from([16, 64, 128]))
def test_received_and_lost_are_all_that_was_scanned(kept: list[bool], chunk: int) -> None:
    """Whatever a client that scans raster after raster discards, while a frame follows."""
    kept[-1] = True
    place, found, seq, dropped = Place(), [0] * (POINTS * len(kept)), 0, 0
    total: Counter[int] = Counter()
    for number, keeps in enumerate(kept):
        pass_index, first = divmod(number * chunk, POINTS)
        if not keeps:
            dropped += 1
            continue
        lost = place.go_on(header(seq, first, chunk, pass_index, dropped), PLANS)
        assert (lost is None) == (dropped == 0)
        for _, begin, points in [(1, first, chunk), *(lost.spans.elements() if lost else ())]:
            for point in range(begin, begin + points):
                total[point] += 1
        seq, dropped = seq + 1, 0
    for point in range(len(kept) * chunk):
        found[point % POINTS] += 1
    assert total == Counter({point: times for point, times in enumerate(found) if times})


@pytest.fixture
def acquire(tmp_path: Path) -> Iterator[AcquireInThread]:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("mode", Mode)
def test_the_engine_is_told_of_lost_points_and_so_is_the_next_one(acquire: AcquireInThread, mode: Mode) -> None:
    engine = ScriptedEngine(acquire)
    half = POINTS // 2
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(returns=Returns.ESTIMATE, mode=mode)))
        peer.hear(Welcome)
        peer.say(plan_message())
        peer.say(*frame_parts(0, bytes(2 * half), points=half))
        late = {"pass_index": 1, "first_point": half, "points": half, "flags": FrameFlag.END_OF_PASS}
        peer.say(*frame_parts(1, bytes(2 * half), dropped_before=2, **late))
        wait_for(lambda: len(engine.heard(link.Work)) == 2, 5, "the engine did not get the frames")
        told = [span for notice in engine.heard(link.ScannedNotice) for span in notice.spans]
        assert sorted(map(tuple, told)) == [(1, 0, half, 1), (1, half, half, 1)]
        for number, work in enumerate(engine.heard(link.Work)):
            engine.say(link.Done(ticket=work.ticket, session_id=7, seq=number, restored=False, reason=4))
        engine.close()
        wait_for(lambda: acquire.status().engine.state == "down", 5, "nobody noticed")
        second = ScriptedEngine(acquire)
        peer.say(encode(End(session_id=7, count=2, dropped=5, dropped_after=3)))
        second.close()
        receipt: Receipt = peer.hear(Receipt)
    # Two halves received, two lost; after the last frame nobody knows where the beam was.
    assert receipt.dropped_by_client == 5 and receipt.balanced
    assert receipt.dose_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(2 * POINTS * 1000))
