"""Frames added up: the signal, dwell and visits of every pixel of the field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.export.visits import Visits
from scanmend.exposure import Exposure, ExposureBuilder
from scanmend.field import Channel, DetectorKind
from scanmend.plan import ScanPlan
from scanmend.wire.lost import Loss, Place

_MOST_ADDED = 1 << 16
"""Frames of whole numbers of 16 bits that surely fit into a sum of 32 bits."""


class FieldSums:
    """Adds frames up: signal, dwell and visits of what could be used, and the dwell of all that was scanned.

    Passes that run one plan again and again are added in visiting order, and put in their places when another plan
    comes: many times as fast as placing every sample. Memory: 12 bytes a pixel, and 8 for each channel, as much again
    for each point of a sparse plan while it is being run.

    Args:
        session: The recording.
        channels: Indexes of the channels whose signal is summed; without any, dwell alone is.
        from_the_first: Whether all frames will be added: what the client discarded between them was scanned too.
    """

    def __init__(self, session: RecordedSession, channels: Iterable[int], *, from_the_first: bool = False) -> None:
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
        self._scanned, self._unused = Visits(pixels), Visits(pixels)
        self._run: _Run | None = None
        self._place_in_scan = Place() if from_the_first else None
        self._dropped = 0
        """Frames that the client has discarded so far."""

    def add(self, recorded: RecordedFrame, plan: ScanPlan | None) -> None:
        """Add a frame whose points its plan has; samples that are no numbers are named in the session's problems."""
        header = recorded.header
        dtype = recorded.samples.dtype
        if self._place_in_scan is not None:
            self._dropped += header.dropped_before
            self._lose(self._place_in_scan.go_on(header, self._session.plan), dtype)
        if plan is None:
            return
        first, last = header.first_point, header.first_point + header.points
        run = self._run_of(header.plan_id, plan, dtype)
        self.total_dwell_ns += dwell_ns_of(plan, first, last)
        run.scanned.add(plan, first, last)
        if not self._channels:
            return
        if dtype.kind == "f" and not np.isfinite(recorded.samples).all():
            run.unused.add(plan, first, last)
            self._session.problems.add(f"frame {header.seq} is not in the maps: it holds NaN or infinity")
            return
        if self._reference_dwell_ns is None:
            self._reference_dwell_ns = float(plan.dwell_ns)
        signal = self._signal if plan.is_full_raster else run.signal
        dwell = plan.dwell_ns if plan.dwell_list is None else plan.dwells_ns[first:last]
        for index, channel in self._channels.items():
            signal[index][first:last] += electrons(recorded.samples[index], channel, dwell)
        run.added += 1
        self.frames += 1

    def finish(self) -> None:
        """All frames have been added: what the client discarded after the last one, its receipt tells."""
        receipt = self._session.receipt
        if receipt is not None and self._place_in_scan is not None and not receipt.gaps:
            after = receipt.dropped_by_client - self._dropped
            dtype = self._session.hello.channels[0].numpy_dtype
            self._lose(self._place_in_scan.end(max(0, after), self._session.plan), np.dtype(dtype))

    def _run_of(self, plan_id: int, plan: ScanPlan, dtype: np.dtype[np.generic]) -> _Run:
        run = self._run
        if run is None or run.plan_id != plan_id or run.added == _MOST_ADDED:
            self._place()
            run = self._run = _Run(plan_id, plan, self._channels, dtype)
        return run

    def _lose(self, loss: Loss | None, dtype: np.dtype[np.generic]) -> None:
        """Points that were scanned, and whose samples the client discarded."""
        if loss is None:
            return
        if not loss.known:
            self._session.problems.add("the client discarded frames of which nobody knows the points: dose is missing")
        for (plan_id, first, points), times in loss.spans.items():
            plan = self._session.plan(plan_id)
            if plan is None or first + points > plan.points:
                continue
            run = self._run_of(plan_id, plan, dtype)
            self.total_dwell_ns += times * dwell_ns_of(plan, first, first + points)
            run.scanned.add(plan, first, first + points, times)
            run.unused.add(plan, first, first + points, times)

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


class _Run:
    """What frames of one plan, one after the other, have added up to, by point."""

    def __init__(
        self, plan_id: int, plan: ScanPlan, channels: Mapping[int, Channel], samples: np.dtype[np.generic]
    ) -> None:
        self.plan_id, self.plan = plan_id, plan
        self.scanned, self.unused = Visits(plan.points), Visits(plan.points)
        self.added = 0
        """Frames in the signal."""
        # The points of a full raster are the field's pixels: its samples are added there at once. Small whole numbers
        # are summed as such: half the memory to be gone through for each frame, which is what adding takes.
        small = samples.kind == "u" and samples.itemsize <= 2
        self.signal: dict[int, npt.NDArray[Any]] = {}
        if not plan.is_full_raster:
            for index, channel in channels.items():
                whole = small and are_electrons(channel)
                self.signal[index] = np.zeros(plan.points, np.uint32 if whole else np.float64)


def are_electrons(channel: Channel) -> bool:
    """Whether samples of a channel are numbers of electrons as they come."""
    counts = channel.kind is DetectorKind.COUNTING and channel.units_per_electron in (None, 1.0)
    return counts and not channel.offset_units


def electrons(
    values: npt.NDArray[np.generic], channel: Channel, dwell_ns: int | npt.NDArray[np.uint32]
) -> npt.NDArray[Any]:
    """Signal of samples as `ExposureBuilder.electrons` has it, without a copy where the samples are counts."""
    if are_electrons(channel):
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
