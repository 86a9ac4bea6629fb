"""What the microscope looks at: the specimen seam and a drawing with its ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput

LEAST_SIGNAL = 0.02
"""Signal of the darkest place: a detector is never quite dark, and a picture needs some electrons everywhere."""

MOST_PIXELS = 8192 * 8192
"""The largest field that a specimen is drawn for."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A rendered specimen with what is known of it.

    Attributes:
        image: float32 (ny, nx), relative signal in [0, 1].
        features: Ground truth by name; each is float64 (n, k) whose first two columns are (y, x) in pixels of
            `image`; the drawing's module says what the other columns are.
    """

    image: npt.NDArray[np.float32]
    features: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


class Specimen(Protocol):
    """Something to put under the beam."""

    @property
    def name(self) -> str:
        """What the specimen is called; with its seed where it has one."""
        ...

    @property
    def natural_pixel_size_nm(self) -> float | None:
        """A pixel size that shows its features well, or None where the picture has none of its own."""
        ...

    def render(self, shape: tuple[int, int], pixel_size_nm: float) -> npt.NDArray[np.float32]:
        """Draw the specimen; the microscope calls this once for a field.

        Args:
            shape: Grid `(ny, nx)` in pixels.
            pixel_size_nm: Pixel size in nm.

        Returns:
            float32 (ny, nx) in [0, 1]: the share of the beam's electrons that reach the detector, relative to
            the brightest place. Two calls with equal arguments give equal pictures.

        Raises:
            InvalidInput: The shape or pixel size cannot be drawn.
        """
        ...

    def variant(self, index: int) -> Specimen:
        """Give the next place to look at: another seed or the next file; a single file gives itself."""
        ...


def check_grid(shape: tuple[int, int], pixel_size_nm: float) -> None:
    """Refuse a grid that cannot be drawn.

    Args:
        shape: Grid `(ny, nx)`.
        pixel_size_nm: Pixel size in nm.

    Raises:
        InvalidInput: A side below 1, too many pixels, or a pixel size that is not a positive number.
    """
    ny, nx = shape
    if ny < 1 or nx < 1:
        raise InvalidInput(f"A field of {ny}×{nx} pixels has no area.", mend="Give both sides at least 1 pixel.")
    if ny * nx > MOST_PIXELS:
        raise InvalidInput(
            f"A field of {ny}×{nx} pixels is more than the simulator draws.", mend="Use at most 8192×8192 pixels."
        )
    if not (np.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise InvalidInput(f"The pixel size {pixel_size_nm} nm is not a length.", mend="Give a positive pixel_size_nm.")


def to_signal(image: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float32]:
    """Scale `low`…`high` to LEAST_SIGNAL…1 and clip.

    Args:
        image: (ny, nx) values.
        low: Value that becomes the darkest signal.
        high: Value that becomes 1; above `low`.

    Returns:
        float32 (ny, nx) in [LEAST_SIGNAL, 1].
    """
    scale = (1.0 - LEAST_SIGNAL) / (high - low)
    scaled = (image - low) * scale + LEAST_SIGNAL
    return np.asarray(np.clip(scaled, LEAST_SIGNAL, 1.0), dtype=np.float32)
