"""Scanning, continuing and reading journals, whole and damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scanmend.errors import DamagedRecording, RecordingError
from scanmend.record import (
    Disk,
    EntryKind,
    JournalReader,
    JournalSettings,
    ScanReport,
    TailState,
    create_journal,
    reopen_for_append,
    scan,
    session_path,
)
from scanmend.record.format import (
    ENTRY_HEADER_BYTES,
    MAX_BODY_BYTES,
    SEGMENT_HEADER_BYTES,
    EntryHeader,
    SegmentHeader,
    pack_entry_header,
    pack_segment_header,
    unpack_entry_header,
    unpack_segment_header,
)

SMALL = JournalSettings(segment_bytes=16 * 1024)


def head(seq: int) -> bytes:
    return bytes([seq % 256]) * 80


def payload(seq: int) -> bytes:
    return bytes((seq * 7 + i) % 251 for i in range(1000 + seq))


STORED = ENTRY_HEADER_BYTES + 1080


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Thirty frames in three segments, closed."""
    writer = create_journal(tmp_path, "s", 0xABC, settings=SMALL)
    for seq in range(30):
        writer.append(EntryKind.FRAME, seq, [head(seq), payload(seq)])
    writer.close()
    path = session_path(tmp_path, "s")
    assert len(list(path.iterdir())) == 3
    return path


def look(path: Path) -> tuple[list[int], ScanReport]:
    """The seqs of the good frames, every one of them compared with what was recorded."""
    seqs = []
    with scan(path) as journal:
        for entry in journal:
            assert [bytes(part) for part in journal.body(entry)] == [head(entry.seq), payload(entry.seq)]
            assert entry.index == entry.seq
            seqs.append(entry.seq)
        return seqs, journal.report


def spoil(path: Path, segment: int, offset: int, data: bytes = b"\xff\x00\xff") -> None:
    with (path / f"journal-{segment:06d}.smj").open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_whole_journal(recorded: Path):
    seqs, report = look(recorded)
    assert seqs == list(range(30))
    assert (report.session_id, report.entries, report.next_index, report.entries_lost) == (0xABC, 30, 30, 0)
    assert report.tail.state is TailState.CLEAN and report.tail.sealed and report.tail.closed


@pytest.mark.parametrize(
    ("segment", "offset", "lost"),
    [
        (0, SEGMENT_HEADER_BYTES + 3, [0]),
        (0, SEGMENT_HEADER_BYTES + 200, [0]),
        (0, SEGMENT_HEADER_BYTES + STORED + 30, [1]),
        (2, SEGMENT_HEADER_BYTES + 500, [20]),
    ],
    ids=["first magic", "first body", "second header", "first of the last segment"],
)
def test_one_spoilt_entry_costs_that_entry_alone(recorded: Path, segment: int, offset: int, lost: list[int]):
    spoil(recorded, segment, offset)
    seqs, report = look(recorded)
    assert sorted(set(range(30)) - set(seqs)) == lost
    (damage,) = report.damages
    assert (damage.segment, damage.entries, [damage.first_index]) == (segment, 1, lost)
    assert report.tail.state is TailState.DAMAGED and report.entries_lost == 1 and report.tail.closed


def test_two_spoilt_neighbours_are_one_place(recorded: Path):
    spoil(recorded, 0, SEGMENT_HEADER_BYTES + STORED, bytes(STORED + 100))
    seqs, report = look(recorded)
    assert seqs == [0, *range(3, 30)]
    (damage,) = report.damages
    assert (damage.offset, damage.first_index, damage.last_index) == (SEGMENT_HEADER_BYTES + STORED, 1, 2)


def test_the_last_entry_of_a_closed_journal_is_damage_and_not_a_tail(recorded: Path):
    size = (recorded / "journal-000002.smj").stat().st_size
    spoil(recorded, 2, size - ENTRY_HEADER_BYTES - 500)
    seqs, report = look(recorded)
    assert seqs == list(range(29))
    assert report.tail.state is TailState.DAMAGED and report.damages[0].first_index == 29
    assert report.next_index == 30, "its index is not given to another entry"


