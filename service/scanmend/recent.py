"""What acquire's counters have grown by lately: a problem that is over must not stand for the rest of the session."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from scanmend.ipc.console import SessionInfo, Status
from scanmend.wire.messages import Receipt

WINDOW_S = 30.0
RESTARTS_S = 600.0
STEP_S = 1.0
"""Between two samples that are kept."""
_PROCESSOR = "cpu"
"""Stands in the name of every provider that is no accelerator, in any case of letters."""


@dataclass(frozen=True, slots=True)
class Lately:
    """What happened in a session in the last `WINDOW_S`."""

    answered: int = 0
    """Frames restored or passed through."""
    passed_through: dict[str, int] = field(default_factory=dict)
    """By reason."""
    discarded: int = 0
    """Frames that the client had to discard."""
    damaged: int = 0
    """Messages that failed a check."""


@dataclass(slots=True)
class _Track:
    session_id: int
    samples: deque[tuple[float, Receipt]] = field(default_factory=deque)


class Recent:
    """The last seconds of every session, and the last minutes of the engine.

    Args:
        monotonic_s: A clock that never goes back.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._tracks: dict[str, _Track] = {}
        self._starts: deque[tuple[float, int]] = deque()
        self._boot_id = 0
        self.accelerators: set[str] = set()
        """Providers other than the processor that have run a model since this object was made."""
        self.accelerated = False
        """Whether one of them runs a model now."""

    def take(self, status: Status) -> None:
        """Take in what acquire says now."""
        now_s = self._monotonic_s()
        if status.boot_id != self._boot_id:  # acquire counts anew
            self._boot_id, self._tracks = status.boot_id, {}
            self._starts.clear()
        self._starts.append((now_s, status.engine.generation))
        _thin(self._starts, now_s, RESTARTS_S)
        now = {model.provider for model in status.engine.models if model.live and model.provider}
        now = {provider for provider in now if _PROCESSOR not in provider.lower()}
        self.accelerators |= now
        self.accelerated = bool(now)
        known = {info.hello.session: info for info in status.sessions}
        self._tracks = {name: track for name, track in self._tracks.items() if name in known}
        for name, info in known.items():
            self._add(name, info, now_s)

    @property
    def engine_starts(self) -> int:
        """How many times the engine was started again in the last `RESTARTS_S`; its first start does not count."""
        if not self._starts:
            return 0
        return max(0, self._starts[-1][1] - max(1, self._starts[0][1]))

    def of(self, session: str) -> Lately:
        """What happened lately in a session."""
        track = self._tracks.get(session)
        if track is None or len(track.samples) < 2:
            return Lately()
        old, new = track.samples[0][1], track.samples[-1][1]
        passed = {word: count - old.passed_through.get(word, 0) for word, count in new.passed_through.items()}
        passed = {word: count for word, count in passed.items() if count > 0}
        return Lately(
            answered=max(0, new.restored_out - old.restored_out) + sum(passed.values()),
            passed_through=passed,
            discarded=max(0, new.dropped_by_client - old.dropped_by_client),
            damaged=max(0, new.damaged - old.damaged),
        )

    def _add(self, name: str, info: SessionInfo, now_s: float) -> None:
        track = self._tracks.get(name)
        if track is None or track.session_id != info.hello.session_id:
            track = self._tracks[name] = _Track(info.hello.session_id)
        track.samples.append((now_s, info.account))
        _thin(track.samples, now_s, WINDOW_S)


def _thin(samples: deque[tuple[float, int]] | deque[tuple[float, Receipt]], now_s: float, window_s: float) -> None:
    """Keep the newest sample, before it one each `STEP_S`, and of those older than the window the newest."""
    if len(samples) > 2 and samples[-2][0] - samples[-3][0] < STEP_S:
        del samples[-2]
    while len(samples) > 1 and samples[1][0] <= now_s - window_s:
        samples.popleft()
