"""What recording costs: the journal beside plain writes, and the way of a frame with and without it.

Contenders take turns in one run on one disk. For the way of a frame, a client sends frames through the running
service, one at a time, and waits for each estimate: once into sessions that are recorded, once into ones that are not.
"""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scanmend.bench.stream import WARM_UP, Frames, running
from scanmend.client import Client
from scanmend.errors import ScanmendError
from scanmend.field import Channel, Field
from scanmend.record.bench import RecordBench, bench_record
from scanmend.settings import Settings

LEAST_RATE = 0.85
"""Of the plain loop's rate, that the journal is to reach."""
MOST_LATENCY = 1.25
"""Times the p99 without recording, that the p99 with it may be."""
_START_S, _ANSWER_S = 120.0, 30.0
"""How long the first frame of a turn is waited for, which may find the engine loading models, and any other."""


@dataclass(frozen=True, slots=True)
class FramePath:
    """Milliseconds from the sending of a frame to its estimate, a list for each turn."""

    model: str
    size: int
    without_ms: tuple[tuple[float, ...], ...]
    recorded_ms: tuple[tuple[float, ...], ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """The p99 with recording over that without, turn by turn."""
        pairs = zip(self.recorded_ms, self.without_ms, strict=True)
        return tuple(float(np.percentile(a, 99) / np.percentile(b, 99)) for a, b in pairs)

    def summary(self) -> dict[str, Any]:
        """Medians over the turns of p50 and p99, and the ratio with its spread."""
        about: dict[str, Any] = {"model": self.model, "size": self.size, "rounds": len(self.ratios)}
        for name, turns in (("without_ms", self.without_ms), ("recorded_ms", self.recorded_ms)):
            about[name] = {
                f"p{part}": statistics.median(float(np.percentile(turn, part)) for turn in turns) for part in (50, 99)
            }
        ratios = self.ratios
        about["p99_ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        return about


def bench_recording(
    *,
    models: list[str],
    size: int = 512,
    rounds: int = 7,
    frames: int = 256,
    threads: int = 1,
    data_dir: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[RecordBench, list[FramePath]]:
    """Measure both; everything that is written is removed again.

    Args:
        models: What restores, for the way of a frame; names in the catalogue.
        size: Side of a frame in pixels; samples are u16.
        rounds: Turns of each contender.
        frames: Frames in a turn.
        threads: Of the runtime.
        data_dir: A folder on the disk that is measured; the one for temporary files where it is None.
        report: Gets a line a turn.

    Raises:
        RecordingError: The disk cannot be written or is too full.
    """
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="bench-record-") as name:
        place = Path(name)
        journal = bench_record(place, rounds=rounds, frames=frames, frame_bytes=size * size * 2)
        for line in journal.summary().splitlines():
            report(line)
        settings = Settings(
            port=0,
            http_port=0,
            data_dir=place,
            threads=threads,
            tune_s=0,
            runtimes=("onnxruntime",),
            export_when_ended=False,
            log_level="error",
        )
        pictures = np.random.default_rng(1).poisson(20, (8, size, size)).astype(np.uint16)
        with running(settings) as address:
            return journal, [_frame_path(address, model, pictures, rounds, frames, report) for model in models]


def _frame_path(
    address: str, model: str, pictures: Frames, rounds: int, frames: int, report: Callable[[str], None]
) -> FramePath:
    turns: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
    _turn(address, model, pictures, WARM_UP, record=True)  # the engine loads models when it starts
    for number in range(rounds):
        for record in (False, True) if number % 2 else (True, False):  # whoever comes first has no advantage
            turns[record].append(_turn(address, model, pictures, frames, record=record))
            word = "recorded" if record else "without"
            p50, p99 = np.percentile(turns[record][-1], (50, 99))
            report(f"{model} round {number + 1} {word}: {p50:.2f} ms p50, {p99:.2f} ms p99")
    return FramePath(model, pictures.shape[1], tuple(turns[False]), tuple(turns[True]))


def _turn(address: str, model: str, pictures: Frames, frames: int, *, record: bool) -> tuple[float, ...]:
    """A session of its own; gives the milliseconds that each frame took."""
    size = pictures.shape[1]
    took_ms = []
    with (
        Client(address) as client,
        client.session(
            f"bench-{secrets.token_hex(6)}",
            Field(shape=(size, size), pixel_size_nm=1.0),
            channels=[Channel(name="HAADF")],
            model=model,
            returns="estimate",
            delivery="received",
            record=record,
            hold_timeout_s=30.0,
        ) as session,
    ):
        for number in range(WARM_UP + frames):
            begun = time.perf_counter()
            session.send(pictures[number % len(pictures)], copy=False)
            if session.receive(_START_S if number == 0 else _ANSWER_S) is None:
                raise ScanmendError("The service did not answer in time.", mend="Look at its log.")
            if number >= WARM_UP:
                took_ms.append((time.perf_counter() - begun) * 1e3)
    return tuple(took_ms)