def test_the_segment_header_is_there_twice(recorded: Path):
    spoil(recorded, 1, 10)
    seqs, report = look(recorded)
    assert seqs == list(range(30)) and report.damages[0].entries == 0
    spoil(recorded, 1, 2050)
    seqs, report = look(recorded)
    assert 0 in seqs and 29 in seqs and report.damages[0].entries == 30 - len(seqs) > 5
    assert report.tail.state is TailState.DAMAGED


def test_a_missing_segment_is_named(recorded: Path):
    (recorded / "journal-000001.smj").unlink()
    seqs, report = look(recorded)
    (damage,) = report.damages
    assert (damage.segment, damage.entries) == (1, 30 - len(seqs))
    assert sorted({*seqs, *range(damage.first_index, damage.last_index + 1)}) == list(range(30))


def test_a_segment_of_another_session_is_not_taken_in(recorded: Path, tmp_path: Path):
    other = create_journal(tmp_path, "other", 0xDEF, settings=SMALL)
    other.append(EntryKind.FRAME, 10, [head(1), payload(1)])
    other.close()
    foreign = session_path(tmp_path, "other") / "journal-000000.smj"
    (recorded / "journal-000003.smj").write_bytes(foreign.read_bytes())
    seqs, report = look(recorded)
    assert seqs == list(range(30)) and report.tail.state is TailState.TORN


def test_stale_entries_of_another_segment_are_never_entries(recorded: Path):
    """As if the file system had given a torn file blocks that another journal used before."""
    stale = (recorded / "journal-000001.smj").read_bytes()[SEGMENT_HEADER_BYTES:]
    last = recorded / "journal-000002.smj"
    whole = last.read_bytes()
    last.write_bytes(whole[: SEGMENT_HEADER_BYTES + STORED + 20] + stale[: 5 * STORED])
    seqs, report = look(recorded)
    assert seqs == list(range(len(seqs))) and len(seqs) < 30
    assert report.tail.state is TailState.TORN and report.tail.torn_bytes > STORED


def test_an_entry_that_was_written_to_a_second_place_is_not_read_twice(tmp_path: Path):
    """A misdirected write within one segment: everything about the copy fits, but its index falls back."""
    writer = create_journal(tmp_path, "s", 1)
    for seq in range(8):
        writer.append(EntryKind.FRAME, seq, [bytes([seq]) * 80, bytes([seq]) * 376])
    writer.close()
    path = session_path(tmp_path, "s")
    content = (path / "journal-000000.smj").read_bytes()
    spoil(path, 0, SEGMENT_HEADER_BYTES + 5 * 520, content[SEGMENT_HEADER_BYTES + 2 * 520 :][:520])
    with scan(path) as journal:
        assert [entry.seq for entry in journal] == [0, 1, 2, 3, 4, 6, 7]
        assert [(d.first_index, d.last_index) for d in journal.report.damages] == [(5, 5)]
    with JournalReader(path) as reader:
        assert [entry.seq for entry in reader.entries()] == [0, 1, 2, 3, 4, 6, 7]


def test_payloads_full_of_entry_magic_do_not_mislead(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1)
    writer.append(EntryKind.FRAME, 0, [b"a" * 80, b"SMJE" * 20_000])
    writer.append(EntryKind.FRAME, 1, [b"b" * 80, b"fine"])
    writer.close()
    spoil(session_path(tmp_path, "s"), 0, SEGMENT_HEADER_BYTES)
    with scan(session_path(tmp_path, "s")) as journal:
        assert [e.seq for e in journal] == [1]
        assert journal.report.entries_lost == 1


