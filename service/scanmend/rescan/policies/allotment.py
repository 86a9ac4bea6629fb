"""How to spend a pass where the error of every place, and how it falls with more dwell, are known.

Where the error of a place falls as error · (1 + a / t)^-α when dwell a joins the dwell t that it has had, one more
nanosecond takes α · error / (t + a) · (1 + a / t)^-α away. The sum of all errors is least when every place that gets
dwell has come down to the same such gain, and those that never reach it get none: Everett's rule for a divided
resource (Oper. Res. 11, 399, 1963), the filling of water for channels of a limited power.
"""

from __future__ import annotations

import numpy as np

from scanmend.restoration import FloatPicture

_TURNS = 20
"""Most halvings of the range in which the common gain lies."""
_NEAR = 2e-4
"""How near to 1 the mean must come: the planner scales the sum anyway."""
_TINY = np.float32(1e-30)


def allotted(
    error: FloatPicture, exponent: FloatPicture, dwell: FloatPicture, *, least: float, most: float
) -> FloatPicture:
    """Dwell to add, with a mean of about 1.

    Args:
        error: Expected squared error of each place, on any scale, not negative.
        exponent: α of each place, positive.
        dwell: What each place has had, over the mean dwell of the pass to come, positive.
        least: Dwell that every place gets, so that what the restorer is wrongly sure of is seen too; below 1.
        most: Dwell that no place exceeds; above 1.

    Returns:
        The dwell, in the shape of `error`.
    """
    worth = np.log(np.maximum(exponent * error / dwell, _TINY))
    share = 1.0 / (1.0 + exponent)
    low, high = float(worth.min()) - _reach(dwell, exponent, most), float(worth.max())
    added = np.full_like(error, 1.0)
    for _ in range(_TURNS):
        level = 0.5 * (low + high)
        added = dwell * np.expm1(np.clip(share * (worth - np.float32(level)), 0.0, 60.0))
        np.clip(added, np.float32(least), np.float32(most), out=added)
        mean = float(added.mean(dtype=np.float64))
        if abs(mean - 1.0) < _NEAR:
            break
        if mean > 1.0:
            low = level
        else:
            high = level
    return added


def _reach(dwell: FloatPicture, exponent: FloatPicture, most: float) -> float:
    """How far below its own worth the level must fall for a place to get `most`."""
    grown = np.log1p(most / dwell) * (1.0 + exponent)
    return float(grown.max())
