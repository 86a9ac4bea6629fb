"""The journal's writer: queue, group commit, wake-ups, failures."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, RecordingError, RecordingFull, RecordingNotWritable
from scanmend.record import (
    Disk,
    EntryKind,
    JournalSettings,
    JournalState,
    TailState,
    create_journal,
    reopen_for_append,
    scan,
    session_path,
)

SMALL = JournalSettings(segment_bytes=64 * 1024, queue_bytes=2**20, batch_bytes=32 * 1024)
KINDS = [kind for kind in EntryKind if kind is not EntryKind.SEAL]


def contents(data_dir: Path, name: str = "s") -> list[tuple[EntryKind, int, bytes, bytes]]:
    with scan(session_path(data_dir, name)) as journal:
        found = [(e.kind, e.seq, *map(bytes, journal.body(e))) for e in journal]
        report = journal.report
    assert report.entries == len(found) == report.next_index
    assert report.tail.state is TailState.CLEAN and report.damages == ()
    return found


bodies = st.lists(st.binary(max_size=3000) | st.integers(0, 200_000).map(bytes), max_size=4)
entries = st.tuples(st.sampled_from(KINDS), st.integers(0, 2**64 - 1), bodies)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, max_size=12), st.integers(0, 12))
def test_what_is_appended_is_read_back(tmp_path_factory, appended, split: int):
    """Any kinds, any number of parts of any size, larger than a segment too; the journal is reopened once."""
    data = tmp_path_factory.mktemp("data")
    writer = create_journal(data, "s", 7, settings=SMALL)
    for i, (kind, seq, parts) in enumerate(appended):
        if i == split:
            writer.close()
            writer, report = reopen_for_append(data, "s", settings=SMALL)
            assert report.next_index == i and report.session_id == 7 and report.tail.closed
        while not writer.has_room(sum(map(len, parts))):
            writer.flush()
        assert writer.append(kind, seq, parts) == i
    writer.close()
    assert contents(data) == [(k, s, p[0] if p else b"", b"".join(p[1:])) for k, s, p in appended]


def test_parts_may_be_arrays_of_any_shape_and_a_known_checksum_is_not_computed_again(tmp_path: Path):
    picture = np.arange(60, dtype="<u2").reshape(6, 10)
    view = memoryview(picture)
    writer = create_journal(tmp_path, "s", 1)
    writer.append(EntryKind.FRAME, 1, [b"header", view])
    writer.append(EntryKind.FRAME, 2, [b"header", view], tail_xxh3=xxhash.xxh3_64_intdigest(picture.tobytes()))
    writer.append(EntryKind.FRAME, 3, [view])
    writer.close()
    raw = picture.tobytes()
    assert [c[2:] for c in contents(tmp_path)] == [(b"header", raw), (b"header", raw), (raw, b"")]


def test_a_wrong_checksum_from_the_caller_is_never_read_as_good(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1)
    writer.append(EntryKind.FRAME, 1, [b"h", b"payload"], tail_xxh3=1)
    writer.append(EntryKind.FRAME, 2, [b"h", b"payload"])
    writer.close()
    with scan(session_path(tmp_path, "s")) as journal:
        assert [e.seq for e in journal] == [2]
        assert journal.report.entries_lost == 1 and journal.report.tail.state is TailState.DAMAGED


class Gate(Disk):
    """A disk whose fdatasync waits for permission."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.syncs = 0
        self.written = 0

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self.written += 1
        return super().write(fd, buffers, offset)

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        self.open.wait(30)
        self.syncs += not metadata
        super().sync(fd, metadata=metadata)


