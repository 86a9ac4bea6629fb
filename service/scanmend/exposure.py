"""What is known of a field so far.

An exposure keeps, per pixel, the summed signal, the summed dwell and the number of visits. Signal is summed in
electrons where the channel's gain and offset are known, else in the detector's own units. "Not sampled" is
`visits == 0`; a pixel that was visited and gave nothing has `visits > 0` and `signal == 0`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import ExposureError
from scanmend.field import Channel, DetectorKind, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """Summed signal, dwell and visits of every pixel of a field."""

    signal: npt.NDArray[np.float64]
    """Summed signal, `(ny, nx)`; in electrons where the gain is known, else in detector units."""

    dwell_ns: npt.NDArray[np.float64]
    """Summed dwell, `(ny, nx)`, in nanoseconds."""

    visits: npt.NDArray[np.uint32]
    """Number of visits, `(ny, nx)`; 0 means not sampled."""

    reference_dwell_ns: float
    """The dwell that has weight 1; `values` are what a visit of this dwell would give on average."""

    electrons_per_unit: float | None
    """Electrons that one unit of signal stands for; inf for noise-free samples, None where it is not known."""

    read_noise: float = 0.0
    """Standard deviation that the detector adds to each visit, in units of signal."""

    @classmethod
    def from_samples(
        cls,
        values: npt.ArrayLike,
        visits: npt.ArrayLike,
        *,
        electrons_per_unit: float | None = None,
        read_noise: float = 0.0,
    ) -> Exposure:
        """An exposure whose visits all had the same dwell.

        Args:
            values: Mean signal per visit, `(ny, nx)`; what stands where `visits` is 0 is not looked at.
            visits: Number of visits, whole numbers, `(ny, nx)`; 0 means not sampled.
            electrons_per_unit: 1 for counts, `math.inf` for noise-free samples, None to have it estimated.
            read_noise: Standard deviation of the detector's own noise per visit, in the units of `values`.

        Raises:
            ExposureError: The arrays do not fit together, a sampled value is not finite, or a number is not a
                count, a gain or a standard deviation.
        """
        mean = np.asarray(values)
        count = np.asarray(visits)
        if mean.ndim != 2 or mean.shape != count.shape or mean.size == 0:
            raise ExposureError(
                f"values has shape {mean.shape}, visits has {count.shape}.",
                mend="Give both as arrays of the field's shape, (ny, nx).",
            )
        if count.dtype.kind not in "ui" and not (count.dtype.kind == "b"):
            raise ExposureError(f"visits has type {count.dtype}.", mend="Give whole numbers, 0 for not sampled.")
        if count.dtype.kind == "i" and int(count.min()) < 0:
            raise ExposureError("visits holds negative numbers.", mend="Give 0 for pixels that were not sampled.")
        if mean.dtype.kind not in "uif":
            raise ExposureError(f"values has type {mean.dtype}.", mend="Give real numbers.")
        _check_noise(electrons_per_unit, read_noise)
        sampled = count > 0
        bad = sampled & ~np.isfinite(mean) if mean.dtype.kind == "f" else None
        if bad is not None and bad.any():
            y, x = (int(i) for i in np.argwhere(bad)[0])
            raise ExposureError(
                f"{int(bad.sum())} sampled pixels hold NaN or infinity, the first at y = {y}, x = {x}.",
                mend="Set visits to 0 where a value is missing.",
            )
        weight = count.astype(np.float64)
        return cls(
            signal=np.where(sampled, mean, 0).astype(np.float64) * weight,
            dwell_ns=weight,
            visits=count.astype(np.uint32),
            reference_dwell_ns=1.0,
            electrons_per_unit=electrons_per_unit,
            read_noise=read_noise,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Grid `(ny, nx)`."""
        return (int(self.signal.shape[0]), int(self.signal.shape[1]))

    @property
    def weight(self) -> FloatPicture:
        """Summed dwell over the reference dwell, float32 `(ny, nx)`; 0 where not sampled."""
        return (self.dwell_ns / self.reference_dwell_ns).astype(np.float32)

    @property
    def values(self) -> FloatPicture:
        """Mean signal per visit of the reference dwell, float32 `(ny, nx)`; 0 where not sampled."""
        out = np.zeros(self.shape, dtype=np.float64)
        np.divide(self.signal * self.reference_dwell_ns, self.dwell_ns, out=out, where=self.visits > 0)
        return out.astype(np.float32)

    @property
    def coverage(self) -> float:
        """Share of the pixels that were visited at least once."""
        return float(np.count_nonzero(self.visits) / self.visits.size)

    @property
    def units_per_electron(self) -> float | None:
        """The inverse of `electrons_per_unit`: 0 for noise-free samples, None where it is not known."""
        if self.electrons_per_unit is None:
            return None
        return 0.0 if math.isinf(self.electrons_per_unit) else 1.0 / self.electrons_per_unit


