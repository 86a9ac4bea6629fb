"""What the field looks like when its samples are put in their places: mean signal, dwell, visits, dose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.export.tree import bands, group, known, nx_names, put, put_axes, put_map
from scanmend.exposure import Exposure, ExposureBuilder
from scanmend.field import Channel, DetectorKind
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture
from scanmend.units import dose_e_per_nm2


class FieldSums:
    """Adds frames up: signal, dwell and visits of what could be used, and the dwell of all that was scanned.

    Passes that run one plan again and again are added in visiting order, and put in their places when another plan
    comes: many times as fast as placing every sample. Memory: 12 bytes a pixel, and 8 for each channel, as much again
    for each point of a sparse plan while it is being run.

    Args:
        session: The recording.
        channels: Indexes of the channels whose signal is summed; without any, dwell alone is.
    """

    def __init__(self, session: RecordedSession, channels: Iterable[int]) -> None:
        hello = session.hello
        self._session = session
        self._channels = {index: hello.channels[index] for index in channels}
        self.frames = 0
        """Frames in the maps."""
        self.total_dwell_ns = 0
        """Of everything that was scanned, exact."""
        self._reference_dwell_ns: float | None = None
        pixels = hello.field.pixels
        self._signal = {index: np.zeros(pixels) for index in self._channels}
        self._scanned, self._unused = _Visits(pixels), _Visits(pixels)
        self._run: _Run | None = None

    def add(self, recorded: RecordedFrame, plan: ScanPlan | None) -> None:
        """Add a frame whose points its plan has; samples that are no numbers are named in the session's problems."""
        if plan is None:
            return
        header = recorded.header
        first, last = header.first_point, header.first_point + header.points
        run = self._run
        if run is None or run.plan_id != header.plan_id:
            self._place()
            run = self._run = _Run(header.plan_id, plan, self._channels)
        self.total_dwell_ns += dwell_ns_of(plan, first, last)
        run.scanned.add(plan, first, last)
        if not self._channels:
            return
        if recorded.samples.dtype.kind == "f" and not np.isfinite(recorded.samples).all():
            run.unused.add(plan, first, last)
            self._session.problems.add(f"frame {header.seq} is not in the maps: it holds NaN or infinity")
            return
        if self._reference_dwell_ns is None:
            self._reference_dwell_ns = float(plan.dwell_ns)
        signal = self._signal if plan.is_full_raster else run.signal
        dwell = plan.dwell_ns if plan.dwell_list is None else plan.dwells_ns[first:last]
        for index, channel in self._channels.items():
            signal[index][first:last] += electrons(recorded.samples[index], channel, dwell)
        self.frames += 1

    @property
    def scanned_ns(self) -> npt.NDArray[np.float64]:
        """Dwell of everything that was scanned, `(ny, nx)`, in nanoseconds."""
        self._place()
        return self._scanned.arrays()[0].reshape(self._session.hello.field.shape)

    def exposure(self) -> Exposure:
        """The exposure of the restored channel; its arrays belong to this object."""
        return self._exposure(self._session.channel_index)

    def exposures(self) -> Iterator[tuple[int, Exposure]]:
        """The exposures, each with the index of its channel."""
        for index in self._channels:
            yield index, self._exposure(index)

    def _exposure(self, index: int) -> Exposure:
        self._place()
        field = self._session.hello.field
        dwell, visits = self._scanned.arrays()
        if not self._unused.empty:
            dwell, visits = dwell - self._unused.arrays()[0], visits - self._unused.arrays()[1]
        like = ExposureBuilder(field, self._channels[index], reference_dwell_ns=self._reference_dwell_ns).view()
        return Exposure(
            signal=self._signal[index].reshape(field.shape),
            dwell_ns=dwell.reshape(field.shape),
            visits=visits.reshape(field.shape),
            reference_dwell_ns=like.reference_dwell_ns,
            electrons_per_unit=like.electrons_per_unit,
            read_noise=like.read_noise,
        )

    def _place(self) -> None:
        """Put what was added in visiting order in its places."""
        run, self._run = self._run, None
        if run is None:
            return
        run.scanned.place(self._scanned, run.plan)
        run.unused.place(self._unused, run.plan)
        for index, points in run.signal.items():
            np.add.at(self._signal[index], run.plan.pixels, points)