def test_nothing_is_durable_before_fdatasync_and_one_commit_takes_all_that_waited(tmp_path: Path):
    disk = Gate()
    writer = create_journal(tmp_path, "s", 1, settings=SMALL, io=disk)
    disk.open.clear()
    syncs = disk.syncs
    assert [writer.append(EntryKind.NOTE, i, [b"x" * 100]) for i in range(50)] == list(range(50))
    time.sleep(0.1)
    assert writer.durable_index == -1 and writer.written_index >= 0
    assert writer.queued_bytes == 50 * 168 and writer.room_bytes == 2**20 - 50 * 168
    with pytest.raises(RecordingError, match="did not take the recording within"):
        writer.flush(timeout_s=0.05)
    disk.open.set()
    assert writer.flush() == writer.durable_index == writer.written_index == 49
    assert writer.queued_bytes == 0
    assert disk.syncs - syncs <= 2, "the first entry alone at the most, then all the others together"
    writer.close()


def test_the_wakeup_descriptor_tells_of_news_once(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1)

    def readable(timeout_s: float) -> bool:
        return bool(select.select([writer.wakeup_fd], [], [], timeout_s)[0])

    assert not readable(0)
    writer.append(EntryKind.NOTE, 0, [b"x"])
    assert readable(10)
    writer.clear_wakeup()
    assert writer.durable_index == 0 and not readable(0)
    writer.clear_wakeup()
    writer.close()
    assert writer.wakeup_fd == -1


def test_the_queue_is_bounded_by_bytes(tmp_path: Path):
    disk = Gate()
    writer = create_journal(tmp_path, "s", 1, settings=SMALL, io=disk)
    disk.open.clear()
    body = bytes(100_000)
    taken = 0
    while writer.has_room(len(body)):
        writer.append(EntryKind.FRAME, taken, [b"", body])
        taken += 1
    assert taken == 10 and writer.queued_bytes <= 2**20
    with pytest.raises(RecordingError, match="queue of 1 MiB is full") as caught:
        writer.append(EntryKind.FRAME, taken, [b"", body])
    assert "has_room" in caught.value.mend
    assert writer.next_index == 10, "a refused entry takes no index"
    writer.append(EntryKind.RECEIPT, 0, [body])
    assert writer.queued_bytes > 2**20, "what is said about frames does not fail because frames wait"
    disk.open.set()
    writer.flush()
    assert writer.has_room(len(body))
    for too_large in (2**20, 2**30 + 1):
        assert not writer.has_room(too_large)
        with pytest.raises(InvalidInput):
            writer.append(EntryKind.FRAME, 0, [memoryview(bytes(1)).cast("B"), bytes(too_large)])
    with pytest.raises(InvalidInput):
        writer.append(EntryKind.SEAL, 0, [])
    writer.close()
    assert len(contents(tmp_path)) == 11


class Failing(Disk):
    """A disk that begins to fail when it is told to."""

    past_the_cache = False  # where a write may stop at any byte, not only at a block
    error: OSError | None = None
    short = False
    what = "sync"

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        if self.short:  # as a disk does that runs full: a part first, the error next
            self.short = False
            return os.pwrite(fd, memoryview(buffers[0])[:13], offset)
        if self.error is not None and self.what == "write":
            raise self.error
        return super().write(fd, buffers[:1] if self.what == "sparing" else buffers, offset)

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        if self.error is not None and self.what == "sync":
            raise self.error
        super().sync(fd, metadata=metadata)


@pytest.mark.parametrize(
    ("what", "code", "expected"),
    [
        ("sync", errno.EIO, RecordingError),
        ("write", errno.ENOSPC, RecordingFull),
        ("write", errno.EROFS, RecordingNotWritable),
    ],
)
def test_after_a_disk_error_nothing_more_is_claimed(tmp_path: Path, what: str, code: int, expected: type):
    disk = Failing()
    disk.what = what
    writer = create_journal(tmp_path, "s", 1, io=disk)
    writer.append(EntryKind.FRAME, 0, [b"good"])
    writer.flush()
    writer.clear_wakeup()
    disk.short, disk.error = what == "write", OSError(code, os.strerror(code))
    writer.append(EntryKind.FRAME, 1, [b"lost" * 20])
    assert select.select([writer.wakeup_fd], [], [], 1.0)[0], "the loop is woken within a second"
    assert writer.state is JournalState.FAILED and type(writer.failure) is expected and writer.failure.mend
    assert writer.durable_index == 0 and not writer.has_room(1)
    disk.error = None
    for attempt in (lambda: writer.append(EntryKind.FRAME, 2, [b"x"]), writer.flush):
        with pytest.raises(expected):
            attempt()
    writer.close()
    writer.close()
    with scan(session_path(tmp_path, "s")) as journal:
        assert [e.seq for e in journal][:1] == [0]


