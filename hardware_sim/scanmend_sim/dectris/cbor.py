"""The few kinds of CBOR (RFC 8949) that Stream V2 needs, written from the standard and not by a library."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend_sim import packing

SELF_DESCRIBED = 55799
MULTI_DIMENSIONAL = 40
COMPRESSED = 56500
DATE = 0
TYPED = {"|u1": 64, "<u2": 69, "<u4": 70, "<f4": 85}
"""Tags of typed arrays (RFC 8746)."""

BLOCK_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Tag:
    """A value with its meaning."""

    number: int
    value: object


def encode(value: object) -> bytes:
    """A value in CBOR, each number in its shortest form, floats of eight bytes.

    Args:
        value: None, bool, int, float, str, bytes, `Tag`, a sequence or a map of these.
    """
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case Tag():
            return _head(6, value.number) + encode(value.value)
        case Mapping():
            return _head(5, len(value)) + b"".join(encode(key) + encode(held) for key, held in value.items())
        case Sequence():
            return _head(4, len(value)) + b"".join(encode(held) for held in value)
    raise TypeError(f"{type(value).__name__} has no CBOR here")


def array(values: npt.NDArray[np.generic], compression: str = "") -> Tag:
    """An array as a detector packs it.

    Args:
        values: Of type uint8, uint16, uint32 or float32.
        compression: Empty, `lz4` or `bslz4`; another word is written down with bytes that mean nothing.

    Raises:
        MissingExtra: A compression is asked for, and its package is not installed.
    """
    plain = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    data: object = plain.tobytes()
    if compression:
        data = Tag(COMPRESSED, [compression, plain.dtype.itemsize, pack(plain, compression)])
    return Tag(MULTI_DIMENSIONAL, [list(values.shape), Tag(TYPED[plain.dtype.str], data)])


def pack(values: npt.NDArray[np.generic], compression: str) -> bytes:
    """The bytes of an array as the filters of HDF5 pack them. Raises as `array` does."""
    if compression == "bslz4":
        body = packing.bslz4(values, BLOCK_BYTES // values.dtype.itemsize)
        return struct.pack(">QI", values.nbytes, BLOCK_BYTES) + body
    if compression == "lz4":
        data, out = values.tobytes(), struct.pack(">QI", values.nbytes, BLOCK_BYTES)
        for start in range(0, len(data), BLOCK_BYTES):
            block_bytes = data[start : start + BLOCK_BYTES]
            packed = packing.lz4_block(block_bytes)
            packed = block_bytes if len(packed) >= len(block_bytes) else packed
            out += struct.pack(">I", len(packed)) + packed
        return out
    return b"\x00" * 16


def _head(major: int, number: int) -> bytes:
    for extra_bits, size, letter in ((24, 1 << 8, "B"), (25, 1 << 16, "H"), (26, 1 << 32, "I"), (27, 1 << 64, "Q")):
        if number < 24:
            return bytes([major << 5 | number])
        if number < size:
            return bytes([major << 5 | extra_bits]) + struct.pack(f">{letter}", number)
    raise OverflowError(f"{number} is beyond 64 bits")
