"""Packs arrays as detectors do; bitshuffle and lz4, which it needs, are in the extra `dectris`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.errors import MissingExtra

_missing: str | None = None
try:
    import bitshuffle
    import lz4.block
except ImportError as error:
    _missing = error.name or str(error)


def bslz4(values: npt.NDArray[np.generic], block: int = 0) -> bytes:
    """Blocks of so many elements (0: bitshuffle's own choice), each with its length before it.

    Raises:
        MissingExtra: A package is not installed.
    """
    _check_installed()
    return bytes(bitshuffle.compress_lz4(np.ascontiguousarray(values).reshape(-1), block).tobytes())


def lz4_block(data: bytes) -> bytes:
    """One bare block of lz4. Raises as `bslz4` does."""
    _check_installed()
    return bytes(lz4.block.compress(data, store_size=False))


def _check_installed() -> None:
    if _missing is not None:
        raise MissingExtra(
            f"A simulated detector packs with {_missing}, which is not installed.",
            mend="Install the extra: pip install 'scanmend[dectris]'.",
        )
