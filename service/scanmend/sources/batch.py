"""Images on their way from a source to the relay: those that follow each other are handed on together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.sources.kit import Images

MOST_IMAGES = 256
MOST_BYTES = 4 << 20
"""So many images, or so large, are handed on together: one product of matrices for all, and still in the cache."""


class Batch:
    """Images of one series, of one size and type, with consecutive numbers and a clock that does not go back."""

    def __init__(self, most_images: int = MOST_IMAGES, most_bytes: int = MOST_BYTES) -> None:
        self._most_images = most_images
        self._most_bytes = most_bytes
        self._held: list[npt.NDArray[np.generic]] = []
        self._series, self._first = "", 0
        self._acquired_ns: int | None = None

    def add(
        self, series: str, index: int, image: npt.NDArray[np.generic], acquired_unix_ns: int | None
    ) -> Images | None:
        """Hold an image; gives those before it, where it does not go with them."""
        held = self._held
        goes_on = held and (
            series == self._series
            and index == self._first + len(held)
            and (acquired_unix_ns or 0) >= (self._acquired_ns or 0)
            and image.shape == held[0].shape
            and image.dtype == held[0].dtype
            and len(held) < self._most_images
            and len(held) * image.nbytes < self._most_bytes
        )
        before = None if goes_on else self.take()
        if not self._held:
            self._series, self._first = series, index
        self._held.append(image)
        self._acquired_ns = acquired_unix_ns
        return before

    def take(self) -> Images | None:
        """Those that are held, which are held no longer; None where there are none."""
        held, self._held = self._held, []
        if not held:
            return None
        stack = held[0][None] if len(held) == 1 else np.stack(held)
        return Images(series=self._series, first=self._first, stack=stack, acquired_unix_ns=self._acquired_ns)
