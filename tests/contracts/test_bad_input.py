"""What bad input gets: a clear answer that names the mend, counted, and the next good frame goes through."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from in_thread import FIELD, AcquireInThread, Peer, frame_parts, hello, plan_message
from scanmend.errors import PortInUse
from scanmend.field import Channel, Field
from scanmend.plan import Points, ScanPlan
from scanmend.wire.header import xxh3
from scanmend.wire.messages import Ack, Delivery, End, Executed, ExecutedStatus, Nack, Receipt, Refuse, Welcome, encode


@pytest.fixture
def acquire(tmp_path: Path) -> Any:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def opened(peer: Peer, **changes: Any) -> Welcome:
    peer.say(encode(hello(**changes)))
    welcome: Welcome = peer.hear(Welcome)
    peer.say(plan_message())
    return welcome


def map_of(message: Any, **changes: Any) -> bytes:
    """A message as a plain map with changes that its class would not allow."""
    plain = msgspec.msgpack.decode(encode(message))
    return msgspec.msgpack.encode({**plain, **changes})


REFUSED: list[tuple[str, bytes, str]] = [
    ("another version", map_of(hello(), version=2), "version"),
    ("no field", msgspec.msgpack.encode({"type": "HELLO", "session": "a", "session_id": 7}), "malformed"),
    ("a field without pixels", map_of(hello(), field={"shape": [0, 8], "pixel_size_nm": 1.0}), "malformed"),
    (
        "a field beyond all bounds",
        map_of(hello(), field={"shape": [1 << 31, 1 << 31], "pixel_size_nm": 1.0}),
        "malformed",
    ),
    ("a field beyond the memory", encode(hello(field=Field(shape=(16384, 16384), pixel_size_nm=1.0))), "field"),
    ("no channel", map_of(hello(), channels=[]), "malformed"),
    ("a channel of pickles", map_of(hello(), channels=[{"name": "x", "dtype": "object"}]), "malformed"),
    ("a name with a way out", encode(hello(name="../../etc")), "session_name"),
    ("a name with dots inside", encode(hello(name="a..b")), "session_name"),
    ("session id 0", encode(hello(session_id=0)), "malformed"),
    ("the same channel twice", encode(hello(channels=(Channel(name="A"), Channel(name="A")))), "channels"),
    ("mixed sample types", encode(hello(channels=(Channel(name="A"), Channel(name="B", dtype="uint8")))), "channels"),
    ("no such channel to restore", encode(hello(restore_channel="BF")), "channels"),
    ("durable without recording", encode(hello(delivery=Delivery.DURABLE)), "recording"),
    ("no such policy", encode(hello(rescan="magic", mode="exposure")), "policy"),
    (
        "a budget without a beam current",
        encode(hello(field=Field(shape=FIELD.shape, pixel_size_nm=1.0), dose_budget_e_per_nm2=5.0)),
        "budget",
    ),
    ("a negative budget", encode(hello(dose_budget_e_per_nm2=-1.0)), "budget"),
]


@pytest.mark.parametrize(("words", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_hello_that_cannot_be_met_is_refused_with_its_mend(acquire: AcquireInThread, words: bytes, code: str) -> None:
    with Peer(acquire.address) as peer:
        peer.say(words)
        refuse: Refuse = peer.hear(Refuse)
        assert (refuse.code, bool(refuse.reason), bool(refuse.mend)) == (code, True, True)
        assert acquire.status().refused == {code: 1}
        opened(peer)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def with_version(header: bytes, version: int) -> bytes:
    packed = header[:4] + bytes([version]) + header[5:-4]
    return packed + (xxh3(packed) & 0xFFFFFFFF).to_bytes(4, "little")


HEADER, PAYLOAD = frame_parts()
BAD_FRAMES: list[tuple[str, tuple[bytes, ...], str]] = [
    ("samples damaged on the way", (HEADER, flipped(PAYLOAD, 100)), "checksum"),
    ("header damaged on the way", (flipped(HEADER, 20), PAYLOAD), "malformed"),
    ("another version", (with_version(HEADER, 9), PAYLOAD), "version"),
    ("fewer samples than the header says", (HEADER, PAYLOAD[:-2]), "malformed"),
    ("another sample type", frame_parts(dtype="int16"), "dtype"),
    ("another number of channels", frame_parts(channels=2, points=512), "dtype"),
    ("a plan that was not sent", frame_parts(plan_id=99), "unknown_plan"),
    ("points beyond the plan", frame_parts(first_point=5), "beyond_plan"),
    ("a session that is not there", frame_parts(session_id=8), "no_session"),
    ("beyond the credit", frame_parts(seq=1000), "credit"),
    ("far beyond any credit", frame_parts(seq=1 << 60), "credit"),
    ("two parts of rubbish", (b"rub", b"bish"), "malformed"),
    ("one part of rubbish", (b"\x93rubbish",), "malformed"),
    ("five parts", (b"1", b"2", b"3", b"4", b"5"), "malformed"),
    ("an empty part", (b"",), "malformed"),
    (
        "a message of the service",
        (encode(Ack(session_id=7, received_upto=0, durable_upto=0, credit_until=9)),),
        "malformed",
    ),
]


@pytest.mark.parametrize(("parts", "code"), [case[1:] for case in BAD_FRAMES], ids=[case[0] for case in BAD_FRAMES])
def test_a_bad_frame_is_answered_and_counted_and_the_next_good_one_taken(
    acquire: AcquireInThread, parts: tuple[bytes, ...], code: str
) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(*parts)
        nack: Nack = peer.hear(Nack)
        assert (nack.code, bool(nack.reason), bool(nack.mend)) == (code, True, True)
        rejected = code in ("dtype", "beyond_plan")
        good = 1 if rejected else 0
        peer.say(*frame_parts(seq=good))
        while peer.hear(Ack).received_upto != good + 1:
            pass
        peer.say(encode(End(session_id=7, count=good + 1)))
        receipt: Receipt = peer.hear(Receipt)
        assert receipt.balanced
        assert receipt.rejected == ({code: 1} if rejected else {})
        assert receipt.damaged == (code == "checksum")


def test_a_frame_larger_than_the_session_allows_is_rejected(acquire: AcquireInThread) -> None:
    points = 40_000
    plan = ScanPlan.of(FIELD.shape, Points(xy=bytes(8 * points)), 1000)
    with Peer(acquire.address) as peer:
        assert opened(peer).max_frame_bytes == 65_536
        peer.say(plan_message(plan_id=2, plan=plan))
        peer.say(*frame_parts(payload=bytes(2 * points), plan_id=2, points=points))
        nack = peer.hear(Nack)
        assert nack.code == "oversize" and "max_frame_bytes" in nack.mend


def test_the_same_number_with_other_samples_is_a_conflict_and_the_first_is_kept(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(*frame_parts())
        peer.say(*frame_parts())
        peer.say(*frame_parts(payload=b"\1" * len(PAYLOAD)))
        assert peer.hear(Nack).code == "conflict"
        end = End(session_id=7, count=1, checksum=xxh3(xxh3(PAYLOAD).to_bytes(8, "little")))
        peer.say(encode(end))
        receipt = peer.hear(Receipt)
        assert (receipt.conflicts, receipt.duplicates, receipt.received) == (1, 1, 1)
        assert receipt.checksum_matches and receipt.balanced


def bad_plan(**changes: Any) -> bytes:
    plain = msgspec.msgpack.decode(plan_message(plan_id=3))
    plain["plan"].update(changes)
    return msgspec.msgpack.encode(plain)


@pytest.mark.parametrize(
    "words",
    [
        bad_plan(pattern={"kind": "points", "xy": (99).to_bytes(4, "little") * 2}),
        bad_plan(pattern={"kind": "raster", "top": 30, "height": 9}),
        bad_plan(pattern={"kind": "mask", "bits": b"\xff"}),
        bad_plan(pattern={"kind": "spiral", "pitch_px": 1e-9}),
        bad_plan(pattern={"kind": "random", "count": 1 << 30}),
        bad_plan(shape=[16, 16]),
        bad_plan(dwell_ns=0),
        bad_plan(dwell_list=b"1234"),
    ],
    ids=["points outside", "rectangle outside", "short mask", "endless", "too many", "shape", "no dwell", "dwell list"],
)
def test_a_plan_that_cannot_be_run_is_not_taken(acquire: AcquireInThread, words: bytes) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(words)
        nack = peer.hear(Nack)
        assert (nack.code, nack.plan_id, bool(nack.mend)) == ("bad_plan", 3, True)


def test_a_plan_id_is_not_used_twice(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(plan_message())
        peer.say(plan_message(plan=ScanPlan.raster(FIELD.shape, 5)))
        assert peer.hear(Nack).code == "bad_plan"


def test_a_second_session_of_the_same_name_is_refused_while_the_first_goes_on(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as first, Peer(acquire.address) as second:
        opened(first)
        second.say(encode(hello(session_id=8)))
        refuse = second.hear(Refuse)
        assert refuse.code == "session_exists" and "another name" in refuse.mend
        first.say(*frame_parts())
        assert first.hear(Ack).received_upto in (0, 1)


def test_an_answer_to_a_proposal_that_is_not_open_is_told_so(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(encode(Executed(session_id=7, proposal_id=5, status=ExecutedStatus.DECLINED)))
        nack = peer.hear(Nack)
        assert (nack.code, nack.proposal_id) == ("unknown_proposal", 5)


def test_a_folder_that_cannot_be_written_is_a_problem_and_refuses_recording(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with AcquireInThread(blocked) as acquire, Peer(acquire.address) as peer:
        codes = [problem.code for problem in acquire.status().problems]
        assert codes == ["recordings_unusable"]
        peer.say(encode(hello(record=True)))
        refuse = peer.hear(Refuse)
        assert refuse.code == "recording" and refuse.mend
        opened(peer)


def test_a_disk_without_room_refuses_recording(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data", free_bytes=1 << 60) as acquire, Peer(acquire.address) as peer:
        peer.say(encode(hello(record=True)))
        refuse = peer.hear(Refuse)
        assert refuse.code == "recording" and "MiB free" in refuse.reason and "--data-dir" in refuse.mend


def test_a_port_in_use_names_the_mend(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(PortInUse, match="choose another port with --port"):
            with AcquireInThread(tmp_path / "data", port=taken):
                raise AssertionError("it must not start")


def test_a_recorded_name_is_not_used_again_and_its_folder_is_private(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        opened(peer, record=True)
        peer.say(*frame_parts())
        peer.say(encode(End(session_id=7, count=1)))
        assert peer.hear(Receipt).durable == 1
        peer.say(encode(hello(session_id=8, record=True)))
        assert peer.hear(Refuse).code == "session_ended"
        folder = tmp_path / "data" / "sessions" / "s"
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        receipt = msgspec.json.decode((folder / "receipt.json").read_bytes(), type=Receipt)
        assert receipt.balanced and receipt.durable == 1


def test_frames_lost_at_the_very_end_are_asked_for(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(*frame_parts(seq=0))
        peer.say(encode(End(session_id=7, count=3)))
        while (ack := peer.hear(Ack)).holes != [(1, 3)]:
            pass
        assert ack.received_upto == 1
        peer.say(*frame_parts(seq=1))
        peer.say(*frame_parts(seq=2))
        receipt = peer.hear(Receipt)
        assert (receipt.received, receipt.gaps, receipt.balanced) == (3, 0, True)
