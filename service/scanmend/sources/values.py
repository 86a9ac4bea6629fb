"""From an adapter's events to samples of the session's channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend.field import Channel
from scanmend.sources.kit import Images, Samples
from scanmend.sources.problems import Code, Problem
from scanmend.sources.reducers import CameraNoise, Reducer, VirtualDetector
from scanmend.sources.terms import SeriesOptions
from scanmend.units import electrons


class Values:
    """Checks the size of what comes, and makes samples of images; for one series after another.

    Args:
        own: Channels of the source; empty where it gives images.
        detectors: Virtual detectors, for images.
        camera: What the values of images mean.
        options: The field and the plan, from which the electrons of a point are known.

    Raises:
        InvalidInput: Images without virtual detectors.
    """

    def __init__(
        self,
        own: tuple[Channel, ...],
        detectors: tuple[VirtualDetector, ...],
        camera: CameraNoise | None,
        options: SeriesOptions,
    ) -> None:
        if not own and not detectors:
            raise InvalidInput(
                "The instrument gives images, and no virtual detector makes samples of them.",
                mend="Give one or more, for example disk:radius=20.",
            )
        self._own = own
        self._detectors = detectors
        self._camera = camera
        current_pa = options.field.beam_current_pa
        self._electrons = None if current_pa is None else electrons(current_pa, options.plan.dwell_ns)
        self._dead: npt.NDArray[np.bool_] | None = None
        self._reducer: Reducer | None = None

    def begin(self, dead: npt.NDArray[np.bool_] | None) -> None:
        """Forget the last series; images of this one have these dead pixels."""
        self._dead, self._reducer = dead, None

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What the lines of the samples are; of images, known once the first one came."""
        return self._own if self._reducer is None else self._reducer.channels

    def of(self, event: Samples | Images) -> npt.NDArray[np.generic] | Problem:
        """Samples `(channels, points)`, or what is wrong with the event's size or type.

        Raises:
            InvalidInput: Virtual detectors that do not fit the images, or dead pixels that do not.
        """
        if isinstance(event, Samples):
            values, dtype = event.values, self._own[0].numpy_dtype
            fits = values.ndim == 2 and values.shape[0] == len(self._own)
            # Never by force: a value that does not fit its type would come out as another one.
            if fits and np.can_cast(values.dtype, dtype, "safe"):
                return values.astype(dtype, copy=False)
            wrong = f"{values.dtype} samples of shape {values.shape} came for {len(self._own)} channels of {dtype.name}"
        else:
            if self._reducer is None:
                self._reducer = self._make_reducer(event)
            if event.image_shape == self._reducer.image_shape:
                return self._reducer.reduce(event.stack)
            wrong = f"Images of {event.image_shape} pixels came in a series of {self._reducer.image_shape}"
        text = f"{wrong} at point {event.first} of {event.series}."
        return Problem(Code.WRONG_SIZE, text, "Begin a new series after a change.")

    def _make_reducer(self, event: Images) -> Reducer:
        height, width = event.image_shape
        if self._dead is not None and self._dead.shape != (height, width):
            raise InvalidInput(
                f"The mask of dead pixels has the shape {self._dead.shape}, the images have {(height, width)}.",
                mend="Look at the detector's settings: its region of interest or binning does not fit its mask.",
            )
        return Reducer(
            self._detectors, (height, width), dead=self._dead, electrons=self._electrons, camera=self._camera
        )
