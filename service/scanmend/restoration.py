"""What a model made of an exposure, and how sure it is of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatPicture = npt.NDArray[np.float32]
"""A float32 picture of shape `(ny, nx)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """Estimate and standard deviation per pixel, with all that made them."""

    image: FloatPicture
    """The estimate, `(ny, nx)`, in the units of the exposure's values."""

    sigma: FloatPicture
    """Standard deviation of the estimate, `(ny, nx)`, in the same units."""

    model: str
    """Name of the model in the catalogue."""

    model_version: str
    """Version of the model."""

    sha256: str
    """Hash of the model's file, in hex."""

    provider: str
    """What executed it, as the runtime itself reports after loading, for example `CPUExecutionProvider`."""

    elapsed_ms: float
    """Time that the restoration took, in milliseconds."""

    caution: str | None = None
    """In what way the exposure is unlike those that the model was made for: empty where it is like them, None where
    nothing is known of them."""
