"""A session that wants no answers: the engine gets what the page shows and the dose of the rest, and nobody waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from test_operator_word import ScriptedEngine

from in_thread import FIELD, SHAPE, AcquireInThread, Peer, frame_parts, hello, plan_message
from running import wait_for
from scanmend.acquire import scanned
from scanmend.acquire.live import LIVE_INTERVAL_NS, UNWATCHED_INTERVAL_NS, Live
from scanmend.acquire.scanned import Scanned
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.wire.header import FrameFlag, FrameHeader
from scanmend.wire.messages import Ack, End, Mode, Receipt, Returns, Welcome, encode

HALF = 32 * 16


def halves(number: int) -> Iterator[tuple[bytes, bytes]]:
    """The two frames of a pass."""
    for half in (0, 1):
        flags = FrameFlag.END_OF_PASS if half else FrameFlag(0)
        where = {"pass_index": number, "first_point": half * HALF, "points": HALF, "flags": flags}
        yield frame_parts(2 * number + half, bytes(2 * HALF), **where)


def spans(engine: ScriptedEngine) -> Counter[tuple[int, int, int]]:
    """All that the engine was told of frames: those that it got, and those that it did not."""
    found: Counter[tuple[int, int, int]] = Counter()
    for work in engine.heard(link.Work):
        header = FrameHeader.unpack(work.header, max_payload_bytes=1 << 30)
        found[header.plan_id, header.first_point, header.points] += 1
    for notice in engine.heard(link.ScannedNotice):
        for plan_id, first, points, times in notice.spans:
            found[plan_id, first, points] += times
    return found


@pytest.fixture
def acquire(tmp_path: Path) -> Iterator[AcquireInThread]:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def opened(peer: Peer, mode: Mode = Mode.FRAMES) -> None:
    peer.say(encode(hello(returns=Returns.NONE, mode=mode)))
    peer.hear(Welcome)
    peer.say(plan_message())


def test_one_pass_becomes_a_picture_and_all_are_in_the_dose(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer)
        engine.wait_to_hear(link.OpenSession)
        for number in range(6):
            for parts in halves(number):
                peer.say(*parts)
        wait_for(lambda: spans(engine).total() == 12, 5, "the engine was not told of all frames")
        assert spans(engine) == {(1, 0, HALF): 6, (1, HALF, HALF): 6}
        shown = [FrameHeader.unpack(w.header, max_payload_bytes=1 << 30) for w in engine.heard(link.Work)]
        assert [(header.pass_index, header.first_point) for header in shown] == [(0, 0), (0, HALF)]
        assert engine.heard(link.Work)[-1].live  # the end of a pass that is shown is seen whole
        status = acquire.status()
        assert status.sessions[0].account.dropped == {"returns_none": 10}
        for work in engine.heard(link.Work):
            engine.say(link.Done(ticket=work.ticket, session_id=7, seq=0, restored=False, reason=4))
        peer.say(encode(End(session_id=7, count=12)))
        engine.wait_to_hear(link.CloseSession)
        engine.say(link.SessionSummary(session_id=7, dose_e_per_nm2=6.0, dose_max_e_per_nm2=6.5))
        receipt: Receipt = peer.hear(Receipt)
        assert receipt.dropped == {"returns_none": 12} and receipt.balanced
        assert (receipt.dose_e_per_nm2, receipt.dose_max_e_per_nm2) == (6.0, 6.5)
    engine.close()


def test_another_engine_is_told_of_what_it_has_not_seen(acquire: AcquireInThread) -> None:
    first = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer)
        first.wait_to_hear(link.OpenSession)
        for parts in halves(0):
            peer.say(*parts)
        wait_for(lambda: spans(first).total() == 2, 5, "the engine was not told of the frames")
        first.close()
        wait_for(lambda: acquire.status().engine.state == "down", 5, "nobody noticed")
        for number in (1, 2):  # nobody is there for these
            for parts in halves(number):
                peer.say(*parts)
        while peer.hear(Ack).received_upto != 6:
            pass
        second = ScriptedEngine(acquire)
        wait_for(lambda: spans(second).total() == 6, 5, "the engine was not told of what it has not seen")
        assert second.heard(link.Work) == [] and spans(second) == {(1, 0, HALF): 3, (1, HALF, HALF): 3}
        second.close()


def test_where_passes_add_up_the_engine_gets_every_frame(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer, Mode.EXPOSURE)
        engine.wait_to_hear(link.OpenSession)
        for number in range(2):
            for parts in halves(number):
                peer.say(*parts)
        wait_for(lambda: len(engine.heard(link.Work)) == 4, 5, "the engine did not get all frames")
        assert engine.heard(link.ScannedNotice) == []
    engine.close()


@pytest.mark.parametrize("mode", Mode)
def test_without_any_engine_the_dose_is_known_all_the_same(acquire: AcquireInThread, mode: Mode) -> None:
    with Peer(acquire.address) as peer:
        opened(peer, mode)
        dwells = ScanPlan.raster(SHAPE, np.arange(1, 1 + SHAPE[0] * SHAPE[1]))
        peer.say(plan_message(plan_id=2, plan=dwells))
        for parts in (*halves(0), frame_parts(2, bytes(2 * HALF), plan_id=2, first_point=HALF, points=HALF)):
            peer.say(*parts)
        peer.say(encode(End(session_id=7, count=3)))
        receipt: Receipt = peer.hear(Receipt)
    dwell_ns = 2 * HALF * 1000 + sum(range(HALF + 1, 2 * HALF + 1))
    assert receipt.dose_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(dwell_ns)) and receipt.balanced
    assert Scanned().dwell_ns({}) == 0


def test_which_passes_are_shown() -> None:
    live, second = Live(), 1_000_000_000
    assert live.shows(0, second, idle=True) and live.shows(0, 3 * second, idle=False)  # all of it, or nothing
    live.offered_mono_ns = 3 * second
    assert live.shows(1, 3 * second + 1, idle=True)  # a pass longer than the interval: each is shown
    live.offered_mono_ns = 3 * second + 1
    assert not live.shows(2, 3 * second + UNWATCHED_INTERVAL_NS // 2, idle=True)
    assert not live.shows(2, 9 * second, idle=True)  # its first frames are gone
    assert not live.shows(3, 9 * second, idle=False)  # another one waits for the engine
    live.wanted_until_mono_ns = 20 * second
    assert live.shows(4, 9 * second, idle=True) and live.shows(5, 9 * second + LIVE_INTERVAL_NS, idle=True)


def test_a_session_of_countless_plans_is_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanned, "MOST_SPANS", 3)
    monkeypatch.setattr(scanned, "SPANS_A_NOTICE", 2)
    seen = Scanned()
    for seq in range(5):
        header = FrameHeader.unpack(frame_parts(seq, plan_id=seq)[0], max_payload_bytes=1 << 30)
        seen.receive(header, {})
        seen.leave_out(header)
    assert [len(notice.spans) for notice in seen.notices(7)] == [2, 2, 1]
    seen.begin_anew([], rebuilt=False)
    assert list(seen.notices(7)) == []
