"""The catalogue says how every session stands, reads again only what changed, and can always be made anew."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from recordings import BEGAN_NS, FIELD, PLAN, begin, record
from scanmend.errors import RecordingError
from scanmend.sessions import Catalogue, SessionState, SessionSummary, add_note, catalogue, change_tags


def listed(data_dir: Path, **options: bool) -> tuple[dict[str, SessionSummary], Catalogue]:
    with Catalogue(data_dir, **options) as found:
        return {session.name: session for session in found.refresh()}, found


def test_a_session_that_ended_is_known_in_full(tmp_path: Path) -> None:
    path = record(tmp_path, "gold", range(7), model="auto", dose_budget_e_per_nm2=500.0)
    session = listed(tmp_path)[0]["gold"]
    dose = FIELD.dose_e_per_nm2(7 * PLAN.total_dwell_ns)
    assert (session.state, session.ended, session.reason, session.balanced) == ("ended", True, "finished", True)
    assert (session.start_unix_ns, session.client, session.channels) == (BEGAN_NS, "test bench", ("SE",))
    assert (session.width_px, session.height_px, session.width_nm) == (16, 16, 32.0)
    assert (session.beam_current_pa, session.beam_energy_kev, session.mode) == (10.0, 200.0, "frames")
    assert (session.frames, session.frames_received, session.frames_durable, session.frames_on_disk) == (7, 7, 7, 7)
    assert (session.gaps, session.rejected, session.passes, session.misses) == (0, 0, 7, ())
    assert (session.dose_e_per_nm2, session.dose_max_e_per_nm2, session.budget_e_per_nm2) == (dose, dose, 500.0)
    assert (session.model_asked, session.models) == ("auto", ("pushpull",))
    assert session.payload_bytes == 7 * 512
    assert session.size_bytes == sum(file.stat().st_blocks * 512 for file in path.iterdir())
    assert session.end_unix_ns is not None and session.end_unix_ns == session.last_unix_ns


def test_every_state_is_told_with_what_it_misses(tmp_path: Path) -> None:
    record(tmp_path, "ended")
    record(tmp_path, "with-gaps", (0, 1, 4))
    record(tmp_path, "cut-off", (0, 2), ended=False)
    damaged = record(tmp_path, "damaged", range(20))
    data = bytearray((damaged / "journal-000000.smj").read_bytes())
    at = data.index(b"SMJE", data.index(b"SMFR") + 4)
    data[at : at + 64] = bytes(64)
    (damaged / "journal-000000.smj").write_bytes(data)
    unreadable = record(tmp_path, "bad-receipt")
    (unreadable / "receipt.json").write_text("{}")
    short = record(tmp_path, "no-journal")
    (short / "journal-000000.smj").unlink()
    (tmp_path / "sessions" / "empty").mkdir()
    writing = begin(tmp_path, "open")
    writing.send(0)
    writing.send(1)
    writing.journal.flush()
    try:
        sessions, _ = listed(tmp_path)
    finally:
        writing.journal.close()
    found = {name: (session.state.value, session.misses) for name, session in sessions.items()}
    gaps = "It was not ended: it has no receipt."
    assert found == {
        "ended": ("ended", ()),
        "with-gaps": ("ended", ("2 frames never came: 2–3.",)),
        "cut-off": ("unfinished", (gaps, "1 frame never came: 1.")),
        "damaged": ("damaged", ("1 entry of the journal cannot be found.", "1 frame of 20 durable ones are gone.")),
        "bad-receipt": ("damaged", (found["bad-receipt"][1][0],)),
        "no-journal": ("damaged", ("There is no journal.",)),
        "empty": ("damaged", ("There is no journal.", gaps)),
        "open": ("open", ()),
    }
    assert "receipt.json cannot be read" in found["bad-receipt"][1][0]
    assert sessions["bad-receipt"].frames_durable == 5, "the journal holds the same account"
    assert sessions["open"].frames_on_disk == 2 and sessions["open"].end_unix_ns is None
    assert sessions["cut-off"].dose_e_per_nm2 == FIELD.dose_e_per_nm2(2 * PLAN.total_dwell_ns)


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        record(tmp_path, name)
    assert listed(tmp_path)[1].read_again == 3
    assert listed(tmp_path)[1].read_again == 0
    change_tags(tmp_path, "b", add=("x",))
    sessions, again = listed(tmp_path)
    assert again.read_again == 1 and sessions["b"].tags == ("x",)
    (tmp_path / "sessions" / "a.nxs").write_bytes(b"")
    sessions, again = listed(tmp_path)
    assert again.read_again == 1 and sessions["a"].exports == (str(tmp_path / "sessions" / "a.nxs"),)
    (tmp_path / "sessions" / "c").rename(tmp_path / "sessions" / "d")
    sessions, again = listed(tmp_path)
    assert (again.read_again, sorted(sessions)) == (1, ["a", "b", "d"])
    with sqlite3.connect(tmp_path / "sessions.sqlite") as db:
        assert [row[0] for row in db.execute("SELECT name FROM sessions ORDER BY name")] == ["a", "b", "d"]
    db.close()


def test_an_open_session_is_followed_until_it_ends(tmp_path: Path) -> None:
    recorded = begin(tmp_path, "live")
    for seq in range(300):
        recorded.send(seq)
        if seq % 100 == 50:
            recorded.journal.flush()
            session = listed(tmp_path)[0]["live"]
            assert (session.state, session.frames_on_disk) == ("open", seq + 1)
    recorded.end(tmp_path)
    session = listed(tmp_path)[0]["live"]
    assert (session.state, session.frames_durable, session.misses) == ("ended", 300, ())
    assert session == listed(tmp_path, rebuild=True)[0]["live"]


def remove(path: Path) -> None:
    for file in path.parent.glob("sessions.sqlite*"):
        file.unlink()


def other_version(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9999")
    db.close()


def overwrite(path: Path) -> None:
    remove(path)
    path.write_bytes(b"this is not a database, and was never one" * 100)


def flip(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 64):  # every page but the first
        data[at] ^= 0xFF
    path.write_bytes(data)


def nonsense(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE sessions SET channels = 'x', frames = 'many'")
    db.commit()
    db.close()


@pytest.mark.parametrize("spoil", [remove, other_version, overwrite, flip, nonsense])
def test_a_catalogue_that_is_lost_or_spoilt_is_made_anew(tmp_path: Path, spoil: Any) -> None:
    for n in range(30):
        record(tmp_path, f"s{n:02}", range(2))
    change_tags(tmp_path, "s07", add=("keep",))
    add_note(tmp_path, "s07", "worth keeping", unix_ns=1)
    before, _ = listed(tmp_path)
    spoil(tmp_path / "sessions.sqlite")
    after, again = listed(tmp_path)
    assert after == before and after["s07"].notes[0].text == "worth keeping"
    assert again.read_again == 30
    aside = list(tmp_path.glob("sessions.sqlite.damaged-*"))
    assert bool(aside) is (spoil in (overwrite, flip)), "a damaged file is put aside and not thrown away"
    assert bool(again.remarks) is bool(aside)
    assert listed(tmp_path)[1].read_again == 0


def test_a_rebuild_reads_everything(tmp_path: Path) -> None:
    record(tmp_path, "a")
    listed(tmp_path)
    assert listed(tmp_path, rebuild=True)[1].read_again == 1


def test_a_folder_that_cannot_be_written_is_listed_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, "a")
    real = os.open

    def read_only(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *args, **options)

    monkeypatch.setattr(catalogue.os, "open", read_only)
    sessions, again = listed(tmp_path)
    assert list(sessions) == ["a"] and "cannot be kept" in again.remarks[0]
    assert not (tmp_path / "sessions.sqlite").exists()


def test_another_command_that_writes_does_not_stop_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, "a")
    listed(tmp_path)
    monkeypatch.setattr(catalogue, "BUSY_S", 0.05)
    other = sqlite3.connect(tmp_path / "sessions.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    record(tmp_path, "b")
    assert sorted(listed(tmp_path)[0]) == ["a", "b"]
    other.execute("ROLLBACK")
    other.close()
    assert listed(tmp_path)[1].read_again == 1


def test_many_commands_at_once_agree(tmp_path: Path) -> None:
    for n in range(12):
        record(tmp_path, f"s{n:02}", range(2))
    results: list[dict[str, SessionSummary]] = []
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            change_tags(tmp_path, "s03", add=(f"t{number}",))
            results.append(listed(tmp_path, rebuild=number % 2 == 0)[0])
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert all(len(result) == 12 for result in results)
    assert listed(tmp_path)[0]["s03"].tags == tuple(f"t{n}" for n in range(6)), "no tag was lost"


def test_what_is_no_session_is_passed_over(tmp_path: Path) -> None:
    path = record(tmp_path, "a")
    (tmp_path / "sessions" / ".trash-1-b").mkdir()
    (tmp_path / "sessions" / "link").symlink_to(path)
    (tmp_path / "sessions" / "file").write_text("x")
    assert list(listed(tmp_path)[0]) == ["a"]
    (tmp_path / "bare").mkdir()
    assert listed(tmp_path / "bare")[0] == {}
    with pytest.raises(RecordingError, match="There is no data folder"):
        listed(tmp_path / "nowhere")


def test_states_are_all_documented() -> None:
    assert {state.value for state in SessionState} == {"open", "ended", "unfinished", "damaged"}
