"""From a policy's wishes to a plan: within the instrument's limits and the budget, with its price and its gain.

What is wanted for each pixel is given to pixels, to runs of 2, 4, 8 … pixels, to whole lines, or to one block: to the
finest of them with which at least half of the plan's time is not spent on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
from msgspec import structs

from scanmend.field import Capabilities
from scanmend.rescan.blocks import best_rectangle, whole_field
from scanmend.rescan.cells import Cells
from scanmend.rescan.dwells import Dwells, Limits, Quanta, quantised, quantised_within
from scanmend.rescan.layout import DWELL_BYTES, RUN_BYTES, Layout
from scanmend.rescan.pictures import binned, blurred
from scanmend.rescan.policy import Policy, ProposedPlan, RescanState
from scanmend.restoration import FloatPicture
from scanmend.wire.messages import MAX_CONTROL_BYTES, MAX_PLAN_BYTES

MOST_BYTES = MAX_PLAN_BYTES - MAX_CONTROL_BYTES
"""Largest plan: it goes to the client in a PROPOSAL, comes back in a PLAN, and both must hold the rest as well."""

OVERHEAD = 0.5
"""Largest share of a plan's time that moves and the device's commands may take. With it, finer visits at most double
the time, and time is what drift costs; dwell spent more coarsely than wanted costs dose, which is scarcer than time."""

ALIKE = 0.01
"""Dwells that differ by less than this share are as good as the same."""

_RATE_TURNS = 8
"""Tries to find dwells that are short enough for the dose rate: each lets the plan's time shrink a little more."""

_RATE_MARGIN = 0.02
"""How much further below the limit each of these tries aims, so that a shrinking plan catches up with its limit."""

Room = npt.NDArray[np.float64] | None
Maker = Callable[[Room], Quanta | None]
"""Makes dwells `(ny, nx)` of which none is above its room; None where there are none."""


def propose(policy: Policy, state: RescanState) -> ProposedPlan | None:
    """The next plan by a policy: with the dwell of an average pass so far, or what the budget leaves of it.

    Returns:
        The plan, which keeps to the capabilities, to the affordable dwells and to `px_dwell_share`; None where none
        is worth its dose.
    """
    limits = Limits.of(state)
    if limits is None:
        return None
    sigma_now = float(np.sqrt(np.mean(np.square(state.sigma, dtype=np.float32), dtype=np.float64)))
    if not (math.isfinite(sigma_now) and sigma_now > 0):
        return None
    wanted = policy.weight(state)
    total = float(wanted.sum(dtype=np.float64))
    if not (math.isfinite(total) and total > 0):
        return None
    found = _finest(wanted * np.float32(limits.total_ns / total), limits, state)
    if found is None:
        return None
    return ProposedPlan(
        # What the beam leaves on its way is in no account: where it can be blanked, it is.
        plan=structs.replace(found.plan(), blank_between=state.capabilities.blanking),
        reason=_reason(found.dwell, state.sigma),
        duration_ns=found.cost.duration_ns,
        sigma_now=sigma_now,
        sigma_expected=sigma_now * _sigma_ratio(state, found.dwell),
    )


def _finest(wanted: Dwells, limits: Limits, state: RescanState) -> Layout | None:
    """The finest visits that a message holds and that spend at most `OVERHEAD` on the way, else the coarsest."""
    coarsest = None
    part = _part(wanted, state.capabilities)
    for make in _ladder(wanted[part], limits, state):
        found = _within_rate(make, part, state)
        if found is None or not _fits_message(found):
            continue
        if found.cost.travel_ns <= OVERHEAD * found.cost.duration_ns:
            return found
        coarsest = found
    return coarsest


def _part(wanted: Dwells, able: Capabilities) -> tuple[slice, slice]:
    """The rectangle in which anything is wanted: runs and blocks are made within it, so that they dose nothing else."""
    whole_fields_only = not (able.points or able.segments or able.rectangles)
    if whole_fields_only or bool(wanted.min() > 0):
        return slice(0, wanted.shape[0]), slice(0, wanted.shape[1])
    lines, columns = (np.flatnonzero(wanted.any(axis=axis)) for axis in (1, 0))
    return slice(int(lines[0]), int(lines[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _ladder(wanted: Dwells, limits: Limits, state: RescanState) -> Iterator[Maker]:
    """Ways to spend the dwell that the instrument can run, from the finest to the coarsest."""
    able, shape = state.capabilities, (int(wanted.shape[0]), int(wanted.shape[1]))
    whole = shape == state.field.shape
    if whole and wanted.size > _most_points(state) and _alike(wanted) and state.affordable_px_dwell_ns is None:
        yield partial(whole_field, limits, shape)  # nothing is lost by one dwell for all, which takes no room
    if able.points or able.segments:
        for cells in Cells.ladder(shape):
            fits = limits
            if limits.one_dwell_ns is None:  # too many points for a message: fewer are visited, for longer
                fits = replace(limits, max_points=min(limits.max_points, _most_points(state, cells.length)))
            yield partial(_in_cells, cells.means(wanted), fits, cells)
    if able.rectangles:
        yield partial(best_rectangle, wanted, limits)
    if whole:
        yield partial(whole_field, limits, shape)


def _fits_message(found: Layout) -> bool:
    """Whether a message holds the plan; looked at more closely only where the field is large enough for a doubt."""
    return found.dwell.size * (DWELL_BYTES + RUN_BYTES) <= MOST_BYTES or found.size_bytes <= MOST_BYTES


def _most_points(state: RescanState, length: int = 1) -> int:
    """Of how many points a message can hold the dwells: with a mask of the field, or with runs of so many pixels."""
    if state.capabilities.points:
        return (MOST_BYTES - -(-state.field.pixels // 8)) // DWELL_BYTES
    return int(MOST_BYTES / (DWELL_BYTES + RUN_BYTES / length))


def _alike(wanted: Dwells) -> bool:
    return float(wanted.max()) <= (1.0 + ALIKE) * float(wanted.min())


def _in_cells(wanted: Dwells, limits: Limits, cells: Cells, room: Room) -> Quanta | None:
    """Dwells that are the same within each cell."""
    if room is None:
        dwell = quantised(wanted, limits, cells)
    else:
        dwell = quantised_within(wanted, limits, cells, cells.least(room))
    return None if dwell is None else cells.pixels(dwell)


def _within_rate(make: Maker, part: tuple[slice, slice], state: RescanState) -> Layout | None:
    """Lay out what is made, with dwells short enough for the plan's own duration; None where that cannot be."""
    room = state.affordable_px_dwell_ns
    for turn in range(_RATE_TURNS):
        made = make(None if room is None else room[part])
        if made is None:
            return None
        dwell = made
        if made.shape != state.field.shape:
            dwell = np.zeros(state.field.shape, dtype=np.uint32)
            dwell[part] = made
        found = Layout.cheapest(dwell, state.capabilities)
        longest_ns = state.px_dwell_share * found.cost.duration_ns
        if int(dwell.max()) <= longest_ns:
            return found
        longest_ns *= 1.0 - _RATE_MARGIN * turn
        room = np.full(dwell.shape, longest_ns) if room is None else np.minimum(room, longest_ns)
    return None


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
