"""From the caller's arrays to payloads: checked, little-endian, in pieces that the service takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend.field import Channel, Field
from scanmend.frame import Frame, Samples


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes one FRAME."""

    plan_id: int
    pass_index: int
    first_point: int
    samples: Samples
    """`(channels, points)`, C order, little-endian."""
    end_of_pass: bool
    full_raster: bool
    """Whether it is every pixel of the field in raster order."""
    acquired_unix_ns: int
    dropped_before: int


class SampleShaper:
    """Checks arrays against what the session announced, and cuts them.

    Args:
        field: The field.
        channels: Its detector signals.
    """

    def __init__(self, field: Field, channels: tuple[Channel, ...]) -> None:
        self.field = field
        self.channels = channels
        self.dtype = channels[0].numpy_dtype
        if any(channel.dtype != channels[0].dtype for channel in channels):
            raise InvalidInput(
                "The channels have different sample types.",
                mend="A frame holds one type: convert all channels to the widest, or open a session for each.",
            )

    def dense(self, image: npt.ArrayLike) -> Samples:
        """A picture of the whole field as a table of samples.

        Args:
            image: `(ny, nx)`, or `(channels, ny, nx)` in the order of the session's channels.

        Returns:
            `(channels, ny * nx)`; a view where the array allows one.

        Raises:
            InvalidInput: Another shape or type than the session announced.
        """
        array = np.asarray(image)
        ny, nx = self.field.shape
        count = len(self.channels)
        if array.shape != (count, ny, nx) and not (count == 1 and array.shape == (ny, nx)):
            raise InvalidInput(
                f"An array of shape {array.shape} is not a picture of this field, which has {count} channel(s) of "
                f"{ny} × {nx} pixels.",
                mend="Send (ny, nx), or (channels, ny, nx); samples of a sparse plan go through send_samples.",
            )
        return self.table(array.reshape(count, ny * nx))

    def table(self, samples: npt.ArrayLike) -> Samples:
        """Samples as a table `(channels, points)` of the session's type.

        Raises:
            InvalidInput: Another shape or type than the session announced.
        """
        array = np.asarray(samples)
        if array.ndim == 1 and len(self.channels) == 1:
            array = array[None, :]
        if array.ndim != 2 or array.shape[0] != len(self.channels) or array.size == 0:
            raise InvalidInput(
                f"Samples of shape {array.shape} do not fit {len(self.channels)} channel(s).",
                mend="Give (channels, points) in visiting order, at least one point.",
            )
        if array.dtype != self.dtype:
            if array.dtype.newbyteorder("<") != self.dtype:
                raise InvalidInput(
                    f"The samples are {array.dtype}, the session announced {self.dtype}.",
                    mend=f"Convert them, samples.astype({str(self.dtype.name)!r}), or announce their type in Channel.",
                )
            array = array.astype(self.dtype)
        return array

    def cut(
        self, frame: Frame, *, skip: int, max_bytes: int, chunk_points: int | None, full_raster: bool, copy: bool
    ) -> Iterator[Piece]:
        """Cut a frame into pieces that each fit one message.

        Args:
            frame: The frame.
            skip: How many of its points are left out, from its first, because they went out before.
            max_bytes: Largest payload.
            chunk_points: Most points of a piece; None for as many as fit.
            full_raster: Whether the frame's plan is a full raster.
            copy: Whether the samples are copied, so that the caller may change them at once.

        Raises:
            InvalidInput: Another type or number of channels than the session announced, or not a single point fits.
        """
        table = self.table(frame.samples)
        channels, points = table.shape
        most = max_bytes // (channels * table.dtype.itemsize)
        if most < 1 or (chunk_points is not None and chunk_points < 1):
            raise InvalidInput("A piece would have no point.", mend="Give chunk_points of 1 or more.")
        step = min(most, chunk_points or points)
        for start in range(skip, points, step):
            stop = min(start + step, points)
            part = table[:, start:stop]
            last = stop == points
            yield Piece(
                plan_id=frame.plan_id,
                pass_index=frame.pass_index,
                first_point=frame.first_point + start,
                samples=part.copy(order="C") if copy else np.ascontiguousarray(part),
                end_of_pass=frame.end_of_pass and last,
                full_raster=full_raster and stop - start == self.field.pixels,
                acquired_unix_ns=frame.acquired_unix_ns,
                dropped_before=frame.dropped_before if start == skip else 0,
            )
