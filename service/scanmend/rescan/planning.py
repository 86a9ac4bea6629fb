"""From a policy's wishes to a plan: within the instrument's limits and the budget, with its price and its gain."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scanmend.plan import ScanPlan
from scanmend.rescan.dwells import Limits, quantised, quantised_within, uniform
from scanmend.rescan.pictures import binned, blurred
from scanmend.rescan.policy import Policy, ProposedPlan, RescanState
from scanmend.restoration import FloatPicture


def propose(policy: Policy, state: RescanState) -> ProposedPlan | None:
    """The next plan by a policy: with the dwell of an average pass so far, or what the budget leaves of it.

    Returns:
        The plan, which keeps to the capabilities and to `affordable_dwell_ns`; None where none is worth its dose.
    """
    limits = Limits.of(state)
    if limits is None:
        return None
    sigma_now = float(np.sqrt(np.mean(np.square(state.sigma, dtype=np.float32), dtype=np.float64)))
    if not (math.isfinite(sigma_now) and sigma_now > 0):
        return None
    room = state.affordable_px_dwell_ns
    if not state.capabilities.points:
        dwell = uniform(limits, state.sigma.shape, math.inf if room is None else float(room.min()))
    else:
        wanted = policy.weight(state)
        total = float(wanted.sum(dtype=np.float64))
        if not (math.isfinite(total) and total > 0):
            return None
        wanted = wanted * np.float32(limits.total_ns / total)
        dwell = quantised(wanted, limits) if room is None else quantised_within(wanted, limits, room)
    if dwell is None:
        return None
    return ProposedPlan(
        plan=_plan_of(dwell),
        reason=_reason(dwell, state.sigma),
        sigma_now=sigma_now,
        sigma_expected=sigma_now * _sigma_ratio(state, dwell),
    )


def _plan_of(dwell: npt.NDArray[np.uint32]) -> ScanPlan:
    """The most compact plan for these dwell times; pixels of 0 are left out."""
    mask = dwell > 0
    times = dwell[mask]
    alike = bool((times == times[0]).all())
    given: int | npt.NDArray[np.uint32] = int(times[0]) if alike else times
    shape = (int(dwell.shape[0]), int(dwell.shape[1]))
    if times.size == dwell.size:
        return ScanPlan.raster(shape, given)
    if times.size * 64 < dwell.size:  # eight bytes a point are less than one bit a pixel
        y, x = np.nonzero(mask)
        return ScanPlan.point_list(shape, given, xy=np.stack([x, y], axis=1))
    return ScanPlan.mask(mask, given)


def _sigma_ratio(state: RescanState, dwell: npt.NDArray[np.uint32]) -> float:
    """Root mean square of sigma after the plan over that before: variance falls as the dwell around a pixel grows."""
    before = blurred(binned(state.dwell_ns))
    more = blurred(binned(dwell))
    # Far from every sample, as if a tenth of the mean dwell were there: one visit does not settle everything.
    np.maximum(before, 0.1 * float(before.mean(dtype=np.float64)) + 1e-3, out=before)
    variance = binned(np.square(state.sigma))
    left = variance * before / (before + more)
    return math.sqrt(float(left.mean(dtype=np.float64)) / max(float(variance.mean(dtype=np.float64)), 1e-300))


def _reason(dwell: npt.NDArray[np.uint32], sigma: FloatPicture) -> str:
    given, doubt = binned(dwell), binned(sigma)
    unsure = doubt > 1.5 * float(doubt.mean(dtype=np.float64))
    if not unsure.any():
        return "The dwell is spread over the whole field, which is about equally uncertain everywhere."
    area = 100 * float(np.count_nonzero(unsure)) / unsure.size
    share = 100 * float(given[unsure].sum()) / max(float(given.sum()), 1e-30)
    return f"{share:.0f} % of the dwell goes to the {area:.0f} % of the field that is least certain."
