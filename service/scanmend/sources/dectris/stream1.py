"""DECTRIS Stream V1: JSON parts and a blob, one multipart message for a header, an image or an end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np

from scanmend.errors import MalformedMessage
from scanmend.sources.dectris.packing import Packed
from scanmend.sources.dectris.stream2 import End, Image, Message, Start

CHANNEL = "image"
"""V1 has one channel, without a name."""

_ENCODING = re.compile(r"(bs(8|16|32)-)?(lz4)?<")
_IMAGE_PARTS = 3
_DTYPES: dict[str, np.dtype[np.generic]] = {
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "int32": np.dtype("<i4"),
}


class _Head(msgspec.Struct):
    """The first part of every message."""

    htype: str
    series: int
    frame: int | None = None


class _Config(msgspec.Struct):
    """The second part of a header."""

    nimages: int = 0
    ntrigger: int = 1


class _About(msgspec.Struct):
    """The second part of an image."""

    shape: tuple[int, int]
    """`(width, height)`."""
    type: str
    encoding: str


class _Times(msgspec.Struct):
    """The fourth part of an image."""

    stop_time: int | None = None
    """In nanoseconds since the series began."""


_read_head = msgspec.json.Decoder(_Head).decode
_read_config = msgspec.json.Decoder(_Config).decode
_read_about = msgspec.json.Decoder(_About).decode
_read_times = msgspec.json.Decoder(_Times).decode


def decode(parts: Sequence[bytes]) -> Message:
    """Read a multipart message.

    Raises:
        MalformedMessage: It is none, or a part of it that is needed is missing or of another kind.
    """
    try:
        head = _read_head(parts[0])
        series = str(head.series)
        if head.htype.startswith("dimage-"):
            index = -1 if head.frame is None else head.frame
            if not 0 <= index < 1 << 62:
                raise ValueError(f"frame {head.frame}")
            return Image(series, index, {CHANNEL: _packed(parts)}, _stop_s(parts), None)
        if head.htype.startswith("dheader-"):
            config = _read_config(parts[1]) if len(parts) > 1 else _Config()
            return Start(series, config.nimages * config.ntrigger, None)
        if head.htype.startswith("dseries_end-"):
            return End(series)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise MalformedMessage(f"A message of Stream V1 cannot be read: {error!r}.") from error
    raise MalformedMessage(f"A message has the type {head.htype!r}, which Stream V1 does not have.")


def _packed(parts: Sequence[bytes]) -> Packed:
    if len(parts) < _IMAGE_PARTS:
        raise ValueError(f"{len(parts)} parts")
    about = _read_about(parts[1])
    width, height = about.shape
    if height < 1 or width < 1:
        raise ValueError(f"shape {width} × {height}")
    dtype = _DTYPES[about.type]
    return Packed((height, width), dtype, _compression(about.encoding, dtype.itemsize), parts[2])


@lru_cache(maxsize=64)
def _compression(word: str, itemsize: int) -> str:
    """What `packing` calls an encoding; the word itself where that is none, which is said when it is unpacked."""
    found = _ENCODING.fullmatch(word)
    if found is None:
        return word
    if found[1] and found[3]:
        return "bslz4" if int(found[2]) == 8 * itemsize else word
    return "lz4-block" if found[3] else ""


def _stop_s(parts: Sequence[bytes]) -> float | None:
    """End of the exposure in seconds since the series began."""
    if len(parts) <= _IMAGE_PARTS:
        return None
    stop = _read_times(parts[3]).stop_time
    return None if stop is None else stop / 1e9
