"""What the adviser is asked: a field, a beam, a dose, a time, and what the scan generator can do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Field
from scanmend.units import ELECTRONS_PER_PA_NS

CROP_SIDE_PX = 256
"""Strategies are tried on a part of the field of at most this side: the dose of an area does not depend on its size."""
LEAST_SIDE_PX = 32
"""A smaller field has too few pixels to compare anything."""
MOST_ELECTRONS_PER_PX = 1e6
"""Beyond this, noise is not what limits a picture."""
MOST_DWELL_NS = 10_000_000
"""Longest dwell of an even raster: a sparse scan with a hundredth of the pixels then dwells for a second."""
PIXEL_SIZES_NM = (1e-4, 1e6)
CURRENTS_PA = (1e-6, 1e9)
MOST_WAIT_NS = 1_000_000_000
LEAST_MIN_DWELL_NS, MOST_MIN_DWELL_NS = 10, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be planned.

    Raises:
        InvalidInput: Figures that no microscope has, or of which no picture can come.
    """

    field: Field
    """With its beam current."""
    budget_e_per_nm2: float
    """Most dose, averaged over the field."""
    time_s: float | None = None
    """Most time for all passes together; None for as long as the dose takes."""
    detection_yield: float = 0.3
    """Electrons counted where the specimen is brightest, a share of the beam's; above 0, at most 1."""
    settle_ns: int = 0
    """Wait after a jump of the beam."""
    flyback_ns: int = 0
    """More wait after a jump of more than half the field's width."""
    command_ns: int = 0
    """Time that a plan costs before its first sample."""
    min_dwell_ns: int = 100
    """Shortest dwell of the scan generator."""

    def __post_init__(self) -> None:
        if min(self.field.shape) < LEAST_SIDE_PX:
            raise InvalidInput(
                f"A field of {self.field.shape[1]} × {self.field.shape[0]} pixels is too small to compare scans on.",
                mend=f"Give a field of at least {LEAST_SIDE_PX} pixels a side.",
            )
        if self.field.beam_current_pa is None:
            raise InvalidInput("Without a beam current there is no dose.", mend="Give the beam current in picoampere.")
        _within("pixel size", self.field.pixel_size_nm, PIXEL_SIZES_NM, "nm")
        _within("beam current", self.field.beam_current_pa, CURRENTS_PA, "pA")
        _positive("dose budget", self.budget_e_per_nm2, "e/nm²")
        if self.time_s is not None:
            _positive("time limit", self.time_s, "s")
        if not 0 < self.detection_yield <= 1:
            raise InvalidInput(
                f"A detection yield of {self.detection_yield:g}.",
                mend="Give the share of the beam that is counted at the brightest place: above 0, at most 1.",
            )
        for name, value, most in (
            ("settle time", self.settle_ns, MOST_WAIT_NS),
            ("flyback time", self.flyback_ns, MOST_WAIT_NS),
            ("time of a command", self.command_ns, MOST_WAIT_NS),
        ):
            if not 0 <= value <= most:
                raise InvalidInput(f"A {name} of {value} ns.", mend=f"Give 0 to {most} ns.")
        if not LEAST_MIN_DWELL_NS <= self.min_dwell_ns <= MOST_MIN_DWELL_NS:
            raise InvalidInput(
                f"A shortest dwell of {self.min_dwell_ns} ns.",
                mend=f"Give {LEAST_MIN_DWELL_NS} to {MOST_MIN_DWELL_NS} ns.",
            )
        self._check_dose()

    def _check_dose(self) -> None:
        per_px, area_nm2 = self.electrons_per_px, self.field.pixel_size_nm**2
        budget = f"{self.budget_e_per_nm2:g} e/nm²"
        if not per_px >= 1:
            raise InvalidInput(
                f"A budget of {budget} is {per_px:.2g} electrons for a pixel of {self.field.pixel_size_nm:g} nm: "
                "less than one.",
                mend=f"Raise the budget to {1 / area_nm2:.3g} e/nm² or more, or scan with larger pixels.",
            )
        if per_px > MOST_ELECTRONS_PER_PX:
            raise InvalidInput(
                f"A budget of {budget} is {per_px:.3g} electrons for every pixel; noise is no concern there.",
                mend=f"Ask for at most {MOST_ELECTRONS_PER_PX / area_nm2:.3g} e/nm² with such pixels.",
            )
        if self.dwell_ns > MOST_DWELL_NS:
            raise InvalidInput(
                f"With {self.field.beam_current_pa:g} pA the beam would stay {1e-6 * self.dwell_ns:.3g} ms at a pixel "
                f"to spend {budget}.",
                mend=f"Raise the current, or lower the budget, until that is {1e-6 * MOST_DWELL_NS:g} ms or less.",
            )

    @property
    def current_pa(self) -> float:
        """Beam current in picoampere."""
        return self.field.beam_current_pa or 0.0

    @property
    def electrons_per_px(self) -> float:
        """Electrons of the beam for each pixel, where the budget is spent evenly."""
        return self.budget_e_per_nm2 * self.field.pixel_size_nm**2

    @property
    def dwell_ns(self) -> float:
        """Dwell of each pixel in nanoseconds, where the budget is spent evenly."""
        return self.electrons_per_px / (self.current_pa * ELECTRONS_PER_PA_NS)

    @property
    def capabilities(self) -> Capabilities:
        """What the planner of rescans may ask of the scan generator."""
        return Capabilities(
            min_dwell_ns=self.min_dwell_ns,
            settle_ns=self.settle_ns,
            flyback_ns=self.flyback_ns,
            command_ns=self.command_ns,
        )

    def crop(self, most_shape: tuple[int, int] | None = None) -> Field:
        """The part of the field that strategies are tried on.

        Args:
            most_shape: `(ny, nx)` of the picture that there is; None for one of any size.
        """
        ny, nx = (min(side, CROP_SIDE_PX) for side in self.field.shape)
        if most_shape is not None:
            ny, nx = min(ny, most_shape[0]), min(nx, most_shape[1])
        return Field(shape=(ny, nx), pixel_size_nm=self.field.pixel_size_nm, beam_current_pa=self.field.beam_current_pa)


def _positive(name: str, value: float, unit: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(f"A {name} of {value} {unit}.", mend=f"Give a positive number of {unit}.")


def _within(name: str, value: float, ends: tuple[float, float], unit: str) -> None:
    if not ends[0] <= value <= ends[1]:
        raise InvalidInput(f"A {name} of {value:g} {unit}.", mend=f"Give {ends[0]:g} to {ends[1]:g} {unit}.")
