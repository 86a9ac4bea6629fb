"""How DECTRIS packs an array: typed arrays of CBOR (RFC 8746), plain or with lz4 or bslz4 (bitshuffle and lz4)."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage
from scanmend.sources import codecs

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
    return np.frombuffer(_plain(packed), packed.dtype).reshape(packed.shape)


def _plain(packed: Packed) -> bytes:
    data, nbytes, item_bytes = packed.data, packed.nbytes, packed.dtype.itemsize
    match packed.compression:
        case "":
            if len(data) != nbytes:
                raise codecs.size_error(nbytes, len(data))
            return data
        case "bslz4" | "lz4" as algorithm:
            size, block_bytes = _HEADER.unpack_from(data) if len(data) >= _HEADER.size else (nbytes, 0)
            if size and block_bytes:
                return codecs.sized_blocks(data, algorithm, nbytes, item_bytes)
            # Some simulators leave both at 0; shape and type are what counts then.
            if size not in (0, nbytes):
                raise codecs.size_error(nbytes, size)
            return codecs.bare_blocks(memoryview(data)[_HEADER.size :], algorithm, nbytes, item_bytes, block_bytes)
        case "lz4-block":
            return codecs.lz4_block(data, nbytes)
    raise MalformedMessage(
        f"An array is packed with {packed.compression!r}, which is not known here.",
        mend="Set the detector's compression to lz4, bslz4 or none.",
    )