def test_short_writes_are_gone_on_with(tmp_path: Path):
    disk = Failing()
    disk.what = "sparing"
    writer = create_journal(tmp_path, "s", 1, io=disk)
    for i in range(20):
        disk.short = i % 2 == 0
        writer.append(EntryKind.FRAME, i, [b"h" * 80, bytes([i]) * 5001])
        if i % 5 == 0:
            writer.flush()
    writer.close()
    assert [c[3] for c in contents(tmp_path)] == [bytes([i]) * 5001 for i in range(20)]


class Nothing(Disk):
    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        return 0


def test_a_disk_that_takes_nothing_is_full_and_leaves_no_file(tmp_path: Path):
    with pytest.raises(RecordingFull):
        create_journal(tmp_path, "s", 1, io=Nothing())
    assert list(session_path(tmp_path, "s").iterdir()) == []
    create_journal(tmp_path, "s", 1).close()


def test_a_session_that_will_not_fit_is_refused_at_the_start(tmp_path: Path):
    with pytest.raises(RecordingFull, match="MiB free, the session may need") as caught:
        create_journal(tmp_path, "s", 1, settings=JournalSettings(planned_bytes=2**60))
    assert "data_dir" in caught.value.mend


def test_appending_and_closing_after_the_end(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1)
    writer.append(EntryKind.NOTE, 0, [b"x"])
    writer.close()
    writer.close()
    assert writer.state is JournalState.CLOSED and writer.durable_index == 0
    with pytest.raises(RecordingError, match="closed"):
        writer.append(EntryKind.NOTE, 0, [b"x"])


def test_a_close_that_the_disk_does_not_let_end_says_so(tmp_path: Path):
    disk = Gate()
    writer = create_journal(tmp_path, "s", 1, io=disk)
    disk.open.clear()
    writer.append(EntryKind.NOTE, 0, [b"x"])
    with pytest.raises(RecordingError, match="within"):
        writer.close(timeout_s=0.05)
    disk.open.set()
    writer.close()
    assert len(contents(tmp_path)) == 1


def test_the_end_can_be_asked_for_without_waiting(tmp_path: Path):
    disk = Gate()
    writer = create_journal(tmp_path, "s", 1, io=disk)
    disk.open.clear()
    writer.append(EntryKind.NOTE, 0, [b"x"])
    writer.finish()
    assert writer.state is JournalState.OPEN and not select.select([writer.wakeup_fd], [], [], 0)[0]
    disk.open.set()
    while writer.state is JournalState.OPEN:
        assert select.select([writer.wakeup_fd], [], [], 10)[0]
        writer.clear_wakeup()
    writer.close()
    assert len(contents(tmp_path)) == 1


def test_the_callers_memory_is_let_go_of_once_it_is_durable(tmp_path: Path):
    class Payload(bytearray):
        """Can be watched."""

    payload = Payload(100_000)
    watched = weakref.ref(payload)
    writer = create_journal(tmp_path, "s", 1)
    writer.append(EntryKind.FRAME, 0, [b"h" * 80, memoryview(payload)])
    del payload
    writer.flush()
    until = time.monotonic() + 5
    while watched() is not None and time.monotonic() < until:
        time.sleep(0.01)  # flush returns a moment before the thread is done with the batch
    assert watched() is None
    writer.close()
