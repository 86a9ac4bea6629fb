"""A picture for browsers: planes of 8 or 16 bit with the two numbers that turn them back into units.

Message: u32 little-endian length of the JSON header, the header (padded with spaces to a multiple of 8 with the
length), then the planes, each padded to a multiple of 8, row-major `(ny, nx)`, little-endian. A plane's entry in
the header has `name`, `dtype` (uint8 or uint16), `offset` from the end of the header, `bytes`, and

    value = add + scale * number        except where number == missing: not sampled, or not finite

The step `scale` is 1/65534 of the plane's range, far below what a screen can show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage
from scanmend.field import SAMPLE_DTYPES
from scanmend.ipc.console import PictureInfo
from scanmend.web.console_client import Picture
from scanmend.wire.messages import finite_or_none

MapName = Literal["dose", "proposal"]
MAPS: tuple[MapName, ...] = get_args(MapName)
PlaneName = Literal["raw", "estimate", "sigma", "dose", "proposal"]
PLANES: tuple[PlaneName, ...] = get_args(PlaneName)
PICTURES = tuple(name for name in PLANES if name not in MAPS)
"""What is sent where nothing else was asked for; the maps only to who asks for them."""
MISSING = 65535
"""Reserved number of a quantised plane: not sampled, or not finite."""
_TOP = 65534
_LEAST_SCALE = 1e-36
_MOST_FLOAT32 = 3e38


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane as it goes to browsers."""

    name: PlaneName
    dtype: Literal["uint8", "uint16"]
    scale: float
    add: float
    missing: int | None
    """The number that means "not sampled"; None where every pixel has a value."""
    data: bytes


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A picture in its planes; messages for the same wish are made once for all browsers."""

    info: PictureInfo
    planes: dict[PlaneName, Plane]
    _messages: dict[tuple[PlaneName, ...], bytes] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The picture's number in its session."""
        return self.info.number

    def with_maps(self, maps: Mapping[MapName, Plane]) -> LivePicture:
        """The same picture with other maps beside it."""
        planes = {name: plane for name, plane in self.planes.items() if name not in MAPS}
        for name, plane in maps.items():
            planes[name] = plane
        return LivePicture(self.info, planes)

    def shows_the_same(self, other: LivePicture, wanted: Collection[PlaneName]) -> bool:
        """Whether nothing that is wanted differs between two pictures."""
        return self.info is other.info and all(
            self.planes.get(name) is other.planes.get(name) for name in MAPS if name in wanted
        )

    def message(self, wanted: Sequence[PlaneName]) -> bytes:
        """The binary message with the wanted planes, as far as the picture has them."""
        names = tuple(name for name in PLANES if name in wanted and name in self.planes)
        if names not in self._messages:
            self._messages[names] = _message(self.info, [self.planes[name] for name in names])
        return self._messages[names]


def prepare(picture: Picture) -> LivePicture:
    """Quantise a picture's planes; takes milliseconds at 512², so it runs in a thread.

    Raises:
        MalformedMessage: A part does not have the size or type that the header says.
    """
    shape = picture.info.shape
    planes: dict[PlaneName, Plane] = {}
    if picture.raw:
        planes["raw"] = quantise("raw", _array(picture.raw, picture.info.raw_dtype, shape))
    if picture.estimate:
        planes["estimate"] = quantise("estimate", _array(picture.estimate, "float32", shape))
    if picture.sigma:
        planes["sigma"] = quantise("sigma", _array(picture.sigma, "float32", shape))
    return LivePicture(picture.info, planes)


def quantise(name: PlaneName, values: npt.NDArray[Any]) -> Plane:
    """A plane as 8 or 16 bit.

    Args:
        name: Its name.
        values: `(ny, nx)`; uint8 and uint16 go as they are, others are scaled to 0 … 65534, NaN and infinity
            become 65535.
    """
    if values.dtype in (np.uint8, np.uint16):
        kind: Literal["uint8", "uint16"] = "uint8" if values.dtype == np.uint8 else "uint16"
        return Plane(name, kind, 1.0, 0.0, None, values.tobytes())
    numbers = values.astype(np.float32, copy=False)
    low, high = float(np.fmin.reduce(numbers, axis=None)), float(np.fmax.reduce(numbers, axis=None))  # pass over NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        numbers = np.where(np.isfinite(numbers), numbers, np.float32(np.nan))
        low, high = float(np.fmin.reduce(numbers, axis=None)), float(np.fmax.reduce(numbers, axis=None))
        if math.isnan(low):
            return Plane(name, "uint16", 1.0, 0.0, MISSING, np.full(values.shape, MISSING, "<u2").tobytes())
    scale = (high - low) / _TOP
    if scale < _LEAST_SCALE:  # all the same, as far as float32 goes
        scale = 1.0
    if high - low > _MOST_FLOAT32:
        numbers = numbers.astype(np.float64)
    steps = numbers - np.float32(low)
    steps *= np.float32(1.0 / scale)
    steps += np.float32(0.5)  # the cast below cuts off
    np.minimum(steps, np.float32(_TOP), out=steps)  # rounding may reach the reserved number
    absent = np.isnan(numbers)
    missing = MISSING if absent.any() else None
    if missing is not None:
        np.copyto(steps, np.float32(missing), where=absent)
    return Plane(name, "uint16", scale, low, missing, steps.astype("<u2").tobytes())


def _array(data: bytes, dtype: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    if dtype not in SAMPLE_DTYPES:
        raise MalformedMessage(f"A picture of type {dtype!r} cannot be shown.")
    kind = np.dtype(dtype).newbyteorder("<")
    if len(data) != shape[0] * shape[1] * kind.itemsize:
        raise MalformedMessage(f"A picture of {shape[0]} × {shape[1]} {dtype} came in {len(data)} bytes.")
    return np.frombuffer(data, kind).reshape(shape)


def _padded(size: int) -> int:
    return -size % 8


def _message(info: PictureInfo, planes: Sequence[Plane]) -> bytes:
    # The header gives offsets from its own end, so that its own length does not change them.
    offset = 0
    entries = []
    for plane in planes:
        entries.append(
            {
                "name": plane.name,
                "dtype": plane.dtype,
                "offset": offset,
                "bytes": len(plane.data),
                "scale": plane.scale,
                "add": plane.add,
                "missing": plane.missing,
            }
        )
        offset += len(plane.data) + _padded(len(plane.data))
    header = {
        "session": info.session,
        "channel": info.channel,
        "number": info.number,
        "seq": info.seq,
        "shape": list(info.shape),
        "restored": info.restored,
        "reason": info.reason,
        "model": info.model,
        "provider": info.provider,
        "sha256": info.sha256,
        "coverage": _number(info.coverage),
        "sigma_mean": _number(info.sigma_mean),
        "caution": info.caution,
        "dose_e_per_nm2": _number(info.dose_e_per_nm2),
        "frames_included": info.frames_included,
        "reference_dwell_ns": _number(info.reference_dwell_ns),
        "latency_ms": _number(info.latency_ms),
        "acquired_unix_s": info.acquired_unix_ns / 1e9,
        "planes": entries,
    }
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * _padded(4 + len(text))
    parts = [len(text).to_bytes(4, "little"), text]
    for plane in planes:
        parts += [plane.data, b"\0" * _padded(len(plane.data))]
    return b"".join(parts)


def _number(value: float | None) -> float | None:
    return None if value is None else finite_or_none(value)
