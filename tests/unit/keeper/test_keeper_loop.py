"""The keeper's loop on real recordings: it exports, closes and removes, and leaves alone what it must."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from recordings import Recorded, begin, record
from scanmend.export.check import is_export_of
from scanmend.ipc import HeartbeatBoard
from scanmend.ipc.keeper_status import KeeperStatus, read_keeper_status
from scanmend.keeper import exporting, report
from scanmend.keeper.loop import Keeper, Stop
from scanmend.keeper.pace import HEAVY_BYTES_PER_S
from scanmend.keeper.room import Room
from scanmend.record import JournalReader, SessionFolder
from scanmend.sessions import Catalogue, SessionState, change_tags, note_export, read_about, removals
from scanmend.sessions.retention import HDF5_MAGIC
from scanmend.settings import Settings
from scanmend.supervisor import Supervisor

PLENTY_S = 100.0


class Clock:
    """Time that the test moves on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A keeper in this process, beside an acquire that listens and does nothing.

    Args:
        tmp_path: A folder.
        options: Settings.
    """

    def __init__(self, tmp_path: Path, **options: object) -> None:
        self.data_dir = tmp_path / "data"
        self.data_dir.mkdir(exist_ok=True)
        self.run_dir = tmp_path / "run"
        shutil.rmtree(self.run_dir, ignore_errors=True)
        self.run_dir.mkdir()
        (self.run_dir / "acquire.address").write_text("tcp://127.0.0.1:1")
        self.board = HeartbeatBoard.create(self.run_dir / "heartbeat", Supervisor.NAMES)
        self.clock = Clock()
        settings = Settings(data_dir=self.data_dir, keeper_nice=0, **options)  # other tests run meanwhile
        self.keeper = Keeper(settings, self.run_dir, self.board, clock_s=self.clock)

    @property
    def status(self) -> KeeperStatus:
        status = read_keeper_status(self.run_dir)
        assert status is not None
        return status

    def until(self, condition: Callable[[], bool]) -> None:
        """Turns, until something is so."""
        deadline_s = time.monotonic() + PLENTY_S
        self.keeper.turn()
        while not condition():
            assert time.monotonic() < deadline_s, self.status
            self.keeper.turn()
            if self.keeper.job is not None:
                time.sleep(0.02)

    def until_idle(self) -> None:
        """Turns, until there is nothing to do."""
        for _ in range(3):
            self.keeper.turn()
        self.until(lambda: self.keeper.job is None)
        self.keeper.turn()

    def exports(self) -> list[str]:
        folder = self.data_dir / "exports"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def close(self) -> None:
        self.keeper.close()
        self.board.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: object) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def finished(data_dir: Path, name: str, frames: int = 3) -> Recorded:
    recorded = begin(data_dir, name, model="identity")
    for seq in range(frames):
        recorded.send(seq)
    recorded.end(data_dir)
    return recorded


def session_id(path: Path) -> int:
    with JournalReader(path) as reader:
        assert reader.session_id is not None
        return reader.session_id


def old_file(path: Path) -> Path:
    """An HDF5 file by name and first bytes, from before every recording of these tests."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(HDF5_MAGIC)
    os.utime(path, ns=(1, 1))
    return path


def test_a_session_is_exported_noted_and_only_then_removed(bench: Callable[..., Bench]) -> None:
    one = bench(retention_bytes=0)
    other = old_file(one.data_dir / "exports" / "gold.nxs")  # of a session that had this name before
    recorded = finished(one.data_dir, "gold")
    kept = finished(one.data_dir, "kept")
    note_export(one.data_dir, "kept", other)
    change_tags(one.data_dir, "kept", add=("keep",))
    one.keeper.turn()  # looks, and applies the limits: nothing may go yet
    assert one.status.state == "idle" and one.status.queue == ("gold",)
    assert {name for name, _ in one.keeper._retaining.last.spared} == {"gold", "kept"}
    assert one.status.quota_used > 1 and [p.code for p in one.status.problems] == ["quota_over"]
    gold_id = session_id(recorded.path)
    one.until_idle()
    one.until(lambda: one.status.removed == 1)
    assert one.exports() == ["gold-2.nxs", "gold.nxs"] and other.read_bytes() == HDF5_MAGIC
    target = one.data_dir / "exports" / "gold-2.nxs"
    assert is_export_of(target, gold_id) and not is_export_of(target, gold_id + 1) and not is_export_of(other, gold_id)
    with h5py.File(target) as file:
        samples = file["entry/frames_SE/data"][()]
    assert np.array_equal(samples.reshape(3, -1), np.stack([recorded.samples[seq][0] for seq in range(3)]))
    assert not recorded.path.exists() and kept.path.exists()
    (gone,) = removals(one.data_dir)
    assert (gone.name, gone.session_id, gone.by, gone.exports) == ("gold", gold_id, "keeper", (str(target),))
    assert "may take 0 bytes" in gone.why
    assert (one.status.exported, one.status.queued, one.status.errors) == (1, 0, ())


