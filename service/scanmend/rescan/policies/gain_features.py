"""What the network of `gain` sees of a field: numbers for squares of pixels, in the field's own units.

The network is trained on the same features, computed by `scanmend_models.gain.network.see`; a test holds the two equal.
Here they are computed band by band, so that a band's maps stay in the processor's cache: on a large field that is
several times as fast as passing over whole maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.rescan.pictures import BIN_PX, squares
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture

FEATURES = 13
SIDE_PX = 4 * BIN_PX
"""The network halves its squares twice: fields are continued to multiples of so many pixels."""

_BAND_PX = 1 << 16
"""Pixels of a band: quickest as measured, with 1 MB of cache a core; bands of half or twice as many cost a tenth."""
_TINY = 1e-12
_LARGEST = np.float32(1e15)
"""What is larger counts as not sampled, as it does for every model."""
_REACH = 6.0
"""Bound of every feature."""

_MAPS = (
    *("estimate", "bright", "square", "unevenness", "noise", "miss"),
    *("miss2", "alike", "slope", "bend", "weight", "sampled"),
)

Maps = npt.NDArray[np.float32]
"""Maps `(n, ny, nx)`."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A field as the network sees it: one number for each square of pixels."""

    features: Maps
    """`(FEATURES, h, w)`, h and w multiples of 4."""
    sigma2: FloatPicture
    """Mean of sigma² over the square of the field's largest number, `(h, w)`."""


@dataclass(frozen=True, slots=True)
class _Scales:
    """The field's own units."""

    largest: float
    """Largest number of estimate and sigma, or 1."""
    usual: float
    """Mean weight, or 1."""
    slope: float
    level: float
    floor: float
    """Noise of a visit of the mean dwell, times `usual`: slope · estimate + level, and not below the floor."""
    mean: float
    """Of the estimate over `largest`."""
    spread2: float
    """Variance of the estimate over `largest`."""
    sigma2: float
    """Mean square of sigma over `largest`."""
    all_seen: bool
    """Whether every pixel is sampled."""


