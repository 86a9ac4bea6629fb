"""An engine that is slow, silent or gone: frames are answered all the same, and no dose is forgotten."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_operator_word import ScriptedEngine

from in_thread import FIELD, SHAPE, AcquireInThread, Peer, frame_parts, hello, plan_message
from operating import AtConsole
from running import wait_for
from scanmend.acquire import console_desk, engine_line
from scanmend.ipc import engine_link as link
from scanmend.ipc.console import AskDose, MapFile, Refused
from scanmend.wire.messages import Ack, End, Mode, Receipt, Welcome, encode

POINTS = SHAPE[0] * SHAPE[1]


@pytest.fixture
def acquire(tmp_path: Path) -> Iterator[AcquireInThread]:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def answer_all(engine: ScriptedEngine, answered: set[int]) -> int:
    """Have the engine answer what it got and has not answered; gives how many frames it has got."""
    for work in engine.heard(link.Work):
        if work.ticket not in answered:
            answered.add(work.ticket)
            engine.say(link.Done(ticket=work.ticket, session_id=7, seq=0, restored=False, superseded=True))
    return len(answered)


def test_an_exposure_is_of_the_frames_too_that_were_restored_too_late(acquire: AcquireInThread) -> None:
    engine, answered, frames = ScriptedEngine(acquire), set[int](), 14
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(mode=Mode.EXPOSURE, rescan="uniform", deadline_ms=50)))
        peer.hear(Welcome)
        engine.wait_to_hear(link.OpenSession)
        peer.say(plan_message())
        for seq in range(frames):
            peer.say(*frame_parts(seq))

        def account() -> Receipt:
            return acquire.status().sessions[0].account

        wait_for(lambda: account().passed_through == {"deadline": frames}, 5, "the frames are not late")
        slots = len(engine.heard(link.Work))
        assert slots < frames
        # What waits takes room, answered or not: the microscope must not run ahead of the engine.
        acks = []
        with contextlib.suppress(AssertionError):
            while True:
                acks.append(peer.hear(Ack, timeout_s=0.3))
        assert max(ack.credit_until for ack in acks) <= slots + 16
        peer.say(encode(End(session_id=7, count=frames)))
        time.sleep(0.2)
        assert not engine.heard(link.CloseSession)
        wait_for(lambda: answer_all(engine, answered) == frames, 5, "the engine did not get every frame")
        engine.wait_to_hear(link.CloseSession)
        assert isinstance(engine.said[-1], link.CloseSession) and not engine.heard(link.ScannedNotice)
        engine.say(link.SessionSummary(session_id=7, dose_e_per_nm2=14.0, dose_max_e_per_nm2=14.0))
        receipt: Receipt = peer.hear(Receipt)
    assert receipt.passed_through == {"deadline": frames} and receipt.balanced and receipt.dose_e_per_nm2 == 14.0
    engine.close()


def test_an_engine_that_was_only_slow_gets_the_whole_exposure(tmp_path: Path) -> None:
    frames = 12
    with AcquireInThread(tmp_path / "data", engine_timeout_s=0.2) as acquire, Peer(acquire.address) as peer:
        engine, answered = ScriptedEngine(acquire), set[int]()
        peer.say(encode(hello(mode=Mode.EXPOSURE)))
        peer.hear(Welcome)
        engine.wait_to_hear(link.OpenSession)
        peer.say(plan_message())
        for seq in range(frames):
            peer.say(*frame_parts(seq))
        wait_for(lambda: acquire.status().engine.state == "stuck", 5, "nobody noticed the silence")
        wait_for(lambda: answer_all(engine, answered) == frames, 5, "the engine did not get every frame")
        wait_for(lambda: acquire.status().engine.state == "ready", 5, "it still counts as stuck")
        account = acquire.status().sessions[0].account
        assert account.passed_through.keys() <= {"engine_down"} and account.gaps == 0
        engine.close()


def test_frames_of_an_engine_that_is_gone_are_answered_once(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(mode=Mode.EXPOSURE, deadline_ms=50)))
        peer.hear(Welcome)
        engine.wait_to_hear(link.OpenSession)
        peer.say(plan_message())
        for seq in range(12):
            peer.say(*frame_parts(seq))
        wait_for(lambda: acquire.status().sessions[0].account.passed_through == {"deadline": 12}, 5, "not late")
        engine.close()
        peer.say(encode(End(session_id=7, count=12)))
        receipt: Receipt = peer.hear(Receipt)
    assert receipt.passed_through == {"deadline": 12} and receipt.balanced
    assert receipt.dose_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(12 * POINTS * 1000))


def open_and_send(peer: Peer, engine: ScriptedEngine, name: str, session_id: int, frames: int) -> None:
    known = len(engine.heard(link.Work))
    peer.say(encode(hello(name, session_id)))
    peer.hear(Welcome)
    peer.say(plan_message(session_id))
    for seq in range(frames):
        peer.say(*frame_parts(seq, session_id=session_id))
    wait_for(lambda: len(engine.heard(link.Work)) == known + frames, 5, "the engine did not get the frames")


def restores_within(acquire: AcquireInThread, name: str, slow_s: float) -> None:
    """Have a session be one whose frames were restored in a tenth of this so far."""
    session = acquire.acquire._context.session_named(name)
    assert session is not None
    session.meters._slow_ns = int(slow_s * 1e9)


def test_an_engine_that_works_for_another_session_does_not_hang(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as large, Peer(acquire.address) as small:
        open_and_send(large, engine, "large", 7, 1)
        open_and_send(small, engine, "small", 8, 1)
        restores_within(acquire, "small", 0.2)
        time.sleep(0.8)  # all of it is the large one's
        assert acquire.status().engine.state == "ready"
        restores_within(acquire, "large", 0.2)
        wait_for(lambda: acquire.status().engine.state == "stuck", 5, "nobody noticed the silence")
    engine.close()


def test_a_frame_behind_others_of_its_session_is_not_given_up_while_they_are_restored(acquire: AcquireInThread) -> None:
    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        open_and_send(peer, engine, "s", 7, 4)
        restores_within(acquire, "s", 0.4)
        for work in engine.heard(link.Work)[:3]:
            time.sleep(0.3)
            engine.say(link.Done(ticket=work.ticket, session_id=7, seq=0, restored=False, superseded=True))
        time.sleep(0.1)
        assert acquire.status().engine.state == "ready"  # a second after the last one was given to it
        wait_for(lambda: acquire.status().engine.state == "stuck", 5, "nobody noticed the silence")
        assert acquire.status().sessions[0].account.passed_through == {"engine_down": 1}
    engine.close()


def plan_files(acquire: AcquireInThread) -> list[Path]:
    return list(acquire.acquire.run_dir.glob("plan-*"))


def test_an_engine_that_dies_leaves_no_files_of_plans(
    acquire: AcquireInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_line, "INLINE_BYTES", 1)
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(mode=Mode.EXPOSURE)))
        peer.hear(Welcome)
        peer.say(plan_message(plan_id=1))
        peer.say(plan_message(plan_id=2))
        for _ in range(2):
            engine = ScriptedEngine(acquire)
            wait_for(lambda told=engine: len(told.heard(link.PlanNotice)) == 2, 5, "the engine was not told the plans")
            assert {Path(notice.path) for notice in engine.heard(link.PlanNotice)} == set(plan_files(acquire))
            engine.close()
            wait_for(lambda: not plan_files(acquire), 5, "files of plans are left")


def test_a_plan_that_finds_no_room_costs_the_proposals_and_not_the_service(
    acquire: AcquireInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if not path.name.startswith("plan-"):
            return write(path, data)
        write(path, data[:8])
        raise OSError(errno.ENOSPC, "No space left on device")

    engine = ScriptedEngine(acquire)
    with Peer(acquire.address) as peer:
        peer.say(encode(hello(mode=Mode.EXPOSURE, rescan="uniform")))
        peer.hear(Welcome)
        engine.wait_to_hear(link.OpenSession)
        monkeypatch.setattr(engine_line, "INLINE_BYTES", 1)
        monkeypatch.setattr(Path, "write_bytes", full)
        peer.say(plan_message())
        assert engine.wait_to_hear(link.ScannedNotice).incomplete
        assert not engine.heard(link.PlanNotice) and not plan_files(acquire)
        wait_for(lambda: bool(acquire.status().problems), 5, "nobody is told")
        (problem,) = acquire.status().problems
        assert (problem.code, problem.session) == ("plan_lost", "s") and "No space left" in problem.text
        peer.say(*frame_parts(0))
        engine.wait_to_hear(link.Work)
    engine.close()


@pytest.mark.parametrize("together", [True, False])
def test_a_map_that_comes_late_neither_stays_nor_refuses_a_newer_question(
    acquire: AcquireInThread, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, run_dir = ScriptedEngine(acquire), acquire.acquire.run_dir
    with AtConsole(run_dir) as console, Peer(acquire.address) as peer:
        peer.say(encode(hello()))
        peer.hear(Welcome)
        engine.wait_to_hear(link.OpenSession)
        monkeypatch.setattr(console_desk, "PATIENCE_NS", 0)
        answer, _ = console.ask(AskDose(ask=5, session="s"))
        assert isinstance(answer, Refused)
        monkeypatch.setattr(console_desk, "PATIENCE_NS", 5_000_000_000)
        late, newer = run_dir / "dose-late", run_dir / "dose-newer"
        late.touch()
        newer.touch()

        def paint() -> None:
            wait_for(lambda: len(engine.heard(link.AskDose)) == 2, 5, "the engine was not asked")
            engine.say(link.DoseMade(session_id=7, ask=5, path=str(late)))
            time.sleep(0.0 if together else 0.3)
            engine.say(link.DoseMade(session_id=7, ask=6, path=str(newer)))

        painter = threading.Thread(target=paint)
        painter.start()
        answer, _ = console.ask(AskDose(ask=6, session="s"))
        painter.join(5)
        assert isinstance(answer, MapFile) and (answer.ask, answer.path) == (6, str(newer))
        assert newer.exists()
        wait_for(lambda: not late.exists(), 5, "a map that nobody asks for is left")
    engine.close()
