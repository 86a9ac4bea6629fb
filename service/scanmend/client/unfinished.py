"""Frames of which only the first pieces went out, so that sending one again goes on behind them.

Points that are sent twice count as exposed twice: the dose of the specimen and the picture would both be wrong. A pass
that was scanned again looks the same from outside, with the same plan, pass and points; its samples tell it apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scanmend.frame import Frame, Samples
from scanmend.wire.header import xxh3

MOST_KEPT = 16
"""Frames kept in mind; several tasks of a program may each have one, and some never send it again."""

_Key = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Begun:
    fingerprint: int
    points_sent: int
    dropped_told: int
    acquired_unix_ns: int


class Unfinished:
    """What went out of frames whose sending was given up between two pieces."""

    def __init__(self) -> None:
        self._begun: dict[_Key, _Begun] = {}

    def note(self, frame: Frame, points_sent: int, dropped_told: int) -> None:
        """Keep in mind how much of a frame went out.

        Args:
            frame: The frame, as its caller gave it.
            points_sent: How many of its points, from its first.
            dropped_told: Frames dropped before it, as its pieces said.
        """
        key = _key(frame)
        self._begun.pop(key, None)
        while len(self._begun) >= MOST_KEPT:
            del self._begun[next(iter(self._begun))]
        # The caller may change its array, so its values are kept in mind and not the array.
        self._begun[key] = _Begun(_fingerprint(frame.samples), points_sent, dropped_told, frame.acquired_unix_ns)

    def go_on(self, frame: Frame) -> tuple[Frame, int]:
        """Take a frame up again where it was left.

        Returns:
            The frame with the time of its first sending and the drops that are not told yet, and how many of its
            points went out; as it is, and 0, where it is a new one.
        """
        begun = self._begun.get(_key(frame)) if self._begun else None
        if begun is None or begun.fingerprint != _fingerprint(frame.samples):
            return frame, 0
        untold = max(0, frame.dropped_before - begun.dropped_told)
        return replace(frame, dropped_before=untold, acquired_unix_ns=begun.acquired_unix_ns), begun.points_sent

    def forget(self, frame: Frame) -> None:
        """All of a frame went out."""
        self._begun.pop(_key(frame), None)


def _key(frame: Frame) -> _Key:
    return frame.plan_id, frame.pass_index, frame.first_point, frame.points


def _fingerprint(samples: Samples) -> int:
    return xxh3(np.ascontiguousarray(samples).reshape(-1).view(np.uint8).data)
