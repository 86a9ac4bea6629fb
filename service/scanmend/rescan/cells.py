"""The field cut along its lines into cells of neighbouring pixels, which are visited together or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of `length` pixels; a line's last one is shorter where the line does not divide. Maps `(ny, columns)`."""

    shape: tuple[int, int]
    """The field's `(ny, nx)`."""
    length: int = 1
    """Pixels of a cell."""

    @classmethod
    def ladder(cls, shape: tuple[int, int]) -> Iterator[Cells]:
        """From single pixels to whole lines, each twice as long as the one before."""
        length = 1
        while length < shape[1]:
            yield cls(shape, length)
            length *= 2
        yield cls(shape, shape[1])

    @property
    def columns(self) -> int:
        """Cells of a line."""
        return -(-self.shape[1] // self.length)

    @property
    def last_px(self) -> int:
        """Pixels of a line's last cell."""
        return self.shape[1] - (self.columns - 1) * self.length

    @property
    def widths(self) -> npt.NDArray[np.uint32]:
        """Pixels of each cell of a line, `(columns,)`."""
        widths = np.full(self.columns, self.length, dtype=np.uint32)
        widths[-1] = self.last_px
        return widths

    def means(self, picture: FloatPicture) -> FloatPicture:
        """Mean of each cell, of a picture `(ny, nx)`."""
        if self.length == 1:
            return picture
        means: FloatPicture = np.add.reduceat(picture, self._starts, axis=1)
        means /= self.widths.astype(np.float32)
        return means

    def least(self, picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Smallest value of each cell, of a picture `(ny, nx)`."""
        return picture if self.length == 1 else np.minimum.reduceat(picture, self._starts, axis=1)

    def pixels(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The picture `(ny, nx)` in which each pixel has its cell's value."""
        return values if self.length == 1 else np.repeat(values, self.widths, axis=1)

    def total(self, values: npt.NDArray[Any]) -> float:
        """Sum over all pixels of what each of a cell's pixels has; exact for whole numbers below 2⁵³."""
        kind = np.float64 if values.dtype.kind == "f" else np.uint64
        total = self.length * values.sum(dtype=kind)
        if self.last_px < self.length:
            total -= (self.length - self.last_px) * values[:, -1].sum(dtype=kind)
        return float(total)

    def points(self, values: npt.NDArray[Any]) -> int:
        """Pixels of the cells that are not 0."""
        short = self.length - self.last_px
        points = self.length * int(np.count_nonzero(values))
        return points - short * int(np.count_nonzero(values[:, -1])) if short else points

    @property
    def _starts(self) -> npt.NDArray[np.intp]:
        return np.arange(0, self.shape[1], self.length)