class _Visits:
    """Dwell and visits by pixel or by point; arrays are made when they are needed."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._times = 0
        """How often the whole plan was run, which is not in the arrays."""
        self._dwell_ns: npt.NDArray[np.float64] | None = None
        self._visits: npt.NDArray[np.uint32] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return not self._times and self._dwell_ns is None

    def arrays(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Dwell in nanoseconds, and visits."""
        if self._dwell_ns is None or self._visits is None:
            self._dwell_ns, self._visits = np.zeros(self._length), np.zeros(self._length, dtype=np.uint32)
        return self._dwell_ns, self._visits

    def add(self, plan: ScanPlan, first: int, last: int) -> None:
        """Enter points of a plan as visited."""
        if (first, last) == (0, plan.points):
            self._times += 1
            return
        dwell, visits = self.arrays()
        dwell[first:last] += plan.dwell_ns if plan.dwell_list is None else plan.dwells_ns[first:last]
        visits[first:last] += np.uint32(1)

    def place(self, field: _Visits, plan: ScanPlan) -> None:
        """Add these visits of a plan's points to those of the field's pixels."""
        if self.empty:
            return
        dwell, visits = field.arrays()
        each = float(plan.dwell_ns) if plan.dwell_list is None else plan.dwells_ns.astype(np.float64)
        parts: list[tuple[Any, Any]] = [(each * self._times, np.uint32(self._times))] if self._times else []
        if self._dwell_ns is not None and self._visits is not None:
            parts.append((self._dwell_ns, self._visits))
        for more_dwell, more_visits in parts:
            if plan.is_full_raster:
                dwell += more_dwell
                visits += more_visits
            else:
                np.add.at(dwell, plan.pixels, more_dwell)
                np.add.at(visits, plan.pixels, more_visits)


class _Run:
    """What frames of one plan, one after the other, have added up to, by point."""

    def __init__(self, plan_id: int, plan: ScanPlan, channels: Iterable[int]) -> None:
        self.plan_id, self.plan = plan_id, plan
        self.scanned, self.unused = _Visits(plan.points), _Visits(plan.points)
        # The points of a full raster are the field's pixels: its samples are added there at once.
        self.signal = {} if plan.is_full_raster else {index: np.zeros(plan.points) for index in channels}


def electrons(
    values: npt.NDArray[np.generic], channel: Channel, dwell_ns: int | npt.NDArray[np.uint32]
) -> npt.NDArray[Any]:
    """Signal of samples as `ExposureBuilder.electrons` has it, without a copy where the samples are counts."""
    if channel.kind is DetectorKind.COUNTING and channel.units_per_electron in (None, 1.0) and not channel.offset_units:
        return values
    signal = values.astype(np.float64) - channel.offset_units
    signal /= channel.units_per_electron or 1.0
    if channel.kind is DetectorKind.ANALOGUE:
        signal *= dwell_ns / channel.reference_dwell_ns
    return signal


def dwell_ns_of(plan: ScanPlan, first: int, last: int) -> int:
    """Dwell of the points `first` to `last - 1` of a plan in all, in nanoseconds."""
    if plan.dwell_list is None:
        return plan.dwell_ns * (last - first)
    return int(plan.dwells_ns[first:last].sum(dtype=np.uint64))


def plan_of(session: RecordedSession, recorded: RecordedFrame) -> ScanPlan | None:
    """The plan of a frame; None where it is lost or has not the frame's points, which the problems then say."""
    header = recorded.header
    plan = session.plan(header.plan_id)
    if plan is None:
        session.problems.add(f"plan {header.plan_id} is lost: its samples are in the file without their places")
    elif header.first_point + header.points > plan.points:
        session.problems.add(f"frame {header.seq} has points that its plan does not have")
        return None
    return plan


def sum_up(session: RecordedSession, last_pass: tuple[int, int, int] | None, *, all_channels: bool) -> FieldSums:
    """Read frames and add them up: all of them in mode `exposure`, those of one pass in mode `frames`.

    Args:
        session: The recording.
        last_pass: `(pass_index, first seq, last seq)` of the pass that counts in mode `frames`; None for none.
        all_channels: Whether every channel is summed, and not the restored one alone.
    """
    sums = FieldSums(session, range(len(session.hello.channels)) if all_channels else (session.channel_index,))
    if session.adds_up:
        for recorded in session.frames():
            sums.add(recorded, plan_of(session, recorded))
    elif last_pass is not None:
        index, first, last = last_pass
        for recorded in session.frames(first, last + 1):
            if recorded.header.pass_index == index:
                sums.add(recorded, plan_of(session, recorded))
    return sums


def mean_values(exposure: Exposure, lines: slice) -> FloatPicture:
    """Mean signal per visit of the reference dwell in some lines, float32 `(n, nx)`; NaN where not sampled."""
    out = np.full((lines.stop - lines.start, exposure.shape[1]), np.nan)
    dwell = exposure.dwell_ns[lines]
    np.divide(exposure.signal[lines] * exposure.reference_dwell_ns, dwell, out=out, where=exposure.visits[lines] > 0)
    return out.astype(np.float32)


