"""The streaming path against the floor: frames a second, and latency with one frame in flight.

Both get the same frames from the same process, with at most `WINDOW` on their way, and give the estimate back as
float32. They take turns; each round gives one ratio, and the median and spread of the ratios are the result, since
this machine's speed drifts and its neighbours are noisy.
"""

from __future__ import annotations

import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zmq

from scanmend.bench.floor import STOP
from scanmend.client import Client
from scanmend.errors import ScanmendError
from scanmend.field import Channel, Field
from scanmend.readiness import wait_ready
from scanmend.settings import Settings
from scanmend.supervisor import Supervisor

WINDOW = 16
"""Frames on their way at most: the service's default credit."""

WARM_UP = 8
"""Frames that are not counted at the start of each turn."""

Frames = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one contender."""

    frames_per_s: float
    latency_ms: list[float]
    """Round trips with one frame in flight."""
    run_ms: float = 0.0
    """For the floor: median of `session.run` alone."""


@dataclass(slots=True)
class Comparison:
    """What one model gave."""

    model: str
    size: int
    floor: list[Turn] = field(default_factory=list)
    service: dict[str, list[Turn]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Medians, paired ratios with their spread, latencies, megabytes a second."""
        run_ms = statistics.median(turn.run_ms for turn in self.floor)
        floor_ms = [ms - run_ms for turn in self.floor for ms in turn.latency_ms]
        out: dict[str, Any] = {
            "model": self.model,
            "shape": [self.size, self.size],
            "rounds": len(self.floor),
            "run_ms": run_ms,
            "floor": {**_rate(self.floor, self.size), "added_latency_ms": _quantiles(floor_ms)},
        }
        for name, turns in self.service.items():
            ratios = [turn.frames_per_s / floor.frames_per_s for turn, floor in zip(turns, self.floor, strict=True)]
            added = [ms - run_ms for turn in turns for ms in turn.latency_ms]
            out[name] = {
                **_rate(turns, self.size),
                "ratio_to_floor": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
                "added_latency_ms": _quantiles(added),
                "added_latency_ratio": {
                    "p50": _quantiles(added)["p50"] / _quantiles(floor_ms)["p50"],
                    "p99": _quantiles(added)["p99"] / _quantiles(floor_ms)["p99"],
                },
            }
        return out


def _rate(turns: list[Turn], size: int) -> dict[str, float]:
    rate = statistics.median(turn.frames_per_s for turn in turns)
    return {"frames_per_s": rate, "mb_per_s_in": rate * size * size * 2 / 1e6}


def _quantiles(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, (50, 99))
    return {"p50": float(p50), "p99": float(p99)}


