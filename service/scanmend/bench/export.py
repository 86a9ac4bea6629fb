"""How fast a session becomes a NeXus file, beside h5py alone that writes the same arrays with the same filter.

Export and floor take turns in one run. The export also reads the journal, checks it, sums dose, keeps the tables and
syncs the file; the floor has its frames in memory, and syncs the file too. One export runs in a process of its own,
whose largest resident memory is noted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scanmend.export import Compression, export_nexus
from scanmend.export.tree import packing, picture_chunk
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, create_journal, session_path
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import Hello, Mode, Plan, encode

NAME = "bench"
_KINDS = 8
"""Different frames; they come round and round."""
_PEAK = """
import re, sys
from pathlib import Path
from scanmend.export import Compression, export_nexus
export_nexus(Path(sys.argv[1]), Path(sys.argv[2]), compression=Compression(sys.argv[3]))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def bench_export(
    *,
    mode: str,
    size: int,
    megabytes: int,
    rounds: int,
    compression: str,
    folder: Path | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Measure; everything that is written is removed again.

    Args:
        mode: `frames`: pictures that are stacked; `exposure`: passes over half of the pixels that add up.
        size: Side of the field in pixels.
        megabytes: Samples of the session, in MB.
        rounds: Turns of each.
        compression: As for the export.
        folder: Where to write; a temporary folder where it is None.
        report: Told of each turn.

    Returns:
        Rates in MB of samples a second with their spread, the ratio, the size of the file over that of the samples,
        and the largest resident memory of an export in MB.

    Raises:
        RecordingError: The disk has no room for the session.
        ExportError: It has none for the file.
    """
    packed = Compression(compression)
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-export-") as name:
        place = Path(name)
        session, frames, count = record_counts(place, Mode(mode), size, megabytes)
        samples_mb = count * frames[0].nbytes / 1e6
        ours, floor = [], []
        target = place / "one.nxs"
        for turn in range(rounds):
            floor.append(samples_mb / _floor(target, frames, count, packed, size if mode == Mode.FRAMES else 0))
            made = export_nexus(session, target, compression=packed, force=True)
            ours.append(samples_mb / made.elapsed_s)
            report(f"turn {turn + 1} of {rounds}: export {ours[-1]:.0f} MB/s, h5py alone {floor[-1]:.0f} MB/s")
        share = target.stat().st_size / 1e6 / samples_mb
        target.unlink()
        command = [sys.executable, "-c", _PEAK, str(session), str(target), compression]
        peak_kb = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        "mode": mode,
        "size": size,
        "samples_mb": samples_mb,
        "frames": count,
        "compression": compression,
        "export_mb_per_s": _spread(ours),
        "h5py_mb_per_s": _spread(floor),
        "ratio": _spread([a / b for a, b in zip(ours, floor, strict=True)]),
        "file_over_samples": share,
        "peak_memory_mb": peak_kb / 1024,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def record_counts(place: Path, mode: Mode, size: int, megabytes: float) -> tuple[Path, list[np.ndarray], int]:
    """A recorded session of counts; gives its folder, its different frames, and how many there are in all.

    Args:
        place: Data folder.
        mode: As for `bench_export`.
        size: Side of the field in pixels.
        megabytes: Samples of the session, in MB.
    """
    shape = (size, size)
    plan = ScanPlan.raster(shape, 1000) if mode is Mode.FRAMES else ScanPlan.random(shape, 1000, coverage=0.5, seed=1)
    rng = np.random.default_rng(1)
    frames = [rng.poisson(12, plan.points).astype("<u2") for _ in range(_KINDS)]
    count = max(1, round(megabytes * 1e6 / frames[0].nbytes))
    field = Field(shape=shape, pixel_size_nm=1.0, beam_current_pa=20.0)
    hello = Hello(session=NAME, session_id=1, field=field, channels=(Channel(name="SE"),), mode=mode)
    journal = create_journal(place, NAME, 1)
    journal.append(EntryKind.SESSION, time.time_ns(), [encode(hello)])
    journal.append(EntryKind.PLAN, 0, [encode(Plan(session_id=1, plan_id=0, plan=plan))])
    for seq in range(count):
        payload = frames[seq % _KINDS].data.cast("B")
        header = FrameHeader(
            session_id=1,
            seq=seq,
            plan_id=0,
            pass_index=seq,
            first_point=0,
            points=plan.points,
            channels=1,
            dtype="uint16",
            flags=FrameFlag.END_OF_PASS,
            acquired_unix_ns=time.time_ns(),
            payload_bytes=len(payload),
            payload_xxh3=xxh3(payload),
        )
        if not journal.has_room(len(payload) + 80):
            journal.flush()
        journal.append(EntryKind.FRAME, seq, [header.pack(), payload])
    journal.flush()
    journal.close()
    return session_path(place, NAME), frames, count


def _floor(target: Path, frames: list[np.ndarray], count: int, packed: Compression, side: int) -> float:
    """Write the frames with h5py alone, as a stack where `side` is given, else end to end; gives the seconds."""
    begin = time.perf_counter()
    points = len(frames[0])
    with h5py.File(target, "w") as file:
        if side:
            shape, chunks = (side, side), (1, *picture_chunk((side, side), 2))
            data = file.create_dataset("data", (count, *shape), "<u2", chunks=chunks, **packing(packed))
            for number in range(count):
                data[number] = frames[number % len(frames)].reshape(shape)
        else:
            chunk = min(1 << 19, points)
            data = file.create_dataset("data", (count * points,), "<u2", chunks=(chunk,), **packing(packed))
            for number in range(count):
                data[number * points : (number + 1) * points] = frames[number % len(frames)]
        file.flush()
    fd = os.open(target, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return time.perf_counter() - begin
