"""How fast the journal is, against plain loops on the same disk in the same run.

Two floors, both a file that grows, frame by frame: with an fdatasync behind each frame (what a program does that
takes no chances), and with one behind as many bytes as the journal commits at once (the harder one). Floors and
journal take turns, so that what else the disk does in that minute meets all three.
"""

from __future__ import annotations

import os
import select
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from scanmend.record.format import EntryKind
from scanmend.record.opening import create_journal
from scanmend.record.settings import JournalSettings

_HEADER_BYTES = 80


@dataclass(frozen=True, slots=True)
class RecordBench:
    """Figures of one run, one value a round where there are several."""

    frame_bytes: int
    frames: int
    """Frames in a round."""
    plain_mb_per_s: tuple[float, ...]
    """Write + fdatasync, frame by frame."""
    grouped_mb_per_s: tuple[float, ...]
    """Write frame by frame, fdatasync once for each batch of the journal's size."""
    journal_mb_per_s: tuple[float, ...]
    append_us_p50: float
    append_us_p99: float
    """How long `append` kept its caller."""
    durable_ms_p50: float
    durable_ms_p99: float
    """From `append` until durable, one frame at a time on an idle journal."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Journal over plain loop, round by round; 0.85 is the least that is asked for."""
        return tuple(j / p for j, p in zip(self.journal_mb_per_s, self.plain_mb_per_s, strict=True))

    @property
    def grouped_ratios(self) -> tuple[float, ...]:
        """Journal over the grouped loop, round by round."""
        return tuple(j / p for j, p in zip(self.journal_mb_per_s, self.grouped_mb_per_s, strict=True))

    def figures(self) -> dict[str, Any]:
        """The figures by name: medians of the rounds with their spread."""

        def spread(values: tuple[float, ...]) -> dict[str, float]:
            return {"median": statistics.median(values), "min": min(values), "max": max(values)}

        return {
            "frame_bytes": self.frame_bytes,
            "frames": self.frames,
            "plain_mb_per_s": spread(self.plain_mb_per_s),
            "grouped_mb_per_s": spread(self.grouped_mb_per_s),
            "journal_mb_per_s": spread(self.journal_mb_per_s),
            "ratio_to_plain": spread(self.ratios),
            "ratio_to_grouped": spread(self.grouped_ratios),
            "append_us": {"p50": self.append_us_p50, "p99": self.append_us_p99},
            "durable_ms": {"p50": self.durable_ms_p50, "p99": self.durable_ms_p99},
        }

    def summary(self) -> str:
        """The figures in a few lines: medians, with the least and the largest round."""

        def spread(values: tuple[float, ...], digits: int) -> str:
            low, mid, high = min(values), statistics.median(values), max(values)
            return f"{mid:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

        return "\n".join(
            (
                f"{len(self.ratios)} rounds of {self.frames} frames of {self.frame_bytes / 1e6:.2f} MB",
                f"plain loop      {spread(self.plain_mb_per_s, 0)} MB/s",
                f"grouped loop    {spread(self.grouped_mb_per_s, 0)} MB/s",
                f"journal         {spread(self.journal_mb_per_s, 0)} MB/s",
                f"journal/plain   {spread(self.ratios, 2)}, asked for: 0.85",
                f"journal/grouped {spread(self.grouped_ratios, 2)}",
                f"append          {self.append_us_p50:.0f} us p50, {self.append_us_p99:.0f} us p99",
                f"until durable   {self.durable_ms_p50:.2f} ms p50, {self.durable_ms_p99:.2f} ms p99",
            )
        )


def bench_record(
    folder: Path,
    *,
    rounds: int = 7,
    frames: int = 256,
    frame_bytes: int = 512 * 1024,
    settings: JournalSettings | None = None,
) -> RecordBench:
    """Measure on the disk of `folder`; everything that is written is removed again.

    Args:
        folder: Where to write; the recording folder, to learn about its disk.
        rounds: How often floors and journal take turns.
        frames: Frames in a round.
        frame_bytes: Payload of one.
        settings: The journal's sizes.

    Raises:
        RecordingError: The disk cannot be written or is too full.
    """
    sizes = settings or JournalSettings()
    payload = os.urandom(frame_bytes)
    plain, grouped, journal = [], [], []
    append_us: list[float] = []
    durable_ms: list[float] = []
    per_batch = max(1, sizes.batch_bytes // (frame_bytes + _HEADER_BYTES))
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as name:
        place = Path(name)
        for _ in range(rounds):
            plain.append(_loop(place, payload, frames, 1))
            grouped.append(_loop(place, payload, frames, per_batch))
            journal.append(_journal(place, payload, frames, sizes, append_us))
            _latency(place, payload, max(8, frames // 8), sizes, durable_ms)
    return RecordBench(
        frame_bytes,
        frames,
        tuple(plain),
        tuple(grouped),
        tuple(journal),
        *_p50_p99(append_us),
        *_p50_p99(durable_ms),
    )


def _loop(place: Path, payload: bytes, frames: int, per_sync: int) -> float:
    path = place / "plain"
    header = bytes(_HEADER_BYTES)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        begin = time.perf_counter()
        for i in range(frames):
            os.pwritev(fd, (header, payload), i * (len(payload) + _HEADER_BYTES))
            if (i + 1) % per_sync == 0 or i + 1 == frames:
                os.fdatasync(fd)
        return frames * len(payload) / 1e6 / (time.perf_counter() - begin)
    finally:
        os.close(fd)
        path.unlink()


def _journal(place: Path, payload: bytes, frames: int, sizes: JournalSettings, append_us: list[float]) -> float:
    """The journal as the ingest uses it: the payload's checksum is known, room is asked for, news is waited for."""
    header, checksum = bytes(_HEADER_BYTES), xxhash.xxh3_64_intdigest(payload)
    writer = create_journal(place, "bench", 1, settings=sizes)
    try:
        begin = time.perf_counter()
        for i in range(frames):
            while writer.failure is None and not writer.has_room(_HEADER_BYTES + len(payload)):
                select.select([writer.wakeup_fd], [], [], 1.0)
                writer.clear_wakeup()
            before = time.perf_counter()
            writer.append(EntryKind.FRAME, i, (header, payload), tail_xxh3=checksum)
            append_us.append((time.perf_counter() - before) * 1e6)
        writer.flush()
        return frames * len(payload) / 1e6 / (time.perf_counter() - begin)
    finally:
        writer.close()
        shutil.rmtree(place / "sessions")


def _latency(place: Path, payload: bytes, frames: int, sizes: JournalSettings, durable_ms: list[float]) -> None:
    header, checksum = bytes(_HEADER_BYTES), xxhash.xxh3_64_intdigest(payload)
    writer = create_journal(place, "bench", 1, settings=sizes)
    try:
        for i in range(frames):
            before = time.perf_counter()
            writer.append(EntryKind.FRAME, i, (header, payload), tail_xxh3=checksum)
            writer.flush()
            durable_ms.append((time.perf_counter() - before) * 1e3)
    finally:
        writer.close()
        shutil.rmtree(place / "sessions")


def _p50_p99(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
