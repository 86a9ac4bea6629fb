"""Unpacks arrays that detectors pack with lz4 or with bitshuffle and lz4 (bslz4), after looking at every length."""

from __future__ import annotations

import struct
from typing import Literal

from scanmend.errors import MalformedMessage

__all__ = [
    "BLOCK_BYTES",
    "MAX_BYTES",
    "bare_blocks",
    "check_size",
    "lz4_block",
    "missing",
    "size_error",
    "sized_blocks",
]

missing: str | None = None
"""The package that is not installed; an adapter's extra names the mend."""

try:
    import lz4.block as lz4_library
    from dectris.compression import decompress
except ImportError as error:
    missing = error.name or str(error)

MAX_BYTES = 1 << 28
"""Largest array that is unpacked: more than the largest detector's image."""

BLOCK_BYTES = 8192
"""What bitshuffle takes for elements of up to 8 bytes where nobody says how large a block is."""

_SIZES = struct.Struct(">QI")
"""Unpacked bytes, of all and of a block: what DECTRIS and the filters of HDF5 put before the blocks."""
_LENGTH = struct.Struct(">I")
_BITSHUFFLE_MULTIPLE = 8


def check_size(shape: tuple[int, ...], nbytes: int) -> None:
    """Refuse an array that has no bytes, or more than any detector's.

    Raises:
        MalformedMessage: It has.
    """
    if not 0 < nbytes <= MAX_BYTES:
        raise MalformedMessage(f"An array of shape {shape} has {nbytes} bytes.", mend=f"At most {MAX_BYTES} are taken.")


def lz4_block(data: bytes | memoryview, nbytes: int) -> bytes:
    """Unpack one bare block of lz4.

    Raises:
        MalformedMessage: It is damaged, or does not unpack to so many bytes.
    """
    try:
        out: bytes = lz4_library.decompress(data, uncompressed_size=nbytes)
    except lz4_library.LZ4BlockError as error:
        raise MalformedMessage(f"An array packed with lz4 is damaged: {error}.") from error
    if len(out) != nbytes:
        raise MalformedMessage(f"A block packed with lz4 has {len(out)} bytes, and should have {nbytes}.")
    return out


def sized_blocks(data: bytes, algorithm: Literal["bslz4", "lz4"], nbytes: int, item_bytes: int) -> bytes:
    """Unpack what says its size and that of its blocks before them, as DECTRIS' own library and HDF5's filters pack.

    Raises:
        MalformedMessage: The data are damaged, or unpack to another size.
    """
    size, block_bytes = _SIZES.unpack_from(data) if len(data) >= _SIZES.size else (0, 0)
    if size != nbytes or block_bytes > MAX_BYTES:
        raise size_error(nbytes, size)
    try:
        return bytes(decompress(data, algorithm, elem_size=item_bytes))
    except RuntimeError as error:
        raise MalformedMessage(
            f"An array packed with {algorithm} is damaged: {error}.",
            mend="It was damaged on its way, or the detector's settings changed meanwhile.",
        ) from error


def bare_blocks(
    data: bytes | memoryview, algorithm: Literal["bslz4", "lz4"], nbytes: int, item_bytes: int, block_bytes: int
) -> bytes:
    """Unpack blocks that say no size: whole ones, one shorter one, and of bslz4 up to seven bare elements.

    Args:
        data: Packed, from the first block on.
        algorithm: How.
        nbytes: Unpacked.
        item_bytes: Of an element.
        block_bytes: Unpacked bytes of a block; 0 where nobody says.

    Raises:
        MalformedMessage: The data are damaged, or do not unpack to this size.
    """
    block_bytes = block_bytes or BLOCK_BYTES
    left = nbytes % (_BITSHUFFLE_MULTIPLE * item_bytes) if algorithm == "bslz4" else 0
    # Nothing but the length of the data tells that an array has another size than was said elsewhere.
    at, end = 0, len(data) - left
    for _ in range(-(-(nbytes - left) // block_bytes)):
        at += _LENGTH.size + (_LENGTH.unpack_from(data, at)[0] if at + _LENGTH.size <= end else end)
    if at != end:
        raise size_error(nbytes, len(data))
    return sized_blocks(_SIZES.pack(nbytes, block_bytes) + bytes(data), algorithm, nbytes, item_bytes)


def size_error(nbytes: int, found: int) -> MalformedMessage:
    """Data that are not as long as they should be."""
    return MalformedMessage(
        f"An array should unpack to {nbytes} bytes, and its data do not: {found}.",
        mend="It was damaged on its way, or the detector's settings changed meanwhile.",
    )
