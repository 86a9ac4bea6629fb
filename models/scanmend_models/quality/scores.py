"""How good an answer is: its error, and whether its standard deviations are true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanmend.errors import MissingExtra

try:
    from scipy.ndimage import gaussian_filter
    from skimage.metrics import structural_similarity
except ImportError as missing:
    raise MissingExtra("The scores need scipy and scikit-image.", mend="Install scanmend[dev].") from missing

Picture = NDArray[np.float32]

NOMINAL = {"68": 0.9945, "90": 1.6449, "95": 1.9600}
"""Half-width, in standard deviations, of the intervals that hold 68, 90 and 95 % of a Gaussian."""
STEPS = 40
"""Points of a sparsification curve."""


def psnr_db(estimate: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio for pictures that range from 0 to 1; infinite for equal ones."""
    error = float(np.mean((estimate.astype(np.float64) - truth) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def picture_scores(estimate: Picture, truth: Picture) -> dict[str, float]:
    """PSNR in dB, SSIM in windows of 7 × 7, RMSE in per cent of the range, and Ede's RMSE against a blurred truth.

    The last is the figure of Ede & Beanland (Sci. Rep. 10, 8332, 2020): the truth is blurred by a Gaussian of
    σ 2.5 px within 5 × 5 px first. It flatters smooth answers and must not be compared with the other.
    """
    blurred = gaussian_filter(truth, 2.5, radius=2)
    return {
        "psnr_db": psnr_db(estimate, truth),
        "ssim": float(structural_similarity(estimate, truth, win_size=7, data_range=1.0)),  # type: ignore[no-untyped-call]
        "rmse_percent": 100 * float(np.sqrt(np.mean((estimate.astype(np.float64) - truth) ** 2))),
        "rmse_blurred_percent": 100 * float(np.sqrt(np.mean((estimate.astype(np.float64) - blurred) ** 2))),
    }


def interval_coverage(estimate: Picture, sigma: Picture, truth: Picture) -> dict[str, float]:
    """Give the share of pixels whose truth lies in the nominal 68, 90 and 95 % intervals.

    Pixels with no doubt at all (noise-free samples) are left out; `rms` is the root mean square of error over
    sigma, 1 when calibrated.
    """
    unsure = sigma > 0
    ratio = np.abs(estimate[unsure].astype(np.float64) - truth[unsure]) / sigma[unsure]
    if ratio.size == 0:
        return {}
    shares = {name: float(np.mean(ratio <= width)) for name, width in NOMINAL.items()}
    return {**shares, "rms": float(np.sqrt(np.mean(ratio**2)))}


def error_correlation(estimate: Picture, sigma: Picture, truth: Picture) -> float:
    """Correlation of sigma with the error that was made, over the pixels that are in doubt; 0 where undefined."""
    unsure = sigma > 0
    error = np.abs(estimate[unsure].astype(np.float64) - truth[unsure])
    if error.size < 2 or error.std() == 0 or sigma[unsure].std() == 0:
        return 0.0
    return float(np.corrcoef(sigma[unsure], error)[0, 1])


def ause(error: NDArray[np.floating], doubt: NDArray[np.floating]) -> float:
    """Area under the sparsification error (Ilg et al., ECCV 2018), over the root mean square error.

    The most doubtful pixels are taken away, a fortieth at a time; what is left has a smaller error. The area lies
    between that curve and the one of an oracle that takes the worst pixels away; 0 is perfect.

    Args:
        error: Of pixels, any shape.
        doubt: Of the same pixels; the larger, the sooner they are taken away. Ties go by place.
    """
    squared = np.asarray(error, dtype=np.float64).ravel() ** 2
    total = float(np.sqrt(squared.mean())) if squared.size else 0.0
    if total == 0:
        return 0.0
    curves = []
    for order in (np.argsort(-doubt.ravel(), kind="stable"), np.argsort(-squared, kind="stable")):
        kept = np.cumsum(squared[order][::-1])[::-1]  # sum over what is left from each place on
        places = (np.arange(STEPS) * squared.size) // STEPS
        curves.append(np.sqrt(kept[places] / (squared.size - places)) / total)
    return float(np.mean(curves[0] - curves[1]))
