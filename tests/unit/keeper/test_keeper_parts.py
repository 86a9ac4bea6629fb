"""The small parts of the keeper: rates, turns, room, what is seen of a data folder, and the order of work."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from recordings import begin, record
from scanmend.errors import RecordingError
from scanmend.humble import OOM_SCORE
from scanmend.ipc.keeper_status import KeeperStatus, read_keeper_status, write_keeper_status
from scanmend.keeper.job import Job
from scanmend.keeper.pace import Rate, Turns, bring_to_disk, written_bytes
from scanmend.keeper.queue import RETRY_S, WorkQueue
from scanmend.keeper.room import LEFT_BYTES, LEFT_ELSEWHERE_BYTES, Forecast, left_bytes, room_on
from scanmend.keeper.watch import SessionWatch, noted_exports
from scanmend.sessions import note_export


def test_the_rate_is_that_of_the_last_second() -> None:
    rate = Rate()
    for now_s, value in ((0.0, 100), (0.5, 4100), (1.0, 8100)):
        rate.update(now_s, value)
    assert rate.per_s == 8000.0
    rate.update(2.0, 8100)
    assert rate.per_s == 0.0
    rate.update(3.0, 5)  # a new process
    rate.update(4.0, 1005)
    assert rate.per_s == 1000.0
    rate.update(5.0, None)
    assert rate.per_s == 0.0


def test_what_this_process_writes_is_counted_by_the_kernel(tmp_path: Path) -> None:
    before = written_bytes(os.getpid())
    assert before is not None
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    bring_to_disk(path)
    assert path.stat().st_size == 1 << 20
    after = written_bytes(os.getpid())
    assert after is not None and after - before >= 1 << 20
    assert written_bytes(None) is None and written_bytes(2**30) is None
    bring_to_disk(tmp_path / "none")


@pytest.mark.parametrize(("share", "worked"), [(0.0, 0), (0.25, 25), (0.3, 30), (1.0, 100)])
def test_turns_are_dealt_out_by_share(share: float, worked: int) -> None:
    turns = Turns(share)
    assert sum(turns.next(heavy=True) for _ in range(100)) == worked
    assert all(turns.next(heavy=False) for _ in range(10))


def test_a_job_comes_last_and_tells_how_it_went(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    look = (
        "import os, sys; sys.stderr.write('%d %d %s scanmend: x\\nscanmend: It failed. Mend it.\\n' % ("
        "os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0) == os.getpid(), open('/proc/self/oom_score_adj').read())); "
        "sys.exit(1)"
    )
    job = Job("close", "a", ["-S", "-c", look], words, nice=19)
    done = None
    deadline_s = time.monotonic() + 100
    while done is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
        done = job.poll()
    assert (done.code, done.well, done.said) == (1, False, "It failed. Mend it.")
    assert words.read_text().split()[:3] == ["19", "1", str(OOM_SCORE)]
    held = Job("close", "a", ["-S", "-c", "import time; time.sleep(100)"], words, nice=0)
    held.hold()
    assert held.held and not held.stalled(0.0) and not held.stalled(1e6), "time in which it was held does not count"
    held.go_on()
    held.kill()
    ended = held.poll()
    assert ended is not None and ended.said == "Its process was ended by SIGKILL."


def test_a_disk_that_fills_has_an_end() -> None:
    forecast = Forecast()
    assert forecast.full_in_s is None
    for second in range(0, 56, 5):
        forecast.add(second, 1_000_000_000 - second * 1_000_000)
    assert forecast.full_in_s is None, "not watched for a minute"
    for second in range(60, 601):
        forecast.add(second, 1_000_000_000 - second * 1_000_000)
    assert forecast.full_in_s == pytest.approx(400.0, rel=0.02)
    for second in range(605, 1200, 5):  # the recording has stopped
        forecast.add(second, 400_000_000)
    assert forecast.full_in_s is None
    for second in range(1200, 1600, 5):  # it fills so slowly that no number is worth anything
        forecast.add(second, 400_000_000 - second)
    assert forecast.full_in_s is None


def test_room_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    room, below = room_on(tmp_path), room_on(tmp_path / "not" / "yet")
    assert room is not None and below is not None
    assert room.total_bytes == below.total_bytes == shutil.disk_usage(tmp_path).total
    assert left_bytes(tmp_path, tmp_path, 7) == 7 + LEFT_BYTES
    assert left_bytes(Path("/proc"), tmp_path, 7) == LEFT_ELSEWHERE_BYTES, "recordings lie on another disk"


def test_what_ends_is_seen_once(tmp_path: Path) -> None:
    watch = SessionWatch(tmp_path)
    assert watch.look(0.0) == []
    record(tmp_path, "old", range(1))
    running = begin(tmp_path, "running")
    (tmp_path / "sessions" / ".trash-1-old").mkdir()
    assert [seen.name for seen in watch.look(1.0)] == ["old"]
    assert set(watch.unfinished) == {"running"} and watch.unfinished["running"].since_s == 1.0
    assert watch.look(2.0) == []
    running.end(tmp_path)
    (seen,) = watch.look(3.0)
    assert seen.name == "running" and seen.ended_unix_ns is not None and not watch.unfinished
    shutil.rmtree(tmp_path / "sessions" / "old")
    record(tmp_path, "old", range(2))  # another session of the same name
    assert [seen.name for seen in watch.look(4.0)] == ["old"]
    shutil.rmtree(tmp_path / "sessions")
    assert watch.look(5.0) == []
    (tmp_path / "sessions").write_text("no folder")
    with pytest.raises(RecordingError, match="cannot be read"):
        watch.look(6.0)


def test_noted_exports_are_read_from_the_folder(tmp_path: Path) -> None:
    path = record(tmp_path, "a", range(1))
    assert noted_exports(path) == ()
    (tmp_path / "a.nxs").write_bytes(b"x")
    note_export(tmp_path, "a", tmp_path / "a.nxs")
    assert noted_exports(path) == (str((tmp_path / "a.nxs").resolve()),)
    (path / "about.json").write_text("{")
    assert noted_exports(path) == ()


def test_the_newest_is_first_and_a_failed_one_waits(tmp_path: Path) -> None:
    queue = WorkQueue(lambda: 5)
    queue.add("export", "old", 1)
    queue.add("export", "new", 2)
    queue.add("export", "new", 9)
    queue.add("close", "cut")
    assert [work.session for work in queue.due(0.0)] == ["cut", "new", "old"]
    cut, new, _ = queue.due(0.0)
    queue.done(cut)
    for tries, wait_s in enumerate(RETRY_S, start=1):
        queue.failed(new, "no", 100.0)
        assert new.tries == tries and new.not_before_s == 100.0 + wait_s
        assert [work.session for work in queue.due(100.0)] == ["old"]
        assert [work.session for work in queue.due(100.0 + wait_s)] == ["new", "old"]
    queue.failed(new, "no, never", 200.0)
    assert [work.given_up for work in queue.given_up()] == ["no, never"]
    assert [work.session for work in queue.due(1e9)] == ["old"]
    assert [error.given_up for error in queue.errors] == [False, False, True] and queue.errors[0].at_unix_ns == 5
    queue.forget_all_but(lambda name: name == "old")
    assert queue.given_up() == []


def test_a_status_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_keeper_status(tmp_path) is None
    status = KeeperStatus(pid=7, at_unix_ns=3_000_000_000, recordings_bytes=50, quota_bytes=200)
    write_keeper_status(tmp_path, status)
    assert read_keeper_status(tmp_path) == status
    assert (status.quota_used, status.age_s(5_000_000_000)) == (0.25, 2.0)
    assert KeeperStatus(pid=7, at_unix_ns=0).quota_used is None
    (tmp_path / "keeper.json").write_text('{"pid": "seven"}')
    assert read_keeper_status(tmp_path) is None