@pytest.mark.parametrize("junk", [b"", bytes(5000), b"junk" * 2000], ids=["empty", "zeros", "junk"])
def test_going_on_behind_a_segment_that_never_came_to_be(recorded: Path, tmp_path: Path, junk: bytes):
    (recorded / "journal-000003.smj").write_bytes(junk)
    writer, report = reopen_for_append(tmp_path, "s")
    assert report.next_index == 30 and (report.tail.state is TailState.TORN) == junk.startswith(b"junk")
    assert writer.append(EntryKind.FRAME, 30, [head(30), payload(30)]) == 30
    writer.close()
    seqs, report = look(recorded)
    assert seqs == list(range(31)) and report.entries_lost == 0


def test_going_on_behind_a_torn_tail(recorded: Path, tmp_path: Path):
    last = recorded / "journal-000002.smj"
    last.write_bytes(last.read_bytes()[: -ENTRY_HEADER_BYTES - 100])
    writer, report = reopen_for_append(tmp_path, "s", settings=SMALL)
    assert report.next_index == 29 and report.tail.state is TailState.TORN and not report.tail.sealed
    assert report.tail.torn_bytes > 900
    for seq in (29, 30):
        assert writer.append(EntryKind.FRAME, seq, [head(seq), payload(seq)]) == seq
    writer.close()
    seqs, report = look(recorded)
    assert seqs == list(range(31)) and report.tail.state is TailState.CLEAN and report.damages == ()


class NotedDisk(Disk):
    def __init__(self) -> None:
        self.synced: list[str] = []

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        self.synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        super().sync(fd, metadata=metadata)


def test_what_is_read_on_reopening_is_durable_then(recorded: Path, tmp_path: Path):
    """The dead writer may not have come to sync what it wrote, not even a seal."""
    disk, seen = NotedDisk(), []
    writer, _ = reopen_for_append(
        tmp_path, "s", io=disk, each=lambda entry, head, tail: seen.append((entry.seq, bytes(head), bytes(tail)))
    )
    writer.close()
    assert disk.synced[:2] == ["journal-000002.smj", "s"]
    assert seen == [(seq, head(seq), payload(seq)) for seq in range(30)]


def test_nothing_that_can_be_read_is_not_continued(recorded: Path, tmp_path: Path):
    for file in recorded.iterdir():
        file.write_bytes(b"x" * 100)
    with pytest.raises(DamagedRecording) as caught:
        reopen_for_append(tmp_path, "s")
    assert caught.value.mend and len(list(recorded.iterdir())) == 3


def test_the_body_belongs_to_the_entry_that_was_just_given(recorded: Path):
    with scan(recorded) as journal:
        entries = list(journal)
        with pytest.raises(RecordingError, match="past this entry"):
            journal.body(entries[0])
    with JournalReader(recorded) as reader:
        assert bytes(reader.read(entries[0])[1]) == payload(0)


def test_headers_outside_the_format_are_no_headers():
    good = EntryHeader(EntryKind.FRAME, 0, 1, 2, 3, 4, 5, 6)
    assert unpack_entry_header(pack_entry_header(good, 9), 9) == good
    assert good.stored_bytes == 72 and good.body_bytes == 7
    for spoilt in (
        pack_entry_header(good, 8),
        pack_entry_header(good, 9)[:63],
        pack_entry_header(EntryHeader(99, 0, 1, 2, 3, 4, 5, 6), 9),  # type: ignore[arg-type]
        pack_entry_header(EntryHeader(EntryKind.FRAME, 0, 1, 2, MAX_BODY_BYTES, 4, 5, 6), 9),
    ):
        assert unpack_entry_header(spoilt, 9) is None
    header = SegmentHeader(1, 2, 3, 4, 5, 6)
    assert unpack_segment_header(pack_segment_header(header)) == (header, True)
    assert unpack_segment_header(b"") is None


# ---- the reader ---------------------------------------------------------------------------------------------------


