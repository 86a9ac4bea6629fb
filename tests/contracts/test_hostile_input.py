"""Input that is in order by its form and yet must not stop, fill or block the service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from in_thread import FIELD, AcquireInThread, Peer, frame_parts, hello, plan_message
from scanmend.field import Field
from scanmend.plan import Points, ScanPlan
from scanmend.wire.messages import Ack, Delivery, End, Mode, Nack, Receipt, Refuse, Welcome, encode


@pytest.fixture
def acquire(tmp_path: Path) -> Any:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def opened(peer: Peer, **changes: Any) -> Welcome:
    peer.say(encode(hello(**changes)))
    welcome: Welcome = peer.hear(Welcome)
    peer.say(plan_message())
    return welcome


def rings(acquire: AcquireInThread) -> int:
    return len(list(acquire.acquire.run_dir.glob("ring-*")))


END_BEYOND = msgspec.msgpack.encode(
    {"type": "END", "session_id": 7, "count": (1 << 64) - 1, "dropped": (1 << 64) - 1, "checksum": 0}
)


@pytest.mark.parametrize(
    "words",
    [
        msgspec.msgpack.encode({"type": "A" * 40_000}),
        msgspec.msgpack.encode({"type": "END", "session_id": 7, "count": "B" * 40_000}),
        msgspec.msgpack.encode({"session_id": 7, "type": "PLAN", "plan": {"pattern": {"kind": "C" * 40_000}}}),
        END_BEYOND,
    ],
    ids=["a long type", "a long number", "a long pattern", "counts beyond 63 bits"],
)
def test_a_message_that_cannot_be_answered_at_length_is_answered_in_short(
    acquire: AcquireInThread, words: bytes
) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(words)
        nack: Nack = peer.hear(Nack)
        assert nack.code == "malformed" and 0 < len(nack.reason) < 2000
        peer.say(*frame_parts())
        while peer.hear(Ack).received_upto != 1:
            pass


def test_a_hello_whose_refusal_repeats_a_long_text_is_refused_in_short(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(restore_channel="A" * 15_000)))
        assert peer.hear(Refuse).code == "channels"
        assert all(len(problem.text) < 2000 for problem in acquire.status().problems)


def test_counts_that_no_receipt_could_hold_do_not_reach_one(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        most = (1 << 63) - 1
        peer.say(encode(End(session_id=7, count=most, dropped=most)))
        nack = peer.hear(Nack)
        assert nack.code == "malformed" and nack.session_id == 7 and "count" in nack.reason
        peer.say(encode(End(session_id=7, count=0)))
        assert peer.hear(Receipt).balanced


def test_a_field_that_shared_memory_cannot_hold_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data", shared_bytes=64 << 20) as acquire, Peer(acquire.address) as peer:
        peer.say(encode(hello(field=Field(shape=(4096, 4096), pixel_size_nm=1.0))))
        refuse: Refuse = peer.hear(Refuse)
        assert (refuse.code, bool(refuse.mend)) == ("field", True) and "64 MiB" in refuse.reason
        assert rings(acquire) == 0
        opened(peer)


def test_sessions_together_stay_within_the_shared_memory(tmp_path: Path) -> None:
    field = Field(shape=(512, 512), pixel_size_nm=1.0)
    with AcquireInThread(tmp_path / "data", shared_bytes=40 << 20) as acquire, Peer(acquire.address) as peer:
        opened(peer, field=field)
        peer.say(encode(hello("t", 8, field=field)))
        assert peer.hear(Refuse).code == "field"
        peer.say(encode(End(session_id=7, count=0)))
        peer.hear(Receipt)
        peer.say(encode(hello("t", 8, field=field)))
        peer.hear(Welcome)


def test_a_recording_that_cannot_be_begun_leaves_no_rings_behind(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        (tmp_path / "data" / "sessions" / "s").write_text("a file where the folder should be")
        for _ in range(3):
            peer.say(encode(hello(record=True)))
            assert peer.hear(Refuse).code == "recording"
        assert rings(acquire) == 0


def test_a_data_folder_that_is_gone_is_said_and_stops_nothing(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        shutil.rmtree(tmp_path / "data")
        assert acquire.status().disk_free_bytes == 0
        peer.say(encode(hello(record=True)))
        assert peer.hear(Refuse).code == "recording"
        opened(peer)


def test_frames_of_a_plan_that_was_refused_are_rejected(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(plan_message(plan_id=3, plan=ScanPlan.raster((16, 16), 1000)))
        assert peer.hear(Nack).plan_id == 3
        peer.say(*frame_parts(plan_id=3))
        nack = peer.hear(Nack)
        assert (nack.code, nack.seq) == ("bad_plan", 0)
        peer.say(encode(End(session_id=7, count=1)))
        receipt = peer.hear(Receipt)
        assert receipt.rejected == {"bad_plan": 1} and receipt.balanced


def test_a_frame_above_the_service_limit_is_rejected_and_counted(tmp_path: Path) -> None:
    points = 40_000
    with AcquireInThread(tmp_path / "data", max_frame_bytes=65_536) as acquire, Peer(acquire.address) as peer:
        opened(peer)
        peer.say(plan_message(plan_id=2, plan=ScanPlan.of(FIELD.shape, Points(xy=bytes(8 * points)), 1000)))
        peer.say(*frame_parts(payload=bytes(2 * points), plan_id=2, points=points))
        nack = peer.hear(Nack)
        assert (nack.code, nack.seq, nack.session_id) == ("oversize", 0, 7)
        peer.say(encode(End(session_id=7, count=1)))
        assert peer.hear(Receipt).rejected == {"oversize": 1}


def test_a_plan_larger_than_the_recording_queue_is_refused(tmp_path: Path) -> None:
    small: dict[str, Any] = {"queue_bytes": 1 << 20, "max_frame_bytes": 1 << 19}
    with AcquireInThread(tmp_path / "data", **small) as acquire, Peer(acquire.address) as peer:
        opened(peer, record=True)
        peer.say(plan_message(plan_id=2, plan=ScanPlan.of(FIELD.shape, Points(xy=bytes(8 * 200_000)), 1000)))
        nack = peer.hear(Nack)
        assert (nack.code, nack.plan_id) == ("bad_plan", 2)
        peer.say(*frame_parts())
        while peer.hear(Ack).received_upto != 1:
            pass


def test_what_the_client_has_forgotten_does_not_hold_its_credit(tmp_path: Path) -> None:
    asked = {"record": True, "delivery": Delivery.RECEIVED}
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        opened(peer, **asked)
        peer.say(*frame_parts())
        peer.say(encode(hello(held_from=300, **asked)))  # as after a crash that cost 299 frames
        welcome = peer.hear(Welcome)
        assert welcome.resume_from == 300 and welcome.credit_until > 300
        peer.say(*frame_parts(seq=300))
        while peer.hear(Ack).durable_upto != 301:
            pass
        peer.say(encode(End(session_id=7, count=301)))
        receipt = peer.hear(Receipt, timeout_s=3.0)  # nobody waits for frames that cannot come
        assert (receipt.gaps, receipt.missing, receipt.durable) == (299, [(1, 300)], 2)
        assert receipt.balanced and not receipt.checksum_matches


def test_a_frame_that_comes_after_the_last_word_does_not_keep_a_session_from_its_end(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        opened(peer)
        peer.say(encode(End(session_id=7, count=1)))
        session = acquire.acquire._context.sessions[7]  # noqa: SLF001
        session.summary_asked, session.summary_known = True, False
        peer.say(*frame_parts())
        assert peer.hear(Nack).code == "ended"
        session.summary_known = True
        assert peer.hear(Receipt, timeout_s=8.0).gaps == 1


def left_behind(folder: Path, copy: Path, **changes: Any) -> None:
    """Recordings as a killed service leaves them: a session with a durable frame and no receipt."""
    with AcquireInThread(folder) as acquire, Peer(acquire.address) as peer:
        opened(peer, record=True, **changes)
        peer.say(*frame_parts())
        while peer.hear(Ack).durable_upto != 1:
            pass
        shutil.copytree(folder, copy)


def test_a_session_for_which_no_shared_memory_is_left_stops_no_start(tmp_path: Path) -> None:
    left_behind(tmp_path / "data", tmp_path / "copy", field=Field(shape=(32, 65_536), pixel_size_nm=1.0))
    with AcquireInThread(tmp_path / "copy", shared_bytes=1 << 20) as acquire:
        assert [problem.code for problem in acquire.status().problems] == ["not_resumed"]


@pytest.mark.parametrize("rescan", ["uncertainty", None])
def test_a_proposal_that_a_killed_service_owed_is_remembered(tmp_path: Path, rescan: str | None) -> None:
    left_behind(tmp_path / "data", tmp_path / "copy", mode=Mode.EXPOSURE, rescan=rescan)
    with AcquireInThread(tmp_path / "copy") as acquire, Peer(acquire.address) as peer:
        session = acquire.acquire._context.sessions[7]  # noqa: SLF001
        assert session.proposal_owed == (rescan is not None)
        opened(peer, record=True, mode=Mode.EXPOSURE, rescan=rescan)
        peer.say(*frame_parts(seq=1))
        while peer.hear(Ack).durable_upto != 2:
            pass
        assert not session.proposal_owed
