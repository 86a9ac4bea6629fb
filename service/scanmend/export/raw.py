"""The samples as they came: a stack of pictures where passes are pictures, and one long list for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from scanmend.export.columns import Column, Table
from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.export.tree import group, nx_names, picture_chunk, put, put_axes
from scanmend.plan import ScanPlan

_FRAMES: dict[str, npt.DTypeLike] = {
    "seq": np.uint64,
    "pass": np.uint32,
    "first_point": np.uint32,
    "points": np.uint32,
    "first_sample": np.int64,
    "picture": np.int32,
    "acquired_unix_ns": np.int64,
    "recorded_unix_ns": np.int64,
    "dropped_before": np.uint32,
    "dose_e_per_nm2": np.float64,
}
_PASSES: dict[str, npt.DTypeLike] = {
    "pass_index": np.uint32,
    "plan_id": np.uint32,
    "dwell_ns": np.uint32,
    "first_seq": np.uint64,
    "last_seq": np.uint64,
    "frames": np.uint32,
    "points": np.int64,
    "planned_points": np.int64,
    "complete": np.uint8,
    "first_sample": np.int64,
    "picture": np.int32,
    "acquired_unix_ns": np.int64,
}


@dataclass(slots=True)
class OpenPass:
    """A pass whose frames are arriving."""

    pass_index: int
    plan_id: int
    plan: ScanPlan | None
    first_seq: int
    last_seq: int = 0
    frames: int = 0
    points: int = 0
    acquired_unix_ns: int = 0
    first_sample: int = -1
    picture: int = -1
    held: list[dict[str, Any]] = field(default_factory=list)
    """Rows of frames whose samples lie in the buffer of whole pictures."""

    @property
    def complete(self) -> bool:
        """Whether every point of the plan is there."""
        return self.plan is not None and self.points == self.plan.points


class RawWriter:
    """Writes samples, frame table and pass table of a session, in the order of acquisition.

    In mode `frames`, a complete pass over the whole field in raster order is a picture of a stack `(pass, y, x)`, one
    stack a channel. All other samples go to `raw/samples`, one list a channel, in visiting order.

    Args:
        entry: The file's NXentry.
        session: The recording.
        packing: Arguments of `create_dataset`.
    """

    def __init__(self, entry: h5py.Group, session: RecordedSession, packing: Mapping[str, Any]) -> None:
        self._entry, self._session, self._packing = entry, session, packing
        self.raw = group(entry, "raw", "NXcollection")
        self.names = nx_names(channel.name for channel in session.hello.channels)
        """The channels' names in the file."""
        self.dtype = session.hello.channels[0].numpy_dtype
        samples = group(self.raw, "samples", "NXcollection")
        self._samples = [Column(samples, name, self.dtype, packing) for name in self.names]
        for column, channel in zip(self._samples, session.hello.channels, strict=True):
            column.dataset.attrs["long_name"] = f"samples of {channel.name} in the order in which they were taken"
        self._frames = Table(group(self.raw, "frames", "NXcollection"), _FRAMES, packing)
        self._passes = Table(group(self.raw, "passes", "NXcollection"), _PASSES, packing)
        self._stacks: list[h5py.Dataset] = []
        self._pictures: list[tuple[int, int]] = []
        self._buffer: npt.NDArray[np.generic] | None = None
        self._open: OpenPass | None = None
        self.frames = self.sample_bytes = 0
        self.last_pass: tuple[int, int, int] | None = None
        """`(pass_index, first seq, last seq)` of the last complete pass, or of the last one where none is complete."""
        self._last_is_complete = False

    @property
    def passes(self) -> int:
        """Passes written."""
        return self._passes.rows

    @property
    def pictures(self) -> int:
        """Pictures in the stack."""
        return len(self._pictures)

    def add(self, recorded: RecordedFrame, plan: ScanPlan | None, dose_e_per_nm2: float) -> None:
        """Take a frame.

        Args:
            recorded: The frame.
            plan: Its plan; None where it is lost.
            dose_e_per_nm2: Dose of the field's mean up to this frame; NaN where it is not known.
        """
        header = recorded.header
        current = self._open
        if current is None or (current.pass_index, current.plan_id) != (header.pass_index, header.plan_id):
            self._end_pass()
            current = self._open = OpenPass(header.pass_index, header.plan_id, plan, header.seq)
        row: dict[str, Any] = {
            "seq": header.seq,
            "pass": self._passes.rows,
            "first_point": header.first_point,
            "points": header.points,
            "first_sample": -1,
            "picture": -1,
            "acquired_unix_ns": min(header.acquired_unix_ns, 2**63 - 1),
            "recorded_unix_ns": recorded.recorded_unix_ns,
            "dropped_before": header.dropped_before,
            "dose_e_per_nm2": dose_e_per_nm2,
        }
        self._place(current, recorded, row)
        current.last_seq, current.acquired_unix_ns = header.seq, row["acquired_unix_ns"]
        current.frames += 1
        current.points += header.points
        self.frames += 1
        self.sample_bytes += recorded.samples.nbytes
        if header.end_of_pass:
            self._end_pass()

    def finish(self) -> None:
        """End the last pass, and write what is still in memory."""
        self._end_pass()
        for column in self._samples:
            column.finish()
        self._frames.finish()
        self._passes.finish()
        for name, nxdata in zip(self.names, self._stacks, strict=False):
            self._finish_stack(name, nxdata.parent)

    # Where a frame's samples go -------------------------------------------------------------------------------------

    def _place(self, current: OpenPass, recorded: RecordedFrame, row: dict[str, Any]) -> None:
        header, samples = recorded.header, recorded.samples
        pixels = self._session.hello.field.pixels
        follows = header.first_point == current.points <= pixels - header.points
        if not (follows and self._may_be_picture(current.plan) and len(current.held) == current.frames):
            self._spill(current)
            self._append(current, samples, row)
            self._frames.add(**row)
            return
        if header.points == pixels:
            row["picture"] = current.picture = self._put_picture(samples, current.pass_index, header.acquired_unix_ns)
            self._frames.add(**row)
            return
        if self._buffer is None:
            self._buffer = np.empty((len(self.names), pixels), dtype=self.dtype)
        self._buffer[:, header.first_point : header.first_point + header.points] = samples
        current.held.append(row)
        if header.first_point + header.points == pixels:
            current.picture = self._put_picture(self._buffer, current.pass_index, header.acquired_unix_ns)
            for each in current.held:
                self._frames.add(**(each | {"picture": current.picture}))
            current.held.clear()

    def _may_be_picture(self, plan: ScanPlan | None) -> bool:
        return not self._session.adds_up and plan is not None and plan.is_full_raster

    def _append(self, current: OpenPass, samples: npt.NDArray[np.generic], row: dict[str, Any]) -> None:
        row["first_sample"] = len(self._samples[0])
        if current.first_sample < 0:
            current.first_sample = row["first_sample"]
        for column, values in zip(self._samples, samples, strict=True):
            column.append(values)

    def _spill(self, current: OpenPass) -> None:
        """A pass that did not become a whole picture after all: its samples go to the list."""
        if current.held and self._buffer is not None:
            for row in current.held:
                first, last = row["first_point"], row["first_point"] + row["points"]
                self._append(current, self._buffer[:, first:last], row)
                self._frames.add(**row)
            current.held.clear()

    def _end_pass(self) -> None:
        current = self._open
        if current is None:
            return
        self._spill(current)
        plan = current.plan
        self._passes.add(
            pass_index=current.pass_index,
            plan_id=current.plan_id,
            dwell_ns=0 if plan is None else plan.dwell_ns,
            first_seq=current.first_seq,
            last_seq=current.last_seq,
            frames=current.frames,
            points=current.points,
            planned_points=0 if plan is None else plan.points,
            complete=current.complete,
            first_sample=current.first_sample,
            picture=current.picture,
            acquired_unix_ns=current.acquired_unix_ns,
        )
        if current.complete or not self._last_is_complete:
            self.last_pass = (current.pass_index, current.first_seq, current.last_seq)
            self._last_is_complete = current.complete
        self._open = None

    # The stack ------------------------------------------------------------------------------------------------------

    def _put_picture(self, samples: npt.NDArray[np.generic], pass_index: int, acquired_unix_ns: int) -> int:
        """Add a whole picture to the stack of each channel; gives its place."""
        shape = self._session.hello.field.shape
        if not self._stacks:
            self._stacks = [self._make_stack(name) for name in self.names]
        place = len(self._pictures)
        self._pictures.append((pass_index, min(acquired_unix_ns, 2**63 - 1)))
        for stack, values in zip(self._stacks, samples, strict=True):
            stack.resize(place + 1, axis=0)
            stack[place] = values.reshape(shape)
        return place

    def _make_stack(self, name: str) -> h5py.Dataset:
        shape = self._session.hello.field.shape
        nxdata = group(
            self._entry, f"frames_{name}", "NXdata", signal="data", axes=["pass", "y", "x"], interpretation="image"
        )
        chunk = (1, *picture_chunk(shape, self.dtype.itemsize))
        made = nxdata.create_dataset(
            "data", (0, *shape), self.dtype, maxshape=(None, *shape), chunks=chunk, **self._packing
        )
        made.attrs["interpretation"] = "image"
        made.attrs["long_name"] = f"{name}: complete passes, in detector units"
        return made

    def _finish_stack(self, name: str, nxdata: h5py.Group) -> None:
        field_ = self._session.hello.field
        put(nxdata, "title", f"{self._session.hello.session}: {name}, every complete pass")
        put(nxdata, "pass", np.arange(len(self._pictures)), long_name="picture number")
        put_axes(nxdata, field_.shape, field_.pixel_size_nm)
        for index, axis in enumerate(("pass", "y", "x")):
            nxdata.attrs[f"{axis}_indices"] = index
        indexes, times = zip(*self._pictures, strict=True)
        put(nxdata, "pass_index", np.asarray(indexes, dtype=np.uint32))
        put(nxdata, "acquired_unix_ns", np.asarray(times, dtype=np.int64), "ns")
