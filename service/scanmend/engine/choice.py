"""Which model restores a frame of a session that leaves it to the engine: the best one that there is time for.

The time is that of the scan itself: a stream of frames is kept up with when each is restored while the next one is
scanned. A model's own time is measured at start and corrected by every frame that it restores. What the model at work
finds, as against its own time at start, tells of the machine; so the others are expected to be as much slower or
quicker, and a model that was given up while the machine was busy is taken up again when it is not. It is trusted half
as soon each time, since it may be the model itself that is slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

LEAST_MS = 33.0
"""Nobody looks at more than 30 pictures a second: a scan that is quicker is not kept up with picture by picture."""
SLACK = 1.25
"""A better model is taken only where it fits with this much to spare; the present one is kept as long as it fits."""
LEARNING = 0.1
"""Weight of a new measurement in a model's expected time."""
LEARNING_OF_OTHERS = 0.03
"""Weight of what the model at work says of the machine in the expected times of the others."""
MOST_DOUBTS = 6
"""How often that weight is halved at most for a model that was given up."""


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
        at_start: The same as it was measured at the start.
    """

    options: Sequence[Option]
    ms_per_mpx: dict[str, float] = field(default_factory=dict)
    at_start: dict[str, float] = field(default_factory=dict)
    _given_up: Counter[str] = field(default_factory=Counter)

    def begin(self, name: str, pixels: int, elapsed_ms: float) -> None:
        """Take the time that a model took at the start."""
        self.at_start[name] = self.ms_per_mpx[name] = elapsed_ms / max(pixels, 1) * 1e6

    def expected_ms(self, name: str, pixels: int) -> float:
        """How long a model is expected to take for a field; 0 where nothing is known."""
        return self.ms_per_mpx.get(name, 0.0) * pixels / 1e6

    def learn(self, name: str, pixels: int, elapsed_ms: float) -> None:
        """Take the time of a frame into account."""
        pace = elapsed_ms / max(pixels, 1) * 1e6
        before = self.ms_per_mpx.get(name, pace)
        self.ms_per_mpx[name] = before + LEARNING * (pace - before)
        if not self.at_start.get(name):
            return
        slower = self.ms_per_mpx[name] / self.at_start[name]
        for other, start in self.at_start.items():
            if other == name:
                continue
            change = slower * start - self.ms_per_mpx[other]
            doubts = min(MOST_DOUBTS, self._given_up[other]) if change < 0 else 0
            self.ms_per_mpx[other] += LEARNING_OF_OTHERS / 2**doubts * change

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
            if expected <= (time_ms / SLACK if present and name != present else time_ms):
                return name
            if name == present:
                self._given_up[name] += 1
        return min(able or [option.name for option in self.options], key=lambda name: self.expected_ms(name, pixels))
