"""Looks at what a model gave before anybody else sees it.

Costs a quarter of a millisecond on a 512² picture: minima, maxima and a sum, which NaN and infinity do not pass
unseen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scanmend.engine.runtimes import Picture
from scanmend.errors import ModelError
from scanmend.restoration import FloatPicture
from scanmend.wire.header import PassReason

_ENOUGH_PX = 64


class UnusableOutput(ModelError):
    """A model gave something that no picture can be.

    Args:
        message: What it gave.
        reason: `OUTPUT_NOT_FINITE`, or `ENGINE_FAILED` for numbers that are finite and cannot be right.
    """

    def __init__(self, message: str, *, reason: PassReason) -> None:
        super().__init__(message, mend="Use another model; this one is not fit for such data.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a restoration says of itself."""

    sigma_mean: float
    """Mean of sigma over the field, in the units of the values."""

    caution: str | None = None
    """In what way the input is unlike those that the model was made for, in words: empty where it is like them, None
    where nothing is known of them."""


def assess(picture: Picture, estimate: FloatPicture, sigma: FloatPicture) -> Assessment:
    """Check a model's outputs against its inputs.

    Args:
        picture: What the model was given.
        estimate: What it gave, `(ny, nx)`.
        sigma: How sure it says to be, `(ny, nx)`.

    Raises:
        UnusableOutput: Not finite, a negative sigma, one grey for a picture that is not, or far outside of the
            range of the samples.
    """
    low, high = float(estimate.min()), float(estimate.max())
    sigma_low, sigma_sum = float(sigma.min()), float(np.add.reduce(sigma, axis=None))
    if not all(map(math.isfinite, (low, high, sigma_low, sigma_sum))):
        raise UnusableOutput("The model's output holds NaN or infinity.", reason=PassReason.OUTPUT_NOT_FINITE)
    if sigma_low < 0:
        raise UnusableOutput("The model gave a negative standard deviation.", reason=PassReason.ENGINE_FAILED)
    # Zeros stand where nothing was sampled; they can only widen the range.
    darkest, brightest = float(picture.values.min()), float(picture.values.max())
    largest = max(abs(darkest), abs(brightest))
    noise = math.sqrt(picture.units_per_electron * largest + picture.read_variance)
    slack = 2 * (brightest - darkest) + 10 * noise + 4 * picture.units_per_electron + 0.01 * largest + 1e-6
    if low < darkest - slack or high > brightest + slack:
        raise UnusableOutput(
            f"The model's output goes from {low:.4g} to {high:.4g}, its input from {darkest:.4g} to {brightest:.4g}.",
            reason=PassReason.ENGINE_FAILED,
        )
    if low == high and darkest < brightest and estimate.size >= _ENOUGH_PX and _varies(picture):
        raise UnusableOutput("The model gave one grey for a picture that varies.", reason=PassReason.ENGINE_FAILED)
    return Assessment(sigma_mean=sigma_sum / sigma.size)


def _varies(picture: Picture) -> bool:
    """Whether enough samples differ; only asked when the output does not vary at all."""
    samples = picture.values[picture.weight > 0]
    return samples.size >= _ENOUGH_PX and float(samples.min()) < float(samples.max())
