"""A recording that was cut off gets the receipt that the service would have written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from recordings import BEGAN_NS, FIELD, PLAN, begin, record
from scanmend.errors import DamagedRecording, InvalidInput, RecordingError, RecordingNotWritable, ScanmendError
from scanmend.ipc import RunDir
from scanmend.record import RECEIPT_NAME, EntryKind, scan
from scanmend.sessions import Catalogue, folders, services_on
from scanmend.sessions.recovery import close_session
from scanmend.settings import Settings
from scanmend.wire.messages import decode_service, encode


def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir)


def cut_off(data_dir: Path, name: str = "cut") -> Path:
    """As a kill leaves it: no seal, zeros to the segment's end, and half an entry."""
    path = record(data_dir, name, (0, 1, 2, 5), ended=False)
    segment = path / "journal-000000.smj"
    data = segment.read_bytes()
    assert data[-64:-60] == b"SMJE"  # the seal
    segment.write_bytes(data[:-64] + b"SMJE\x01\x03half an entry" + bytes(10_000))
    return path


def test_a_cut_off_session_is_closed_with_what_it_has(tmp_path: Path) -> None:
    path = cut_off(tmp_path)
    receipt = close_session(settings(tmp_path), "cut")
    assert (receipt.reason, receipt.balanced, receipt.checksum_matches) == ("recovered", True, False)
    assert (receipt.count, receipt.received, receipt.durable, receipt.gaps) == (6, 4, 4, 2)
    assert receipt.missing == [(3, 5)] and receipt.dropped == {"service_restarted": 4}
    assert receipt.dose_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(4 * PLAN.total_dwell_ns))
    assert receipt.dose_max_e_per_nm2 == pytest.approx(receipt.dose_e_per_nm2)
    assert json.loads((path / RECEIPT_NAME).read_bytes())["reason"] == "recovered"
    with scan(path) as journal:
        (inside,) = [decode_service(journal.body(e)[0]) for e in journal if e.kind is EntryKind.RECEIPT]
        assert journal.report.tail.closed and journal.report.entries_lost == 0
    assert inside == receipt
    with Catalogue(tmp_path) as catalogue:
        session = catalogue.find("cut")
    assert (session.state, session.start_unix_ns) == ("ended", BEGAN_NS)
    with pytest.raises(InvalidInput, match="has its receipt"):
        close_session(settings(tmp_path), "cut")


def test_a_whole_session_without_gaps_matches_its_checksum(tmp_path: Path) -> None:
    record(tmp_path, "whole", range(4), ended=False)
    receipt = close_session(settings(tmp_path), "whole")
    assert receipt.balanced and receipt.checksum_matches and receipt.gaps == 0


def test_a_receipt_that_only_the_journal_has_is_put_beside_it(tmp_path: Path) -> None:
    path = record(tmp_path, "nearly")
    written = (path / RECEIPT_NAME).read_bytes()
    (path / RECEIPT_NAME).unlink()
    before = sorted(os.listdir(path))
    assert close_session(settings(tmp_path), "nearly").reason == "finished"
    assert (path / RECEIPT_NAME).read_bytes() == written
    assert sorted(os.listdir(path)) == sorted([*before, RECEIPT_NAME])


def test_a_session_that_is_written_is_not_closed(tmp_path: Path) -> None:
    recorded = begin(tmp_path, "open")
    recorded.send(0)
    recorded.journal.flush()
    with pytest.raises(RecordingNotWritable, match="Another writer"):
        close_session(settings(tmp_path), "open")
    receipt = recorded.receipt()
    recorded.journal.append(EntryKind.RECEIPT, 1, [encode(receipt)])
    recorded.journal.flush()
    with pytest.raises(RecordingNotWritable, match="Another writer"):
        close_session(settings(tmp_path), "open")
    recorded.journal.close()
    assert not (recorded.path / RECEIPT_NAME).exists()


def test_nothing_is_closed_while_a_service_runs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / "data"
    cut_off(data_dir)
    monkeypatch.setattr(folders, "default_base", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    with RunDir.create(tmp_path) as run_dir:
        assert services_on(data_dir) == []  # it has not written its settings yet
        (run_dir.path / "settings.json").write_text(Settings(data_dir=Path("data")).model_dump_json())
        assert services_on(data_dir) == [os.getpid()], "its folder is relative to where it was started"
        assert services_on(tmp_path / "other") == []
        with pytest.raises(RecordingError, match="A service .* runs on"):
            close_session(settings(data_dir), "cut")
        owner = json.loads((run_dir.path / "owner").read_bytes())
        (run_dir.path / "owner").write_text(json.dumps(owner | {"start_ticks": 1}))
        assert services_on(data_dir) == [], "the number of a dead one, given to another process"
        (run_dir.path / "owner").write_text("[")
        assert services_on(data_dir) == []
    assert close_session(settings(data_dir), "cut").balanced


def test_a_recording_of_nobody_is_not_closed(tmp_path: Path) -> None:
    path = cut_off(tmp_path, "nobody")
    segment = path / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    data[4096:4160] = bytes(64)
    segment.write_bytes(data)
    with pytest.raises(DamagedRecording, match="opening"):
        close_session(settings(tmp_path), "nobody")
    cut_off(tmp_path, "before").rename(tmp_path / "sessions" / "after")
    with pytest.raises(RecordingError, match="holds session before"):
        close_session(settings(tmp_path), "after")


@pytest.mark.parametrize("name", ["cat", "..", "a/b"])
def test_unknown_names_are_refused(tmp_path: Path, name: str) -> None:
    cut_off(tmp_path)
    with pytest.raises(ScanmendError) as raised:
        close_session(settings(tmp_path), name)
    assert raised.value.mend


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cut_off(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RecordingError):
        close_session(settings(tmp_path), "cut")
    assert not (path / RECEIPT_NAME).exists()
    monkeypatch.undo()
    assert close_session(settings(tmp_path), "cut").durable == 4


def test_locks_are_read_as_the_kernel_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "1: POSIX  ADVISORY  READ 19134 fe:00:16039974 128 128\n"
        "2: FLOCK  ADVISORY  WRITE 19887 fe:00:2482839 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE -1 00:2f:77 0 EOF\n"
        "3: -> FLOCK  ADVISORY  WRITE 5 00:2f:78 0 EOF\n"
    )
    monkeypatch.setattr(folders, "Path", lambda _: SimpleNamespace(read_text=lambda: text))
    assert folders.held_inodes() == {2482839, 77}
