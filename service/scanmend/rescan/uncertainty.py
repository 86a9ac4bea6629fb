"""The policy `uncertainty`: dwell in proportion to the predicted standard deviation.

After a restorer that knows the dwell map, this was worth 0.2 to 0.4 dB over a uniform pass of the same dose on
full fields, and more where much of the field is empty; never less than uniform, because a share stays uniform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities
from scanmend.plan import ScanPlan
from scanmend.rescan.policy import ProposedPlan, RescanState
from scanmend.restoration import FloatPicture

Dwells = npt.NDArray[np.float32]

WORTH_A_COMMAND = 0.01
"""Share of an average pass that the budget must leave: less is not worth a command of the instrument."""

_BIN_PX = 4
"""What a plan should gain is reckoned on squares of so many pixels: neighbours share what is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """Dwell in proportion to sigma, with a share kept uniform."""

    uniform_share: float = 0.3
    """Share of the dwell that is spread evenly, so that what the restorer is wrongly sure of is seen again too."""

    cap: float = 4.0
    """Largest weight of a pixel, over the mean weight."""

    def propose(self, state: RescanState) -> ProposedPlan | None:
        """A plan with the dwell of an average pass so far, or what the budget leaves of it."""
        limits = _Limits.of(state)
        if limits is None:
            return None
        sigma_now = float(np.sqrt(np.mean(np.square(state.sigma, dtype=np.float32), dtype=np.float64)))
        if not (math.isfinite(sigma_now) and sigma_now > 0):
            return None
        if not state.capabilities.points:
            dwell = _uniform(limits, state.sigma.shape)
        else:
            dwell = _quantised(self._wanted(state.sigma, limits.total_ns), limits)
        if dwell is None:
            return None
        plan = _plan_of(dwell)
        expected = sigma_now * _sigma_ratio(state, dwell)
        return ProposedPlan(
            plan=plan,
            reason=_reason(dwell, state.sigma),
            sigma_now=sigma_now,
            sigma_expected=expected,
        )

    def _wanted(self, sigma: FloatPicture, total_ns: float) -> Dwells:
        """Dwell of each pixel as the rule has it, before any limit."""
        weight = blurred(sigma)  # single pixels of a sigma map are noise themselves
        np.minimum(weight, self.cap * float(weight.mean(dtype=np.float64)), out=weight)
        per_weight = (1 - self.uniform_share) * total_ns / max(float(weight.sum(dtype=np.float64)), 1e-300)
        weight *= np.float32(per_weight)
        weight += np.float32(self.uniform_share * total_ns / weight.size)
        return weight


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the instrument and the budget allow."""

    total_ns: float
    """Dwell of all points together."""
    quantum_ns: int
    least_ns: int
    most_ns: int
    """Shortest and longest dwell, multiples of the quantum."""
    max_points: int
    one_dwell: bool
    """Whether all points must have the same dwell, which is then `least_ns`."""

    @classmethod
    def of(cls, state: RescanState) -> _Limits | None:
        """The limits, or None where they leave nothing."""
        able: Capabilities = state.capabilities
        quantum = able.dwell_quantum_ns
        least = -(-able.min_dwell_ns // quantum) * quantum
        most = min(able.max_dwell_ns, 0xFFFFFFFF) // quantum * quantum
        if least > most:
            return None
        sofar = float(state.dwell_ns.sum())
        usual_total = sofar / max(1, state.passes)
        total = min(usual_total, state.affordable_dwell_ns)
        if not max(least, WORTH_A_COMMAND * usual_total) <= total < math.inf:
            return None
        if not able.dwell_per_point:
            visited = max(1, int(np.count_nonzero(state.dwell_ns)))
            usual = round(sofar / visited / max(1, state.passes) / quantum) * quantum
            least = min(max(usual, least), most)
            if total < least:
                return None
        return cls(total, quantum, least, most, able.max_points, not able.dwell_per_point)


def _quantised(wanted: Dwells, limits: _Limits) -> npt.NDArray[np.uint32] | None:
    """Dwell times that the instrument can run, as near to the wanted ones as their sum allows; None for none."""
    scale, least = 1.0, limits.least_ns
    dwell = _rounded(wanted, limits, least)
    for _ in range(6):
        total = int(dwell.sum(dtype=np.uint64))
        points = int(np.count_nonzero(dwell))
        if points > limits.max_points and not limits.one_dwell:
            # Fewer points with a longer dwell each.
            grown = max(least * 1.25, limits.total_ns / limits.max_points)
            least = min(math.ceil(grown / limits.quantum_ns) * limits.quantum_ns, limits.most_ns)
        elif total > limits.total_ns:
            scale *= limits.total_ns / total * 0.9995
        else:
            break
        dwell = _rounded(wanted * np.float32(scale), limits, least)
    over = int(dwell.sum(dtype=np.uint64)) > limits.total_ns or np.count_nonzero(dwell) > limits.max_points
    if over:
        dwell = _cut(dwell, limits)
    return dwell if dwell.any() else None


def _rounded(wanted: Dwells, limits: _Limits, least_ns: int) -> npt.NDArray[np.uint32]:
    """Round each dwell up or down so that neighbourhoods keep their sum.

    Below the shortest dwell a pixel is visited for that long or not at all; above it, its dwell is one of the two
    nearest multiples of the quantum. The larger one is taken where the fraction is above a threshold that is spread
    evenly over the plane (ordered dithering).
    """
    threshold = _thresholds(wanted.shape)
    short = wanted / np.float32(least_ns)
    dwell = np.where(short > threshold, np.float32(least_ns), np.float32(0))
    if not limits.one_dwell:
        quantum = np.float32(limits.quantum_ns)
        long = short >= 1
        if long.any():
            dwell[long] = np.floor(wanted[long] / quantum + threshold[long]) * quantum
            np.minimum(dwell, np.float32(limits.most_ns), out=dwell)
    # float32 keeps 24 bits: a multiple of the quantum above 16 ms may have been rounded off it.
    whole = np.rint(dwell).astype(np.uint32)
    if limits.quantum_ns > 1 and limits.most_ns >= 1 << 24:
        whole -= whole % np.uint32(limits.quantum_ns)
    return np.minimum(whole, np.uint32(limits.most_ns))


@lru_cache(maxsize=4)
def _thresholds(shape: tuple[int, int]) -> Dwells:
    """Evenly spread numbers from 0 to 1, by the additive sequence of the plastic number (M. Roberts, 2018)."""
    y, x = (np.arange(extent, dtype=np.float64) for extent in shape)
    spread = (0.7548776662466927 * x[None, :] + 0.5698402909980532 * y[:, None] + 0.5) % 1.0
    made = spread.astype(np.float32)
    made.flags.writeable = False
    return made


def _cut(dwell: npt.NDArray[np.uint32], limits: _Limits) -> npt.NDArray[np.uint32]:
    """Leave out points, the shortest first, until the plan fits."""
    flat = dwell.reshape(-1)
    order = np.argsort(flat, kind="stable")[::-1]
    order = order[: min(limits.max_points, int(np.count_nonzero(flat)))]
    fits = np.cumsum(flat[order], dtype=np.uint64) <= limits.total_ns
    kept = np.zeros_like(flat)
    kept[order[fits]] = flat[order[fits]]
    return kept.reshape(dwell.shape)


def _uniform(limits: _Limits, shape: tuple[int, ...]) -> npt.NDArray[np.uint32] | None:
    """For an instrument that runs rasters only: the whole field once more."""
    pixels = shape[0] * shape[1]
    dwell = int(limits.total_ns // pixels) // limits.quantum_ns * limits.quantum_ns
    if dwell < limits.least_ns or pixels > limits.max_points:
        return None
    return np.full(shape, min(dwell, limits.most_ns), dtype=np.uint32)


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
    before = blurred(_binned(state.dwell_ns))
    more = blurred(_binned(dwell))
    # Far from every sample, as if a tenth of the mean dwell were there: one visit does not settle everything.
    np.maximum(before, 0.1 * float(before.mean(dtype=np.float64)) + 1e-3, out=before)
    variance = _binned(np.square(state.sigma))
    left = variance * before / (before + more)
    return math.sqrt(float(left.mean(dtype=np.float64)) / max(float(variance.mean(dtype=np.float64)), 1e-300))


def _binned(picture: npt.NDArray[np.generic]) -> FloatPicture:
    """Means over squares of `_BIN_PX`; what is left over at the far edges is left out."""
    side = min(_BIN_PX, *picture.shape)
    ny, nx = picture.shape[0] // side, picture.shape[1] // side
    cut = picture[: ny * side, : nx * side].astype(np.float32, copy=False)
    lines = np.add.reduce(cut.reshape(ny, side, nx * side), axis=1)
    binned: FloatPicture = np.add.reduce(lines.reshape(ny, nx, side), axis=2)
    binned /= np.float32(side * side)
    return binned


def _reason(dwell: npt.NDArray[np.uint32], sigma: FloatPicture) -> str:
    given, doubt = _binned(dwell), _binned(sigma)
    unsure = doubt > 1.5 * float(doubt.mean(dtype=np.float64))
    if not unsure.any():
        return "The dwell is spread over the whole field, which is about equally uncertain everywhere."
    area = 100 * float(np.count_nonzero(unsure)) / unsure.size
    share = 100 * float(given[unsure].sum()) / max(float(given.sum()), 1e-30)
    return f"{share:.0f} % of the dwell goes to the {area:.0f} % of the field that is least certain."


def blurred(picture: FloatPicture) -> FloatPicture:
    """A picture smoothed over about 2 px (two box averages of 5 px along each axis), edges repeated."""
    out: FloatPicture = picture
    for _ in range(2):
        out = _box(_box(out, 0), 1)
    return out


def _box(picture: FloatPicture, axis: int) -> FloatPicture:
    """Averages of five neighbours along an axis, edges repeated."""
    along = picture if axis == 0 else picture.T
    out = np.empty_like(picture)
    summed = out if axis == 0 else out.T
    last = along.shape[0] - 1
    if last < 4:
        near = np.clip(np.arange(last + 1)[:, None] + np.arange(-2, 3), 0, last)
        summed[:] = along[near].mean(axis=1)
        return out
    inner = summed[2:-2]
    np.add(along[:-4], along[1:-3], out=inner)
    for i in range(2, 5):
        inner += along[i : last - 3 + i]
    summed[0] = 3 * along[0] + along[1] + along[2]
    summed[1] = 2 * along[0] + along[1] + along[2] + along[3]
    summed[last] = 3 * along[last] + along[last - 1] + along[last - 2]
    summed[last - 1] = 2 * along[last] + along[last - 1] + along[last - 2] + along[last - 3]
    out *= np.float32(0.2)
    return out
