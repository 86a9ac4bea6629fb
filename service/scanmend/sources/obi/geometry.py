"""Where the pixels of a field lie among the 2¹⁴ × 2¹⁴ positions of the scan generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from scanmend.errors import PlanError
from scanmend.sources.obi.commands import MAX_CODE

Codes = npt.NDArray[np.integer]

SPAN = MAX_CODE + 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """A field in the middle of the range, with square pixels as large as fit; a point is its pixel's middle."""

    shape: tuple[int, int]
    step: int
    """Positions from one pixel to the next."""
    left: int
    top: int

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Self:
        """The geometry of a field.

        Args:
            shape: `(ny, nx)` in pixels.

        Raises:
            PlanError: More pixels on a side than there are positions.
        """
        ny, nx = shape
        step = SPAN // max(ny, nx)
        if step < 1:
            raise PlanError(
                f"A field of {ny} × {nx} pixels does not fit {SPAN} positions a side.", mend="Make the field smaller."
            )
        return cls(shape, step, (SPAN - nx * step) // 2 + step // 2, (SPAN - ny * step) // 2 + step // 2)

    def codes(self, x: Codes, y: Codes) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        """Positions of pixels, `(n,)` each."""
        return (self.left + x * self.step).astype(np.uint16), (self.top + y * self.step).astype(np.uint16)

    def pixels(self, x: Codes, y: Codes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Pixels that positions lie in, `(n,)` each, and which of them are inside the field."""
        ny, nx = self.shape
        px = (np.asarray(x, np.int64) - self.left + self.step // 2) // self.step
        py = (np.asarray(y, np.int64) - self.top + self.step // 2) // self.step
        return px, py, (px >= 0) & (px < nx) & (py >= 0) & (py < ny)
