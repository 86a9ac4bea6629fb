"""The seam for whatever chooses the next plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RescanState:
    """What a policy may look at."""

    field: Field
    capabilities: Capabilities
    sigma: FloatPicture
    """Standard deviation of the restoration, `(ny, nx)`."""
    dwell_ns: npt.NDArray[np.float64]
    """Summed dwell so far, `(ny, nx)`, in nanoseconds."""
    passes: int
    """Passes so far, 1 or more."""
    affordable_dwell_ns: float
    """Most dwell that the plan may have in all; inf where there is no budget."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProposedPlan:
    """A plan, and what the policy expects of it."""

    plan: ScanPlan
    reason: str
    """One sentence for the operator."""
    sigma_now: float
    """Root mean square of sigma over the field before the plan."""
    sigma_expected: float
    """The same after it, if the policy is right."""


class Policy(Protocol):
    """Chooses what to scan next."""

    def propose(self, state: RescanState) -> ProposedPlan | None:
        """The next plan, or None where none is worth its dose; called after each complete pass.

        The plan keeps to the capabilities and to `affordable_dwell_ns`.
        """
        ...
