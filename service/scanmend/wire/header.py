"""The two binary headers, FRAME and RESTORED.

Both are packed, little-endian, of fixed size, and end in a check over all bytes before it, so that random bytes
are recognised as such before a single size in them is believed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import xxhash

from scanmend.errors import ChecksumMismatch, InvalidInput, MalformedMessage, OversizeMessage, UnsupportedVersion
from scanmend.field import MAX_CHANNELS, MAX_FIELD_PX, SAMPLE_DTYPES

VERSION = 1
"""Version of the native protocol."""

FRAME_MAGIC = b"SMFR"
RESTORED_MAGIC = b"SMRS"

_FRAME = struct.Struct("<4sBBHQQIIIIHBBIQQQ4x")
_RESTORED = struct.Struct("<4sBBHQQIIIBBHQQQQQdffIf32s32s24sQQ4x")
_CHECK = struct.Struct("<I")

MOST_FLOAT32 = (2.0 - 2.0**-23) * 2.0**127

FRAME_HEADER_BYTES = _FRAME.size + _CHECK.size
"""Size of a FRAME header: 80 bytes."""

RESTORED_HEADER_BYTES = _RESTORED.size + _CHECK.size
"""Size of a RESTORED header: 216 bytes."""

DTYPE_CODES = {name: code for code, name in enumerate(SAMPLE_DTYPES, start=1)}
"""Sample type → its code in a header; 0 is not a type."""
DTYPE_NAMES = {code: name for name, code in DTYPE_CODES.items()}
ITEM_BYTES = {"uint8": 1, "uint16": 2, "uint32": 4, "int16": 2, "int32": 4, "float32": 4}


class FrameFlag(IntFlag):
    """Flags of a FRAME."""

    END_OF_PASS = 1
    """The pass ends with this frame."""


class Codec(IntEnum):
    """How a payload is stored."""

    RAW = 0
    """As it is; the only one of this version."""


class RestoredFlag(IntFlag):
    """Flags of a RESTORED message."""

    RESTORED = 1
    """A model made the estimate; without it, the payload is the frame's own samples, unchanged."""
    HAS_SIGMA = 2
    """A third part holds the standard deviation."""
    END_OF_PASS = 4
    """The pass was complete, or ended early, when this was made."""
    CAUTION = 8
    """The input is unlike those that the model was made for; the service's status says in what way."""


class PassReason(IntEnum):
    """Why a frame was passed through unrestored."""

    NONE = 0
    """It was restored."""
    DEADLINE = 1
    """The restoration would have come too late."""
    ENGINE_DOWN = 2
    """The engine was not running."""
    ENGINE_FAILED = 3
    """The model or its runtime raised an error."""
    OUTPUT_NOT_FINITE = 4
    """The model's output held NaN or infinity."""
    INPUT_NOT_FINITE = 5
    """The frame's samples hold NaN or infinity."""
    NO_MODEL = 6
    """No model is live for this session."""
    EXPOSURE_LOST = 7
    """Earlier frames of the exposure could not be rebuilt after a restart."""


def xxh3(data: bytes | memoryview) -> int:
    """XXH3-64 of bytes, seed 0."""
    return xxhash.xxh3_64_intdigest(data)


def _short(text: str, size: int) -> bytes:
    """UTF-8 of a text, cut between two characters."""
    return text.encode()[:size].decode(errors="ignore").encode()


def _as_float32(value: float) -> float:
    """A number as a float32 can hold it: beyond its range, infinity."""
    return value if abs(value) <= MOST_FLOAT32 or value != value else math.copysign(math.inf, value)


def _seal(packed: bytes) -> bytes:
    return packed + _CHECK.pack(xxh3(packed) & 0xFFFFFFFF)


def _packed(layout: struct.Struct, *values: object) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise InvalidInput(
            f"A number does not fit its place in a header: {error}.",
            mend="Keep counts below 2**32, times and session ids from 0 to 2**64 - 1.",
        ) from error