def _check_noise(electrons_per_unit: float | None, read_noise: float) -> None:
    if electrons_per_unit is not None and not electrons_per_unit > 0:
        raise ExposureError(
            f"electrons_per_unit is {electrons_per_unit}.",
            mend="Give 1 for counts, a positive number, inf for noise-free samples, or None where it is not known.",
        )
    if not (math.isfinite(read_noise) and read_noise >= 0):
        raise ExposureError(f"read_noise is {read_noise}.", mend="Give a standard deviation of 0 or more.")


def signal_of(
    channel: Channel, values: npt.NDArray[np.generic], dwell_ns: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Signal of a channel's samples; see `ExposureBuilder.electrons`."""
    signal = values.astype(np.float64)
    if channel.offset_units:
        signal -= channel.offset_units
    gain = channel.units_per_electron
    if gain is not None and gain != 1.0:
        signal /= gain
    if channel.kind is DetectorKind.ANALOGUE:
        signal *= dwell_ns / channel.reference_dwell_ns
    return signal


class ExposureBuilder:
    """Adds the frames of one channel, in any order, to an exposure.

    The only object of the vocabulary that changes; it belongs to one thread.

    Args:
        field: The area being imaged.
        channel: The detector whose samples are added.
        reference_dwell_ns: The dwell of weight 1; the dwell of the first plan where it is None.
    """

    def __init__(self, field: Field, channel: Channel, *, reference_dwell_ns: float | None = None) -> None:
        self.field = field
        self.channel = channel
        self.frames = 0
        """Number of frames added."""
        self._reference_dwell_ns = reference_dwell_ns
        self._signal = np.zeros(field.pixels, dtype=np.float64)
        self._dwell_ns = np.zeros(field.pixels, dtype=np.float64)
        self._visits = np.zeros(field.pixels, dtype=np.uint32)

    def add(self, frame: Frame, plan: ScanPlan, *, channel_index: int = 0) -> None:
        """Add the samples of a frame at the points that its plan gives them.

        Args:
            frame: The samples.
            plan: The plan that the frame's `first_point` counts in.
            channel_index: Which line of the frame's samples is this channel's.

        Raises:
            ExposureError: The frame has points beyond its plan, no such channel, or values that are not finite.
        """
        first, last = frame.first_point, frame.first_point + frame.points
        if last > plan.points or plan.shape != self.field.shape:
            raise ExposureError(
                f"The frame has points {first} to {last - 1}, its plan has {plan.points}.",
                mend="Send the plan that was really run, and count first_point from 0.",
            )
        if not 0 <= channel_index < frame.samples.shape[0]:
            raise ExposureError(
                f"The frame has {frame.samples.shape[0]} channels, not {channel_index + 1}.",
                mend="Send all channels that the session announced.",
            )
        values = frame.samples[channel_index]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ExposureError("The frame holds NaN or infinity.", mend="Send only points that were measured.")
        if self._reference_dwell_ns is None:
            self._reference_dwell_ns = float(plan.dwell_ns)
        dwell = self._dwell_of(plan, first, last)
        signal = self.electrons(values, dwell)
        if plan.is_full_raster:
            pixels: slice | npt.NDArray[np.int32] = slice(first, last)
            self._signal[pixels] += signal
            self._dwell_ns[pixels] += dwell
            self._visits[pixels] += np.uint32(1)
        else:
            pixels = plan.pixels[first:last]
            # ufunc.at and not fancy +=, which would count a pixel once that is visited twice in a frame.
            np.add.at(self._signal, pixels, signal)
            np.add.at(self._dwell_ns, pixels, dwell)
            np.add.at(self._visits, pixels, np.uint32(1))
        self.frames += 1

    def _dwell_of(self, plan: ScanPlan, first: int, last: int) -> float | npt.NDArray[np.float64]:
        if plan.dwell_list is None:
            return float(plan.dwell_ns)
        return plan.dwells_ns[first:last].astype(np.float64)

    def electrons(
        self, values: npt.NDArray[np.generic], dwell_ns: float | npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Signal of samples, in electrons of their dwell where the gain is known, else in detector units.

        Args:
            values: Detector values, `(n,)`.
            dwell_ns: Their dwell in nanoseconds, one for all or `(n,)`.

        Returns:
            float64 `(n,)`; for an analogue detector, weighted by the dwell over its reference dwell.
        """
        return signal_of(self.channel, values, dwell_ns)

    def view(self) -> Exposure:
        """The exposure as it stands: its arrays are the builder's own and change with the next `add`."""
        reference = self._reference_dwell_ns or 1.0
        gain = self.channel.units_per_electron
        noise = self.channel.read_noise_units / (gain or 1.0)
        if self.channel.kind is DetectorKind.ANALOGUE:
            noise *= reference / self.channel.reference_dwell_ns
        shape = self.field.shape
        return Exposure(
            signal=self._signal.reshape(shape),
            dwell_ns=self._dwell_ns.reshape(shape),
            visits=self._visits.reshape(shape),
            reference_dwell_ns=reference,
            electrons_per_unit=None if gain is None else 1.0,
            read_noise=noise,
        )

    def clear(self) -> None:
        """Forget all samples; the reference dwell stays."""
        self._signal[:] = 0
        self._dwell_ns[:] = 0
        self._visits[:] = 0
        self.frames = 0
