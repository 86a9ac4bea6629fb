"""Rescan policies against a uniform pass of the same dose, with the same restorer behind both.

Every picture is scanned once uniformly, restored, and scanned again as a policy says, three times; after each pass it
is restored and compared with the truth. Plans are made by the service's own planner. Counts are Poisson's; the mean
count a pixel and pass is the picture's, so that bright and dark pictures get the same dose.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter

from scanmend.bench.rescan_key import key
from scanmend.engine.restorer import Restorer
from scanmend.engine.runtimes import Picture
from scanmend.field import Capabilities, Field
from scanmend.rescan import POLICIES, Policy, RescanState, policy_named, propose
from scanmend.rescan.pictures import blurred
from scanmend.rescan.policies.shares import shared
from scanmend.rescan.policies.uniform import Uniform
from scanmend.rescan.watch import SpecimenWatch
from scanmend.restoration import FloatPicture
from scanmend_models.quality.evaluation import Cache
from scanmend_models.quality.scores import picture_scores
from scanmend_models.quality.tasks import Truth
from scanmend_sim.damage import Damage

DWELL_NS = 10_000
"""Of a pixel in the first pass."""
EXTRA_PASSES = (1, 3)
"""Pass equivalents after the first one, at which the picture is judged."""
COUNTS = (2.0, 10.0)
"""Mean counts of a pixel in a pass."""
REPEATS = 6
"""Draws of the noise over which the expected error of the fair oracle is averaged."""
UNIFORM, TWICE = "uniform", "uniform, twice the dose"
WATCHED = ", watched"
"""Behind the name of a policy whose session ends when the specimen is seen to fade too fast."""
ONE_SHOT, REPLANNED, FAIR = "oracle, one-shot", "oracle, replanned", "oracle, expected error"

Scores = dict[str, float]

EMPTY_BELOW = 0.15
"""Of the range between the picture's 1st and 99th percentile; see `empty_share`."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture after some passes of a policy."""

    picture: str
    group: str
    kind: str
    seed: int
    counts_per_px: float
    policy: str
    passes: int
    """Pass equivalents after the first one."""
    empty_share: float
    """Of the picture; see `empty_share`."""
    scores: Mapping[str, float]


@dataclass(slots=True)
class Exposed:
    """A specimen under the beam: electrons counted and dwell spent at every pixel, `(ny, nx)`."""

    truth: FloatPicture
    electrons_per_unit: float
    """Mean electrons of a visit of `DWELL_NS` at a pixel whose truth is 1."""
    electrons: FloatPicture
    dwell_ns: FloatPicture
    damage: Damage | None = None
    """Its critical dose counted in passes: one pass is 1 e/nm² here."""

    @classmethod
    def once(
        cls, truth: FloatPicture, counts_per_px: float, rng: np.random.Generator, damage: Damage | None = None
    ) -> Exposed:
        """Scan every pixel for `DWELL_NS`."""
        per_unit = counts_per_px / max(float(truth.mean(dtype=np.float64)), 1e-6)
        made = cls(truth, per_unit, np.zeros_like(truth), np.zeros_like(truth), damage)
        made.scan(np.full(truth.shape, float(DWELL_NS)), rng)
        return made

    def copy(self) -> Exposed:
        """The same specimen, to be scanned otherwise from here on."""
        return Exposed(self.truth, self.electrons_per_unit, self.electrons.copy(), self.dwell_ns.copy(), self.damage)

    def scan(self, dwell_ns: np.ndarray, rng: np.random.Generator) -> None:
        """Dwell at every pixel, and count what comes."""
        mean = self.truth * self.electrons_per_unit * dwell_ns / DWELL_NS
        if self.damage is not None:
            mean = mean * self.damage.left(self.truth, self.dwell_ns / DWELL_NS, dwell_ns / DWELL_NS)
        self.electrons += rng.poisson(mean).astype(np.float32)
        self.dwell_ns += dwell_ns.astype(np.float32)

    def picture(self) -> Picture:
        """What a model gets."""
        weight = (self.dwell_ns / DWELL_NS).astype(np.float32)
        values = np.zeros_like(self.electrons)
        np.divide(self.electrons, weight * np.float32(self.electrons_per_unit), out=values, where=weight > 0)
        return Picture(values=values, weight=weight, units_per_electron=1 / self.electrons_per_unit, read_variance=0.0)


