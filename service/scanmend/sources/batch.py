"""Images on their way from a source to the relay: those that follow each other are handed on together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from scanmend.sources.kit import Images

MOST_IMAGES = 256
MOST_BYTES = 4 << 20
"""So many images, or so large, go together: few calls, one product of matrices for all, and still in the cache."""


class Sized(Protocol):
    """An image, unpacked or not."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lines and columns."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of a pixel."""

    @property
    def nbytes(self) -> int:
        """Bytes of the image when it is unpacked."""


Image = TypeVar("Image", bound=Sized)


@dataclass(slots=True)
class Run(Generic[Image]):
    """Images of one series, of one size and type, with consecutive numbers and a clock that does not go back."""

    series: str
    first: int
    images: list[Image]
    """One or more."""
    acquired_ns: int | None = None
    """When the last one was acquired, in nanoseconds since 1970."""

    def take(self, series: str, index: int, image: Image, acquired_ns: int | None) -> bool:
        """Add an image, where it goes with those that are here; whether it does."""
        held = self.images
        goes_on = (
            series == self.series
            and index == self.first + len(held)
            and (acquired_ns or 0) >= (self.acquired_ns or 0)
            and image.shape == held[0].shape
            and image.dtype == held[0].dtype
            and len(held) < MOST_IMAGES
            and len(held) * image.nbytes < MOST_BYTES
        )
        if goes_on:
            held.append(image)
            self.acquired_ns = acquired_ns
        return goes_on


class Batch:
    """Holds images until one comes that does not go with them."""

    def __init__(self) -> None:
        self._run: Run[npt.NDArray[np.generic]] | None = None

    def add(
        self, series: str, index: int, image: npt.NDArray[np.generic], acquired_unix_ns: int | None
    ) -> Images | None:
        """Hold an image; gives those before it, where it does not go with them."""
        if self._run is not None and self._run.take(series, index, image, acquired_unix_ns):
            return None
        before = self.take()
        self._run = Run(series, index, [image], acquired_unix_ns)
        return before

    def take(self) -> Images | None:
        """Those that are held, which are held no longer; None where there are none."""
        run, self._run = self._run, None
        if run is None:
            return None
        return Images(series=run.series, first=run.first, stack=run.images, acquired_unix_ns=run.acquired_ns)
