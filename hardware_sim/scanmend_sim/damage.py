"""What the beam does to the specimen: the signal of a place fades as its dose grows.

First-order kinetics, as measured for the fading of diffraction spots and of mass in organic matter: what is left after
a dose D is exp(-D / D_c), with D_c the critical dose (Egerton, Li and Malac, Micron 35, 399, 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A material's answer to dose.

    Raises:
        InvalidInput: A critical dose that is not positive, or a share outside 0 to 1.
    """

    critical_dose_e_per_nm2: float
    """Dose at which what can fade has faded to 1/e."""
    remaining: float = 0.0
    """Share of the signal that no dose takes away."""
    hits: Literal["all", "bright", "dark"] = "all"
    """What fades: everything alike, or places at a rate that grows with their signal, or with 1 minus it."""

    def __post_init__(self) -> None:
        """Check the figures."""
        if not self.critical_dose_e_per_nm2 > 0:
            raise InvalidInput("A critical dose must be positive.", mend="Give it in electrons per nm².")
        if not 0 <= self.remaining <= 1:
            raise InvalidInput(f"A share of {self.remaining} cannot remain.", mend="Give remaining from 0 to 1.")

    def left(
        self, signal: Floats, dose_e_per_nm2: Floats, added_e_per_nm2: Floats | float = 0.0
    ) -> npt.NDArray[np.float64]:
        """Give the share of the signal that is left, on average over a dwell.

        Args:
            signal: Of the whole specimen, 0 to 1.
            dose_e_per_nm2: What each place has had when the dwell begins.
            added_e_per_nm2: What the dwell adds; 0 gives the share at the moment.

        Returns:
            float64 of the shape of `signal`.
        """
        hit = {"all": np.ones_like(signal), "bright": signal, "dark": 1.0 - signal}[self.hits]
        rate = hit / self.critical_dose_e_per_nm2
        before = np.exp(-rate * dose_e_per_nm2)
        exponent = np.asarray(rate * added_e_per_nm2, dtype=np.float64)
        # Mean of exp(-x) from 0 to the exponent; its series where the difference would lose its digits.
        small = exponent < 1e-5
        safe = np.where(small, 1.0, exponent)
        mean = np.where(small, 1.0 - exponent / 2, -np.expm1(-safe) / safe)
        found: npt.NDArray[np.float64] = self.remaining + (1 - self.remaining) * before * mean
        return found
