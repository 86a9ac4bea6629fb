"""Virtual detectors: samples from the images of a pixelated detector (4D-STEM).

Each detector is a weight for every pixel, so that a stack of images becomes samples of a channel by one product of a
matrix and a vector. Whatever order the images were taken in, a raster or the points of a sparse plan, it is the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend.field import MAX_CHANNELS, Channel, DetectorKind
from scanmend.sources.shapes import Moment, Region, VirtualDetector, Weights

__all__ = ["CameraNoise", "Reducer", "VirtualDetector"]

BLOCK_BYTES = 1 << 20
"""Images are turned into float32 in blocks of about this size, so that they stay in the processor's nearest cache."""

SHOT_SHARE = 0.01
"""Of a moment's variance, what its channel's gain stands for; the rest is its read noise. See `_moment_channel`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraNoise:
    """What a value of the camera means.

    Raises:
        InvalidInput: Figures that no camera has.
    """

    units_per_electron: float | None = 1.0
    """Units that one electron adds; 1 for a counting camera, None where it is not known."""
    offset_units: float = 0.0
    """Value of a pixel without any electron."""
    read_noise_units: float = 0.0
    """Standard deviation of a pixel's own noise; 0 for a counting camera."""

    def __post_init__(self) -> None:
        # A channel has the same rules, so it says what is wrong.
        Channel(name="camera", dtype="float32", **{name: getattr(self, name) for name in self.__slots__})


class Reducer:
    """Makes samples of the images of one series.

    Args:
        detectors: What to make; a detector of several parts gives several channels.
        image_shape: `(height, width)` of the images.
        dead: Pixels whose values mean nothing, `(height, width)`; no detector looks at them.
        electrons: Electrons of the beam at each point, for the noise of moments; None where that is not known.
        camera: What a value of the camera means.

    Raises:
        InvalidInput: A detector that covers no pixel, or too many channels.
    """

    def __init__(
        self,
        detectors: Sequence[VirtualDetector],
        image_shape: tuple[int, int],
        *,
        dead: npt.NDArray[np.bool_] | None = None,
        electrons: float | None = None,
        camera: CameraNoise | None = None,
    ) -> None:
        self.image_shape = image_shape
        alive = np.ones(image_shape, bool) if dead is None else ~dead
        self._camera = camera or CameraNoise()
        self._electrons = electrons
        channels: list[Channel] = []
        rows: list[Weights] = []
        for detector in detectors:
            for part in detector.parts(image_shape):
                weights = np.where(alive, part.weights, np.float32(0))
                if not weights.any():
                    raise InvalidInput(
                        f"The virtual detector {part.name} covers no pixel of {image_shape[0]} × {image_shape[1]}.",
                        mend="Give its radii and centre in pixels of the image, and look at the mask of dead pixels.",
                    )
                channels.append(self._channel(part, weights))
                rows.append(weights)
        if not 1 <= len(channels) <= MAX_CHANNELS:
            raise InvalidInput(f"{len(channels)} channels are asked for.", mend=f"Ask for 1 to {MAX_CHANNELS}.")
        self.channels = tuple(channels)
        """What the lines of the samples are, with their noise."""
        lines = np.flatnonzero(np.logical_or.reduce([row.any(axis=1) for row in rows]))
        # Lines of the image that no detector looks at need not be converted.
        self._looked_at = slice(int(lines[0]) * image_shape[1], (int(lines[-1]) + 1) * image_shape[1])
        self._weights = [np.ascontiguousarray(row.reshape(-1)[self._looked_at]) for row in rows]

    def reduce(self, stack: npt.NDArray[np.generic] | Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
        """Samples of a stack of images.

        Args:
            stack: One or more images `(height, width)`, of any type of number.

        Returns:
            `(channels, points)`, float32. Sums are exact up to 16.7 million counts, and right to 1e-6 beyond.
        """
        points, pixels = len(stack), len(self._weights[0])
        casting: Literal["same_kind", "unsafe"] = "same_kind" if stack[0].dtype.kind == "f" else "unsafe"
        out = np.empty((len(self.channels), points), np.float32)
        step = max(1, BLOCK_BYTES // (4 * pixels))
        room = np.empty((min(step, points), pixels), np.float32)
        for start in range(0, points, step):
            block = room[: min(step, points - start)]
            for line, image in zip(block, stack[start : start + step], strict=True):
                np.copyto(line, image.reshape(-1)[self._looked_at], casting=casting)
            # One channel after the other: for a few of them the product of two matrices is several times as slow.
            for row, weights in zip(out, self._weights, strict=True):
                np.dot(block, weights, out=row[start : start + step])
        return out

    # Noise ------------------------------------------------------------------------------------------------------

    def _channel(self, part: Region | Moment, weights: Weights) -> Channel:
        if isinstance(part, Moment):
            return self._moment_channel(part, weights)
        pixels, camera = float(weights.sum()), self._camera
        return Channel(
            name=part.name,
            dtype="float32",
            kind=DetectorKind.COUNTING,
            units_per_electron=camera.units_per_electron,
            offset_units=pixels * camera.offset_units,
            read_noise_units=math.sqrt(pixels) * camera.read_noise_units,
        )

    def _moment_channel(self, part: Moment, weights: Weights) -> Channel:
        """The noise of Σ w·I, which does not grow with its mean.

        Its variance is Σ w²·I: of *n* electrons spread evenly over the disc, *n* times the mean of w² there, however
        far to one side their centre lies. A channel's variance is `gain · (value − offset) + read noise²`; an offset
        below every value and a gain that makes the first term a hundredth of the whole give very nearly that. Without
        a beam current *n* is not known, and the service estimates the noise from the samples.
        """
        camera = self._camera
        covered = weights != 0
        squares = float(np.square(weights[covered], dtype=np.float64).mean())
        offset = camera.offset_units * float(weights.sum(dtype=np.float64))
        if self._electrons is None or camera.units_per_electron is None:
            return Channel(name=part.name, dtype="float32", units_per_electron=None, offset_units=offset)
        gain = camera.units_per_electron
        shot = gain * gain * self._electrons * squares
        read = camera.read_noise_units**2 * float(np.square(weights, dtype=np.float64).sum())
        span = gain * self._electrons * float(np.abs(weights).max())
        return Channel(
            name=part.name,
            dtype="float32",
            kind=DetectorKind.COUNTING,
            units_per_electron=SHOT_SHARE * shot / span,
            offset_units=offset - span,
            read_noise_units=math.sqrt((1 - SHOT_SHARE) * shot + read),
        )
