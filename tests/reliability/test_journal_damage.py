"""Figure 5: no damage to a recorded file ever gives a wrong frame, and none that costs a frame goes unseen."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from scanmend.errors import DamagedRecording
from scanmend.record import EntryKind, JournalReader, JournalSettings, TailState, create_journal, scan, session_path

FLIPS = 10_000


def make(data: Path, sizes: list[int]) -> tuple[Path, list[tuple[bytes, bytes]], list[int]]:
    """A closed journal of frames; its one file, the bodies, and where each entry ends."""
    chance = random.Random(5)
    bodies = [(chance.randbytes(80), chance.randbytes(size)) for size in sizes]
    writer = create_journal(data, "s", 77, settings=JournalSettings(segment_bytes=64 * 1024))
    for seq, body in enumerate(bodies):
        writer.append(EntryKind.FRAME, seq, body)
    writer.close()
    (file,) = session_path(data, "s").iterdir()
    with scan(file.parent) as journal:
        ends = [entry.offset + entry.header.stored_bytes for entry in journal]
    return file, bodies, ends


def test_ten_thousand_single_bit_flips(tmp_path: Path):
    file, bodies, ends = make(tmp_path, [200, 333, 512, 64])
    with scan(file.parent) as journal:
        whole = {entry.index: entry for entry in journal}
    size = file.stat().st_size
    chance = random.Random(6)
    bits = [chance.randrange(8 * size) for _ in range(FLIPS)]
    outcome = {"harmless": 0, "detected": 0, "wrong": 0, "unseen": 0}
    fd = os.open(file, os.O_RDWR)
    try:
        for bit in bits:
            at = bit // 8
            byte = os.pread(fd, 1, at)
            os.pwrite(fd, bytes([byte[0] ^ 1 << bit % 8]), at)
            with scan(file.parent) as journal:
                found = {e.index: (e, tuple(map(bytes, journal.body(e)))) for e in journal}
                report = journal.report
            os.pwrite(fd, byte, at)
            if any(whole[i] != e or bodies[i] != body for i, (e, body) in found.items()):
                outcome["wrong"] += 1
            elif len(found) < len(bodies):
                named = {i for d in report.damages for i in range(d.first_index, d.last_index + 1)}
                seen = named == set(whole) - set(found) and report.tail.state is TailState.DAMAGED
                outcome["detected" if seen else "unseen"] += 1
            else:
                outcome["harmless"] += 1
    finally:
        os.close(fd)
    assert outcome["wrong"] == outcome["unseen"] == 0
    assert outcome["detected"] + outcome["harmless"] == FLIPS
    # Only the padding of the first block, header copies, padding of entries and the seal can be flipped for free.
    expected = sum(4096 <= bit // 8 < ends[-1] for bit in bits)
    assert 0.97 * expected < outcome["detected"] <= expected


def test_a_reader_never_gives_a_flipped_frame(tmp_path: Path):
    """Flips that come after the reader has found its way, so that only the check of the body can see them."""
    file, bodies, ends = make(tmp_path, [200, 333, 512, 64])
    chance = random.Random(7)
    flips = raised = 0
    fd = os.open(file, os.O_RDWR)
    try:
        for _ in range(2000):
            at = chance.randrange(4096, ends[-1])
            byte = os.pread(fd, 1, at)
            with JournalReader(file.parent) as reader:
                os.pwrite(fd, bytes([byte[0] ^ 1 << chance.randrange(8)]), at)
                flips += 1
                for seq, body in enumerate(bodies):
                    try:
                        frame = reader.frame(seq)
                    except DamagedRecording:
                        raised += 1
                    else:
                        assert frame is not None and tuple(map(bytes, frame)) == body
            os.pwrite(fd, byte, at)
    finally:
        os.close(fd)
    assert 0.97 * flips < raised <= flips, "only the padding between entries can be flipped for free"


def test_truncation_at_every_byte(tmp_path: Path):
    file, bodies, ends = make(tmp_path, [100, 257, 31])
    with scan(file.parent) as journal:
        whole_at = [entry.offset + 64 + entry.header.body_bytes for entry in journal]
    content = file.read_bytes()
    fd = os.open(file, os.O_RDWR)
    try:
        for size in range(len(content) - 1, -1, -1):
            os.ftruncate(fd, size)
            with scan(file.parent) as journal:
                found = [tuple(map(bytes, journal.body(entry))) for entry in journal]
                report = journal.report
            assert found == bodies[: sum(end <= size for end in whole_at)]
            clean = size == 4096 or any(whole <= size <= end for whole, end in zip(whole_at, ends, strict=True))
            if size >= 4096:
                assert report.tail.state is (TailState.CLEAN if clean else TailState.TORN), size
            assert not report.tail.closed
    finally:
        os.close(fd)


@pytest.mark.parametrize("length", [1, 64, 700, 5000])
def test_runs_of_zeros_and_of_junk(tmp_path: Path, length: int):
    """Lost sectors and misdirected writes: every other frame is still read, every lost one is named."""
    file, bodies, ends = make(tmp_path, [300] * 20)
    content = file.read_bytes()
    chance = random.Random(length)
    for _ in range(100):
        at = chance.randrange(4096, ends[-1] - length if ends[-1] - length > 4096 else 4097)
        junk = chance.choice([bytes(length), chance.randbytes(length), content[4096 : 4096 + length]])
        file.write_bytes(content[:at] + junk + content[at + length :])
        with scan(file.parent) as journal:
            found = {e.index: tuple(map(bytes, journal.body(e))) for e in journal}
            report = journal.report
        touched = {i for i, end in enumerate(ends) if (ends[i - 1] if i else 4096) < at + length and at < end}
        assert all(bodies[i] == body for i, body in found.items())
        assert set(range(20)) - touched <= set(found)
        named = {i for d in report.damages for i in range(d.first_index, d.last_index + 1)}
        assert named == set(range(20)) - set(found)
