"""A specimen under the beam while one strategy scans it: what was counted, what dose and time it took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scanmend.advice.question import Question
from scanmend.engine.restorer import Restorer
from scanmend.engine.runtimes import Picture
from scanmend.field import Capabilities, Field
from scanmend.plan import Cost, ScanPlan
from scanmend.rescan import DoseLedger, RescanState
from scanmend.restoration import FloatPicture
from scanmend.units import electrons

Floats = npt.NDArray[np.floating]


class Detect(Protocol):
    """The detector's physics."""

    def __call__(
        self, signal: FloatPicture, beam_electrons: Floats, dwell_ns: Floats, rng: np.random.Generator
    ) -> npt.NDArray[np.generic]:
        """Electrons counted at each point, `(n,)`.

        Args:
            signal: Relative signal of each point, 0 to 1, `(n,)`.
            beam_electrons: Electrons that the beam delivers in each dwell, `(n,)`.
            dwell_ns: Dwell of each point in nanoseconds, `(n,)`.
            rng: Source of randomness.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A picture that is taken as the truth."""

    name: str
    group: str
    """What it is one of; pictures of one group look alike."""
    truth: FloatPicture
    """Relative signal from 0 to 1, float32 `(ny, nx)`."""
    signal_range: float
    """Range of the whole picture that errors are a share of; above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a stage is served by."""

    detect: Detect
    restorer: Restorer


@dataclass(frozen=True, slots=True)
class Judged:
    """A restored picture beside its truth."""

    rmse_share: float
    """Root mean square error, over the picture's range."""
    sigma_share: float
    """Root mean square of the model's own sigma, over the same."""
    caution: str
    """In what way the exposure was unlike those that the model was made for; empty for none."""

    @property
    def psnr_db(self) -> float:
        """The error on a logarithmic scale: 20 dB is a tenth of the range, 40 dB a hundredth."""
        return -20 * math.log10(max(self.rmse_share, 1e-9))


class Stage:
    """One specimen, and one strategy that scans it.

    Args:
        question: What is planned.
        sample: What lies there; its truth has the shape of the part of the field that is tried.
        tools: Detector and restorer.
        rng: Of the counts.
    """

    def __init__(self, question: Question, sample: Sample, tools: Tools, rng: np.random.Generator) -> None:
        self.question = question
        self.sample = sample
        shape = (sample.truth.shape[0], sample.truth.shape[1])
        self.field: Field = question.crop(shape)
        self.area_ratio = question.field.pixels / self.field.pixels
        """How many times the part goes into the field."""
        self.ledger = DoseLedger(self.field, question.budget_e_per_nm2)
        self.passes = 0
        self.time_ns = 0.0
        """Of all passes so far, for the whole field."""
        self._tools = tools
        self._rng = rng
        self._counted: FloatPicture = np.zeros(shape, dtype=np.float32)
        self.caution = ""

    @property
    def time_left_ns(self) -> float:
        """Until the time limit, for the whole field; inf without one."""
        limit_s = self.question.time_s
        return math.inf if limit_s is None else 1e9 * limit_s - self.time_ns

    def waits_ns(self, plan: ScanPlan) -> float:
        """Time that a plan takes beside its dwells, for the whole field.

        A part of the field has as many jumps an area as the field, and as many flybacks a line.
        """
        question = self.question
        counted = Cost.of(plan, Capabilities(settle_ns=1, flyback_ns=1))
        jumps, far = counted.settle_ns, counted.flyback_ns
        flybacks = far * question.field.shape[0] / self.field.shape[0]
        others = (jumps - far) * self.area_ratio
        return question.command_ns + flybacks * (question.settle_ns + question.flyback_ns) + others * question.settle_ns

    def affordable_ns(self, waits_ns: float = 0.0) -> int:
        """Dwell on this part that budget and time still allow for a plan that waits for so long; 0 for none."""
        by_time = (self.time_left_ns - waits_ns) / self.area_ratio
        return max(0, math.floor(min(self.ledger.affordable_dwell_ns, by_time)))

    def takes_ns(self, plan: ScanPlan) -> float:
        """Time of a plan for the whole field."""
        return self.waits_ns(plan) + plan.total_dwell_ns * self.area_ratio

    def scan(self, plan: ScanPlan) -> None:
        """Run a plan."""
        dwell = plan.dwells_ns.astype(np.float64)
        beam = dwell * electrons(self.question.current_pa, 1.0)
        signal = self.sample.truth.reshape(-1)[plan.pixels]
        counted = self._tools.detect(signal, beam, dwell, self._rng)
        np.add.at(self._counted.reshape(-1), plan.pixels, counted.astype(np.float32))
        self.time_ns += self.takes_ns(plan)
        self.ledger.add(plan, 0, plan.points)
        self.passes += 1

    def picture(self) -> Picture:
        """What a model gets: signal from 0 to 1, dwell in units of a pixel's share of the budget."""
        reference_ns = self.question.dwell_ns
        per_unit = electrons(self.question.current_pa, reference_ns) * self.question.detection_yield
        weight = (self.ledger.dwell_ns / reference_ns).astype(np.float32)
        values = np.zeros_like(self._counted)
        np.divide(self._counted, weight * np.float32(per_unit), out=values, where=weight > 0)
        return Picture(values=values, weight=weight, units_per_electron=1 / per_unit, read_variance=0.0)

    def restore(self) -> tuple[FloatPicture, FloatPicture]:
        """Estimate and sigma of all that was counted.

        Raises:
            ModelError: The model failed.
        """
        estimate, sigma = np.empty((2, *self._counted.shape), dtype=np.float32)
        assessment = self._tools.restorer.restore_into(self.picture(), estimate, sigma)
        self.caution = assessment.caution or ""
        return estimate, sigma

    def state(self, restored: tuple[FloatPicture, FloatPicture], passes: int, affordable_ns: int) -> RescanState:
        """What a rescan policy looks at.

        Args:
            restored: Estimate and sigma.
            passes: What has been scanned counts as so many; the next one is as long as their mean.
            affordable_ns: Most dwell of the next pass.
        """
        picture = self.picture()
        return RescanState(
            field=self.field,
            capabilities=self.question.capabilities,
            estimate=restored[0],
            sigma=restored[1],
            values=picture.values,
            weight=picture.weight,
            units_per_electron=picture.units_per_electron,
            read_variance=picture.read_variance,
            dwell_ns=self.ledger.dwell_ns,
            passes=passes,
            affordable_dwell_ns=float(affordable_ns),
        )

    def judge(self) -> Judged:
        """Restore what was counted, and compare it with the truth."""
        estimate, sigma = self.restore()
        error = float(np.sqrt(np.mean(np.square(estimate - self.sample.truth, dtype=np.float64))))
        doubt = float(np.sqrt(np.mean(np.square(sigma, dtype=np.float64))))
        return Judged(error / self.sample.signal_range, doubt / self.sample.signal_range, self.caution)
