"""Why the planner proposes nothing: what the client and the operator are told."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from scanmend.rescan.dwells import WORTH_A_COMMAND
from scanmend.rescan.policy import RescanState


def why_none(state: RescanState) -> tuple[Literal["budget", "gain", "limits"], str]:
    """The reason for which `propose` gave None: a code of the wire's ENOUGH, and a sentence."""
    usual_ns = float(state.dwell_ns.sum()) / max(1, state.passes)
    if state.affordable_dwell_ns < max(state.capabilities.min_dwell_ns, WORTH_A_COMMAND * usual_ns):
        return "budget", "The dose budget is used up: what is left of it is not worth a pass."
    room = state.affordable_px_dwell_ns
    if room is not None and float(room.max(initial=0.0)) < state.capabilities.min_dwell_ns:
        return "budget", "Every pixel has had the dose that it may have."
    sigma = float(np.mean(np.square(state.sigma, dtype=np.float64)))
    if not (math.isfinite(sigma) and sigma > 0):
        return "gain", "Sigma is 0 wherever it was asked about: there is nothing to gain."
    return "limits", (
        "No plan that is worth its dose keeps to the instrument's limits, to the dose of a pixel and to the dose rate."
    )
