"""Figure 4: nothing that was called durable may hang on bytes that a power cut can take.

A shim below the journal logs every write, sync, truncate and allocation together with what the writer called durable
at that moment. For a cut at any point of that log the files are rebuilt: synced bytes as they were, un-synced ones
kept, dropped or torn sector by sector, in any mixture, with zeros or with an older journal's bytes beneath; names that
no folder sync covered may be gone. Then the journal is scanned.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from scanmend.record import (
    Disk,
    EntryKind,
    JournalSettings,
    JournalWriter,
    create_journal,
    reopen_for_append,
    scan,
    session_path,
)

CUTS = 1000
SECTOR = 512
SETTINGS = JournalSettings(segment_bytes=24 * 1024, queue_bytes=2**20, batch_bytes=8 * 1024)


@dataclass
class Op:
    verb: str
    name: str
    claimed: int
    """What the writer called durable when this operation began: true for a cut just before it."""
    offset: int = 0
    data: bytes = b""


class LoggingDisk(Disk):
    """The real disk, with a log of what it was told."""

    def __init__(self) -> None:
        self.log: list[Op] = []
        self.writer: JournalWriter | None = None
        self.floor = -1

    def note(self, verb: str, fd: int, offset: int = 0, data: bytes = b"") -> Op:
        claimed = self.floor if self.writer is None else self.writer.durable_index
        op = Op(verb, os.path.basename(os.readlink(f"/proc/self/fd/{fd}")), claimed, offset, data)
        self.log.append(op)
        return op

    def allocate(self, fd: int, size_bytes: int) -> None:
        self.note("allocate", fd, size_bytes)
        super().allocate(fd, size_bytes)

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        self.note("write", fd, offset, b"".join(buffers))
        return super().write(fd, buffers, offset)

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        self.note("sync folder" if metadata else "sync", fd)
        super().sync(fd, metadata=metadata)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self.note("truncate", fd, size_bytes)
        super().truncate(fd, size_bytes)


def record(data: Path, disk: LoggingDisk, name: str, seed: int, frames: int) -> dict[int, bytes]:
    """Frames of many sizes, in batches of chance, over many segments, with one clean end in between."""
    chance = random.Random(seed)
    writer = create_journal(data, name, 1, settings=SETTINGS, io=disk)
    disk.writer = writer
    bodies = {}
    for i in range(frames):
        if i == frames // 2:
            writer.close()
            disk.writer, disk.floor = None, i - 1
            writer, _ = reopen_for_append(data, name, settings=SETTINGS, io=disk)
            disk.writer = writer
        bodies[i] = chance.randbytes(80 + chance.choice([0, 13, 400, 1500, 6000, 30_000]))
        writer.append(EntryKind.FRAME, i, [bodies[i][:80], bodies[i][80:]])
        if chance.random() < 0.4:
            writer.flush()
    writer.close()
    disk.writer, disk.floor = None, frames - 1
    return bodies


def rebuild(log: list[Op], cut: int, chance: random.Random, beneath: bytes) -> dict[str, bytes]:
    """What the disk may hold when the power goes just before operation `cut`, which may have begun."""
    last_sync = {op.name: i for i, op in enumerate(log[:cut]) if op.verb == "sync"}
    folder_sync = max((i for i, op in enumerate(log[:cut]) if op.verb == "sync folder"), default=-1)
    begun = {op.name: i for i, op in reversed(list(enumerate(log[:cut])))}
    files: dict[str, bytearray] = {}
    for i, op in enumerate(log[: cut + 1]):
        if op.verb.startswith("sync"):
            continue
        if begun.get(op.name, cut) > folder_sync and op.name not in files and chance.random() < 0.5:
            begun[op.name] = -2  # the name never reached the disk
        if begun.get(op.name) == -2:
            continue
        held = files.setdefault(op.name, bytearray())
        safe = i < last_sync.get(op.name, -1)
        fate = "kept" if safe else chance.choice(["kept", "dropped", "torn", "torn"])
        if op.verb == "allocate" and fate != "dropped":
            start = chance.randrange(len(beneath) // 2)
            held.extend(bytes(op.offset) if safe or chance.random() < 0.5 else beneath[start:][: op.offset])
        elif op.verb == "truncate" and fate == "kept":
            del held[op.offset :]
        elif op.verb == "write" and fate != "dropped":
            for at in range(0, len(op.data), SECTOR):
                if fate == "torn" and chance.random() < 0.5:
                    continue
                piece = op.data[at : at + SECTOR]
                begin = op.offset + at
                if len(held) < begin + len(piece):
                    held.extend(bytes(begin + len(piece) - len(held)))
                held[begin : begin + len(piece)] = piece
    return {name: bytes(held) for name, held in files.items()}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Op], dict[int, bytes], bytes]:
    data = tmp_path_factory.mktemp("logged")
    record(data, LoggingDisk(), "older", seed=1, frames=60)
    older = b"".join(file.read_bytes() for file in sorted(session_path(data, "older").iterdir()))
    disk = LoggingDisk()
    bodies = record(data, disk, "s", seed=2, frames=120)
    return disk.log, bodies, older


def test_nothing_called_durable_is_lost_at_any_cut(history, tmp_path: Path):
    log, bodies, older = history
    assert len(log) > 200 and len({op.name for op in log}) > 10
    path = session_path(tmp_path, "s")
    path.mkdir(parents=True)
    chance = random.Random(3)
    violations, lost_unclaimed, kept_unclaimed, claimed_total = [], 0, 0, 0
    for number in range(CUTS):
        cut = chance.randrange(len(log))
        claimed = log[cut].claimed
        for file in path.iterdir():
            file.unlink()
        for name, held in rebuild(log, cut, chance, older).items():
            (path / name).write_bytes(held)
        with scan(path) as journal:
            found = {e.index: b"".join(journal.body(e)) for e in journal}
        wrong = [i for i, body in found.items() if bodies[i] != body]
        missing = set(range(claimed + 1)) - set(found)
        if wrong or missing:
            violations.append((number, cut, claimed, wrong, sorted(missing)))
        kept_unclaimed += sum(i > claimed for i in found)
        lost_unclaimed += not any(i > claimed for i in found)
        claimed_total += claimed + 1
        if number % 20 == 0 and found:
            writer, report = reopen_for_append(tmp_path, "s", settings=SETTINGS)
            index = writer.append(EntryKind.NOTE, 0, [b"after the cut"])
            writer.close()
            with scan(path) as journal:
                again = {e.index: b"".join(journal.body(e)) for e in journal}
            assert again == found | {index: b"after the cut"} and index == report.next_index
    assert violations == []
    assert claimed_total > 10 * CUTS and kept_unclaimed > 0 and lost_unclaimed > 0, "the cuts must be real cuts"


def test_the_model_finds_a_journal_that_acknowledges_too_early(history, tmp_path: Path):
    """The same check on a writer that calls entries durable one fdatasync too early: it must not pass."""
    log, _, older = history
    path = session_path(tmp_path, "s")
    path.mkdir(parents=True)
    chance = random.Random(4)
    caught = 0
    for _ in range(60):
        cut = chance.randrange(len(log) - 10)
        too_early = next((op.claimed for op in log[cut + 1 :] if op.claimed > log[cut].claimed), log[cut].claimed)
        for file in path.iterdir():
            file.unlink()
        for name, held in rebuild(log, cut, chance, older).items():
            (path / name).write_bytes(held)
        with scan(path) as journal:
            caught += bool(set(range(too_early + 1)) - {e.index for e in journal})
    assert caught > 20