def bench_stream(
    *,
    models: list[str],
    size: int = 512,
    rounds: int = 7,
    seconds: float = 2.0,
    threads: int = 1,
    data_dir: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Run the comparison.

    Args:
        models: Names in the catalogue.
        size: Side of a frame in pixels; samples are u16.
        rounds: How often each contender has its turn.
        seconds: How long a turn lasts, roughly.
        threads: Of the runtime, for floor and service alike.
        data_dir: Where the recordings go; a temporary folder where it is None.
        report: Gets a line a turn.

    Returns:
        One summary for each model.
    """
    frames = np.random.default_rng(1).poisson(20, (8, size, size)).astype(np.uint16)
    out = []
    with tempfile.TemporaryDirectory(prefix="scanmend-bench-") as temporary:
        settings = Settings(
            port=0,
            http_port=0,
            data_dir=data_dir or Path(temporary),
            threads=threads,
            tune_s=0,
            runtimes=("onnxruntime",),
            export_when_ended=False,
            log_level="error",
        )
        with running(settings) as address:
            for model in models:
                out.append(_compare(model, frames, rounds, seconds, threads, address, report))
    return out


def _compare(
    model: str, frames: Frames, rounds: int, seconds: float, threads: int, address: str, report: Callable[[str], None]
) -> dict[str, Any]:
    size = frames.shape[1]
    result = Comparison(model, size, service={"received": [], "durable": []})
    with floor_process(model, size, threads) as drive_floor:
        trial = drive_floor(frames, 24)
        count = max(32, int(trial.frames_per_s * seconds))
        for round_ in range(rounds):
            result.floor.append(drive_floor(frames, count))
            report(f"{model} round {round_ + 1} floor {result.floor[-1].frames_per_s:.0f} frames/s")
            for name in ("received", "durable"):
                turn = service_turn(address, model, frames, count, "durable" if name == "durable" else "received")
                result.service[name].append(turn)
                report(f"{model} round {round_ + 1} {name} {turn.frames_per_s:.0f} frames/s")
        run_ms = drive_floor(frames, 0).run_ms
    result.floor = [Turn(**{**asdict(turn), "run_ms": run_ms}) for turn in result.floor]
    return result.summary()


def service_turn(
    address: str, model: str, frames: Frames, count: int, delivery: Literal["received", "durable"]
) -> Turn:
    """One turn of the service: a session of its own, as any client would open it."""
    size = frames.shape[1]
    with Client(address) as client:
        with client.session(
            f"bench-{secrets.token_hex(6)}",
            Field(shape=(size, size), pixel_size_nm=1.0),
            channels=[Channel(name="HAADF")],
            model=model,
            returns="estimate",
            delivery=delivery,
            record=delivery == "durable",
            hold_timeout_s=30.0,
        ) as session:
            latency_ms = []
            for n in range(WARM_UP + 40):
                begun = time.perf_counter()
                session.send(frames[n % len(frames)], copy=False)
                _expect(session.receive(10.0))
                if n >= WARM_UP:
                    latency_ms.append((time.perf_counter() - begun) * 1e3)
            begun = time.perf_counter()
            got = 0
            for n in range(count):
                session.send(frames[n % len(frames)], copy=False)
                while session.receive(0) is not None:
                    got += 1
            while got < count:
                _expect(session.receive(10.0))
                got += 1
            elapsed = time.perf_counter() - begun
    return Turn(count / elapsed, latency_ms)


def _expect(restored: object) -> None:
    if restored is None:
        raise ScanmendError("The service did not answer within ten seconds.", mend="Look at its log.")


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """A service with these settings; gives the address for microscopes."""
    supervisor = Supervisor(settings)
    supervisor.startup()
    try:
        if not wait_ready(supervisor, supervisor.turn):
            raise ScanmendError(f"The service failed: {supervisor.failure}", mend="Run `scanmend check`.")
        yield supervisor.address
    finally:
        supervisor.shutdown()


@contextmanager
def floor_process(model: str, size: int, threads: int) -> Iterator[Callable[[Frames, int], Turn]]:
    """A floor in a process of its own; gives a function that drives one turn of it.

    Driven with a count of 0, it stops the process and gives its `session.run` time.
    """
    path = str(files("scanmend_models") / "catalogue" / f"{model}.onnx")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    to_floor, from_floor = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    for socket in (to_floor, from_floor):
        socket.set_hwm(32)
    ports = [to_floor.bind_to_random_port("tcp://127.0.0.1"), from_floor.bind_to_random_port("tcp://127.0.0.1")]
    words = [path, str(size), str(size), str(threads), *map(str, ports)]
    process = subprocess.Popen([sys.executable, "-m", "scanmend.bench.floor", *words])

    def drive(frames: Frames, count: int) -> Turn:
        if count == 0:
            to_floor.send(STOP)
            return Turn(0.0, [], float(from_floor.recv()) * 1e3)
        latency_ms = []
        for n in range(WARM_UP + 40):
            begun = time.perf_counter()
            to_floor.send(frames[n % len(frames)], copy=False)
            from_floor.recv(copy=False)
            if n >= WARM_UP:
                latency_ms.append((time.perf_counter() - begun) * 1e3)
        begun = time.perf_counter()
        sent = got = 0
        while got < count:
            while sent < count and sent - got < WINDOW:
                to_floor.send(frames[sent % len(frames)], copy=False)
                sent += 1
            from_floor.recv(copy=False)
            got += 1
        return Turn(count / (time.perf_counter() - begun), latency_ms)

    try:
        yield drive
    finally:
        process.terminate()
        process.wait()
        context.destroy(linger=0)
