"""What an engine knows of a session's field: samples become the inputs of a model.

In mode `exposure` all passes add up. In mode `frames` every pass is an exposure of its own; a pass that comes as one
frame of the whole field goes straight from its samples into the model's inputs, without being summed first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.engine.noise import Noise, estimate_noise
from scanmend.engine.runtimes import Picture
from scanmend.errors import ExposureError
from scanmend.exposure import Exposure, ExposureBuilder
from scanmend.field import Channel, DetectorKind, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture
from scanmend.wire.messages import Mode


class InputNotFinite(ExposureError):
    """The samples of a frame hold NaN or infinity."""


class SessionExposure:
    """Takes the frames of one session, and gives the model's inputs; belongs to one thread.

    Args:
        field: The area being imaged.
        channel: The detector that is restored.
        channel_index: Its line in a frame's samples.
        mode: Whether passes add up.
    """

    def __init__(self, field: Field, channel: Channel, channel_index: int, mode: Mode) -> None:
        self.field = field
        self.frames_included = 0
        """Frames that `picture` is made of."""
        self._channel = channel
        self._channel_index = channel_index
        self._mode = mode
        self._pass_index = -1
        self._builder: ExposureBuilder | None = None
        self._builder_dwell_ns = 0
        self._whole_dwell_ns = 0
        """Dwell of the pass whose samples lie in `_values` already; 0 where the builder holds it."""
        self._values: FloatPicture = np.zeros(field.shape, dtype=np.float32)
        self._weight: FloatPicture = np.ones(field.shape, dtype=np.float32)
        self._weight_is_one = True
        self._scratch: npt.NDArray[np.float64] | None = None

    def add(self, frame: Frame, plan: ScanPlan) -> None:
        """Take a frame.

        Args:
            frame: The samples; not kept.
            plan: The plan that it names.

        Raises:
            InputNotFinite: It holds NaN or infinity; nothing of it is taken.
            ExposureError: It does not fit its plan or the field; nothing of it is taken.
        """
        samples = frame.samples[self._channel_index] if self._channel_index < len(frame.samples) else None
        if samples is None:
            raise ExposureError(
                f"The frame has {len(frame.samples)} channels, channel {self._channel_index + 1} is to be restored.",
                mend="Send all channels that the session announced.",
            )
        if samples.dtype.kind == "f" and not np.isfinite(samples).all():
            raise InputNotFinite("The frame holds NaN or infinity.", mend="Send only points that were measured.")
        if self._mode is Mode.FRAMES and self._is_whole(frame, plan):
            self._take_whole(samples, plan)
            self._pass_index, self.frames_included = frame.pass_index, 1
            return
        builder = self._builder_for(frame, plan)
        builder.add(frame, plan, channel_index=self._channel_index)
        self._whole_dwell_ns = 0
        self.frames_included = builder.frames

    def picture(self) -> Picture:
        """The inputs of a model; its arrays are this object's own and change with the next `add` or `picture`."""
        builder = self._builder
        if self._whole_dwell_ns:
            reference = float(self._whole_dwell_ns)
        elif builder is None or builder.frames == 0:
            raise ExposureError("Nothing has been sampled yet.", mend="Send a frame first.")
        else:
            reference = self._fill_from(builder)
        noise = self._noise(reference)
        return Picture(
            values=self._values,
            weight=self._weight,
            units_per_electron=noise.units_per_electron,
            read_variance=noise.read_variance,
        )

    @property
    def coverage(self) -> float:
        """Share of the pixels sampled."""
        if self._whole_dwell_ns:
            return 1.0
        return 0.0 if self._builder is None else self._builder.view().coverage

    @property
    def whole_dwell_ns(self) -> int:
        """Dwell of the pass that came as one frame and is the present picture; 0 where frames were summed."""
        return self._whole_dwell_ns

    @property
    def reference_dwell_ns(self) -> float:
        """The dwell that the values of `picture` stand for."""
        if self._whole_dwell_ns or self._builder is None:
            return float(self._whole_dwell_ns)
        return self._builder.view().reference_dwell_ns

    @property
    def held(self) -> Exposure | None:
        """What was summed, whose arrays change with the next `add`; None where nothing was."""
        return None if self._builder is None or self._builder.frames == 0 else self._builder.view()

    def write_raw(self, out: FloatPicture) -> None:
        """The last `picture`'s values, NaN where not sampled, in the units of the estimate."""
        np.copyto(out, self._values)
        if not self._weight_is_one:
            out[self._weight == 0] = np.nan

    # The way of a whole pass ----------------------------------------------------------------------------------------

    def _is_whole(self, frame: Frame, plan: ScanPlan) -> bool:
        return (
            frame.first_point == 0
            and frame.points == self.field.pixels
            and plan.dwell_list is None
            and plan.is_full_raster
            and plan.shape == self.field.shape
        )

    def _take_whole(self, samples: npt.NDArray[np.generic], plan: ScanPlan) -> None:
        flat = self._values.reshape(-1)
        offset = self._channel.offset_units
        if offset:
            np.subtract(samples, np.float32(offset), out=flat, casting="unsafe", dtype=np.float32)
        else:
            np.copyto(flat, samples, casting="unsafe")
        scale = self._electrons_per_value(plan.dwell_ns)
        if scale != 1:
            flat *= np.float32(scale)
        if not self._weight_is_one:
            self._weight.fill(1)
            self._weight_is_one = True
        self._whole_dwell_ns = plan.dwell_ns

    def _electrons_per_value(self, dwell_ns: float) -> float:
        """As `ExposureBuilder.electrons` has it, for a visit of this dwell."""
        scale = 1 / (self._channel.units_per_electron or 1.0)
        if self._channel.kind is DetectorKind.ANALOGUE:
            scale *= dwell_ns / self._channel.reference_dwell_ns
        return scale

    # The way of everything else -------------------------------------------------------------------------------------

    def _builder_for(self, frame: Frame, plan: ScanPlan) -> ExposureBuilder:
        builder = self._builder
        new_pass = self._mode is Mode.FRAMES and frame.pass_index != self._pass_index
        self._pass_index = frame.pass_index
        if builder is not None and not new_pass:
            return builder
        if builder is not None and plan.dwell_ns == self._builder_dwell_ns:
            builder.clear()
            return builder
        self._builder = ExposureBuilder(self.field, self._channel)
        self._builder_dwell_ns = plan.dwell_ns
        return self._builder

    def _fill_from(self, builder: ExposureBuilder) -> float:
        """Mean signal and weight of what was summed; gives the reference dwell."""
        held = builder.view()
        reference = held.reference_dwell_ns
        if self._scratch is None:
            self._scratch = np.empty(self.field.shape)
        per_dwell = self._scratch
        np.maximum(held.dwell_ns, 1.0, out=per_dwell)  # dwell times are whole ns; signal is 0 where there is none
        np.divide(held.signal, per_dwell, out=per_dwell)
        with np.errstate(over="ignore"):  # a model takes what is beyond 1e15 for not sampled
            np.multiply(per_dwell, reference, out=self._values, casting="unsafe")
        np.multiply(held.dwell_ns, 1 / reference, out=self._weight, casting="unsafe")
        self._weight_is_one = False
        return reference

    def _noise(self, reference_dwell_ns: float) -> Noise:
        gain = self._channel.units_per_electron
        read = self._channel.read_noise_units / (gain or 1.0)
        if self._channel.kind is DetectorKind.ANALOGUE:
            read *= reference_dwell_ns / self._channel.reference_dwell_ns
        if gain is not None:
            return Noise(1.0, read * read)  # signal is summed in electrons
        found = estimate_noise(self._values, self._weight)
        return Noise(found.units_per_electron, max(found.read_variance, read * read))