def test_an_export_that_was_killed_is_made_again_and_a_whole_one_is_not(bench: Callable[..., Bench]) -> None:
    one = bench()
    recorded = finished(one.data_dir, "gold")
    aside = one.data_dir / "exports" / ".gold.nxs.part"
    one.until(lambda: aside.exists())
    job = one.keeper.job
    assert job is not None and one.exports() == [".gold.nxs.part"]
    one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(job.pid, 0)
    assert one.exports() == [], "what was begun is gone"
    aside.write_bytes(b"left by one that was killed at once")
    two = bench()
    two.until_idle()
    assert two.exports() == ["gold.nxs"] and two.status.exported == 1
    target = two.data_dir / "exports" / "gold.nxs"
    (recorded.path / "about.json").unlink()  # killed before it was noted
    inode = target.stat().st_ino
    two.close()
    three = bench()
    three.until_idle()
    assert target.stat().st_ino == inode and three.exports() == ["gold.nxs"]
    with Catalogue(three.data_dir) as catalogue:
        assert catalogue.find("gold").exports == (str(target),)
    assert not three.keeper.queue.waiting()


def test_a_recording_that_cannot_be_exported_is_given_up_with_a_reason(bench: Callable[..., Bench]) -> None:
    one = bench()
    recorded = finished(one.data_dir, "broken")
    segment = recorded.path / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    data[4096 + 100] ^= 1  # in HELLO
    segment.write_bytes(data)
    one.until(lambda: bool(one.status.errors))
    assert one.status.waits_for == "retry" and not one.status.errors[0].given_up
    for _ in range(3):
        one.clock.now_s += 100.0
        one.until_idle()
    assert one.exports() == []
    assert [error.given_up for error in one.status.errors] == [False, False, True]
    (problem,) = one.status.problems
    assert (problem.code, problem.session, problem.level) == ("export_failed", "broken", "error")
    assert "HELLO is missing or damaged" in problem.text and "scanmend sessions show broken --check" in problem.mend
    assert not one.keeper.queue.waiting() and one.status.waits_for == ""


def test_without_room_an_export_waits_and_says_so(bench: Callable[..., Bench]) -> None:
    one = bench(free_bytes=1 << 60)
    finished(one.data_dir, "gold")
    one.until_idle()
    assert (one.status.waits_for, one.exports()) == ("room", [])
    (problem,) = one.status.problems
    assert problem.code == "export_no_room" and "gold" in problem.text and "SCANMEND_EXPORTS_DIR" in problem.mend
    assert one.status.errors == (), "no try is lost by it"


