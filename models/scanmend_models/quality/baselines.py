"""What a model has to beat: classical fills and filters on the same samples, with settings that a user could know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scanmend.errors import MissingExtra
from scanmend_models.arrays import Run
from scanmend_models.masks import Mask
from scanmend_models.quality.scores import Picture, psnr_db
from scanmend_models.quality.tasks import exposure

try:
    from pywt import dwt_max_level
    from scipy.interpolate import CloughTocher2DInterpolator, LinearNDInterpolator
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet
except ImportError as missing:
    raise MissingExtra("The baselines need scipy and scikit-image.", mend="Install scanmend[dev].") from missing

WIDTHS_PX = (0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0)
WAVELET = "sym8"
Fill = Callable[[Picture, Mask], Picture]
Filter = Callable[[Picture, float], Picture]


# Fills: what was not sampled, from noise-free samples


def nearest(values: Picture, sampled: Mask) -> Picture:
    """Give every pixel the value of the nearest sample; at least one pixel must be sampled."""
    rows, columns = distance_transform_edt(~sampled, return_distances=False, return_indices=True)
    return np.asarray(values[rows, columns], dtype=np.float32)


def distance_px(sampled: Mask) -> Picture:
    """Distance of every pixel to the nearest sample, in pixels: the plainest measure of doubt."""
    return np.asarray(distance_transform_edt(~sampled), dtype=np.float32)


def linear(values: Picture, sampled: Mask) -> Picture:
    """Interpolate over Delaunay's triangles, by the nearest sample outside their hull."""
    filled = LinearNDInterpolator(np.argwhere(sampled), values[sampled])(*np.indices(values.shape))
    return np.where(np.isnan(filled), nearest(values, sampled), filled).astype(np.float32)


def cubic(values: Picture, sampled: Mask) -> Picture:
    """Interpolate smoothly over the same triangles (Clough & Tocher), clipped to the range of the samples."""
    filled = CloughTocher2DInterpolator(np.argwhere(sampled), values[sampled])(*np.indices(values.shape))
    filled = np.where(np.isnan(filled), nearest(values, sampled), filled)
    return np.clip(filled, values[sampled].min(), values[sampled].max()).astype(np.float32)


def normalised_convolution(values: Picture, sampled: Mask) -> Picture:
    """Average samples under a Gaussian as wide as half their mean distance (Knutsson & Westin, CVPR 1993)."""
    width = 0.5 / np.sqrt(max(float(sampled.mean()), 1e-6))
    near = gaussian_filter(np.where(sampled, values, 0.0).astype(np.float64), width, truncate=8)
    weight = gaussian_filter(sampled.astype(np.float64), width, truncate=8)
    filled = np.where(weight > 1e-9, near / np.maximum(weight, 1e-12), nearest(values, sampled))
    return np.where(sampled, values, filled).astype(np.float32)


def biharmonic(values: Picture, sampled: Mask, *, steps: int = 2000, tolerance: float = 1e-4) -> Picture:
    """Bend a thin plate through the samples: least squared Laplacian, by conjugate gradients from a linear fill.

    Args:
        values: (ny, nx).
        sampled: (ny, nx).
        steps: Most iterations.
        tolerance: The gradient is made this much smaller.
    """
    plate = linear(values, sampled).astype(np.float64)
    free = (~sampled).astype(np.float64)
    gradient = -free * _laplacian(_laplacian(plate))
    direction, energy = gradient.copy(), float((gradient**2).sum())
    goal = energy * tolerance**2
    for _ in range(steps):
        if energy <= goal or energy == 0:
            break
        bent = free * _laplacian(_laplacian(direction))
        length = energy / float((direction * bent).sum())
        plate += length * direction
        gradient -= length * bent
        before, energy = energy, float((gradient**2).sum())
        direction = gradient + (energy / before) * direction
    return np.clip(plate, values[sampled].min(), values[sampled].max()).astype(np.float32)


