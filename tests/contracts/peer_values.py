"""What every simulated instrument of the contract suite measures."""

from __future__ import annotations

import numpy as np

IMAGE = (8, 8)


def value_of(point: int) -> int:
    """What every peer measures at a point of a series."""
    return 1 + point * 7 % 251


def image_of(point: int, shape: tuple[int, int] = IMAGE) -> np.ndarray:
    """An image that sums to the point's value."""
    image = np.zeros(shape, np.uint16)
    image[point % 8, point // 8 % 8] = value_of(point)
    return image
