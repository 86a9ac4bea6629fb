"""Finds gain and read noise in the data, where the instrument does not tell them.

The photon-transfer curve (Janesick, Klaasen and Elliott, Optical Engineering 26, 1987): the variance of a sample
grows with its mean, `var = units_per_electron · mean + read_variance`. Variance is taken from what a sample differs
from its neighbours by, slopes taken out, in small groups; groups of like brightness are pooled, and in each pool the
quieter ones count, because structure can only add to the differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.restoration import FloatPicture

MOST_PX = 1 << 20
"""Of a larger field only the middle lines are looked at."""

_BLOCK_PX = 16
_SMALL_BLOCK_PX = 4
_RUN = 48
_POOLS = 12
_LEAST_GROUPS = 4
_LOWER_QUARTILE = -0.6745
"""Of the standard normal distribution."""
_LEAST_RANGE = 1.5
"""Smallest ratio of bright to dark from which gain and read noise can be told apart."""
_MASK_REDUNDANCY = 3.78
"""Sum of the squared autocorrelation of the two-dimensional mask: so many residuals are worth one independent."""
_TRIPLET_REDUNDANCY = 1.94

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a sample of weight 1: `var = units_per_electron · value + read_variance`."""

    units_per_electron: float
    read_variance: float

    @property
    def electrons_per_unit(self) -> float:
        """The inverse gain; inf for noise-free samples."""
        return 1 / self.units_per_electron if self.units_per_electron > 0 else math.inf


@dataclass(frozen=True, slots=True)
class _Groups:
    """Mean and noise variance of groups of neighbouring samples, `(n,)` each."""

    mean: Floats
    variance: Floats
    independent: float
    """How many independent residuals are in a group."""


def estimate_noise(values: FloatPicture, weight: FloatPicture) -> Noise:
    """Estimate gain and read variance from one exposure.

    Args:
        values: Mean signal of a visit of weight 1, `(ny, nx)`; 0 where not sampled.
        weight: Summed dwell over the reference dwell, `(ny, nx)`; 0 where not sampled.

    Returns:
        Finite numbers of 0 or more. Where there are too few samples for a curve, all of their spread counts as
        noise; samples that are all alike give 0 and 0, which means noise-free.
    """
    values, weight = _middle(values), _middle(weight)
    dense = bool(weight.all()) and min(weight.shape) >= 2 + 2 * _SMALL_BLOCK_PX
    with np.errstate(all="ignore"):  # what overflows is thrown away at the end
        groups = _dense_groups(values, weight) if dense else _sparse_groups(values, weight)
        if groups is None:
            noise = _all_spread(values[weight > 0])
        else:
            noise = _fit(*_pooled(groups))
    if math.isfinite(noise.units_per_electron) and math.isfinite(noise.read_variance):
        return noise
    return Noise(0.0, 0.0)