def _laplacian(plate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Five-point Laplacian that sees no slope across the edges; it is its own transpose."""
    bend = np.zeros_like(plate)
    down, right = plate[1:] - plate[:-1], plate[:, 1:] - plate[:, :-1]
    bend[:-1] += down
    bend[1:] -= down
    bend[:, :-1] += right
    bend[:, 1:] -= right
    return bend


def plug_and_play(denoise: Run, steps: int = 12, first: float = 0.02, last: float = 0.002) -> Fill:
    """Fill by a denoiser in turn with the samples (Venkatakrishnan et al., GlobalSIP 2013; half-quadratic splitting).

    Args:
        denoise: A model, given full pictures with Gaussian noise of a known width.
        steps: Turns.
        first: Width that is assumed first, over the range 0 to 1.
        last: And at the end.
    """

    def fill(values: Picture, sampled: Mask) -> Picture:
        picture = linear(values, sampled)
        ones = np.ones_like(picture)
        for width in np.geomspace(first, last, steps):
            asked = exposure(picture, ones, 0.0, read_variance=float(width) ** 2)
            picture = np.where(sampled, values, denoise(asked)["estimate"][0, 0])
        return np.asarray(picture, dtype=np.float32)

    return fill


FILLS: dict[str, Fill] = {
    "nearest": nearest,
    "linear": linear,
    "cubic": cubic,
    "normalised convolution": normalised_convolution,
    "biharmonic": biharmonic,
}


# Filters: the noise of full frames


def best_gaussian(values: Picture, truth: Picture) -> Picture:
    """Smooth by the width of `WIDTHS_PX` that comes nearest to the truth, which no real user knows."""
    tries = [gaussian_filter(values, width) for width in WIDTHS_PX]
    return np.asarray(max(tries, key=lambda smooth: psnr_db(smooth, truth)), dtype=np.float32)


def anscombe(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give Poisson counts a standard deviation of about 1 (Anscombe, Biometrika 1948)."""
    return np.asarray(2.0 * np.sqrt(np.maximum(counts, 0.0) + 0.375), dtype=np.float64)


def inverse_anscombe(stable: NDArray[np.floating]) -> NDArray[np.float64]:
    """Undo it without bias: the closed form of Mäkitalo & Foi (IEEE TIP 20, 2697, 2011)."""
    d = np.maximum(stable, 2.0 * np.sqrt(0.375))
    root = np.sqrt(1.5)
    counts = 0.25 * d**2 + 0.25 * root / d - 1.375 / d**2 + 0.625 * root / d**3 - 0.125
    return np.asarray(np.maximum(counts, 0.0), dtype=np.float64)


def _stabilised(smooth: Callable[[NDArray[np.float64], float], NDArray[np.floating]]) -> Filter:
    def run(values: Picture, counts_per_unit: float) -> Picture:
        restored = inverse_anscombe(smooth(anscombe(values * counts_per_unit), counts_per_unit)) / counts_per_unit
        return np.asarray(restored, dtype=np.float32)

    return run


def _total_variation(stable: NDArray[np.float64], counts_per_unit: float) -> NDArray[np.floating]:
    strength = float(np.interp(np.log(counts_per_unit), np.log((5.0, 20.0)), (2.4, 1.3)))
    restored: NDArray[np.floating] = denoise_tv_chambolle(stable, weight=strength, max_num_iter=200)  # type: ignore[no-untyped-call]
    return restored


def _wavelet(stable: NDArray[np.float64], _counts_per_unit: float) -> NDArray[np.floating]:
    levels = min(4, dwt_max_level(min(stable.shape), WAVELET))
    restored: NDArray[np.floating] = denoise_wavelet(
        stable, sigma=1.0, wavelet=WAVELET, wavelet_levels=levels, mode="soft", rescale_sigma=False
    )
    return restored


# The strengths (for noise of standard deviation 1) were the best of some on four pictures set apart for calibration.
FILTERS: dict[str, Filter] = {
    "non-local means": _stabilised(
        lambda x, _: denoise_nl_means(x, patch_size=5, patch_distance=8, h=0.75, sigma=1.0, fast_mode=True)
    ),
    "total variation": _stabilised(_total_variation),
    "wavelet": _stabilised(_wavelet),
}
"""Each takes values (ny, nx) and the counts of a unit, and gives values."""
