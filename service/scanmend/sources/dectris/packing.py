"""How DECTRIS packs an array: typed arrays of CBOR (RFC 8746), plain or with lz4 or bslz4 (bitshuffle and lz4).

A packed array comes from a network, so every length is compared with what is there before a library written in C
sees it: bitshuffle itself believes the lengths inside its data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage
from scanmend.sources.dectris import extra

MAX_BYTES = 1 << 28
"""Largest array that is unpacked: more than the largest detector's image."""

_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_BITSHUFFLE_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Packed:
    """An array as it came."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    compression: str
    """Empty, `lz4`, `bslz4`, or `lz4-block` (one bare block, of Stream V1); or a word that `unpack` does not know."""
    data: bytes

    @property
    def nbytes(self) -> int:
        """Bytes of the array when it is unpacked."""
        count = 1
        for side in self.shape:
            count *= side
        return count * self.dtype.itemsize


def unpack(packed: Packed) -> npt.NDArray[np.generic]:
    """The array.

    Raises:
        MalformedMessage: An unknown compression, damaged data, or another size than the shape says.
    """
    if not 0 < packed.nbytes <= MAX_BYTES:
        raise MalformedMessage(
            f"An array of shape {packed.shape} has {packed.nbytes} bytes.", mend=f"At most {MAX_BYTES} are taken."
        )
    if not packed.compression:
        if len(packed.data) != packed.nbytes:
            raise _size_error(packed, len(packed.data))
        return np.frombuffer(packed.data, packed.dtype).reshape(packed.shape)
    if packed.compression == "bslz4":
        return _unpack_bslz4(packed)
    if packed.compression == "lz4":
        return _unpack_lz4(packed)
    if packed.compression == "lz4-block":
        return np.frombuffer(_lz4_block(packed.data, packed.nbytes), packed.dtype).reshape(packed.shape)
    raise MalformedMessage(
        f"An array is packed with {packed.compression!r}, which is not known here.",
        mend="Set the detector's compression to lz4, bslz4 or none.",
    )


def _block_bytes(packed: Packed) -> int:
    """Check the header that both share, and give its block size."""
    if len(packed.data) < _HEADER.size:
        raise _size_error(packed, len(packed.data))
    size, block = _HEADER.unpack_from(packed.data)
    # Some simulators leave the size at 0; shape and type are what counts.
    if size not in (0, packed.nbytes) or not 0 < block <= MAX_BYTES:
        raise _size_error(packed, size)
    return int(block)


def _blocks(packed: Packed, full: int, left: int) -> list[tuple[int, int, int]]:
    """Offset, length and unpacked bytes of each lz4 block of `full` bytes; `left` bytes remain after the last one."""
    found, at, data = [], _HEADER.size, packed.data
    todo = packed.nbytes - left
    while todo > 0:
        if at + _LENGTH.size > len(data):
            raise _size_error(packed, packed.nbytes - todo)
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length == 0 or at + length > len(data):
            raise _size_error(packed, packed.nbytes - todo)
        found.append((at, length, min(full, todo)))
        at += length
        todo -= full
    if at + left != len(data):
        raise _size_error(packed, len(data))
    return found


def _unpack_lz4(packed: Packed) -> npt.NDArray[np.generic]:
    """As the lz4 filter of HDF5 packs; a block that lz4 would make longer is stored as it is."""
    out = bytearray()
    for at, length, size in _blocks(packed, _block_bytes(packed), 0):
        block = packed.data[at : at + length]
        out += block if length == size else _lz4_block(block, size)
    return np.frombuffer(bytes(out), packed.dtype).reshape(packed.shape)


def _lz4_block(block: bytes, size: int) -> bytes:
    try:
        out: bytes = extra.lz4_block.decompress(block, uncompressed_size=size)
    except extra.lz4_block.LZ4BlockError as error:
        raise MalformedMessage(f"An array packed with lz4 is damaged: {error}.") from error
    if len(out) != size:
        raise MalformedMessage(f"A block packed with lz4 has {len(out)} bytes, and should have {size}.")
    return out


def _unpack_bslz4(packed: Packed) -> npt.NDArray[np.generic]:
    """As the bitshuffle filter of HDF5 packs: whole blocks, one shorter one, and up to seven bare elements."""
    block, item = _block_bytes(packed), packed.dtype.itemsize
    elements = packed.nbytes // item
    if block % (_BITSHUFFLE_MULTIPLE * item):
        raise _size_error(packed, block)
    _blocks(packed, block, elements % _BITSHUFFLE_MULTIPLE * item)
    body = np.frombuffer(packed.data, np.uint8, offset=_HEADER.size)
    try:
        array = extra.bitshuffle.decompress_lz4(body, packed.shape, packed.dtype, block // item)
    except RuntimeError as error:
        raise MalformedMessage(f"An array packed with bslz4 is damaged: {error}.") from error
    return np.asarray(array)


def _size_error(packed: Packed, found: int) -> MalformedMessage:
    return MalformedMessage(
        f"An array of shape {packed.shape} and type {packed.dtype.name} should have {packed.nbytes} bytes, and its "
        f"data ({packed.compression or 'not packed'}) do not: {found}.",
        mend="It was damaged on its way, or the detector's settings changed meanwhile.",
    )