def write_exposures(entry: h5py.Group, session: RecordedSession, sums: FieldSums, packing: Mapping[str, Any]) -> str:
    """Write an NXdata a channel; gives the name of the restored channel's."""
    hello, field = session.hello, session.hello.field
    names = nx_names(channel.name for channel in hello.channels)
    for index, exposure in sums.exposures():
        channel = hello.channels[index]
        nxdata = group(
            entry,
            f"exposure_{names[index]}",
            "NXdata",
            signal="values",
            axes=["y", "x"],
            y_indices=0,
            x_indices=1,
            auxiliary_signals=["summed_signal", "dwell_ns", "visits"],
            interpretation="image",
        )
        what = "all passes" if session.adds_up else "the last complete pass"
        units = "electrons" if exposure.electrons_per_unit is not None else "detector units"
        put(nxdata, "title", f"{hello.session}: {channel.name}, {what}, mean signal of {_dwell(exposure)}")
        put_axes(nxdata, field.shape, field.pixel_size_nm)
        shape, lines = field.shape, list(bands(field.shape))
        made = put_map(
            nxdata, "values", (mean_values(exposure, each) for each in lines), (shape, np.float32), **packing
        )
        made.attrs["units"], made.attrs["long_name"] = units, f"mean {units} per {_dwell(exposure)}"
        made.attrs["interpretation"] = "image"
        for name, array, unit, words in (
            ("summed_signal", exposure.signal, units, "sum over all visits"),
            ("dwell_ns", exposure.dwell_ns, "ns", "sum of the dwell of all visits"),
            ("visits", exposure.visits, "", "number of visits; 0: not sampled"),
        ):
            made = put_map(nxdata, name, (array[each] for each in lines), (shape, array.dtype), **packing)
            made.attrs["long_name"] = words
            if unit:
                made.attrs["units"] = unit
        put(nxdata, "reference_dwell_ns", exposure.reference_dwell_ns, "ns")
        put(nxdata, "electrons_per_unit", exposure.electrons_per_unit)
        put(nxdata, "read_noise", exposure.read_noise, units)
        put(nxdata, "coverage", exposure.coverage)
        put(nxdata, "frames", sums.frames)
    return f"exposure_{names[session.channel_index]}"


def write_dose(
    entry: h5py.Group,
    session: RecordedSession,
    dwell_ns: npt.NDArray[np.float64],
    total_dwell_ns: int,
    packing: Mapping[str, Any],
) -> None:
    """Write what the specimen has had, of all frames in the file.

    Args:
        entry: The NXentry.
        session: The recording.
        dwell_ns: Summed dwell of each pixel, `(ny, nx)`.
        total_dwell_ns: Its sum, exact.
        packing: Arguments of `create_dataset`.
    """
    field = session.hello.field
    lines = list(bands(field.shape))
    signal = "dwell_ns" if field.beam_current_pa is None else "dose_e_per_nm2"
    nxdata = group(
        entry,
        "dose",
        "NXdata",
        signal=signal,
        axes=["y", "x"],
        y_indices=0,
        x_indices=1,
        interpretation="image",
    )
    put_axes(nxdata, field.shape, field.pixel_size_nm)
    put(nxdata, "total_dwell_ns", total_dwell_ns, "ns")
    if field.beam_current_pa is None:
        put(nxdata, "title", f"{session.hello.session}: dwell of each pixel; the beam current is not known")
        made = put_map(nxdata, "dwell_ns", (dwell_ns[each] for each in lines), (field.shape, np.float64), **packing)
        made.attrs["units"] = "ns"
        return
    put(nxdata, "title", f"{session.hello.session}: dose of each pixel")
    factor = dose_e_per_nm2(field.beam_current_pa, 1.0, field.pixel_size_nm**2)
    rows = ((dwell_ns[each] * factor).astype(np.float32) for each in lines)
    made = put_map(nxdata, "dose_e_per_nm2", rows, (field.shape, np.float32), **packing)
    made.attrs["units"], made.attrs["long_name"] = "1/nm^2", "electrons per square nanometre"
    put(nxdata, "mean_e_per_nm2", known(field.dose_e_per_nm2(total_dwell_ns)), "1/nm^2")
    put(nxdata, "max_e_per_nm2", float(dwell_ns.max()) * factor, "1/nm^2")


def _dwell(exposure: Exposure) -> str:
    return f"{exposure.reference_dwell_ns:g} ns"
