"""How DECTRIS packs an array: typed arrays of CBOR (RFC 8746), plain or with lz4 or bslz4 (bitshuffle and lz4)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage
from scanmend.sources import codecs
from scanmend.sources.codecs import MAX_BYTES, size_error

_HEADER = struct.Struct(">QI")


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
        return math.prod(self.shape) * self.dtype.itemsize


def unpack(packed: Packed) -> npt.NDArray[np.generic]:
    """The array.

    Raises:
        MalformedMessage: An unknown compression, damaged data, or another size than the shape says.
    """
    codecs.check_size(packed.shape, packed.nbytes)
    match packed.compression:
        case "":
            if len(packed.data) != packed.nbytes:
                raise size_error(packed.nbytes, len(packed.data))
            return np.frombuffer(packed.data, packed.dtype).reshape(packed.shape)
        case "bslz4":
            return codecs.bslz4(packed.data, _HEADER.size, packed.shape, packed.dtype, _block_bytes(packed))
        case "lz4":
            return np.frombuffer(_lz4(packed), packed.dtype).reshape(packed.shape)
        case "lz4-block":
            return np.frombuffer(codecs.lz4_block(packed.data, packed.nbytes), packed.dtype).reshape(packed.shape)
    raise MalformedMessage(
        f"An array is packed with {packed.compression!r}, which is not known here.",
        mend="Set the detector's compression to lz4, bslz4 or none.",
    )


def unpack_stack(arrays: Sequence[Packed]) -> npt.NDArray[np.generic]:
    """Several arrays of one shape and type as `(arrays, …)`.

    Of bslz4, whole blocks one after another are a longer array: one call of the library unpacks all of them, and takes
    Python's lock once.

    Raises:
        MalformedMessage: One of them cannot be unpacked.
    """
    first = arrays[0]
    nbytes = first.nbytes
    block_bytes = _block_bytes(first) if first.compression == "bslz4" else 0
    if not block_bytes or nbytes % block_bytes or not 0 < nbytes <= MAX_BYTES:
        return np.stack([unpack(one) for one in arrays])
    bodies = []
    for one in arrays:
        if one.compression != "bslz4" or _block_bytes(one) != block_bytes:
            return np.stack([unpack(one) for one in arrays])
        codecs.check_blocks(one.data, _HEADER.size, nbytes // block_bytes)
        bodies.append(memoryview(one.data)[_HEADER.size :])
    return codecs.bslz4_checked(bodies, (len(arrays), *first.shape), first.dtype, block_bytes)


def _block_bytes(packed: Packed) -> int:
    """Check the header that lz4 and bslz4 share, and give its block size."""
    if len(packed.data) < _HEADER.size:
        raise size_error(packed.nbytes, len(packed.data))
    size, block = _HEADER.unpack_from(packed.data)
    # Some simulators leave both at 0; shape and type are what counts, and bitshuffle has a block size of its own.
    if size not in (0, packed.nbytes) or not 0 <= block <= MAX_BYTES:
        raise size_error(packed.nbytes, size)
    return int(block) or codecs.BLOCK_BYTES


def _lz4(packed: Packed) -> bytes:
    """As the lz4 filter of HDF5 packs; a block that lz4 would make longer is stored as it is."""
    block_bytes, out, at = _block_bytes(packed), bytearray(), _HEADER.size
    for length in codecs.check_blocks(packed.data, at, -(-packed.nbytes // block_bytes)):
        block, size = packed.data[at + 4 : at + 4 + length], min(block_bytes, packed.nbytes - len(out))
        out += block if length == size else codecs.lz4_block(block, size)
        at += 4 + length
    return bytes(out)
