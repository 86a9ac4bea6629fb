"""Taking up the sessions that were cut off, when acquire starts: however many frames they have, whatever lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from in_thread import AcquireInThread, frame_parts, hello, plan_message
from scanmend.ipc import HeartbeatBoard
from scanmend.record import EntryKind, JournalReader, create_journal
from scanmend.wire.messages import encode


def cut_off(data_dir: Path, frames: int) -> None:
    """The recording of a session that has no receipt."""
    journal = create_journal(data_dir, "s", 7)
    journal.append(EntryKind.SESSION, 0, [encode(hello(record=True))])
    journal.append(EntryKind.PLAN, 1, [plan_message()])
    for seq in range(frames):
        journal.append(EntryKind.FRAME, seq, list(frame_parts(seq)))
    journal.close()


def test_a_long_journal_is_read_with_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor ends a process that is not heard in time, and would end each that takes up this session."""
    cut_off(tmp_path, 200)
    beats: list[str] = []
    monkeypatch.setattr(HeartbeatBoard, "beat", lambda board, name: beats.append(name))
    monkeypatch.setattr(AcquireInThread, "_run", lambda thread: None)  # not one of the main loop's
    with AcquireInThread(tmp_path) as acquire:
        assert acquire.status().sessions[0].account.received == 200
        assert beats.count("acquire") >= 200


def test_a_folder_that_cannot_be_a_session_is_reported_and_left_alone(tmp_path: Path) -> None:
    cut_off(tmp_path, 3)
    odd = tmp_path / "sessions" / "s (copy)"
    odd.mkdir()
    for path in (tmp_path / "sessions" / "s").glob("journal-*"):
        (odd / path.name).write_bytes(path.read_bytes())
    with AcquireInThread(tmp_path) as acquire:
        status = acquire.status()
        assert [session.hello.session for session in status.sessions] == ["s"]
        (problem,) = [problem for problem in status.problems if problem.code == "not_resumed"]
        assert problem.session == "s (copy)" and "cannot be the name of a session" in problem.text and problem.mend
        acquire.acquire._context.sessions.popitem()[1].journal.close()
    with JournalReader(odd) as reader:
        assert len(list(reader.entries())) == 5
