"""Rates and latencies of a session, cheap enough to keep for every frame."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

WINDOW_NS = 2_000_000_000
"""Rates are averages over this long."""

LATENCIES = 512
"""Latencies are of this many last frames."""


@dataclass(slots=True)
class Meters:
    """Frames in and out over the last two seconds, and how long the last answers took."""

    _in: deque[tuple[int, int]] = field(default_factory=deque)
    _out: deque[int] = field(default_factory=deque)
    _latency_ns: deque[int] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    _restore_ns: deque[int] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    _restored: int = 0
    _slow_ns: int = 10_000_000_000

    def came(self, now_mono_ns: int, payload_bytes: int) -> None:
        """A frame was received."""
        self._in.append((now_mono_ns, payload_bytes))
        while self._in[0][0] < now_mono_ns - WINDOW_NS:
            self._in.popleft()

    def answered(self, now_mono_ns: int, latency_ns: int | None) -> None:
        """A frame's answer was handed to the socket; None where its latency says nothing of the service at work."""
        if latency_ns is not None:
            self._latency_ns.append(latency_ns)
        self._out.append(now_mono_ns)
        while self._out[0] < now_mono_ns - WINDOW_NS:
            self._out.popleft()

    def restored(self, restore_ns: int) -> None:
        """The engine took this long."""
        self._restore_ns.append(restore_ns)
        self._restored += 1
        if self._restored % 64 == 16:  # a percentile costs as much as the rest of a frame's way through here
            p99 = float(np.percentile(np.fromiter(self._restore_ns, dtype=np.int64), 99))
            self._slow_ns = max(2_000_000_000, int(10 * p99))

    def rates(self, now_mono_ns: int) -> tuple[float, float, float]:
        """Frames a second in, frames a second out, bytes a second in."""
        since = now_mono_ns - WINDOW_NS
        came = [size for when, size in self._in if when >= since]
        gone = sum(1 for when in self._out if when >= since)
        seconds = WINDOW_NS / 1e9
        return len(came) / seconds, gone / seconds, sum(came) / seconds

    def latency_ms(self) -> dict[str, float]:
        """p50, p95 and p99 of the last answers in milliseconds; empty before the first."""
        if not self._latency_ns:
            return {}
        p50, p95, p99 = np.percentile(np.fromiter(self._latency_ns, dtype=np.int64), (50, 95, 99)) / 1e6
        return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}

    @property
    def slow_restore_ns(self) -> int:
        """A restoration that takes longer than this counts as hung: ten times the 99th percentile, 2 s at least."""
        return self._slow_ns