def _opened(data: bytes | memoryview, size: int, magic: bytes, name: str) -> memoryview:
    view = memoryview(data)
    if len(view) != size or bytes(view[:4]) != magic:
        raise MalformedMessage(
            f"These {len(view)} bytes are not a {name} header.",
            mend=f"Send {size} bytes that begin with {magic.decode()}, as docs/protocol.md gives them.",
        )
    if view[4] != VERSION:
        raise UnsupportedVersion(
            f"The {name} header has protocol version {view[4]}; this is version {VERSION}.",
            mend="Use a client and a service of the same protocol version.",
        )
    if _CHECK.unpack_from(view, size - 4)[0] != xxh3(view[: size - 4]) & 0xFFFFFFFF:
        raise ChecksumMismatch(f"The {name} header was damaged on its way.", mend="Send it again.")
    return view


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeader:
    """The header of a FRAME; `docs/protocol.md` gives the place of each value."""

    session_id: int
    seq: int
    plan_id: int
    pass_index: int
    first_point: int
    points: int
    channels: int
    dtype: str
    flags: FrameFlag = FrameFlag(0)
    codec: Codec = Codec.RAW
    dropped_before: int = 0
    acquired_unix_ns: int = 0
    payload_bytes: int
    payload_xxh3: int

    @property
    def end_of_pass(self) -> bool:
        """Whether the pass ends with this frame."""
        return FrameFlag.END_OF_PASS in self.flags

    def pack(self) -> bytes:
        """The 80 bytes.

        Raises:
            InvalidInput: A value that does not fit its place.
        """
        return _seal(
            _packed(
                _FRAME,
                FRAME_MAGIC,
                VERSION,
                0,
                self.flags,
                self.session_id,
                self.seq,
                self.plan_id,
                self.pass_index,
                self.first_point,
                self.points,
                self.channels,
                DTYPE_CODES[self.dtype],
                self.codec,
                self.dropped_before,
                self.acquired_unix_ns,
                self.payload_bytes,
                self.payload_xxh3,
            )
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview, *, max_payload_bytes: int) -> FrameHeader:
        """Read and check a header; nothing is allocated from its sizes.

        Args:
            data: The first part of a FRAME message.
            max_payload_bytes: The agreed limit of a payload.

        Raises:
            MalformedMessage: Not a header, or sizes that contradict each other.
            UnsupportedVersion: Of another protocol version.
            ChecksumMismatch: Damaged.
            OversizeMessage: A payload above the limit.
        """
        view = _opened(data, FRAME_HEADER_BYTES, FRAME_MAGIC, "FRAME")
        values = _FRAME.unpack_from(view)
        flags, session_id, seq, plan_id, pass_index, first_point, points, channels = values[3:11]
        dtype_code, codec, dropped_before, acquired_unix_ns, payload_bytes, payload_xxh3 = values[11:]
        dtype = DTYPE_NAMES.get(dtype_code)
        if dtype is None or codec != Codec.RAW or flags & ~int(FrameFlag.END_OF_PASS):
            raise MalformedMessage(
                f"The FRAME header names dtype {dtype_code}, codec {codec} and flags {flags:#x}.",
                mend=f"Use a dtype from 1 to {len(DTYPE_CODES)}, codec 0, and only the documented flags.",
            )
        if not (1 <= channels <= MAX_CHANNELS and 1 <= points <= MAX_FIELD_PX):
            raise MalformedMessage(
                f"The FRAME header names {channels} channels of {points} points.",
                mend=f"Send 1 to {MAX_CHANNELS} channels of 1 to {MAX_FIELD_PX} points.",
            )
        if payload_bytes != channels * points * ITEM_BYTES[dtype]:
            raise MalformedMessage(
                f"{channels} channels of {points} {dtype} samples are not {payload_bytes} bytes.",
                mend="Give channels · points · bytes per sample as the payload's length.",
            )
        if payload_bytes > max_payload_bytes:
            raise OversizeMessage(
                f"The frame has {payload_bytes} bytes, the limit is {max_payload_bytes}.",
                mend="Send the pass in several frames, or raise max_frame_bytes in the service's settings.",
            )
        return cls(
            session_id=session_id,
            seq=seq,
            plan_id=plan_id,
            pass_index=pass_index,
            first_point=first_point,
            points=points,
            channels=channels,
            dtype=dtype,
            flags=FrameFlag(flags),
            codec=Codec(codec),
            dropped_before=dropped_before,
            acquired_unix_ns=acquired_unix_ns,
            payload_bytes=payload_bytes,
            payload_xxh3=payload_xxh3,
        )

    def check_payload(self, payload: bytes | memoryview) -> None:
        """Compare a payload with the header.

        Raises:
            MalformedMessage: It has another length.
            ChecksumMismatch: It was damaged on its way.
        """
        if len(payload) != self.payload_bytes:
            raise MalformedMessage(
                f"Frame {self.seq} has {len(payload)} bytes of samples, its header says {self.payload_bytes}.",
                mend="Send the header and the samples of the same frame.",
            )
        if xxh3(payload) != self.payload_xxh3:
            raise ChecksumMismatch(f"The samples of frame {self.seq} were damaged on their way.", mend="Send it again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredHeader:
    """The header of a RESTORED message; `docs/protocol.md` gives the place of each value."""

    session_id: int
    seq: int
    pass_index: int
    shape: tuple[int, int]
    """Of the estimate, `(ny, nx)`; of passed-through samples, `(channels, points)`."""
    dtype: str
    """Type of part 2: float32 for an estimate, the frame's own for passed-through samples."""
    flags: RestoredFlag
    reason: PassReason = PassReason.NONE
    frames_included: int = 0
    """How many frames of the session the estimate is made of."""
    acquired_unix_ns: int = 0
    queue_ns: int = 0
    """From the frame's arrival at the service until the engine took it."""
    restore_ns: int = 0
    """In the engine."""
    service_ns: int = 0
    """From the frame's arrival at the service until this message was handed to the socket."""
    dose_e_per_nm2: float = float("nan")
    """Dose of the exposure so far, averaged over the field; NaN where the beam current is not known."""
    sigma_mean: float = float("nan")
    """Mean of sigma over the field."""
    coverage: float = float("nan")
    """Share of the pixels sampled so far."""
    electrons_per_unit: float = float("nan")
    """Gain that the model was given, or that was estimated from the data; inf for noise-free samples."""
    model_sha256: bytes = bytes(32)
    model: str = ""
    """At most 32 bytes of UTF-8."""
    provider: str = ""
    """At most 24 bytes of UTF-8."""
    estimate_xxh3: int
    """Of part 2."""
    sigma_xxh3: int = 0
    """Of part 3, where there is one."""

    @property
    def restored(self) -> bool:
        """Whether a model made the estimate."""
        return RestoredFlag.RESTORED in self.flags

    def pack(self) -> bytes:
        """The 216 bytes.

        Raises:
            InvalidInput: A value that does not fit its place.
        """
        return _seal(
            _packed(
                _RESTORED,
                RESTORED_MAGIC,
                VERSION,
                0,
                self.flags,
                self.session_id,
                self.seq,
                self.pass_index,
                self.shape[0],
                self.shape[1],
                DTYPE_CODES[self.dtype],
                self.reason,
                0,
                self.frames_included,
                self.acquired_unix_ns,
                self.queue_ns,
                self.restore_ns,
                self.service_ns,
                self.dose_e_per_nm2,
                _as_float32(self.sigma_mean),
                _as_float32(self.coverage),
                0,
                _as_float32(self.electrons_per_unit),
                self.model_sha256,
                _short(self.model, 32),
                _short(self.provider, 24),
                self.estimate_xxh3,
                self.sigma_xxh3,
            )
        )

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> RestoredHeader:
        """Read and check a header.

        Raises:
            MalformedMessage: Not a header.
            UnsupportedVersion: Of another protocol version.
            ChecksumMismatch: Damaged.
        """
        view = _opened(data, RESTORED_HEADER_BYTES, RESTORED_MAGIC, "RESTORED")
        values = _RESTORED.unpack_from(view)
        flags, session_id, seq, pass_index, ny, nx, dtype_code, reason, _ = values[3:12]
        if dtype_code not in DTYPE_NAMES or reason not in PassReason.__members__.values():
            raise MalformedMessage(f"The RESTORED header names dtype {dtype_code} and reason {reason}.")
        times = values[12:17]
        dose, sigma_mean, coverage, _, electrons_per_unit, sha256, model, provider, estimate, sigma = values[17:]
        return cls(
            session_id=session_id,
            seq=seq,
            pass_index=pass_index,
            shape=(ny, nx),
            dtype=DTYPE_NAMES[dtype_code],
            flags=RestoredFlag(flags),
            reason=PassReason(reason),
            frames_included=times[0],
            acquired_unix_ns=times[1],
            queue_ns=times[2],
            restore_ns=times[3],
            service_ns=times[4],
            dose_e_per_nm2=dose,
            sigma_mean=sigma_mean,
            coverage=coverage,
            electrons_per_unit=electrons_per_unit,
            model_sha256=sha256,
            model=model.rstrip(b"\0").decode(errors="replace"),
            provider=provider.rstrip(b"\0").decode(errors="replace"),
            estimate_xxh3=estimate,
            sigma_xxh3=sigma,
        )
