"""What the next engine is told of an exposure: each frame comes to it in exactly one way, or is said to be lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_operator_word import ScriptedEngine

from in_thread import FIELD, PLAN, SHAPE, AcquireInThread, Peer, frame_parts, hello, plan_message
from operating import AtConsole
from running import wait_for
from scanmend.engine.rebuild import rebuild
from scanmend.ipc import engine_link as link
from scanmend.record import JournalReader
from scanmend.record.disk import Buffer, Disk
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import Ack, End, Enough, EnoughCode, Mode, Nack, NackCode, Receipt, Welcome, encode

PART = SHAPE[0] * SHAPE[1] // 4


@pytest.fixture
def acquire(tmp_path: Path) -> Iterator[AcquireInThread]:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def opened(peer: Peer, *, record: bool) -> None:
    peer.say(encode(hello(mode=Mode.EXPOSURE, record=record)))
    peer.hear(Welcome)
    peer.say(plan_message())


def send_parts(peer: Peer, first: int, last: int) -> None:
    """Frames of a quarter of a pass each."""
    for seq in range(first, last):
        where = {"pass_index": seq // 4, "first_point": PART * (seq % 4), "points": PART}
        flags = FrameFlag.END_OF_PASS if seq % 4 == 3 else FrameFlag(0)
        peer.say(*frame_parts(seq, bytes(2 * PART), flags=flags, **where))


def wait_for_work(engine: ScriptedEngine, count: int) -> list[int]:
    """The numbers of the frames that an engine was given, once they are so many."""
    wait_for(lambda: len(engine.heard(link.Work)) >= count, 20, "the engine did not get the frames")
    return [FrameHeader.unpack(work.header, max_payload_bytes=1 << 30).seq for work in engine.heard(link.Work)]


def supersede(engine: ScriptedEngine, acquire: AcquireInThread, count: int) -> None:
    """Have the engine answer its first frames without a restoration."""
    before = acquire.status().sessions[0].account.dropped.get("superseded", 0)
    for work in engine.heard(link.Work)[:count]:
        engine.say(link.Done(ticket=work.ticket, session_id=7, seq=0, restored=False, superseded=True))
    dropped = {"superseded": before + count}
    wait_for(lambda: acquire.status().sessions[0].account.dropped == dropped, 20, "the answers did not come")


def restored(engine: ScriptedEngine, **more: float) -> link.Done:
    """The restoration of the first frame, by an engine that has written nothing but zeros."""
    nothing = xxh3(bytes(4 * SHAPE[0] * SHAPE[1]))
    return link.Done(
        ticket=engine.heard(link.Work)[0].ticket,
        session_id=7,
        seq=0,
        restored=True,
        ny=SHAPE[0],
        nx=SHAPE[1],
        has_sigma=True,
        estimate_xxh3=nothing,
        sigma_xxh3=nothing,
        frames_included=1,
        model="m",
        **more,
    )


def end(acquire: AcquireInThread, engine: ScriptedEngine) -> None:
    engine.close()
    wait_for(lambda: acquire.status().engine.state == "down", 20, "nobody noticed")


def next_engine(acquire: AcquireInThread, engine: ScriptedEngine) -> tuple[ScriptedEngine, link.OpenSession]:
    """Have an engine end and another one come; gives it, and what it is told of the session."""
    end(acquire, engine)
    second = ScriptedEngine(acquire)
    told: link.OpenSession = second.wait_to_hear(link.OpenSession)
    return second, told


@pytest.mark.parametrize("answered", [0, 2, 3])
def test_what_an_engine_had_taken_before_its_first_restoration_is_told_as_lost(
    acquire: AcquireInThread, answered: int
) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer, record=False)
        send_parts(peer, 0, 3)
        wait_for_work(engine, 3)
        if answered:
            supersede(engine, acquire, answered)
        second, told = next_engine(acquire, engine)
        assert (told.rebuild, told.journal, told.lost_frames) == (False, "", answered)
        assert wait_for_work(second, 3 - answered) == [0, 1, 2][answered:]
        second.close()


def test_what_passed_through_before_the_first_engine_came_is_told_as_lost(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer, record=False)
        send_parts(peer, 0, 2)
        passed = {"engine_down": 2}
        wait_for(lambda: acquire.status().sessions[0].account.passed_through == passed, 20, "they did not pass")
        engine = ScriptedEngine(acquire)
        assert engine.wait_to_hear(link.OpenSession).lost_frames == 2
        engine.close()


def test_a_recording_does_not_make_up_for_frames_that_went_with_a_service_before(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer, AtConsole(acquire.acquire.run_dir) as operator:
        peer.say(encode(hello(mode=Mode.EXPOSURE, held_from=4)))
        peer.hear(Welcome)
        peer.say(plan_message())
        assert operator.command("s", "record") == "sent"
        send_parts(peer, 4, 6)
        wait_for_work(engine, 2)
        supersede(engine, acquire, 2)
        second, told = next_engine(acquire, engine)
        assert (told.rebuild, told.lost_frames) == (False, 4)
        second.close()


def test_each_frame_is_in_the_rebuild_or_comes_as_work(acquire: AcquireInThread) -> None:
    """Also those that are recorded after the engine was told to rebuild, and before it gets there."""
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer, record=True)
        send_parts(peer, 0, 4)
        wait_for_work(engine, 4)
        supersede(engine, acquire, 3)
        second, told = next_engine(acquire, engine)
        assert told.rebuild and told.lost_frames == 0
        send_parts(peer, 4, 7)
        while peer.hear(Ack).durable_upto < 7:
            pass
        came = wait_for_work(second, 4)
        added: list[int] = []
        session = SimpleNamespace(plans={}, hello=told.hello, expose=lambda header, _: added.append(header.seq))
        found = rebuild(session, Path(told.journal), told.rebuild_skip, lambda: None)  # type: ignore[arg-type]
        assert (found.frames, found.problems) == (3, ())
        assert added + came == list(range(7))
        supersede(second, acquire, 4)
        second.close()


def test_who_waits_for_a_plan_that_no_engine_can_make_any_more_is_told_so(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(mode=Mode.EXPOSURE, record=False, rescan="uniform")))
        peer.hear(Welcome)
        peer.say(plan_message())
        peer.say(*frame_parts(0, flags=FrameFlag.END_OF_PASS))
        wait_for_work(engine, 1)
        engine.say(restored(engine))
        wait_for(lambda: acquire.status().sessions[0].account.restored_out == 1, 20, "the answer did not come")
        second, told = next_engine(acquire, engine)
        assert (told.lost_frames, told.propose) == (1, False)
        enough = peer.hear(Enough)
        assert enough.code == EnoughCode.FAILED and "no recording" in enough.reason and enough.passes == 1
        second.close()


def test_the_receipt_counts_frames_that_came_after_the_last_word_of_an_engine(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer, record=False)
        send_parts(peer, 0, 1)
        pixels = SHAPE[0] * SHAPE[1]
        wait_for_work(engine, 1)
        one_part = FIELD.dose_e_per_nm2(PART * PLAN.dwell_ns)
        assert one_part is not None
        engine.say(restored(engine, dose_e_per_nm2=one_part, dose_max_e_per_nm2=4 * one_part))
        wait_for(lambda: acquire.status().sessions[0].account.restored_out == 1, 20, "the answer did not come")
        end(acquire, engine)
        send_parts(peer, 1, 4)
        peer.say(encode(End(session_id=7, count=4)))
        receipt: Receipt = peer.hear(Receipt, 20)  # they wait for another engine first
        assert receipt.received == 4 and receipt.dose_e_per_nm2 == pytest.approx(4 * one_part)
        assert receipt.dose_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(pixels * PLAN.dwell_ns))
        assert receipt.dose_max_e_per_nm2 is None, "no engine has counted the pixel with the most"


class _FullDisk:
    """Takes the place of the disk's write until it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        write = Disk.write

        def take(disk: Disk, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(disk, fd, buffers, offset)

        monkeypatch.setattr(Disk, "write", take)


@pytest.mark.parametrize("answered", [1, 2])
def test_a_session_whose_disk_is_full_ends_although_its_engine_died(
    acquire: AcquireInThread, answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on the disk is rebuilt, unless an engine had more: then the exposure is lost."""
    disk, engine = _FullDisk(monkeypatch), ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        opened(peer, record=True)
        send_parts(peer, 0, 1)
        while peer.hear(Ack).durable_upto < 1:
            pass
        disk.full = True
        send_parts(peer, 1, 2)
        assert peer.hear(Nack).code == NackCode.RECORDING_FAILED
        wait_for_work(engine, 2)
        supersede(engine, acquire, answered)
        second, told = next_engine(acquire, engine)
        if answered == 1:
            assert (told.rebuild, told.lost_frames, told.rebuild_skip.seqs) == (True, 0, [1])
            with JournalReader(Path(told.journal)) as reader:
                assert reader.place.next_index == told.rebuild_skip.from_index
            assert wait_for_work(second, 1) == [1]
            supersede(second, acquire, 1)
        else:
            assert (told.rebuild, told.lost_frames) == (False, 2)
        peer.say(encode(End(session_id=7, count=2)))
        second.wait_to_hear(link.CloseSession)
        second.say(link.SessionSummary(session_id=7, dose_e_per_nm2=1.0, dose_max_e_per_nm2=1.0))
        receipt: Receipt = peer.hear(Receipt)
        assert (receipt.received, receipt.durable, receipt.rejected) == (2, 1, {"recording_failed": 1})
        assert receipt.balanced
        second.close()
