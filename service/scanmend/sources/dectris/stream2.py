"""DECTRIS Stream V2: one CBOR map a message, of type start, image or end.

cbor2 5 and 6 call a tag's hook differently, so none is given: tags stay `CBORTag` and are read here. Version 6 gives
frozen maps and tuples inside tags, where version 5 gives dicts and lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage
from scanmend.sources.dectris import extra
from scanmend.sources.dectris.packing import Packed, unpack

MULTI_DIMENSIONAL = 40
COMPRESSED = 56500

DTYPES: dict[int, np.dtype[np.generic]] = {
    64: np.dtype("u1"), 65: np.dtype(">u2"), 66: np.dtype(">u4"), 67: np.dtype(">u8"), 69: np.dtype("<u2"),
    70: np.dtype("<u4"), 71: np.dtype("<u8"), 72: np.dtype("i1"), 77: np.dtype("<i2"), 78: np.dtype("<i4"),
    81: np.dtype(">f4"), 85: np.dtype("<f4"), 86: np.dtype("<f8"),
}  # fmt: skip
"""Tags of typed arrays (RFC 8746)."""


@dataclass(frozen=True, slots=True)
class Start:
    """A series begins."""

    series: str
    images: int
    """Images of the series; 0 where it does not say."""
    dead: npt.NDArray[np.bool_] | None
    """Pixels that the detector marks as not usable, of any threshold; None where it sends no mask."""
    remark: str = ""
    """What is wrong with the mask, where something is."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image; each threshold of the detector is a channel of its own."""

    series: str
    index: int
    channels: Mapping[str, Packed]
    acquired_s: float | None
    """End of the exposure, in seconds since the series began."""
    series_unix_s: float | None
    """When the series began, by the detector's clock."""


@dataclass(frozen=True, slots=True)
class End:
    """A series has ended."""

    series: str


Message = Start | Image | End


def decode(data: bytes) -> Message:
    """Read a message.

    Raises:
        MalformedMessage: It is none, or a part of it that is needed is missing or of another kind.
    """
    try:
        held = extra.cbor2.loads(data)
    # cbor2 raises what it finds in bytes that are no CBOR: its own errors, and those of Python's types.
    except (extra.cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise MalformedMessage(f"A message of {len(data)} bytes is no CBOR: {error}.") from error
    if not isinstance(held, Mapping):
        raise MalformedMessage("A message is CBOR, and no map.")
    try:
        series = f"{int(held['series_id'])}-{held['series_unique_id']}"
        match held["type"]:
            case "start":
                return Start(series, int(held.get("number_of_images", 0)), *_dead(held))
            case "image":
                return _image(series, held)
            case "end":
                return End(series)
            case other:
                raise MalformedMessage(f"A message has the type {other!r}, which Stream V2 does not have.")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise MalformedMessage(f"A part of a message is missing or of another kind: {error!r}.") from error


def _image(series: str, held: Mapping[str, Any]) -> Image:
    channels = {str(name): packed(value) for name, value in held["data"].items()}
    index = int(held["image_id"])
    if not channels or not 0 <= index < 1 << 62:
        raise MalformedMessage(f"Image {index} has {len(channels)} channels.")
    stop, began = held.get("stop_time"), held.get("series_date")
    return Image(
        series,
        index,
        channels,
        None if stop is None else int(stop[0]) / int(stop[1]),
        None if began is None else float(began.timestamp()),
    )


def _dead(held: Mapping[str, Any]) -> tuple[npt.NDArray[np.bool_] | None, str]:
    """Pixels that any threshold marks; a mask that cannot be read does not cost the series."""
    masks = held.get("pixel_mask")
    if not masks:
        return None, ""
    values = masks.values() if isinstance(masks, Mapping) else [masks]
    try:
        return np.logical_or.reduce([unpack(packed(mask)) != 0 for mask in values]), ""
    except (MalformedMessage, ValueError) as error:
        return None, f"The mask of dead pixels cannot be read: {error}"


def packed(value: Any) -> Packed:
    """Read a multi-dimensional typed array.

    Raises:
        MalformedMessage: It is none.
    """
    try:
        if value.tag != MULTI_DIMENSIONAL:
            raise MalformedMessage(f"An array has the CBOR tag {value.tag}, not {MULTI_DIMENSIONAL}.")
        (shape, inner) = value.value
        sides = tuple(int(side) for side in shape)
        if not 1 <= len(sides) <= 4 or min(sides) < 1:
            raise MalformedMessage(f"An array has the shape {sides}.")
        dtype = DTYPES[inner.tag]
        if isinstance(inner.value, bytes):
            return Packed(sides, dtype, "", inner.value)
        if inner.value.tag != COMPRESSED:
            raise MalformedMessage(f"An array's data have the CBOR tag {inner.value.tag}.")
        word, item, data = inner.value.value
        if int(item) != dtype.itemsize:
            raise MalformedMessage(f"An array of {dtype.name} is packed as elements of {item} bytes.")
        return Packed(sides, dtype, str(word), bytes(data))
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise MalformedMessage(f"An array cannot be read: {error!r}.") from error
