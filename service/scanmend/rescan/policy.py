"""The seam for whatever chooses where to scan next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RescanState:
    """What a policy may look at; maps `(ny, nx)`."""

    field: Field
    capabilities: Capabilities
    estimate: FloatPicture
    """The restoration, in the units of the samples."""
    sigma: FloatPicture
    """Standard deviation of the restoration."""
    values: FloatPicture
    """Mean signal of a visit of the reference dwell; 0 where not sampled."""
    weight: FloatPicture
    """Summed dwell over the reference dwell; 0 where not sampled."""
    units_per_electron: float
    """0 for samples without noise."""
    read_variance: float
    """In squared units, for a visit of weight 1."""
    dwell_ns: npt.NDArray[np.float64]
    """Summed dwell so far in nanoseconds."""
    passes: int
    """Passes so far, 1 or more."""
    affordable_dwell_ns: float
    """Most dwell that the plan may have in all; inf where there is no budget."""
    affordable_px_dwell_ns: npt.NDArray[np.float64] | None = None
    """Most dwell that the plan may have at each pixel, `(ny, nx)`; None where there is no such limit."""
    px_dwell_share: float = math.inf
    """Most dwell that the plan may give any pixel, as a share of the plan's own duration: a limit of the dose rate
    over the dose rate of a pixel under the beam. inf where there is no such limit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProposedPlan:
    """A plan, and what is expected of it."""

    plan: ScanPlan
    reason: str
    """One sentence for the operator."""
    duration_ns: int
    """Time that the plan takes on the instrument, by `scanmend.plan.Cost`."""
    sigma_now: float
    """Root mean square of sigma over the field before the plan."""
    sigma_expected: float
    """The same after it, if the policy is right."""


class Policy(Protocol):
    """Chooses where to scan next; belongs to no session, and keeps nothing from call to call."""

    def weight(self, state: RescanState) -> FloatPicture:
        """How long to dwell at each pixel in the next pass, on any scale: float32 `(ny, nx)`, not negative.

        Called after each complete pass; dose, time and the instrument's limits are the planner's business.
        """
        ...
