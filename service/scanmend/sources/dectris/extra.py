"""The packages of the extra `dectris`; who uses them calls `check_installed` first."""

from __future__ import annotations

from scanmend.errors import MissingExtra

__all__ = ["bitshuffle", "cbor2", "check_installed", "lz4_block"]

_missing: str | None = None
try:
    import bitshuffle
    import cbor2
    import lz4.block as lz4_block
except ImportError as error:
    _missing = error.name or str(error)


def check_installed() -> None:
    """Say so where a package is missing.

    Raises:
        MissingExtra: One is.
    """
    if _missing is not None:
        raise MissingExtra(
            f"DECTRIS streams need the package {_missing}, which is not installed.",
            mend="Install the extra: pip install 'scanmend[dectris]'.",
        )
