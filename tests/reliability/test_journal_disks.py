"""Figures 3, 7 and 10 at the journal: killed writers, slow disks, full disks."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scanmend.errors import RecordingFull
from scanmend.record import (
    Disk,
    EntryKind,
    JournalSettings,
    JournalState,
    create_journal,
    reopen_for_append,
    scan,
    session_path,
)


def body(seq: int) -> tuple[bytes, bytes]:
    chance = random.Random(seq)
    return chance.randbytes(80), chance.randbytes(chance.choice([50, 5_000, 60_000]))


KILLED_WRITER = """
import random, select, sys
from pathlib import Path
from scanmend.record import EntryKind, JournalSettings, create_journal, reopen_for_append

settings = JournalSettings(segment_bytes=256 * 1024, queue_bytes=2**20, batch_bytes=128 * 1024)
data = Path(sys.argv[1])
if (data / "sessions" / "s").exists():
    writer, _ = reopen_for_append(data, "s", settings=settings)
else:
    writer = create_journal(data, "s", 9, settings=settings)
while True:
    seq = writer.next_index
    chance = random.Random(seq)
    parts = chance.randbytes(80), chance.randbytes(chance.choice([50, 5_000, 60_000]))
    while not writer.has_room(sum(map(len, parts))):
        select.select([writer.wakeup_fd], [], [])
        writer.clear_wakeup()
    writer.append(EntryKind.FRAME, seq, parts)
    print(writer.durable_index, flush=True)
"""


def test_five_kills_lose_nothing_that_was_durable(tmp_path: Path):
    """Each life goes on where the last one was cut down; what it said to be durable is read back bit for bit."""
    chance = random.Random(11)
    claimed = -1
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child, child.stdout:
            started = child.stdout.readline()
            time.sleep(chance.uniform(0.01, 0.25))
            child.send_signal(signal.SIGKILL)
            lines = (started + child.stdout.read()).decode().split("\n")[:-1]
        claimed_before, claimed = claimed, int(lines[-1])
        assert claimed >= claimed_before
        with scan(session_path(tmp_path, "s")) as journal:
            found = {}
            for entry in journal:
                found[entry.index] = entry.seq
                assert tuple(map(bytes, journal.body(entry))) == body(entry.seq)
            report = journal.report
        assert list(found) == list(found.values()) == list(range(report.next_index))
        assert report.next_index > claimed and report.entries_lost == 0 and not report.tail.closed
    assert claimed > 50
    writer, _ = reopen_for_append(tmp_path, "s")
    writer.close()


class SlowDisk(Disk):
    """A disk that takes 200 ms longer for each fdatasync."""

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        time.sleep(0.2)
        super().sync(fd, metadata=metadata)


def test_a_slow_disk_throttles_by_room_and_loses_nothing(tmp_path: Path):
    settings = JournalSettings(segment_bytes=8 * 2**20, queue_bytes=2**20, batch_bytes=512 * 1024)
    writer = create_journal(tmp_path, "s", 1, settings=settings, io=SlowDisk())
    payload = bytes(100_000)
    held, without_room, slowest_append_s, seq = [], 0, 0.0, 0
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        if writer.has_room(80 + len(payload)):
            before = time.monotonic()
            writer.append(EntryKind.FRAME, seq, [seq.to_bytes(80, "little"), payload])
            slowest_append_s = max(slowest_append_s, time.monotonic() - before)
            seq += 1
        else:
            without_room += 1
            time.sleep(0.002)
        held.append(writer.queued_bytes)
    writer.close()
    assert max(held) <= settings.queue_bytes and without_room > 10
    assert slowest_append_s < 0.1, "append never waits for the disk"
    with scan(session_path(tmp_path, "s")) as journal:
        assert [entry.seq for entry in journal] == list(range(seq)) and seq > 20


FULL_DISK = """
import json, resource, select, sys, time
from pathlib import Path
from scanmend.errors import RecordingFull
from scanmend.record import EntryKind, JournalSettings, create_journal, scan, session_path

data, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
settings = JournalSettings(segment_bytes=(3 if not limit else 1) * 2**20, reserve_bytes=0, queue_bytes=4 * 2**20)
writer = create_journal(data, "s", 3, settings=settings)
payload = bytes(range(256)) * 400
if limit:  # the first entry above the limit needs a segment above it
    writer.append(EntryKind.FRAME, 0, [b"h" * 80, payload])
    writer.flush()
    payload = payload * 12
seq, took_s, error = writer.next_index, None, ""
while error == "" and seq < 2000:
    before = time.monotonic()
    while writer.failure is None and not writer.has_room(80 + len(payload)):
        select.select([writer.wakeup_fd], [], [], 5)
        writer.clear_wakeup()
    try:
        writer.append(EntryKind.FRAME, seq, [b"h" * 80, payload])
        seq += 1
    except RecordingFull as full:
        error, took_s = str(full), time.monotonic() - before
writer.close()
with scan(session_path(data, "s")) as journal:
    good = [e.seq for e in journal if len(journal.body(e)[1]) % 256 == 0]
    report = journal.report
print(json.dumps({
    "error": error, "took_s": took_s, "state": writer.state.value, "durable": writer.durable_index,
    "appended": seq, "good": good, "lost": report.entries_lost, "tail": report.tail.state.value,
}))
"""


def fill(tmp_path: Path) -> dict[str, object]:
    """Record until a small file system of its own is full; where none can be mounted, until a file size limit."""
    script = tmp_path / "fill.py"
    script.write_text(FULL_DISK)
    mount = tmp_path / "small"
    mount.mkdir()
    python = [sys.executable, str(script)]
    if shutil.which("unshare"):
        line = 'mount -t tmpfs -o size=16m tmpfs "$1" || exit 77; shift; exec "$@"'
        command = ["unshare", "-m", "sh", "-c", line, "sh", str(mount), *python, str(mount), "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return json.loads(done.stdout)
        assert done.returncode in (1, 77), done.stderr
    done = subprocess.run([*python, str(mount), str(1100 * 1024)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_full(found: dict[str, object]) -> None:
    assert "No space left" in str(found["error"]) or "too large" in str(found["error"])
    assert "data_dir" in str(found["error"]), "it says what to do"
    assert found["state"] == "failed" and found["took_s"] < 1.0
    assert found["lost"] == 0 and found["tail"] == "clean", "no partial frame"
    assert found["good"] == list(range(found["durable"] + 1)), "the last acknowledgement is the last good frame"


def test_a_disk_that_runs_full_stops_the_recording_cleanly(tmp_path: Path):
    check_full(fill(tmp_path))


def test_a_file_size_limit_counts_as_full(tmp_path: Path):
    script = tmp_path / "fill.py"
    script.write_text(FULL_DISK)
    command = [sys.executable, str(script), str(tmp_path), str(1100 * 1024)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    check_full(json.loads(done.stdout))


class NoNextSegment(Disk):
    """A disk without room for a second segment."""

    segments = 0

    def allocate(self, fd: int, size_bytes: int) -> None:
        self.segments += 1
        if self.segments > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().allocate(fd, size_bytes)


def test_no_room_for_the_next_segment_leaves_the_last_one_sealed(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1, settings=JournalSettings(segment_bytes=64 * 1024), io=NoNextSegment())
    with pytest.raises(RecordingFull):
        for seq in range(100):
            writer.append(EntryKind.FRAME, seq, [b"h" * 80, bytes(5000)])
        writer.flush()
    assert writer.state is JournalState.FAILED
    writer.close()
    files = [file.name for file in session_path(tmp_path, "s").iterdir()]
    with scan(session_path(tmp_path, "s")) as journal:
        seqs = [entry.seq for entry in journal]
        tail = journal.report.tail
    assert files == ["journal-000000.smj"] and seqs == list(range(writer.durable_index + 1)) and len(seqs) > 5
    assert tail.sealed and not tail.closed
    again, report = reopen_for_append(tmp_path, "s")
    assert report.next_index == len(seqs)
    again.close()
