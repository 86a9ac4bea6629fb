"""How each session went in the last minutes: one sample a second, kept in memory, bounded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from scanmend.ipc.console import SessionInfo
from scanmend.web.console_client import Snapshot
from scanmend.wire.messages import Receipt, finite_or_none

LENGTH_S = 600
"""Samples kept of a session."""
STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of a session."""

    unix_s: float
    p50_ms: float | None
    """From a frame's arrival to its answer, over the last frames; None before the first."""
    p95_ms: float | None
    frames_in: float
    """Frames received a second since the sample before."""
    frames_out: float
    """Frames answered a second, restored or passed through."""
    queued: int
    dropped: float
    """Frames a second that were not restored by themselves, or that the client had to discard."""
    missing: int
    """Sequence numbers that have not come, at that time."""


@dataclass(slots=True)
class _Track:
    session_id: int
    counts: tuple[int, int, int]
    at_s: float
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=LENGTH_S))


class History:
    """The samples of every session that acquire knows.

    Args:
        monotonic_s: A clock that never goes back.
        unix_s: The time of day.
    """

    def __init__(
        self, monotonic_s: Callable[[], float] = time.monotonic, unix_s: Callable[[], float] = time.time
    ) -> None:
        self._monotonic_s = monotonic_s
        self._unix_s = unix_s
        self._tracks: dict[str, _Track] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Take a snapshot of acquire; those that come within a second of the last sample are passed over."""
        if snapshot.status is None or not snapshot.reachable:
            return
        known = {info.hello.session: info for info in snapshot.status.sessions}
        self._tracks = {name: track for name, track in self._tracks.items() if name in known}
        for name, info in known.items():
            self._sample(name, info)

    def of(self, session: str, seconds: float) -> list[Sample]:
        """The samples of the last so many seconds, the oldest first; empty for a session that is not known."""
        track = self._tracks.get(session)
        if track is None:
            return []
        since_s = self._unix_s() - seconds
        return [sample for sample in track.samples if sample.unix_s >= since_s]

    def _sample(self, name: str, info: SessionInfo) -> None:
        now_s, counts = self._monotonic_s(), _counts(info.account)
        track = self._tracks.get(name)
        if track is None or track.session_id != info.hello.session_id:
            self._tracks[name] = _Track(info.hello.session_id, counts, now_s)
            return
        passed_s = now_s - track.at_s
        if passed_s < STEP_S or (info.state == "ended" and counts == track.counts):
            return  # an ended session's line ends with it
        # Below zero where acquire was started anew and counts from the journal.
        received, answered, dropped = (
            max(0, new - old) / passed_s for new, old in zip(counts, track.counts, strict=True)
        )
        track.samples.append(
            Sample(
                unix_s=round(self._unix_s(), 3),
                p50_ms=finite_or_none(info.latency_ms["p50"]) if "p50" in info.latency_ms else None,
                p95_ms=finite_or_none(info.latency_ms["p95"]) if "p95" in info.latency_ms else None,
                frames_in=round(received, 3),
                frames_out=round(answered, 3),
                queued=info.queued,
                dropped=round(dropped, 3),
                missing=info.account.gaps,
            )
        )
        track.counts, track.at_s = counts, now_s


def _counts(account: Receipt) -> tuple[int, int, int]:
    answered = account.restored_out + sum(account.passed_through.values())
    # An answer that nobody wanted is none that is missed.
    dropped = sum(account.dropped.values()) - account.dropped.get("returns_none", 0)
    return account.received, answered, dropped + account.dropped_by_client
