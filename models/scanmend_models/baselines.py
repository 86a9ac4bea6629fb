"""What a model has to beat: nearest neighbour, linear interpolation, the Gaussian of the best width."""

from __future__ import annotations

import numpy as np

from scanmend.errors import MissingExtra
from scanmend_models.masks import Mask
from scanmend_models.metrics import Picture, psnr_db

try:
    from scipy.interpolate import LinearNDInterpolator
    from scipy.ndimage import distance_transform_edt, gaussian_filter
except ImportError as missing:
    raise MissingExtra("The baselines need scipy.", mend="Install scanmend[dev].") from missing

WIDTHS_PX = (0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0)


def nearest(values: Picture, sampled: Mask) -> Picture:
    """Give every pixel the value of the nearest sample; at least one pixel must be sampled."""
    rows, columns = distance_transform_edt(~sampled, return_distances=False, return_indices=True)
    return np.asarray(values[rows, columns], dtype=np.float32)


def linear(values: Picture, sampled: Mask) -> Picture:
    """Interpolate over Delaunay's triangles, by the nearest sample outside their hull."""
    points = np.argwhere(sampled)
    filled = LinearNDInterpolator(points, values[sampled])(*np.indices(values.shape))
    return np.where(np.isnan(filled), nearest(values, sampled), filled).astype(np.float32)


def best_gaussian(values: Picture, truth: Picture) -> Picture:
    """Smooth by the width of `WIDTHS_PX` that comes nearest to the truth, which no real user knows."""
    tries = [gaussian_filter(values, width) for width in WIDTHS_PX]
    return np.asarray(max(tries, key=lambda smooth: psnr_db(smooth, truth)), dtype=np.float32)
