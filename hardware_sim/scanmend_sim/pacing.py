"""When a frame may leave: as fast as the beam would be, at a given rate, or as fast as it can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

Rate = float | Literal["max", "realtime"]
"""Passes a second, as fast as the beam (`realtime`), or as fast as everything can (`max`)."""

FORGIVEN_S = 0.02
"""Lateness up to this is caught up with; more than that moves the schedule."""

LEARN = 0.3
"""Weight of the newest frame in the estimate of how long samples take to make."""


class Pacer:
    """Turns the microscope's clock into times of the wall's.

    A scan waits when nobody takes its frames: what comes late moves everything after it, and no burst catches up.

    Args:
        rate: How fast.
        speed: How much faster than the beam, for `realtime`; 2 is twice as fast.
        clock: Seconds that never go back.
    """

    def __init__(self, rate: Rate, *, speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._speed = speed
        self._clock = clock
        self._origin_s = clock()
        self._work_s = 0.0

    def due_s(self, beam_ns: int, passes: float) -> float:
        """The time at which a frame is due.

        Args:
            beam_ns: The microscope's clock at the frame's last sample.
            passes: Passes up to that sample, fractions included.
        """
        if self._rate == "max":
            return self._clock()
        if self._rate == "realtime":
            return self._origin_s + beam_ns * 1e-9 / self._speed
        return self._origin_s + passes / self._rate

    def start_work_s(self, due_s: float) -> float:
        """The time at which to begin to make the samples of a frame, so that they are ready when it is due."""
        return due_s - self._work_s

    def worked(self, seconds: float) -> None:
        """Learn how long the samples of a frame took to make."""
        self._work_s += LEARN * (seconds - self._work_s)

    def left(self, due_s: float) -> None:
        """A frame that was due has left just now; if it was late, all that follow are."""
        late_s = self._clock() - due_s
        if late_s > FORGIVEN_S:
            self._origin_s += late_s
