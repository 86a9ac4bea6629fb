"""The packages of the extra `dectris`; who uses them calls `check_installed` first."""

from __future__ import annotations

from scanmend.errors import MissingExtra
from scanmend.sources import codecs

__all__ = ["cbor2", "check_installed"]

_missing: str | None = None
try:
    import cbor2
except ImportError as error:
    _missing = error.name or str(error)


def check_installed() -> None:
    """Say so where a package is missing.

    Raises:
        MissingExtra: One is.
    """
    if (missing := _missing or codecs.missing) is not None:
        raise MissingExtra(
            f"DECTRIS streams need the package {missing}, which is not installed.",
            mend="Install the extra: pip install 'scanmend[dectris]'.",
        )
