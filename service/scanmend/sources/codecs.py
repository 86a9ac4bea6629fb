"""Unpacks arrays that detectors pack with lz4 or with bitshuffle and lz4 (bslz4), after looking at every length.

The packed bytes come from a network, and bitshuffle itself believes the lengths inside its data and reads beyond them.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage

__all__ = [
    "BLOCK_BYTES",
    "MAX_BYTES",
    "bslz4",
    "bslz4_checked",
    "check_blocks",
    "check_size",
    "lz4_block",
    "missing",
    "size_error",
]

missing: str | None = None
"""A package that is not installed; an adapter's extra names the mend."""

# bitshuffle's own threads wait for each other by spinning: on processors that are taken they were twenty times as slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")
try:
    import bitshuffle
    import lz4.block as lz4_library
except ImportError as error:
    missing = error.name or str(error)
try:
    # DECTRIS' own library unpacks in a third of the time; it has no wheels, and pip needs a compiler for it.
    from dectris.compression import decompress
except ImportError:
    decompress = None

MAX_BYTES = 1 << 28
"""Largest array that is unpacked: more than the largest detector's image."""

BLOCK_BYTES = 8192
"""What bitshuffle takes for elements of up to 8 bytes where nobody says how large a block is."""

_SIZES = struct.Struct(">QI")
"""Bytes of all and bytes of a block, unpacked: what the filters of HDF5 put before the blocks."""
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


def check_blocks(data: bytes | memoryview, at: int, blocks: int, left: int = 0) -> list[int]:
    """See that blocks, each with its length before it, fill the data; gives the length of each.

    Args:
        data: Packed.
        at: Where the length of the first block stands.
        blocks: How many there should be.
        left: Bytes behind the last block that are not packed.

    Raises:
        MalformedMessage: A length goes beyond the data, or the data are longer than the blocks.
    """
    unpack_from, end, lengths = _LENGTH.unpack_from, len(data), []
    for _ in range(blocks):
        length = unpack_from(data, at)[0] if at + 4 <= end else 0
        if not length:
            raise _not_filled(blocks, end)
        lengths.append(length)
        at += 4 + length
    if at + left != end:
        raise _not_filled(blocks, end)
    return lengths


def _not_filled(blocks: int, found: int) -> MalformedMessage:
    return MalformedMessage(
        f"{found} packed bytes are not {blocks} blocks.",
        mend="They were damaged on their way, or the detector's settings changed meanwhile.",
    )


def bslz4(
    data: bytes | memoryview, at: int, shape: tuple[int, ...], dtype: np.dtype[np.generic], block_bytes: int
) -> npt.NDArray[np.generic]:
    """Unpack bitshuffle with lz4: whole blocks, one shorter one, and up to seven bare elements.

    Args:
        data: Packed.
        at: Where the first block begins.
        shape: Of the array.
        dtype: Of the array.
        block_bytes: Unpacked bytes of a block.

    Raises:
        MalformedMessage: The data are damaged, or are not of this shape.
    """
    item = dtype.itemsize
    elements = math.prod(shape)
    if block_bytes <= 0 or block_bytes % (_BITSHUFFLE_MULTIPLE * item):
        raise size_error(elements * item, block_bytes)
    left = elements % _BITSHUFFLE_MULTIPLE * item
    check_blocks(data, at, -(-(elements * item - left) // block_bytes), left)
    return bslz4_checked([memoryview(data)[at:]], shape, dtype, block_bytes)


def bslz4_checked(
    parts: Sequence[memoryview], shape: tuple[int, ...], dtype: np.dtype[np.generic], block_bytes: int
) -> npt.NDArray[np.generic]:
    """As `bslz4`, of blocks whose every length was checked already, and which follow each other from part to part."""
    item = dtype.itemsize
    try:
        if decompress is not None:
            sized = b"".join([_SIZES.pack(math.prod(shape) * item, block_bytes), *parts])
            return np.frombuffer(decompress(sized, "bslz4", elem_size=item), dtype).reshape(shape)
        packed = np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), np.uint8)
        return np.asarray(bitshuffle.decompress_lz4(packed, shape, dtype, block_bytes // item))
    except RuntimeError as error:
        raise MalformedMessage(f"An array packed with bslz4 is damaged: {error}.") from error


def size_error(nbytes: int, found: int) -> MalformedMessage:
    """Data that are not as long as they should be."""
    return MalformedMessage(
        f"An array should unpack to {nbytes} bytes, and its data do not: {found}.",
        mend="It was damaged on its way, or the detector's settings changed meanwhile.",
    )
