"""The ways to spend a dose that are compared: evenly, on few pixels, or where the model is least sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scanmend.advice.stage import Stage
from scanmend.plan import ScanPlan
from scanmend.rescan import policy_named, propose

LEAST_COVERAGE = 0.01
"""A sparse scan that lacks the time for its pixels takes fewer, down to this share."""
FIRST_SHARE = 0.5
"""Of the dose, for the first pass of an adaptive scan."""
FIRST_COUNTS_AS = 2
"""The planner gives a rescan the dose of an average pass so far: a quarter of the budget each, so two and one more."""
MOST_PASSES = 12
_ROUNDING_LOSS = 0.005
"""One dwell for all points where whole nanoseconds lose no more of the dose than this; else two, spread evenly."""


class DoesNotFit(Exception):
    """A strategy cannot be run within dose and time.

    Args:
        reason: Why, as a sentence.
        needs_s: Least time that it would need; None where time is not what it lacks.
    """

    def __init__(self, reason: str, needs_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.needs_s = needs_s


class Strategy(Protocol):
    """A way to scan."""

    @property
    def name(self) -> str:
        """A short name for tables and programs."""
        ...

    @property
    def title(self) -> str:
        """What it is called in a sentence, with its article."""
        ...

    @property
    def coverage(self) -> float | None:
        """Share of the pixels that it visits; None where that is found on the way."""
        ...

    def run(self, stage: Stage, seed: int) -> None:
        """Scan until dose or time is spent.

        Raises:
            DoesNotFit: Not even the shortest such scan fits.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dense:
    """Every pixel alike. Several passes of the same dose together give the same counts, and take more commands."""

    name: str = "dense"
    title: str = "an even raster"
    coverage: float = 1.0

    def run(self, stage: Stage, seed: int) -> None:
        """One raster; see `Strategy.run`."""
        stage.scan(_dense(stage, 1.0))


@dataclass(frozen=True, slots=True)
class Sparse:
    """A jittered grid of some of the pixels, each with so much longer a dwell."""

    name: str
    title: str
    coverage: float

    def run(self, stage: Stage, seed: int) -> None:
        """One pass over the grid; see `Strategy.run`."""
        stage.scan(_grid(stage, self.coverage, 1.0, seed))


@dataclass(frozen=True, slots=True)
class Adaptive:
    """A first pass with half of the dose, then passes by the policy `variance` until it is spent."""

    name: str
    title: str
    first_coverage: float = 1.0
    """Share of the pixels that the first pass visits."""
    coverage: None = None

    def run(self, stage: Stage, seed: int) -> None:
        """As long as the service's planner finds a pass worth its dose; see `Strategy.run`."""
        if self.first_coverage == 1:
            stage.scan(_dense(stage, FIRST_SHARE))
        else:
            stage.scan(_grid(stage, self.first_coverage, FIRST_SHARE, seed))
        while stage.passes < MOST_PASSES:
            plan = _next(stage)
            if plan is None:
                break
            stage.scan(plan)


STRATEGIES: tuple[Strategy, ...] = (
    Dense(),
    Sparse("sparse 1/4", "a sparse scan of 1/4 of the pixels", 1 / 4),
    Sparse("sparse 1/20", "a sparse scan of 1/20 of the pixels", 1 / 20),
    Adaptive("adaptive", "an adaptive scan"),
    Adaptive("adaptive, sparse first", "an adaptive scan after a sparse first pass", 1 / 4),
)
"""In the order in which they are shown; the first one is what the others are compared with."""


def spread(total_ns: int, points: int) -> int | npt.NDArray[np.int64]:
    """Share a dwell out evenly in whole nanoseconds.

    Args:
        total_ns: For all points together, at least one for each.
        points: How many.

    Returns:
        One dwell for all, or, where rounding it down would lose too much, one for each, which differ by 1 ns.
    """
    dwell = total_ns // points
    if total_ns - dwell * points <= _ROUNDING_LOSS * total_ns:
        return dwell
    return np.diff(np.arange(points + 1, dtype=np.int64) * total_ns // points)


def _dense(stage: Stage, share: float) -> ScanPlan:
    """A raster with a share of the dose.

    Raises:
        DoesNotFit: Even with the shortest dwell it takes too much dose or time.
    """
    shape, points = stage.field.shape, stage.field.pixels
    shortest = ScanPlan.raster(shape, stage.question.min_dwell_ns)
    waits_ns = stage.waits_ns(shortest)
    total_ns = math.floor(share * stage.affordable_ns(waits_ns))
    if total_ns < shortest.total_dwell_ns:
        raise _too_short(stage, shortest, total_ns, share)
    return ScanPlan.raster(shape, spread(total_ns, points))


def _grid(stage: Stage, coverage: float, share: float, seed: int) -> ScanPlan:
    """A jittered grid with a share of the dose, of fewer pixels where there is no time for all.

    Raises:
        DoesNotFit: There is no time for the fewest either.
    """
    shortest: ScanPlan | None = None
    total_ns = 0
    while coverage >= LEAST_COVERAGE:
        shortest = ScanPlan.jittered_grid(
            stage.field.shape, stage.question.min_dwell_ns, pitch_px=coverage**-0.5, seed=seed
        )
        total_ns = math.floor(share * stage.affordable_ns(stage.waits_ns(shortest)))
        if total_ns >= shortest.total_dwell_ns:
            return ScanPlan.of(stage.field.shape, shortest.pattern, spread(total_ns, shortest.points))
        coverage *= 0.8
    if shortest is None:
        raise ValueError("a coverage below the least")
    raise _too_short(stage, shortest, total_ns, share)


def _too_short(stage: Stage, shortest: ScanPlan, total_ns: int, share: float) -> DoesNotFit:
    least_ns = stage.question.min_dwell_ns
    if shortest.total_dwell_ns > math.floor(share * stage.ledger.affordable_dwell_ns):
        dose = stage.ledger.price_e_per_nm2(shortest) / share
        current_pa = stage.question.current_pa * stage.question.budget_e_per_nm2 / dose
        return DoesNotFit(
            f"With the shortest dwell of {least_ns} ns it would need {dose:.3g} e/nm²; a beam of {current_pa:.2g} pA "
            "would make it possible."
        )
    needs_s = 1e-9 * (stage.waits_ns(shortest) + shortest.total_dwell_ns * stage.area_ratio / share)
    return DoesNotFit(f"It needs {needs_s:.3g} s even with the shortest dwell of {least_ns} ns.", needs_s)


def _next(stage: Stage) -> ScanPlan | None:
    """The next pass by the policy `variance`, within dose and time; None where none is worth it."""
    affordable_ns = stage.affordable_ns(float(stage.question.command_ns))
    if affordable_ns < stage.question.min_dwell_ns:
        return None
    restored = stage.restore()
    passes = stage.passes - 1 + FIRST_COUNTS_AS
    for _ in range(6):
        proposed = propose(policy_named("variance"), stage.state(restored, passes, affordable_ns))
        if proposed is None:
            return None
        over_ns = stage.takes_ns(proposed.plan) - stage.time_left_ns
        if over_ns <= 0:
            return proposed.plan
        # Jumps take time too, and how many there are is known only now: a shorter pass has fewer of them.
        share = stage.time_left_ns / stage.takes_ns(proposed.plan)
        affordable_ns = math.floor(min(affordable_ns, proposed.plan.total_dwell_ns) * share * 0.98)
        if affordable_ns < stage.question.min_dwell_ns:
            return None
    return None
