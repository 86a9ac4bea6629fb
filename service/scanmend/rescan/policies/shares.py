"""What the policies share: a bound for single pixels, and a part of the dwell for exploration."""

from __future__ import annotations

import numpy as np

from scanmend.restoration import FloatPicture


def shared(weight: FloatPicture, *, uniform: float, cap: float) -> FloatPicture:
    """Bound a map of weights, and spread a share of the dwell evenly.

    Args:
        weight: Where the policy would dwell, not negative; not changed.
        uniform: Share of the dwell that is spread evenly, so that what the restorer is wrongly sure of is seen too.
        cap: Largest weight of a pixel, over the mean weight.

    Returns:
        Weights with a mean of 1.
    """
    bounded = np.minimum(weight, np.float32(cap * float(weight.mean(dtype=np.float64))))
    mean = float(bounded.mean(dtype=np.float64))
    if not mean > 0:
        return np.ones_like(bounded)
    bounded *= np.float32((1 - uniform) / mean)
    bounded += np.float32(uniform)
    out: FloatPicture = bounded
    return out