def see(state: RescanState) -> Seen:
    """Measure a field in its own units.

    Args:
        state: Maps of one shape; the estimate and sigma finite.

    Returns:
        Features within ±6, unless a map holds NaN.
    """
    estimate, sigma, values, weight = (
        _continued(one) for one in (state.estimate, state.sigma, state.values, state.weight)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        scales = _scales(state, estimate, sigma, values, weight)
        ny, nx = sigma.shape
        rows = max(BIN_PX, _BAND_PX // nx // BIN_PX * BIN_PX)
        means = np.empty((len(_MAPS), ny // BIN_PX, nx // BIN_PX), dtype=np.float32)
        band = _Band(rows, nx, scales)
        for top in range(0, ny, rows):
            part = slice(top, min(top + rows, ny))
            found = band.take(estimate[part], sigma[part], values[part], weight[part])
            squares(found, out=means[:, top // BIN_PX : -(-part.stop // BIN_PX)])
        return _features(dict(zip(_MAPS, means, strict=True)), scales)


def _continued(picture: FloatPicture) -> FloatPicture:
    """The picture with its last line and column repeated to multiples of `SIDE_PX`."""
    more = [(0, -extent % SIDE_PX) for extent in picture.shape]
    picture = np.asarray(picture, dtype=np.float32)
    return np.pad(picture, more, mode="edge") if any(after for _, after in more) else picture


def _scales(
    state: RescanState, estimate: FloatPicture, sigma: FloatPicture, values: FloatPicture, weight: FloatPicture
) -> _Scales:
    low, high = float(estimate.min()), float(estimate.max())
    largest = max(high, -low, float(sigma.max()))
    largest = largest if largest > 0 else 1.0
    all_seen = bool(weight.min() > 0 and values.max() < _LARGEST and values.min() > -_LARGEST)
    sampled = weight if all_seen else np.where(_sampled(values, weight), weight, np.float32(0))
    usual = _mean(sampled) or 1.0
    mean = _mean(estimate) / largest
    bright = mean if low >= 0 else _mean(np.maximum(estimate, np.float32(0))) / largest
    over = estimate * np.float32(1 / largest)
    over -= np.float32(mean)
    spread2 = max(_mean_square(over), _TINY)
    np.multiply(sigma, np.float32(1 / largest), out=over)
    # Times the mean weight: what is counted is the noise of a visit of the mean dwell, over its weight.
    slope, level = state.units_per_electron / largest, state.read_variance / largest**2
    floor = max(level, 0.05 * (slope * bright + level), _TINY * usual)
    return _Scales(largest, usual, slope, level, floor, mean, spread2, max(_mean_square(over), _TINY), all_seen)


def _mean(picture: FloatPicture) -> float:
    return float(picture.mean(dtype=np.float64))


def _mean_square(picture: FloatPicture) -> float:
    lines = np.einsum("yx,yx->y", picture, picture)
    return float(lines.sum(dtype=np.float64)) / picture.size


def _sampled(values: FloatPicture, weight: FloatPicture) -> npt.NDArray[np.bool_]:
    sampled: npt.NDArray[np.bool_] = (weight > 0) & (np.abs(values) < _LARGEST)
    return sampled


class _Band:
    """Computes the maps of one band of lines after the other, from the first to the last.

    Args:
        rows: Most lines of a band.
        width: Pixels of a line.
        scales: Of the whole field.
    """

    def __init__(self, rows: int, width: int, scales: _Scales) -> None:
        self._scales = scales
        # With the last line of the band before on top, for differences along y.
        self._maps = np.empty((len(_MAPS), rows + 1, width), dtype=np.float32)
        self._maps[-1] = 1
        self._along_y = np.empty((rows + 1, width), dtype=np.float32)
        self._along_x, self._scratch = np.empty((2, rows, width), dtype=np.float32)
        self._along_x[:, 0] = self._along_y[0] = 0
        self._first = True

    def take(self, estimate: FloatPicture, sigma: FloatPicture, values: FloatPicture, weight: FloatPicture) -> Maps:
        """The maps of `_MAPS`, `(12, rows, width)`; they change with the next band."""
        rows = len(estimate)
        inverse, scratch = np.float32(1 / self._scales.largest), self._scratch[:rows]
        maps = self._maps[:, : rows + 1]
        over, bright, square, uneven, noise, miss, miss2, alike, slope, bend, visits, sampled = maps[:, 1:]
        np.multiply(estimate, inverse, out=over)
        np.maximum(over, np.float32(0), out=bright)
        np.multiply(sigma, inverse, out=square)
        square *= square
        np.add(square, np.float32(1e-6 * self._scales.sigma2), out=uneven)
        np.log(uneven, out=uneven)
        np.multiply(over, np.float32(self._scales.slope), out=noise)
        noise += np.float32(self._scales.level)
        np.maximum(noise, np.float32(self._scales.floor), out=noise)
        visits[:] = weight
        if not self._scales.all_seen:
            known = _sampled(values, weight)
            sampled[:] = known
            values = np.where(known, values, estimate)
            visits[~known] = 0
        np.divide(visits, noise, out=scratch)
        np.sqrt(scratch, out=scratch)
        np.subtract(values, estimate, out=miss)
        miss *= inverse
        miss *= scratch
        np.clip(miss, np.float32(-_REACH), np.float32(_REACH), out=miss)
        np.multiply(miss, miss, out=miss2)
        if self._first:  # the line above the first is the first
            maps[:, 0] = maps[:, 1]
            self._first = False
        _pair(maps[5], alike)
        self._bend(maps[0], slope, bend)
        maps[:, 0] = maps[:, rows]
        return maps[:, 1:]

    def _bend(self, over: FloatPicture, slope: FloatPicture, bend: FloatPicture) -> None:
        """Slope and bend by differences to the neighbours above and to the left; 0 at the edges."""
        rows = len(slope)
        along_x, along_y, scratch = self._along_x[:rows], self._along_y[: rows + 1], self._scratch[:rows]
        np.subtract(over[1:, 1:], over[1:, :-1], out=along_x[:, 1:])
        np.subtract(over[1:], over[:-1], out=along_y[1:])
        np.subtract(along_y[1:], along_y[:-1], out=bend)
        np.abs(bend, out=bend)
        np.subtract(along_x[:, 1:], along_x[:, :-1], out=scratch[:, 1:])
        scratch[:, 0] = 0
        np.abs(scratch, out=scratch)
        bend += scratch
        np.multiply(along_x, along_x, out=slope)
        np.multiply(along_y[1:], along_y[1:], out=scratch)
        slope += scratch
        np.sqrt(slope, out=slope)
        along_y[0] = along_y[rows]


def _pair(miss: FloatPicture, alike: FloatPicture) -> None:
    """The miss of each pixel times the sum of those of its neighbours above and to the left; its own at an edge.

    Args:
        miss: `(rows + 1, width)`, the line above on top.
        alike: `(rows, width)`, written.
    """
    np.add(miss[1:, :-1], miss[:-1, 1:], out=alike[:, 1:])
    np.add(miss[1:, 0], miss[:-1, 0], out=alike[:, 0])
    alike *= miss[1:]


def _features(means: dict[str, FloatPicture], scales: _Scales) -> Seen:
    """From the means over squares to what the network was trained on."""
    field2, spread = np.float32(scales.sigma2), np.float32(np.sqrt(scales.spread2))
    usual = np.float32(scales.usual)
    sigma2 = means["square"] + np.float32(1e-6) * field2
    noise2 = means["noise"] / usual
    bright, doubt = means["bright"], np.sqrt(sigma2)
    log_sigma = np.log(doubt)
    features = np.empty((FEATURES, *sigma2.shape), dtype=np.float32)
    features[0] = log_sigma - np.float32(0.5 * np.log(scales.sigma2))
    features[1] = log_sigma - np.float32(0.5) * means["unevenness"]
    features[2] = log_sigma - np.float32(0.5) * np.log(noise2)
    features[3] = np.float32(0.5) * np.log1p(bright * bright / noise2)
    features[4] = (means["estimate"] - np.float32(scales.mean)) / spread
    features[5] = np.log1p(means["slope"] / doubt)
    features[6] = np.log1p(means["bend"] / doubt)
    features[7] = 4 * means["miss"]
    features[8] = means["miss2"] - means["sampled"]
    features[9] = 3 * means["alike"]
    features[10] = np.log(means["weight"] / usual + np.float32(1e-3))
    features[11] = 2 * means["sampled"] - 1
    features[12] = 0.5 * np.log(scales.sigma2 / scales.spread2)
    np.clip(features, np.float32(-_REACH), np.float32(_REACH), out=features)
    return Seen(features, sigma2)
