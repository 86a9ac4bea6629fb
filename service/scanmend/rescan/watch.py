"""Whether the specimen still gives what it gave: every later pass is compared with the first one, pixel by pixel.

The rate of a pixel in one pass, its signal over its dwell, has the same expectation in every pass, whatever dwell a
policy gave it *because of* the counts before: what is known at the time does not change what comes next. So the sum of
such rates over pixels that no counts have chosen must be the same in all passes. Three things follow:

- Only the first pass's own rates are compared with, never the sum of all counts: that one is biased, since pixels whose
  counts were high by chance were looked at again, and their later counts thin the luck out.
- Every pixel counts alike, however long a policy dwelt there (Horvitz and Thompson, J. Am. Stat. Assoc. 47, 663, 1952).
- Where a plan leaves pixels out, the comparison keeps to pixels that it would have visited in any case: those that the
  planner's dither favours. A plan that leaves out too many of them, as the policy `outlier` does, is not judged.

How far sums scatter by chance is read off 64 random groups of pixels, each of which is a specimen of its own; so the
noise of the detector need not be known, and structure that moves widens the scatter and does not pass for fading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from scanmend.rescan.dwells import thresholds
from scanmend.restoration import FloatPicture

Region = tuple[int, int, int, int]
"""`(top, left, height, width)` in pixels."""
Sums = npt.NDArray[np.float64]

GROUPS = 64
MOST_PX = 1 << 16
"""Of a larger field so many pixels are watched, spread evenly: at 2 counts they tell a change of a per cent."""
LEAST_PX = 16 * GROUPS
LEFT_OUT = 1e-3
"""Share of the watched pixels that a pass may leave out, for frames that were lost."""
CERTAIN = 4.5
"""Standard errors: by chance alone, one look of 30,000 is so far off (Student's t of 63 degrees of freedom)."""
MATTERS = 0.01
"""Least change of the signal in a pass that is spoken of: twelve passes at a place would take a ninth of it."""
HARMS = 0.03
"""Fall from which on another pass takes more from the picture than it gives, as measured (decision 0015)."""
MOVED_PX = 0.25
"""Least movement that is spoken of."""

_FINE, _LAST = 8.0, 255
"""Dose is sorted into eighths of a pass, all above 32 passes into one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How the specimen changes between passes."""

    fall: float
    """Share of the signal that a pass of average dose takes away; negative where the signal grows."""
    fall_error: float
    """Its standard error."""
    passes: int
    """Passes that were compared with the first."""
    moved_px: tuple[float, float] = (0.0, 0.0)
    """How far the picture lies from where the first pass had it, `(y, x)`."""
    moved_error_px: float = math.inf

    @property
    def fades(self) -> bool:
        """Whether the signal falls beyond doubt, and by an amount that matters."""
        return self.fall >= MATTERS and self.fall > CERTAIN * self.fall_error

    @property
    def ends(self) -> bool:
        """Whether the signal falls so fast that another pass would make the picture worse."""
        return self.fades and self.fall >= HARMS

    @property
    def grows(self) -> bool:
        """Whether the signal grows beyond doubt, and by an amount that matters."""
        return -self.fall >= MATTERS and -self.fall > CERTAIN * self.fall_error

    @property
    def moves(self) -> bool:
        """Whether the picture has moved beyond doubt, and by an amount that matters.

        Not asked where the signal changes: bright places that fade more than others look like a movement too.
        """
        if self.fades or self.grows:
            return False
        return math.hypot(*self.moved_px) > max(MOVED_PX, CERTAIN * self.moved_error_px)

    @property
    def kind(self) -> Literal["fades", "grows", "moves", ""]:
        """What is beyond doubt, in a word."""
        return "fades" if self.fades else "grows" if self.grows else "moves" if self.moves else ""

    @property
    def text(self) -> str:
        """What an operator is told; empty where nothing is beyond doubt."""
        digits = 0 if self.fall_error >= 0.005 else 1
        share = f"{100 * abs(self.fall):.{digits}f} ± {max(100 * self.fall_error, 0.1):.{digits}f} % a pass"
        match self.kind:
            case "fades":
                return f"the signal falls by {share}: the specimen changes under the beam"
            case "grows":
                return f"the signal grows by {share}: the specimen or the beam changes between passes"
            case "moves":
                moved_px = math.hypot(*self.moved_px)
                return f"the picture has moved by about {moved_px:.1f} px since the first pass"
        return ""


class SpecimenWatch:
    """Watches the passes of one exposure; belongs to one thread.

    Args:
        shape: The field's `(ny, nx)`.
        region: Where alone later passes dwell, as the client said before any count; None for the whole field.
    """

    def __init__(self, shape: tuple[int, int], region: Region | None = None) -> None:
        self._shape, self._region = shape, region
        self._pixels: npt.NDArray[np.intp] | None = None
        self._before: tuple[Sums, Sums] = (np.zeros(0), np.zeros(0))
        self._slopes: tuple[FloatPicture, ...] = ()
        self._first_dose = self._first_rate = np.zeros(0)
        self._unit = 1.0
        self._weight = 0.0
        self._fallen = np.zeros(GROUPS)
        self._left = 0.0
        self._rate_at, self._dose_at = np.zeros(_LAST + 1), np.zeros(_LAST + 1)
        self._taken = 0
        self.change: Change | None = None
        """After two passes that could be compared, how the specimen changes."""

    def take(self, signal: Sums, dwell_ns: Sums) -> Change | None:
        """Look at a complete pass.

        Args:
            signal: Signal of each pixel summed over all passes so far, `(ny, nx)`.
            dwell_ns: Their dwell in nanoseconds, `(ny, nx)`.

        Returns:
            The change so far, None where nothing could be compared yet.
        """
        signal, dwell_ns = signal.reshape(-1), dwell_ns.reshape(-1)
        if self._pixels is None:
            self._begin(signal, dwell_ns)
        elif self._pixels.size:
            self._compare(signal[self._pixels], dwell_ns[self._pixels])
        return self.change

    def look(self, estimate: FloatPicture) -> None:
        """Take the slopes by which a movement shows in the next pass; without them none is looked for.

        Args:
            estimate: The restoration of all passes so far, `(ny, nx)`.
        """
        if self._pixels is None or not self._pixels.size or min(self._shape) < 2:
            return
        # In the units of the rates, whatever those of the estimate are.
        level = float(estimate.reshape(-1)[self._pixels].mean(dtype=np.float64))
        scale = float(self._first_rate.mean()) / level if level > 0 else 0.0
        self._slopes = tuple(np.float32(scale) * _slope(estimate, self._pixels, axis) for axis in (0, 1))

    def _begin(self, signal: Sums, dwell_ns: Sums) -> None:
        pixels = _favoured(self._shape)
        if self._region is not None:
            top, left, height, width = self._region
            y, x = np.divmod(pixels, self._shape[1])
            pixels = pixels[(y >= top) & (y < top + height) & (x >= left) & (x < left + width)]
        self._pixels = pixels = pixels[dwell_ns[pixels] > 0]
        if pixels.size < LEAST_PX:
            self._pixels = pixels[:0]
            return
        self._groups = np.random.default_rng(64).integers(0, GROUPS, pixels.size)
        self._before = signal[pixels], dwell_ns[pixels]
        self._unit = float(self._before[1].mean())
        self._first_dose = self._before[1] / self._unit
        self._first_rate = self._before[0] / self._first_dose

    def _compare(self, signal: Sums, dwell_ns: Sums) -> None:
        signal_before, dwell_before = self._before
        count, dose = signal - signal_before, (dwell_ns - dwell_before) / self._unit
        had = dwell_before / self._unit
        self._before = signal, dwell_ns
        self._taken += 1
        used = _always_visited(dose > 0)
        if used is None:
            return
        dose, first = dose[used], self._first_rate[used]
        rate, group = count[used] / dose, self._groups[used]
        # Known before the pass began to count: how much chance there is in it.
        weight = 1.0 / max(float(first.mean()) * float((1.0 / dose + 1.0 / self._first_dose[used]).sum()), 1e-300)
        self._weight += weight
        self._fallen += weight * np.bincount(group, first - rate, minlength=GROUPS)
        self._left += weight * float(rate.sum())
        more = had[used] + 0.5 * dose - 0.5 * self._first_dose[used]
        place = np.minimum(more * _FINE, _LAST).astype(np.intp)
        self._rate_at += weight * np.bincount(place, first, minlength=_LAST + 1)
        self._dose_at += weight * np.bincount(place, first * more, minlength=_LAST + 1)
        moved, moved_error = (0.0, 0.0), math.inf
        if self._slopes:
            slopes = [slope[used] for slope in self._slopes]
            moved, moved_error = _movement(rate - first, np.minimum(dose, 1.0), slopes, group)
        per_pass = float(dwell_ns.mean()) / self._unit / (1 + self._taken)
        fall, error = self._fall(per_pass)
        self.change = Change(
            fall=fall, fall_error=error, passes=self._taken, moved_px=moved, moved_error_px=moved_error
        )

    def _fall(self, per_pass: float) -> tuple[float, float]:
        """Share of the signal that a pass of the mean dose takes away, and its standard error.

        The signal of a place falls as exp(-rate · dose); the rate is the one by which the first pass's sum, faded by
        what each place has had since, comes to that of the later passes.
        """
        fallen, error = float(self._fallen.sum()), float(self._fallen.std(ddof=1)) * math.sqrt(GROUPS)
        full = self._rate_at > 0
        if not (full.any() and error > 0 and float(self._dose_at.sum()) > 0):
            return 0.0, math.inf
        rates, doses = self._rate_at[full], self._dose_at[full] / self._rate_at[full]
        low, high = -1.0, 8.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            if float((rates * np.exp(-middle * doses)).sum()) > self._left:
                low = middle
            else:
                high = middle
        slope = float((rates * doses * np.exp(-max(middle, 0.0) * doses)).sum())
        # As many standard errors from none as the sums are, whatever the curve between.
        of_rate = error / slope if fallen == 0 or middle == 0 else abs(middle) * error / abs(fallen)
        return -math.expm1(-middle * per_pass), of_rate * per_pass * math.exp(-middle * per_pass)


def _always_visited(visited: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp] | None:
    """Those of the favoured pixels that a plan would visit in any case; None where these are too few.

    Args:
        visited: Whether each pixel was, in the order in which the dither favours them.
    """
    missing = np.flatnonzero(~visited)
    end = visited.size
    if missing.size > LEFT_OUT * visited.size:
        few = np.flatnonzero(np.arange(missing.size) <= LEFT_OUT * missing)
        end = int(missing[few[-1]]) if few.size else 0
    return np.flatnonzero(visited[:end]) if end >= LEAST_PX else None


def _movement(
    added: Sums, weight: Sums, slopes: Sequence[FloatPicture], group: npt.NDArray[np.intp]
) -> tuple[tuple[float, float], float]:
    """How far a picture has moved along y and x, by what its rates gained uphill and lost downhill; and the error."""
    y, x = (slope.astype(np.float64) for slope in slopes)
    square = np.array([[(weight * y * y).sum(), (weight * y * x).sum()], [0.0, (weight * x * x).sum()]])
    square[1, 0] = square[0, 1]
    if not np.linalg.det(square) > 1e-12 * max(float(np.trace(square)) ** 2, 1e-300):
        return (0.0, 0.0), math.inf
    pulls = np.stack([np.bincount(group, weight * slope * added, minlength=GROUPS) for slope in (y, x)])
    by_group = np.linalg.solve(square, -pulls)
    moved = by_group.sum(axis=1)
    error = float(np.sqrt(by_group.var(axis=1, ddof=1) * GROUPS).max())
    return (float(moved[0]), float(moved[1])), error


def _slope(picture: FloatPicture, pixels: npt.NDArray[np.intp], axis: int) -> FloatPicture:
    """Half the difference between the neighbours of some pixels along an axis; of the pixel itself at an edge."""
    place = np.unravel_index(pixels, picture.shape)
    before, after = list(place), list(place)
    before[axis] = np.maximum(place[axis] - 1, 0)
    after[axis] = np.minimum(place[axis] + 1, picture.shape[axis] - 1)
    found: FloatPicture = np.float32(0.5) * (picture[tuple(after)] - picture[tuple(before)])
    return found


@lru_cache(maxsize=2)
def _favoured(shape: tuple[int, int]) -> npt.NDArray[np.intp]:
    """The field's pixels, those first that a dithered plan visits first; at most `MOST_PX`."""
    order = (thresholds(shape).reshape(-1) * np.float32(1 << 16)).astype(np.uint16)
    kept = np.flatnonzero(order <= np.uint16(min(0xFFFF, (1 << 16) * MOST_PX // order.size)))
    found = kept[np.argsort(order[kept], kind="stable")]
    found.flags.writeable = False
    return found
