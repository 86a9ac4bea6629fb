"""How good an answer is: error, and whether its standard deviations are true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

NOMINAL = {"68": 0.9945, "90": 1.6449, "95": 1.9600}
"""Half-width, in standard deviations, of the intervals that hold 68, 90 and 95 % of a Gaussian."""


def psnr_db(estimate: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio for pictures that range from 0 to 1; infinite for equal ones."""
    error = float(np.mean((estimate.astype(np.float64) - truth) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


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
