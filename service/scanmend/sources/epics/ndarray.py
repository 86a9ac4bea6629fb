"""NTNDArray, the structure in which areaDetector gives out an array: its number, its time, its shape, its packing.

Dimensions are written fastest first, so `(256, 128)` there is `(128, 256)` here. A packed array is bytes; the codec's
parameter says what they unpack to, by its number among the scalar types of PVAccess.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage
from scanmend.sources import codecs
from scanmend.sources.epics import extra

SCALARS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
"""Scalar types of PVAccess, in the order of their numbers."""

COLOUR = {1: "Bayer", 2: "RGB1", 3: "RGB2", 4: "RGB3", 5: "YUV444", 6: "YUV422", 7: "YUV411"}

_OLDEST_STAMP_S = 946_684_800
"""2000-01-01; an earlier time is a clock that was never set."""

_BLOSC = struct.Struct("<4BIII")


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an array before it is unpacked."""

    unique_id: int
    taken_unix_ns: int | None
    """By the driver's clock; None where it was never set."""
    empty: bool
    """Whether it brings no array, as the structure does before the first one, or where only an alarm changed."""


def read_header(value: Any) -> Header:
    """Number and time of an array.

    Raises:
        MalformedMessage: The PV has another structure than NTNDArray.
    """
    try:
        unique_id = int(value["uniqueId"])
        seconds = int(value["dataTimeStamp.secondsPastEpoch"])
        nanoseconds = value["dataTimeStamp.nanoseconds"]
        if seconds < _OLDEST_STAMP_S:
            seconds, nanoseconds = int(value["timeStamp.secondsPastEpoch"]), value["timeStamp.nanoseconds"]
        stamp_ns = None if seconds < _OLDEST_STAMP_S else seconds * 1_000_000_000 + int(nanoseconds)
        empty = not value.changed("value") or value["value"] is None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedMessage(
            f"The PV gives no NTNDArray: {error!r} is missing.",
            mend="Give the PV of an NDPva plugin: it ends in Image.",
        ) from error
    if unique_id < 0:
        mend = "Set ArrayCounter to 0 before each acquisition: it counts to 2147483647."
        raise MalformedMessage(f"An array has the number {unique_id}.", mend=mend)
    return Header(unique_id, stamp_ns, empty)


def read_array(value: Any) -> npt.NDArray[np.generic]:
    """The array, unpacked: `(…, ny, nx)`.

    Raises:
        MalformedMessage: An unknown codec, damaged data, another size than the dimensions say, or colours.
    """
    shape = tuple(int(one["size"]) for one in reversed(value["dimension"]))
    if not 1 <= len(shape) <= 10 or min(shape) < 1:
        raise MalformedMessage(f"An array has the dimensions {shape}.")
    if len(shape) > 2:
        _refuse_colours(value)
    data = value["value"]
    codec = str(value["codec.name"])
    if not codec:
        if not isinstance(data, np.ndarray) or data.size != math.prod(shape):
            raise MalformedMessage(f"An array of {np.size(data)} elements has the dimensions {shape}.")
        return data.reshape(shape)
    return unpack(codec, _dtype(value["codec.parameters"]), shape, _bytes(value, data))


def unpack(codec: str, dtype: np.dtype[np.generic], shape: tuple[int, ...], data: bytes) -> npt.NDArray[np.generic]:
    """Unpack what areaDetector's codec plugin packs.

    Raises:
        MalformedMessage: An unknown codec, damaged data, or another size.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    codecs.check_size(shape, nbytes)
    match codec:
        case "bslz4":
            return codecs.bslz4(data, 0, shape, dtype, codecs.BLOCK_BYTES)
        case "lz4":
            return np.frombuffer(codecs.lz4_block(data, nbytes), dtype).reshape(shape)
        case "blosc":
            return np.frombuffer(_blosc(data, nbytes), dtype).reshape(shape)
    raise MalformedMessage(
        f"An array is packed with {codec!r}, which is not known here.",
        mend="Set Compressor of the codec plugin (NDCodec) to None, LZ4, BSLZ4 or Blosc.",
    )


def _blosc(data: bytes, nbytes: int) -> bytes:
    """Unpack a chunk of Blosc, whose header says both sizes."""
    if len(data) < _BLOSC.size:
        raise codecs.size_error(nbytes, len(data))
    *_, unpacked, _block, packed = _BLOSC.unpack_from(data)
    if unpacked != nbytes or packed != len(data):
        raise codecs.size_error(nbytes, unpacked)
    try:
        out = extra.Blosc().decode(data)
    except (RuntimeError, ValueError) as error:
        raise MalformedMessage(f"An array packed with Blosc is damaged: {error}.") from error
    return bytes(out)


def _dtype(parameters: Any) -> np.dtype[np.generic]:
    """What a packed array unpacks to. Some servers give the number itself, others a structure that holds it."""
    number = parameters["value"] if isinstance(parameters, extra.Value) else parameters
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(SCALARS):
        raise MalformedMessage(
            f"A packed array does not say of what type it is ({number!r}).", mend="Update ADCore, or do not compress."
        )
    return np.dtype(SCALARS[number])


def _bytes(value: Any, data: Any) -> bytes:
    """The packed bytes, of which some servers send more than there are."""
    raw = data.tobytes() if isinstance(data, np.ndarray) else b""
    size = int(value["compressedSize"])
    return raw[:size] if 0 < size < len(raw) else raw


def _refuse_colours(value: Any) -> None:
    for attribute in value["attribute"]:
        if attribute["name"] == "ColorMode":
            held = attribute["value"]
            mode = held["value"] if isinstance(held, extra.Value) else held
            if mode in COLOUR:
                raise MalformedMessage(f"An array has the colours {COLOUR[mode]}.", mend="Set ColorMode to Mono.")