def test_frames_by_seq_and_entries_by_index(recorded: Path):
    with JournalReader(recorded) as reader:
        assert len(reader) == 30 and list(reader.frame_seqs) == list(range(30)) and reader.session_id == 0xABC
        for seq in (29, 0, 17):
            frame = reader.frame(seq)
            assert frame is not None and [bytes(part) for part in frame] == [head(seq), payload(seq)]
        assert reader.frame(30) is None
        assert [e.index for e in reader.entries(27)] == [27, 28, 29]
        assert list(reader.entries(kinds={EntryKind.NOTE})) == []
    with pytest.raises(RecordingError):
        JournalReader(recorded / "nothing")


def test_the_first_of_two_frames_with_one_seq_counts(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1)
    writer.append(EntryKind.FRAME, 5, [b"first"])
    writer.append(EntryKind.FRAME, 5, [b"second"])
    writer.close()
    with JournalReader(session_path(tmp_path, "s")) as reader:
        assert bytes(reader.frame(5)[0]) == b"first"


def test_a_damaged_frame_is_never_given(recorded: Path):
    spoil(recorded, 0, SEGMENT_HEADER_BYTES + STORED + 300)
    with JournalReader(recorded) as reader:
        with pytest.raises(DamagedRecording, match="entry 1 "):
            reader.frame(1)
        assert reader.frame(2) is not None
        spoil(recorded, 0, SEGMENT_HEADER_BYTES)
        with pytest.raises(DamagedRecording, match="entry 0 "):
            reader.frame(0)
    with JournalReader(recorded) as reader:
        assert reader.frame(0) is None and len(reader) == 29
    spoil(recorded, 2, (recorded / "journal-000002.smj").stat().st_size - 400)
    with JournalReader(recorded) as reader:
        assert len(reader) == 29
        with pytest.raises(DamagedRecording, match="entry 29 "):
            reader.frame(29)


def test_many_segments_need_few_open_files(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1, settings=JournalSettings(segment_bytes=8192))
    for seq in range(60):
        writer.append(EntryKind.FRAME, seq, [head(seq), payload(seq)])
    writer.close()
    assert len(list(session_path(tmp_path, "s").iterdir())) > 15
    before = len(os.listdir("/proc/self/fd"))
    with JournalReader(session_path(tmp_path, "s")) as reader:
        assert all(bytes(reader.frame(seq)[1]) == payload(seq) for seq in range(60))
        assert len(os.listdir("/proc/self/fd")) - before <= 9
    assert len(os.listdir("/proc/self/fd")) == before


WRITER = """
import sys
from pathlib import Path
from scanmend.record import EntryKind, JournalSettings, create_journal
writer = create_journal(Path(sys.argv[1]), "live", 5, settings=JournalSettings(segment_bytes=65536))
for seq in range(400):
    while not writer.has_room(4000):
        writer.flush()
    payload = bytes((seq * 7 + i) % 251 for i in range(1000 + seq))
    writer.append(EntryKind.FRAME, seq, [bytes([seq % 256]) * 80, payload])
    if seq % 3 == 0:
        writer.flush()
writer.close()
"""


def test_reading_while_another_process_writes(tmp_path: Path):
    """Everything that shows is whole and in order, at any moment, over many segments and the cut at the end."""
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    try:
        path = session_path(tmp_path, "live")
        deadline = time.monotonic() + 60
        while not path.is_dir():
            assert time.monotonic() < deadline and child.poll() is None
        with JournalReader(path) as reader:
            seen, rounds = 0, 0
            while seen < 400:
                assert time.monotonic() < deadline
                ended = child.poll() is not None
                new = reader.refresh() if rounds else len(reader)
                rounds += 1
                assert len(reader) == seen + new
                for entry in reader.entries(seen):
                    assert [bytes(part) for part in reader.read(entry)] == [head(entry.seq), payload(entry.seq)]
                    assert entry.index == entry.seq == seen
                    seen += 1
                assert not ended or seen == 400
        assert child.wait(30) == 0 and rounds > 3
    finally:
        child.kill()
        child.wait()
