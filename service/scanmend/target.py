"""What is enough: when an adaptive scan has reached its end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scanmend.errors import InvalidInput
from scanmend.restoration import FloatPicture

RANGE_PERCENTILES = (1.0, 99.0)
"""Between these percentiles of the restored picture lies its range; single bright pixels do not stretch it."""

RANGE_PIXELS = 1 << 17
"""Of larger pictures an even selection of at least so many pixels gives the range: to 1 %, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """When no further pass is wanted; a budget of dose stands beside it, and always holds.

    Raises:
        InvalidInput: A number that no scan could meet.
    """

    sigma_of_range: float | None = None
    """Largest standard deviation, as a share of the restored picture's range: 0.03 is 3 % of the range from its 1st
    to its 99th percentile. None for no such target."""

    quantile: float | None = None
    """Share of the pixels that must be at or below `sigma_of_range`; None compares the root mean square instead."""

    region: tuple[int, int, int, int] | None = None
    """Rectangle `(top, left, height, width)` in pixels that the target is about, and that dwell is spent on; None for
    the whole field."""

    min_gain: float = 0.0
    """Least share by which a pass must be expected to lower the root mean square of sigma; less does not pay."""

    max_passes: int | None = None
    """Most passes, those before the first proposal included; None for no limit."""

    def __post_init__(self) -> None:
        if self.sigma_of_range is not None and not (math.isfinite(self.sigma_of_range) and self.sigma_of_range > 0):
            raise InvalidInput(
                f"A target of {self.sigma_of_range} for sigma.",
                mend="Give a positive share of the picture's range, for example 0.03.",
            )
        if self.quantile is not None and not 0 < self.quantile <= 1:
            raise InvalidInput(
                f"A quantile of {self.quantile}.", mend="Give a share of the pixels above 0 and at most 1, or none."
            )
        if self.region is not None:
            top, left, height, width = self.region
            if top < 0 or left < 0 or height < 1 or width < 1:
                raise InvalidInput(
                    f"A region of {height} × {width} pixels at line {top}, pixel {left}.",
                    mend="Give (top, left, height, width) with at least one pixel.",
                )
        if not 0 <= self.min_gain < 1:
            raise InvalidInput(
                f"A least gain of {self.min_gain}.", mend="Give a share of sigma from 0 to below 1, for example 0.02."
            )
        if self.max_passes is not None and self.max_passes < 1:
            raise InvalidInput(f"At most {self.max_passes} passes.", mend="Allow at least one, or give no limit.")

    def fits(self, shape: tuple[int, int]) -> bool:
        """Whether the region lies inside a field `(ny, nx)`."""
        if self.region is None:
            return True
        top, left, height, width = self.region
        return top + height <= shape[0] and left + width <= shape[1]

    def inside(self, picture: FloatPicture) -> FloatPicture:
        """The part of a picture `(ny, nx)` that the target is about; a view."""
        if self.region is None:
            return picture
        top, left, height, width = self.region
        return picture[top : top + height, left : left + width]

    def measure(self, estimate: FloatPicture, sigma: FloatPicture) -> float:
        """What is compared with `sigma_of_range`: the statistic of sigma in the region over the picture's range.

        Args:
            estimate: The restoration `(ny, nx)`.
            sigma: Its standard deviation, in the same units.

        Returns:
            A share of the range; inf for a picture without one (a constant), which can be sure of nothing.
        """
        some = estimate.reshape(-1)[:: max(1, estimate.size // RANGE_PIXELS)]
        low, high = np.percentile(some, RANGE_PERCENTILES)
        span = float(high - low)
        inside = self.inside(sigma)
        if self.quantile is None:
            value = math.sqrt(float(np.mean(np.square(inside, dtype=np.float64))))
        else:
            value = float(np.quantile(inside, self.quantile))
        return value / span if span > 0 else math.inf
