"""The largest rate at which a reader misses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

STEP = 1.3
"""The rate grows and shrinks by so much until one good and one bad rate are known."""

CLOSE = 1.07
"""A good and a bad rate so near to each other are near enough."""

BACK = 0.93
"""A rate at which something was missed in the long turn is lowered to this share of it."""

MOST_TURNS = 12
LAG_SHARE = 0.05
LAG_S = 1.0
"""A reader that is so far behind at the end had not kept up: what it had not read was in its buffers."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a reader at one rate."""

    rate: float
    """Images a second that were really sent."""
    seconds: float
    images: int
    missed: int
    lag_s: float = 0.0
    """How long after the last image the reader had read all of them."""

    @property
    def good(self) -> bool:
        """Whether it kept up, and missed nothing."""
        return self.missed == 0 and self.lag_s <= LAG_SHARE * self.seconds + LAG_S


class Reader(Protocol):
    """A program that reads a stream."""

    name: str
    about: str

    def turn(self, rate: float, seconds: float) -> Turn:
        """Send it a stream, and see what it missed."""


@dataclass(slots=True)
class Found:
    """What was found for one reader."""

    name: str
    about: str
    best: Turn | None = None
    """The long turn without a miss at the largest rate; None where there was none."""
    turns: list[Turn] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As a plain map."""
        best = None if self.best is None else asdict(self.best)
        return {
            "name": self.name,
            "about": self.about,
            "rate": self.best.rate if self.best else 0.0,
            "best": best,
            "turns": [asdict(turn) | {"good": turn.good} for turn in self.turns],
        }


def largest_rate(reader: Reader, guess: float, trial_s: float, seconds: float, report: Callable[[str], None]) -> Found:
    """Search with short turns, and confirm what was found with a long one.

    Args:
        reader: Whose rate it is.
        guess: A rate to begin with.
        trial_s: Length of a short turn.
        seconds: Length of the long one.
        report: Gets a line a turn.
    """
    found = Found(reader.name, reader.about)

    def turn(rate: float, length_s: float) -> Turn:
        one = reader.turn(rate, length_s)
        found.turns.append(one)
        verdict = "kept up" if one.good else f"missed {one.missed}, {one.lag_s:.1f} s behind"
        report(f"{reader.name}: {one.rate:.0f} images/s for {one.seconds:.0f} s, {verdict}")
        return one

    good, bad, rate, capped = 0.0, 0.0, guess, 0
    while len(found.turns) < MOST_TURNS and not (good and bad and bad / good <= CLOSE):
        one = turn(rate, trial_s)
        if one.good:
            good = max(good, one.rate)
            capped = capped + 1 if one.rate < BACK * rate else 0
            if capped > 1:
                break  # whoever sends can send no faster
            rate = (good * bad) ** 0.5 if bad else rate * (1 if capped else STEP)
        else:
            bad = min(bad, rate) if bad else rate
            rate = (good * bad) ** 0.5 if good else rate / STEP
    rate = good
    while rate and found.best is None and len(found.turns) < 2 * MOST_TURNS:
        one = turn(rate, seconds)
        found.best = one if one.good else None
        rate *= BACK
    return found
