"""The answer to a frame: an estimate with its standard deviation, or the samples as they came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scanmend.errors import ChecksumMismatch, MalformedMessage
from scanmend.frame import Samples
from scanmend.restoration import FloatPicture
from scanmend.wire.header import RestoredFlag, RestoredHeader, xxh3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Restored:
    """The answer to one frame.

    The arrays are read-only views of the bytes that came over the wire; copy them to change them.
    """

    seq: int
    """Number of the frame that is answered."""

    pass_index: int
    """The pass that the frame belongs to."""

    restored: bool
    """Whether a model made the estimate; False where the samples were passed through as they came."""

    reason: str
    """Why the frame was passed through: `deadline`, `engine_down`, …; empty where it was restored."""

    image: FloatPicture | None
    """The picture, float32 `(ny, nx)`. Of a frame that was passed through: its samples where they are a picture of
    the whole field, else None."""

    sigma: FloatPicture | None
    """Standard deviation of each pixel, float32 `(ny, nx)`; None where none was asked for or made."""

    samples: Samples | None
    """Of a frame that was passed through, its samples `(channels, points)`; None where it was restored."""

    end_of_pass: bool
    """Whether the pass was complete, or had ended early, when this was made."""

    frames_included: int
    """How many frames of the session the estimate is made of."""

    model: str
    """Name of the model; empty where the frame was passed through."""

    sha256: str
    """Hash of the model's file, in hex; empty where the frame was passed through."""

    provider: str
    """What executed the model, as its runtime reports."""

    acquired_unix_ns: int
    """When the last sample was taken, as the frame said."""

    queue_ms: float
    """From the frame's arrival at the service until the engine took it, in milliseconds."""

    restore_ms: float
    """In the engine, in milliseconds."""

    service_ms: float
    """From the frame's arrival at the service until this answer was handed to its socket, in milliseconds."""

    round_trip_ms: float
    """From the frame's first sending until this answer was read, by the client's own clock, in milliseconds; NaN
    where the frame is no longer known."""

    dose_e_per_nm2: float | None
    """Dose so far, averaged over the field; None where the beam current is not known."""

    sigma_mean: float
    """Mean of sigma over the field; NaN where there is none."""

    coverage: float
    """Share of the pixels sampled so far; NaN where it is not known."""

    electrons_per_unit: float
    """Gain that the model was given, or that was estimated; inf for noise-free samples, NaN where there is none."""

    caution: bool
    """Whether the input is unlike those that the model was made for; the service's status says in what way."""


def read_restored(
    header: RestoredHeader,
    parts: Sequence[bytes | memoryview],
    *,
    shape: tuple[int, int],
    channel_index: int,
    full_raster: bool,
    verify: bool,
    round_trip_ms: float,
) -> Restored:
    """Read the parts of a RESTORED message.

    Args:
        header: Its first part, unpacked.
        parts: All two or three parts; the arrays of the answer are views of them.
        shape: The field's `(ny, nx)`.
        channel_index: Which channel stands for the picture where samples were passed through.
        full_raster: Whether the frame holds every pixel of the field in raster order.
        verify: Whether the checksums of the arrays are compared.
        round_trip_ms: Since the frame was sent.

    Raises:
        MalformedMessage: Sizes that contradict each other or the field.
        ChecksumMismatch: Damaged on its way.
    """
    has_sigma = RestoredFlag.HAS_SIGMA in header.flags
    rows, columns = header.shape
    dtype = np.dtype(header.dtype).newbyteorder("<")
    sizes = [rows * columns * dtype.itemsize] + [shape[0] * shape[1] * 4] * has_sigma
    if [len(part) for part in parts[1:]] != sizes or (
        header.restored and (header.shape != shape or header.dtype != "float32")
    ):
        raise MalformedMessage(f"The answer to frame {header.seq} does not have the size that its header gives.")
    if verify and (xxh3(parts[1]) != header.estimate_xxh3 or (has_sigma and xxh3(parts[2]) != header.sigma_xxh3)):
        raise ChecksumMismatch(f"The answer to frame {header.seq} was damaged on its way.")
    table = np.frombuffer(parts[1], dtype=dtype).reshape(rows, columns)
    image: FloatPicture | None = None
    if header.restored:
        image = table.astype(np.float32, copy=False)
    elif full_raster and channel_index < rows and columns == shape[0] * shape[1]:
        image = table[channel_index].reshape(shape).astype(np.float32)
    return Restored(
        seq=header.seq,
        pass_index=header.pass_index,
        restored=header.restored,
        reason="" if header.restored else header.reason.name.lower(),
        image=image,
        sigma=np.frombuffer(parts[2], dtype="<f4").reshape(shape) if has_sigma else None,
        samples=None if header.restored else table,
        end_of_pass=RestoredFlag.END_OF_PASS in header.flags,
        frames_included=header.frames_included,
        model=header.model,
        sha256=header.model_sha256.hex() if header.restored else "",
        provider=header.provider,
        acquired_unix_ns=header.acquired_unix_ns,
        queue_ms=header.queue_ns / 1e6,
        restore_ms=header.restore_ns / 1e6,
        service_ms=header.service_ns / 1e6,
        round_trip_ms=round_trip_ms,
        dose_e_per_nm2=None if math.isnan(header.dose_e_per_nm2) else header.dose_e_per_nm2,
        sigma_mean=header.sigma_mean,
        coverage=header.coverage,
        electrons_per_unit=header.electrons_per_unit,
        caution=bool(header.flags & RestoredFlag.CAUTION),
    )
