"""Tries every strategy on the same pictures, and puts the figures of each side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scanmend.advice.figures import Interval, interval
from scanmend.advice.question import Question
from scanmend.advice.stage import Judged, Sample, Stage, Tools
from scanmend.advice.strategies import STRATEGIES, DoesNotFit, Strategy
from scanmend.errors import InvalidInput

CUT_BELOW = 0.97
"""A strategy that spends less than this share of the budget has been cut: by the time limit, or by its dwell times."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy on one picture."""

    judged: Judged
    dose_e_per_nm2: float
    dose_max_e_per_nm2: float
    """Of the pixel that had most."""
    time_s: float
    passes: int
    coverage: float
    """Share of the pixels that were visited."""
    dwell_ns: float
    """Mean dwell of a visited pixel, all passes together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a strategy."""

    name: str
    title: str
    feasible: bool
    reason: str = ""
    """Why it is not feasible."""
    needs_s: float | None = None
    """Time that it would need, where that is what it lacks."""
    coverage: float | None = None
    """Share of the pixels that it was to visit; None where that is not fixed."""
    trials: Sequence[Trial] = ()
    """One a picture."""

    @property
    def dose_e_per_nm2(self) -> float:
        """The largest of all pictures."""
        return max(trial.dose_e_per_nm2 for trial in self.trials)

    @property
    def dose_max_e_per_nm2(self) -> float:
        """Of the pixel that had most, in all pictures."""
        return max(trial.dose_max_e_per_nm2 for trial in self.trials)

    @property
    def time_s(self) -> float:
        """The longest of all pictures."""
        return max(trial.time_s for trial in self.trials)

    @property
    def passes(self) -> int:
        """The most of all pictures."""
        return max(trial.passes for trial in self.trials)

    def mean(self, figure: Callable[[Trial], float]) -> float:
        """Mean over the pictures."""
        return float(np.mean([figure(trial) for trial in self.trials]))

    @property
    def caution(self) -> str:
        """What the model says of most of the pictures; empty where it says nothing of most."""
        ((words, times),) = Counter(trial.judged.caution for trial in self.trials).most_common(1)
        return words if 2 * times > len(self.trials) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All strategies on the same pictures."""

    question: Question
    groups: Sequence[str]
    """The group of each picture."""
    crop: tuple[int, int]
    """Shape of the part of the field that was tried, `(ny, nx)`."""
    outcomes: Sequence[Outcome]

    @property
    def feasible(self) -> list[Outcome]:
        """Those that fit, in their order; at least one."""
        return [outcome for outcome in self.outcomes if outcome.feasible]

    @property
    def base(self) -> Outcome:
        """What the others are compared with: the even raster, or the first that fits."""
        return self.feasible[0]

    def cut(self, outcome: Outcome) -> bool:
        """Whether a strategy could not spend the whole budget."""
        return outcome.dose_e_per_nm2 < CUT_BELOW * self.question.budget_e_per_nm2

    def of(self, outcome: Outcome, figure: Callable[[Trial], float]) -> Interval:
        """Mean of a figure over the pictures."""
        return interval([figure(trial) for trial in outcome.trials], self.groups)

    def gain_db(self, outcome: Outcome, over: Outcome) -> Interval:
        """By how much the error of one is below that of another, paired by picture; above 0 is better."""
        return interval(self._gains(outcome, over), self.groups)

    def gain_by_group(self, outcome: Outcome, over: Outcome) -> dict[str, float]:
        """The same for each group of pictures."""
        found: dict[str, list[float]] = {}
        for group, gain in zip(self.groups, self._gains(outcome, over), strict=True):
            found.setdefault(group, []).append(gain)
        return {group: float(np.mean(gains)) for group, gains in found.items()}

    def _gains(self, outcome: Outcome, over: Outcome) -> list[float]:
        pairs = zip(outcome.trials, over.trials, strict=True)
        return [one.judged.psnr_db - other.judged.psnr_db for one, other in pairs]


def compare(
    question: Question,
    samples: Sequence[Sample],
    tools: Tools,
    *,
    seed: int = 0,
    strategies: Sequence[Strategy] = STRATEGIES,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Comparison:
    """Try all strategies.

    Args:
        question: What is planned.
        samples: Pictures of one shape, at least one.
        tools: Detector and restorer.
        seed: Of noise and of jittered grids.
        strategies: What is compared; the first one that fits is what the others are compared with.
        report: Called with the number of trials that are done, and of all.

    Raises:
        InvalidInput: No strategy fits.
        ModelError: The model failed.
    """
    outcomes = []
    for number, strategy in enumerate(strategies):
        trials: list[Trial] = []
        missing: DoesNotFit | None = None
        for index, sample in enumerate(samples):
            report(number * len(samples) + index, len(strategies) * len(samples))
            try:
                trials.append(_try(question, sample, tools, strategy, (seed, index, number)))
            except DoesNotFit as error:
                missing = error
                break
        outcomes.append(
            Outcome(
                name=strategy.name,
                title=strategy.title,
                coverage=strategy.coverage,
                feasible=missing is None,
                reason="" if missing is None else missing.reason,
                needs_s=None if missing is None else missing.needs_s,
                trials=trials if missing is None else (),
            )
        )
    if not any(outcome.feasible for outcome in outcomes):
        raise _nothing_fits(question, outcomes)
    shape = samples[0].truth.shape
    return Comparison(
        question=question,
        groups=[sample.group for sample in samples],
        crop=(int(shape[0]), int(shape[1])),
        outcomes=outcomes,
    )


def _try(question: Question, sample: Sample, tools: Tools, strategy: Strategy, seed: tuple[int, int, int]) -> Trial:
    stage = Stage(question, sample, tools, np.random.default_rng(seed))
    strategy.run(stage, seed=1_000_003 * seed[0] + seed[1])
    dwell_ns = stage.ledger.dwell_ns
    visited = int(np.count_nonzero(dwell_ns))
    return Trial(
        judged=stage.judge(),
        dose_e_per_nm2=stage.ledger.spent_e_per_nm2,
        dose_max_e_per_nm2=stage.ledger.spent_max_e_per_nm2,
        time_s=1e-9 * stage.time_ns,
        passes=stage.passes,
        coverage=visited / dwell_ns.size,
        dwell_ns=float(dwell_ns.sum()) / visited,
    )


def _nothing_fits(question: Question, outcomes: Sequence[Outcome]) -> InvalidInput:
    times = [outcome.needs_s for outcome in outcomes if outcome.needs_s is not None]
    if times:
        return InvalidInput(
            f"In {question.time_s:g} s no scan of this field fits: the shortest takes {min(times):.3g} s.",
            mend="Give more time, a smaller field, or shorter waits and a shorter least dwell if the instrument can.",
        )
    return InvalidInput(
        f"No scan of this field fits into {question.budget_e_per_nm2:g} e/nm² with dwells of "
        f"{question.min_dwell_ns} ns or more.",
        mend="Lower the beam current, or give a shorter least dwell if the instrument can.",
    )
