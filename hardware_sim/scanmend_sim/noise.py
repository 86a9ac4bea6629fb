"""Slow random motions as functions of time: the same seed gives the same value at the same time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]
"""Times in nanoseconds since the microscope was switched on."""


class Jitter:
    """Noise without memory beyond its period: knots drawn from a normal distribution, joined by straight lines."""

    KNOTS = 1 << 15
    """Knots before the noise repeats itself."""

    def __init__(self, rng: np.random.Generator, spread: float, period_ns: float) -> None:
        """Draw the knots.

        Args:
            rng: Source of randomness.
            spread: Standard deviation of the value.
            period_ns: Time between knots in nanoseconds.
        """
        self._period_ns = period_ns
        # Straight lines between independent knots have 2/3 of the knots' variance on average.
        knots = rng.standard_normal(self.KNOTS) * spread * np.sqrt(1.5) if spread else np.zeros(self.KNOTS)
        self._knots = np.append(knots, knots[0])
        self.still = spread == 0

    def at(self, times_ns: Times) -> Times:
        """Give the value at each time."""
        position = times_ns * (1.0 / self._period_ns)
        knot = np.floor(position)
        part = position - knot
        index = knot.astype(np.int64) & (self.KNOTS - 1)
        return np.asarray(self._knots[index] * (1.0 - part) + self._knots[index + 1] * part)


class Walk:
    """A random walk (Brownian motion) that starts at 0, drawn further as later times are asked for."""

    STEP_NS = 20e6
    """Time between drawn places in nanoseconds; between them the walk goes straight."""

    BLOCK = 4096
    """Places that are drawn at once: 82 s."""

    def __init__(self, rng: np.random.Generator, per_sqrt_s: float) -> None:
        """Start the walk.

        Args:
            rng: Source of randomness, owned by the walk from now on.
            per_sqrt_s: Standard deviation after one second; it grows with the square root of time.
        """
        self._rng = rng
        self._step = per_sqrt_s * np.sqrt(self.STEP_NS * 1e-9)
        self._places = np.zeros(1)
        self.still = per_sqrt_s == 0

    def at(self, times_ns: Times) -> Times:
        """Give the place at each time; times are 0 or later."""
        if self.still:
            return np.zeros_like(times_ns)
        position = times_ns / self.STEP_NS
        needed = int(position.max(initial=0.0)) + 2
        while needed > len(self._places):
            # In blocks that do not depend on when the walk is asked, so that its places do not either.
            steps = self._rng.standard_normal(self.BLOCK) * self._step
            self._places = np.concatenate([self._places, self._places[-1] + np.cumsum(steps)])
        knot = position.astype(np.int64)
        part = position - knot
        return np.asarray(self._places[knot] * (1.0 - part) + self._places[knot + 1] * part)


def fold(distance: Times, limit: float) -> Times:
    """Turn an endless way from 0 into one that goes back and forth between -limit and limit."""
    return np.asarray(limit - np.abs(np.mod(distance + limit, 4.0 * limit) - 2.0 * limit))