def test_an_export_that_takes_the_recordings_room_is_stopped(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench()
    finished(one.data_dir, "gold")
    one.until(lambda: one.keeper.job is not None)
    with monkeypatch.context() as full:
        full.setattr(exporting, "room_on", lambda _: Room(1 << 20, 1 << 40))
        one.keeper.turn()
    assert one.keeper.job is None and one.exports() == []
    (problem,) = one.status.problems
    assert problem.code == "export_no_room" and "was stopped: only 1 MB" in problem.text
    one.clock.now_s += 30.0
    one.until_idle()
    assert one.exports() == [], "it waits for longer"
    one.clock.now_s += 300.0
    one.until_idle()
    one.until(lambda: one.status.exported == 1)
    assert one.exports() == ["gold.nxs"] and one.status.errors == () and one.status.problems == ()


def test_a_disk_that_fills_is_told_in_time(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench()
    for second in range(0, 100, 5):  # what other programs write, seen by the keeper
        one.clock.now_s = 2000.0 + second
        used = second * 20_000_000
        monkeypatch.setattr(report, "room_on", lambda _, used=used: Room(10_000_000_000 - used, 20_000_000_000))
        one.keeper.turn()
    assert one.status.full_in_s == pytest.approx(405.0) and one.status.total_bytes == 20_000_000_000
    (problem,) = one.status.problems
    assert (problem.code, problem.level) == ("disk_full_soon", "error") and "7 minutes" in problem.text


def test_a_folder_that_cannot_be_made_is_told(bench: Callable[..., Bench]) -> None:
    one = bench(exports_dir=Path("/proc/nowhere"))
    finished(one.data_dir, "gold")
    one.until(lambda: bool(one.status.errors))
    assert "SCANMEND_EXPORTS_DIR" in one.status.errors[0].text


def test_while_sessions_record_heavily_an_export_is_held(bench: Callable[..., Bench]) -> None:
    one = bench(export_share=0.0)
    finished(one.data_dir, "gold")
    one.until(lambda: one.keeper.job is not None)
    one.keeper.recording.per_s = 2 * HEAVY_BYTES_PER_S
    one.keeper.recording.update = lambda *_: None  # type: ignore[method-assign]
    job = one.keeper.job
    assert job is not None
    one.keeper.turn()
    assert job.held and one.status.waits_for == "recording"
    one.until(lambda: Path(f"/proc/{job.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    one.keeper.recording.per_s = 0.0
    one.until_idle()
    assert one.exports() == ["gold.nxs"]


def test_what_nobody_holds_is_closed_in_the_end_and_what_acquire_holds_is_not(bench: Callable[..., Bench]) -> None:
    one = bench(abandon_s=20.0)
    record(one.data_dir, "cut", range(2), ended=False, model="identity")
    held = begin(one.data_dir, "held", model="identity")  # its journal is open, as acquire has one that it took up
    one.until_idle()
    assert {each.name: each.held for each in one.status.unfinished} == {"cut": False, "held": True}
    assert [each.misses for each in one.status.unfinished] in (
        [("It was not ended: it has no receipt.",), ()],
        [(), ("It was not ended: it has no receipt.",)],
    )
    assert not one.keeper.queue.waiting()
    one.clock.now_s += 30.0
    one.until_idle()
    one.until(lambda: one.status.exported == 1)
    assert one.status.closed == 1 and one.exports() == ["cut.nxs"]
    with Catalogue(one.data_dir) as catalogue:
        cut, other = catalogue.find("cut"), catalogue.find("held")
    assert (cut.state, cut.reason, other.state) == (SessionState.ENDED, "recovered", SessionState.OPEN)
    held.journal.close()


def test_what_is_switched_off_stays_off_and_nothing_is_touched_before_acquire_listens(
    bench: Callable[..., Bench],
) -> None:
    one = bench(export_when_ended=False)
    recorded = finished(one.data_dir, "gold")
    one.until_idle()
    assert one.exports() == [] and not one.keeper.queue.waiting()
    two = bench(retention_bytes=0, retention_unexported=True)
    (two.run_dir / "acquire.address").unlink()
    two.until_idle()
    assert two.status.state == "starting" and recorded.path.exists()
    (two.run_dir / "acquire.address").write_text("")
    two.keeper.turn()
    assert not recorded.path.exists(), "it was said plainly that exports do not matter"
    two.keeper.stop.set()
    with pytest.raises(Stop):
        two.keeper.turn()


def test_a_session_that_somebody_exported_is_not_exported_again(bench: Callable[..., Bench]) -> None:
    one = bench()
    recorded = finished(one.data_dir, "gold")
    mine = one.data_dir / "mine.nxs"
    mine.write_bytes(HDF5_MAGIC)
    note_export(one.data_dir, "gold", mine)
    mine.unlink()  # moved to an archive
    one.until_idle()
    assert one.exports() == [] and recorded.path.exists()
    with SessionFolder.open(recorded.path) as folder:
        assert read_about(folder).exports == (str(mine),)
