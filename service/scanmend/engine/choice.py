"""Which model restores a frame of a session that leaves it to the engine: the best one that there is time for.

The time is that of the scan itself: a stream of frames is kept up with when each is restored while the next one is
scanned. A model's own time is measured at start and corrected by every frame that it restores, for fields of about the
same size: a small field costs more than its share of a large one. What the model at work finds, as against its own time
at start, tells of the machine; so the others are expected to be as much slower or quicker, and one that was given up
while the machine was busy is taken up again when it is not. It is trusted half as soon each time, since it may be slow
by itself; that is forgotten in time.
"""

from __future__ import annotations

import math
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
FORGETTING = 1e-4
"""Share of such doubts that each frame takes away."""


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
class Paces:
    """What is known of the models for fields of about one size."""

    ms_per_mpx: dict[str, float]
    """Expected milliseconds for a million pixels, by name."""
    doubts: dict[str, float] = field(default_factory=dict)
    """How often a model was given up for a lesser one, lately."""


@dataclass(slots=True)
class Choice:
    """The models of an engine, the best first, and how long each takes.

    Args:
        options: The best first; the quickest is taken where none fits.
        at_start: Milliseconds for a million pixels as they were measured at the start, by name.
    """

    options: Sequence[Option]
    at_start: dict[str, float] = field(default_factory=dict)
    _by_size: dict[int, Paces] = field(default_factory=dict)

    def begin(self, name: str, pixels: int, elapsed_ms: float) -> None:
        """Take the time that a model took at the start."""
        self.at_start[name] = elapsed_ms / max(pixels, 1) * 1e6
        self._by_size.clear()

    def expected_ms(self, name: str, pixels: int) -> float:
        """How long a model is expected to take for a field; 0 where nothing is known."""
        return self._paces(pixels).ms_per_mpx.get(name, 0.0) * pixels / 1e6

    def learn(self, name: str, pixels: int, elapsed_ms: float) -> None:
        """Take the time of a frame into account."""
        paces = self._paces(pixels)
        known, doubts = paces.ms_per_mpx, paces.doubts
        for doubted in doubts:
            doubts[doubted] *= 1 - FORGETTING
        pace = elapsed_ms / max(pixels, 1) * 1e6
        before = known.get(name, pace)
        known[name] = before + LEARNING * (pace - before)
        if not self.at_start.get(name):
            return
        slower = known[name] / self.at_start[name]
        for other, start in self.at_start.items():
            if other == name:
                continue
            change = slower * start - known[other]
            halved = min(MOST_DOUBTS, doubts.get(other, 0.0)) if change < 0 else 0.0
            known[other] += LEARNING_OF_OTHERS / 2**halved * change

    def choose(self, pixels: int, coverage: float, time_ms: float, present: str = "") -> str:
        """Give the name of the best model for a frame.

        Args:
            pixels: Of the field.
            coverage: Share of the pixels that are sampled.
            time_ms: How long it may take; less than `LEAST_MS` counts as that.
            present: What restored the frame before; kept while there is no clear reason to change. Empty for none.

        Returns:
            The best model that was made for such coverage and fits the time. Where none fits: the quickest.
        """
        time_ms = max(time_ms, LEAST_MS)
        fitting = [option.name for option in self.options if option.fits(coverage)]
        able = fitting or [option.name for option in self.options]
        rank = able.index(present) if present in able else 0
        for place, name in enumerate(able):
            if self.expected_ms(name, pixels) <= (time_ms / SLACK if place < rank else time_ms):
                chosen = name
                break
        else:
            chosen = min(able, key=lambda name: self.expected_ms(name, pixels))
        if present in able and able.index(chosen) > rank:
            doubts = self._paces(pixels).doubts
            doubts[present] = doubts.get(present, 0.0) + 1
        return chosen

    def _paces(self, pixels: int) -> Paces:
        """Of fields of this size, within a factor of two."""
        size = round(math.log2(max(pixels, 1)) / 2)
        if size not in self._by_size:
            self._by_size[size] = Paces(dict(self.at_start))
        return self._by_size[size]
