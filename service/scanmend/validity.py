"""Whether an exposure looks like those that a model was made for: five numbers, and what they say in words.

Training measures them on its own examples and leaves the ranges in the model's manifest (`domain`); the engine measures
them on every frame. Inside the ranges a model can still be wrong; outside, nobody has looked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]
Range = tuple[float, float]

MOST_PIXELS = 1 << 18
"""Larger fields are judged by every second, third, … line."""


def statistics(
    values: Map, weight: Map, estimate: Map, *, units_per_electron: float, read_variance: float
) -> dict[str, float]:
    """Measure an exposure and its restoration.

    Args:
        values: Mean signal per unit weight, (ny, nx), in the units of the exposure.
        weight: Summed dwell over the reference dwell, (ny, nx); 0 where not sampled.
        estimate: The restored picture, (ny, nx).
        units_per_electron: Signal of one electron; 0 for samples without noise.
        read_variance: Of a visit of weight 1, in units squared.

    Returns:
        `coverage`: share of sampled pixels. `contrast`: standard deviation of the estimate over its mean magnitude.
        `roughness`: mean difference of neighbours in a line over that standard deviation, 1/px. With noise also
        `electrons`: mean electrons of a sample, and `misfit`: mean squared distance of samples from the estimate,
        over the variance that the noise model gives them; 1 where the noise is what the instrument says it is.
        What cannot be measured (no sample, a flat picture) is left out.
    """
    step = -(-values.size // MOST_PIXELS)
    values, weight, estimate = values[::step], weight[::step], estimate[::step]
    seen = weight > 0
    found = {"coverage": float(np.count_nonzero(seen)) / max(1, seen.size)}
    mean, spread = float(estimate.mean(dtype=np.float64)), float(estimate.std(dtype=np.float64))
    if spread > 1e-6 * abs(mean) and spread > 0:
        found["contrast"] = spread / max(abs(mean), 1e-6 * spread)
        if estimate.shape[1] > 1:
            found["roughness"] = float(np.abs(np.diff(estimate, axis=1)).mean(dtype=np.float64)) / spread
    if not seen.any() or (units_per_electron <= 0 and read_variance <= 0):
        return found
    measured, dwell, restored = values[seen], weight[seen], estimate[seen]
    if units_per_electron > 0:
        found["electrons"] = float((measured * dwell).mean(dtype=np.float64)) / units_per_electron
    variance = (units_per_electron * np.maximum(restored, 0.0) + read_variance) / dwell
    floor = 1e-3 * float(variance.mean(dtype=np.float64))
    if floor > 0:
        distance = float(((measured - restored) ** 2).sum(dtype=np.float64))
        found["misfit"] = distance / float(np.maximum(variance, floor).sum(dtype=np.float64))
    return found


def caution(found: Mapping[str, float], domain: Mapping[str, Range]) -> str:
    """Say in what way an exposure is unlike those that a model was made for.

    Args:
        found: What `statistics` gave.
        domain: The model's ranges, by the same names; names that one side lacks are passed over.

    Returns:
        A sentence for a microscopist; empty where there is nothing to say.
    """
    reasons = []
    for name, value in found.items():
        if name not in domain or not math.isfinite(value):
            continue
        low, high = domain[name]
        if low <= value <= high:
            continue
        reasons.append(_REASONS[name](value, low, high) if name in _REASONS else f"{name} is {value:.3g}")
    return "; ".join(reasons)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _misfit(value: float, low: float, high: float) -> str:
    ratio = math.sqrt(value)
    if value > high:
        return f"the samples scatter {ratio:.1f} times as much as the channel's gain and read noise say"
    return f"the samples scatter only {ratio:.2g} times as much as the channel's gain and read noise say"


_REASONS = {
    "coverage": lambda v, lo, hi: (
        f"{_percent(v)} of the pixels are sampled, the model was trained on {_percent(lo)} to {_percent(hi)}"
    ),
    "electrons": lambda v, lo, hi: f"{v:.3g} electrons a sample, the model was trained on {lo:.3g} to {hi:.3g}",
    "contrast": lambda v, lo, hi: (
        f"the picture has {'more' if v > hi else 'less'} contrast ({v:.2g}) than those trained on "
        f"({lo:.2g} to {hi:.2g})"
    ),
    "roughness": lambda v, lo, hi: (
        f"the picture is {'rougher' if v > hi else 'smoother'} ({v:.2g} a pixel) than those trained on "
        f"({lo:.2g} to {hi:.2g})"
    ),
    "misfit": _misfit,
}