def _middle(array: FloatPicture) -> FloatPicture:
    ny, nx = array.shape
    lines = max(1, MOST_PX // nx)
    first = max(0, (ny - lines) // 2)
    return array[first : first + lines]


def _dense_groups(values: FloatPicture, weight: FloatPicture) -> _Groups:
    """Blocks of residuals of the mask [1 -2 1] ⊗ [1 -2 1], which passes no slope (Immerkær, CVIU 64, 1996)."""
    residual = _along_y(_along_x(values, -2), -2)
    if float(weight.min()) == float(weight.max()):
        square = residual * residual * np.float32(float(weight[0, 0]) / 36)
    else:
        # A sample of weight w has 1/w of a visit's variance; the squared mask adds up its neighbours'.
        square = residual * residual / _along_y(_along_x(np.float32(1) / weight, 4), 4)
    side = _BLOCK_PX if min(square.shape) >= 4 * _BLOCK_PX else _SMALL_BLOCK_PX
    mean, variance = _block_means(values[1:-1, 1:-1], side), _block_means(square, side)
    return _Groups(mean, variance, side * side / _MASK_REDUNDANCY)


def _along_x(array: Floats, middle: int) -> Floats:
    return array[:, :-2] + array[:, 2:] + np.float32(middle) * array[:, 1:-1]


def _along_y(array: Floats, middle: int) -> Floats:
    return array[:-2] + array[2:] + np.float32(middle) * array[1:-1]


def _block_means(array: Floats, side: int) -> Floats:
    ny, nx = array.shape[0] // side, array.shape[1] // side
    # One axis after the other: several times as fast as over both at once.
    lines = array[: ny * side, : nx * side].reshape(ny, side, nx * side).mean(axis=1)
    blocks: Floats = lines.reshape(ny, nx, side).mean(axis=2).reshape(-1)
    return blocks


def _sparse_groups(values: FloatPicture, weight: FloatPicture) -> _Groups | None:
    """Runs of residuals: each sample against the line through its two neighbours on the same scan line."""
    nx = values.shape[1]
    pixels = np.flatnonzero(weight)
    if pixels.size < 3:
        return None
    y, x = np.divmod(pixels, nx)
    kept = np.flatnonzero(y[:-2] == y[2:])
    if kept.size:
        reach = x[kept + 2] - x[kept]
        kept = kept[reach <= np.median(reach)]  # the nearer half has less structure in between
    if kept.size < _LEAST_GROUPS * _SMALL_BLOCK_PX:
        return None
    v, w = values.reshape(-1)[pixels], weight.reshape(-1)[pixels]
    t = ((x[kept + 1] - x[kept]) / (x[kept + 2] - x[kept])).astype(np.float32)
    residual = v[kept + 1] - (1 - t) * v[kept] - t * v[kept + 2]
    square = residual * residual / (1 / w[kept + 1] + (1 - t) ** 2 / w[kept] + t**2 / w[kept + 2])
    run = min(_RUN, kept.size // _LEAST_GROUPS)
    runs = kept.size // run
    mean = ((v[kept] + v[kept + 1] + v[kept + 2]) / 3)[: runs * run].reshape(runs, run).mean(axis=1)
    return _Groups(mean, square[: runs * run].reshape(runs, run).mean(axis=1), run / _TRIPLET_REDUNDANCY)


def _pooled(groups: _Groups) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance of pools of like brightness, structure left out."""
    order = np.argsort(groups.mean)
    pools = np.array_split(order, max(1, min(_POOLS, order.size // _LEAST_GROUPS)))
    # The lower quartile of a variance over its mean, for so many degrees of freedom (Wilson and Hilferty, 1931).
    spread = 2 / (9 * groups.independent)
    quartile = (1 - spread + _LOWER_QUARTILE * math.sqrt(spread)) ** 3
    means = [float(groups.mean[pool].mean()) for pool in pools]
    variances = [float(np.quantile(groups.variance[pool], 0.25)) / quartile for pool in pools]
    return np.asarray(means), np.asarray(variances)


def _fit(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> Noise:
    """The line through the pools, of which neither part may be negative."""
    typical = float(np.median(variance))
    if not (math.isfinite(typical) and typical > 0):
        return Noise(0.0, 0.0)
    if mean.min() <= 0 and mean.max() <= 0:
        return Noise(0.0, typical)  # without an offset nobody can tell electrons
    trust = 1 / np.maximum(variance, 0.1 * typical)  # errors are proportional to the variance itself
    through_zero = Noise(max(0.0, float((trust**2 * mean * variance).sum() / (trust**2 * mean**2).sum())), 0.0)
    if mean.min() > 0 and mean.max() < _LEAST_RANGE * mean.min():
        return through_zero
    centre = float((trust**2 * mean).sum() / (trust**2).sum())
    level = float((trust**2 * variance).sum() / (trust**2).sum())
    across = mean - centre
    slope = float((trust**2 * across * variance).sum() / (trust**2 * across**2).sum())
    if slope <= 0:
        return Noise(0.0, typical)
    read_variance = level - slope * centre
    return Noise(slope, read_variance) if read_variance >= 0 else through_zero


def _all_spread(samples: Floats) -> Noise:
    if samples.size < 2:
        return Noise(0.0, 0.0)
    mean, variance = float(samples.mean(dtype=np.float64)), float(samples.var(dtype=np.float64))
    return Noise(variance / mean, 0.0) if mean > 0 else Noise(0.0, variance)
