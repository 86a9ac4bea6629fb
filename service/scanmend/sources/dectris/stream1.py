"""DECTRIS Stream V1: JSON parts and a blob, one multipart message for a header, an image or an end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from scanmend.errors import MalformedMessage
from scanmend.sources.dectris.packing import Packed
from scanmend.sources.dectris.stream2 import End, Image, Message, Start

CHANNEL = "image"
"""V1 has one channel, without a name."""

_ENCODING = re.compile(r"(bs(8|16|32)-)?(lz4)?<")
_IMAGE_PARTS = 3


def decode(parts: Sequence[bytes]) -> Message:
    """Read a multipart message.

    Raises:
        MalformedMessage: It is none, or a part of it that is needed is missing or of another kind.
    """
    try:
        head = msgspec.json.decode(parts[0])
        kind = str(head["htype"]).split("-")[0]
        series = str(int(head["series"]))
        if kind == "dheader":
            config = msgspec.json.decode(parts[1]) if len(parts) > 1 else {}
            return Start(series, int(config.get("nimages", 0)) * int(config.get("ntrigger", 1)), None)
        if kind == "dimage":
            return Image(series, _index(head), {CHANNEL: _packed(parts)}, _stop_s(parts), None)
        if kind == "dseries_end":
            return End(series)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise MalformedMessage(f"A message of Stream V1 cannot be read: {error!r}.") from error
    raise MalformedMessage(f"A message has the type {head['htype']!r}, which Stream V1 does not have.")


def _index(head: dict[str, Any]) -> int:
    index = int(head["frame"])
    if not 0 <= index < 1 << 62:
        raise ValueError(f"frame {index}")
    return index


def _packed(parts: Sequence[bytes]) -> Packed:
    if len(parts) < _IMAGE_PARTS:
        raise ValueError(f"{len(parts)} parts")
    about = msgspec.json.decode(parts[1])
    width, height = (int(side) for side in about["shape"])
    dtype = np.dtype({"uint8": "u1", "uint16": "<u2", "uint32": "<u4", "int32": "<i4"}[about["type"]])
    word = str(about["encoding"])
    found = _ENCODING.fullmatch(word)
    if found is None:
        compression = word  # said when it is unpacked, and the image counts as lost
    elif found[1] and found[3]:
        compression = "bslz4" if int(found[2]) == 8 * dtype.itemsize else word
    else:
        compression = "lz4-block" if found[3] else ""
    if height < 1 or width < 1:
        raise ValueError(f"shape {width} × {height}")
    return Packed((height, width), dtype, compression, bytes(parts[2]))


def _stop_s(parts: Sequence[bytes]) -> float | None:
    """End of the exposure in seconds since the series began; V1 counts nanoseconds."""
    if len(parts) <= _IMAGE_PARTS:
        return None
    stop = msgspec.json.decode(parts[3]).get("stop_time")
    return None if stop is None else int(stop) / 1e9
