"""Which model restores a frame of a session that leaves it to the engine: the best one that there is time for.

The time is that of the scan itself: a stream of frames is kept up with when each is restored while the next one is
scanned. A model's own time is measured at start and corrected by every frame that it restores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

LEAST_MS = 33.0
"""Nobody looks at more than 30 pictures a second: a scan that is quicker is not kept up with picture by picture."""
SLACK = 1.25
"""A model is changed only where the other one fits with this much to spare, or the present one misses by as much."""
LEARNING = 0.1
"""Weight of a new measurement in a model's expected time."""


@dataclass(frozen=True, slots=True)
class Option:
    """A model that may be chosen."""

    name: str
    least_coverage: float = 0.0
    most_coverage: float = 1.0
    """What it was trained on."""

    def fits(self, coverage: float) -> bool:
        """Whether it was made for such an exposure."""
        return self.least_coverage <= coverage <= self.most_coverage


@dataclass(slots=True)
class Choice:
    """The models of an engine, the best first, and how long each takes.

    Args:
        options: The best first; the last one is taken where none fits.
        ms_per_mpx: Expected milliseconds for a million pixels, by name.
    """

    options: Sequence[Option]
    ms_per_mpx: dict[str, float] = field(default_factory=dict)

    def expected_ms(self, name: str, pixels: int) -> float:
        """How long a model is expected to take for a field; 0 where nothing is known."""
        return self.ms_per_mpx.get(name, 0.0) * pixels / 1e6

    def learn(self, name: str, pixels: int, elapsed_ms: float) -> None:
        """Take the time of a frame into account."""
        pace = elapsed_ms / max(pixels, 1) * 1e6
        before = self.ms_per_mpx.get(name, pace)
        self.ms_per_mpx[name] = before + LEARNING * (pace - before)

    def choose(self, pixels: int, coverage: float, time_ms: float, present: str = "") -> str:
        """Give the name of the best model for a frame.

        Args:
            pixels: Of the field.
            coverage: Share of the pixels that are sampled.
            time_ms: How long it may take; less than `LEAST_MS` counts as that.
            present: What the frame before had; kept while there is no clear reason to change.

        Returns:
            The best model that was made for such coverage and fits the time. Where none fits: the quickest.
        """
        time_ms = max(time_ms, LEAST_MS)
        able = [option.name for option in self.options if option.fits(coverage)]
        for name in able:
            expected = self.expected_ms(name, pixels)
            if expected <= (time_ms * SLACK if name == present else time_ms / SLACK if present else time_ms):
                return name
        return min(able or [option.name for option in self.options], key=lambda name: self.expected_ms(name, pixels))
