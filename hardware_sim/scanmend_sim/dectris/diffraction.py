"""4D-STEM images of a specimen: a bright-field disc that bends with the specimen's slope, and a ring around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.plan import ScanPlan


class Diffraction:
    """The images that a pixelated detector sees behind a specimen.

    Of the electrons of a point, a share *s* (the specimen's relative signal there) is scattered evenly into the ring,
    the rest into the disc. The disc's centre moves by `bend_px` times the slope of *s*. Counts are Poisson.

    Args:
        signal: The specimen's relative signal, 0 to 1, `(ny, nx)`.
        image_shape: `(height, width)` of the detector.
        electrons: Mean electrons of a point.
        disc_px: Radius of the disc.
        ring_px: Inner and outer radius of the ring.
        bend_px: Movement of the disc for a slope of 1 a pixel.
        seed: Of the counts.
    """

    def __init__(
        self,
        signal: npt.NDArray[np.floating],
        image_shape: tuple[int, int],
        electrons: float,
        *,
        disc_px: float,
        ring_px: tuple[float, float],
        bend_px: float = 2.0,
        seed: int = 0,
    ) -> None:
        self.signal = np.asarray(signal, np.float32)
        self.image_shape = image_shape
        self.electrons = electrons
        slope_y, slope_x = np.gradient(self.signal)
        self._bend = bend_px * np.stack([slope_y.ravel(), slope_x.ravel()])
        self._disc_px = disc_px
        self._seed = seed
        height, width = image_shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self._y, self._x = y - (height - 1) / 2, x - (width - 1) / 2
        radius = np.hypot(self._y, self._x)
        ring = (radius >= ring_px[0]) & (radius < ring_px[1])
        self._ring = ring / ring.sum()

    def mean(self, pixels: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Mean counts at these pixels of the field: `(points, height, width)`, each summing to `electrons`."""
        share = self.signal.ravel()[pixels][:, None, None]
        bend_y, bend_x = (bend[pixels][:, None, None] for bend in self._bend)
        # The disc's edge is one pixel soft, so that a movement of less than a pixel shows.
        disc = np.clip(self._disc_px + 0.5 - np.hypot(self._y - bend_y, self._x - bend_x), 0, 1)
        disc /= disc.sum(axis=(1, 2), keepdims=True)
        return np.asarray(self.electrons * ((1 - share) * disc + share * self._ring), np.float32)

    def images(self, plan: ScanPlan, first: int = 0, points: int | None = None) -> npt.NDArray[np.uint16]:
        """Counts at points of a plan: uint16 `(points, height, width)`; the same call gives the same counts."""
        pixels = plan.pixels[first : None if points is None else first + points]
        rng = np.random.default_rng([self._seed, first])
        return rng.poisson(self.mean(pixels)).clip(0, 65534).astype(np.uint16)