@dataclass(slots=True)
class Oracle:
    """Knows the truth, as no real policy does: dwell where the squared error is.

    Args:
        error: Squared error of a state; a one-shot oracle gives that of the first pass for ever.
    """

    error: Callable[[RescanState], FloatPicture]
    kept: FloatPicture | None = None
    once: bool = False

    def weight(self, state: RescanState) -> FloatPicture:
        """The neighbourhood's squared error, shared out as the policy `variance` does."""
        if self.kept is None or not self.once:
            self.kept = shared(blurred(self.error(state)), uniform=0.2, cap=8.0)
        return self.kept


@dataclass(slots=True)
class Bench:
    """Scans pictures by policies and judges what is restored.

    Args:
        restorer: Behind every policy.
        policies: By name.
        critical_passes: As below.
        oracles: Whether those who know the truth take part: three more policies, one of them six times as slow.
    """

    restorer: Restorer
    policies: Mapping[str, Policy] = field(default_factory=lambda: dict(POLICIES))
    critical_passes: float | None = None
    """Passes after which a specimen's signal has faded to 1/e; None for one that bears everything."""
    oracles: bool = True

    @property
    def _damage(self) -> Damage | None:
        if self.critical_passes is None:
            return None
        return Damage(critical_dose_e_per_nm2=self.critical_passes)

    def run(
        self,
        truths: Iterable[Truth],
        *,
        seeds: int = 1,
        counts: Sequence[float] = COUNTS,
        cache: Cache | None = None,
        report: Callable[[str], None] = lambda _line: None,
    ) -> list[Judged]:
        """Judge every policy, the oracles, and uniform scans of twice the dose.

        Args:
            truths: The pictures.
            seeds: Draws of the noise for each.
            counts: Mean counts a pixel and pass.
            cache: Of an earlier run, or None; what depends on anything that has changed since is measured again.
            report: Called with a line for each picture.
        """
        cache = cache or Cache()
        found: list[Judged] = []
        for number, truth in enumerate(truths):
            kind, empty = truth.name.split("__")[0], empty_share(truth.image)
            for seed in range(seeds):
                for per_px in counts:
                    known = f"{self.critical_passes}/{truth.key}/{number}/{seed}/{per_px:g}"
                    for policy, by, measure in self._measures(truth.image, per_px, [number, seed, int(10 * per_px)]):
                        scores = cache.get(f"rescan/{key(by, self.restorer, __name__)}/{known}/{policy}", measure)
                        for passes in EXTRA_PASSES:
                            of_pass = {name[2:]: value for name, value in scores.items() if name[0] == str(passes)}
                            about = (truth.name, truth.group, kind, seed, per_px, policy, passes, empty)
                            found.append(Judged(*about, of_pass))
            report(f"{number + 1} pictures: {truth.name}")
        return found

    def _measures(
        self, truth: FloatPicture, per_px: float, seed: Sequence[int]
    ) -> Iterable[tuple[str, Policy, Callable[[], Scores]]]:
        """Name, policy and what judges it: its scores by name, after the number of passes."""
        first = Exposed.once(truth, per_px, np.random.default_rng([*seed, 0]), self._damage)
        start = functools.cache(lambda: self.restore(first))
        for name, policy in {**self.policies, **(self._oracles(first, seed) if self.oracles else {})}.items():
            yield name, policy, partial(self._follow, policy, first, start, seed)
            if self.critical_passes is not None and name in self.policies:
                yield name + WATCHED, policy, partial(self._follow, policy, first, start, seed, watched=True)
        yield TWICE, Uniform(), partial(self._twice, first, seed)

    def _follow(
        self,
        policy: Policy,
        first: Exposed,
        start: Callable[[], tuple[FloatPicture, FloatPicture]],
        seed: Sequence[int],
        watched: bool = False,
    ) -> Scores:
        rng = np.random.default_rng([*seed, 1])
        exposed, state, scores = first.copy(), start(), Scores()
        watch, ended = SpecimenWatch(first.truth.shape), False
        for done in range(1, max(EXTRA_PASSES) + 1):
            change = watch.take(exposed.electrons.astype(np.float64), exposed.dwell_ns.astype(np.float64))
            ended = ended or (watched and change is not None and change.ends)
            if not ended:  # what a session that has ended leaves is the picture that it had
                exposed.scan(self.planned(policy, exposed, state, done), rng)
                state = self.restore(exposed)
            if done in EXTRA_PASSES:
                scores |= {f"{done} {name}": value for name, value in picture_scores(state[0], first.truth).items()}
        return scores

    def _twice(self, first: Exposed, seed: Sequence[int]) -> Scores:
        scores = Scores()
        for passes in EXTRA_PASSES:
            exposed = first.copy()
            rng = np.random.default_rng([*seed, 2, passes])
            exposed.scan(np.full(first.truth.shape, float((2 * (1 + passes) - 1) * DWELL_NS)), rng)
            judged = picture_scores(self.restore(exposed)[0], first.truth)
            scores |= {f"{passes} {name}": value for name, value in judged.items()}
        return scores

    def _oracles(self, first: Exposed, seed: Sequence[int]) -> dict[str, Policy]:
        truth = first.truth

        def error(state: RescanState) -> FloatPicture:
            found: FloatPicture = np.square(state.estimate - truth)
            return found

        def expected(_state: RescanState) -> FloatPicture:
            total = np.zeros_like(truth)
            for repeat in range(REPEATS):
                rng = np.random.default_rng([*seed, 3, repeat])
                per_px = first.electrons_per_unit * max(float(truth.mean(dtype=np.float64)), 1e-6)
                total += np.square(self.restore(Exposed.once(truth, per_px, rng, self._damage))[0] - truth)
            return total

        return {
            ONE_SHOT: Oracle(error, once=True),
            REPLANNED: Oracle(error),
            FAIR: Oracle(expected, once=True),
        }

    def restore(self, exposed: Exposed) -> tuple[FloatPicture, FloatPicture]:
        """Estimate and sigma of all that was counted."""
        estimate, sigma = np.empty((2, *exposed.truth.shape), dtype=np.float32)
        self.restorer.restore_into(exposed.picture(), estimate, sigma)
        return estimate, sigma

    def planned(
        self, policy: Policy, exposed: Exposed, restored: tuple[FloatPicture, FloatPicture], passes: int
    ) -> np.ndarray:
        """Dwell of each pixel in the next pass, in nanoseconds, as the service's planner has it."""
        picture = exposed.picture()
        state = RescanState(
            field=Field(shape=exposed.truth.shape, pixel_size_nm=1.0, beam_current_pa=10.0),
            capabilities=Capabilities(),
            estimate=restored[0],
            sigma=restored[1],
            values=picture.values,
            weight=picture.weight,
            units_per_electron=picture.units_per_electron,
            read_variance=0.0,
            dwell_ns=exposed.dwell_ns.astype(np.float64),
            passes=passes,
            affordable_dwell_ns=float("inf"),
        )
        made = propose(policy, state)
        if made is None:
            raise ValueError("the planner proposed nothing")
        dwell = np.zeros(exposed.truth.size)
        dwell[made.plan.pixels] = made.plan.dwells_ns
        return dwell.reshape(exposed.truth.shape)


def chosen(names: Sequence[str] | None) -> dict[str, Policy]:
    """The policies of these names, uniform passes first; all of them for None.

    Raises:
        InvalidInput: There is no policy of a name.
    """
    if names is None:
        return dict(POLICIES)
    return {name: policy_named(name) for name in dict.fromkeys((UNIFORM, *names))}


def empty_share(truth: FloatPicture) -> float:
    """Share of a picture where there is nothing to see: its blurred brightness lies in the lowest part of the range."""
    smooth = gaussian_filter(truth, 3.0)
    low, high = np.percentile(smooth, (1.0, 99.0))
    return float(np.mean(smooth < low + EMPTY_BELOW * (high - low)))
