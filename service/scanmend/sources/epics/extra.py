"""The packages of the extra `epics`; who uses them calls `check_installed` first."""

from __future__ import annotations

from scanmend.errors import MissingExtra
from scanmend.sources import codecs

__all__ = ["Blosc", "BlockingContext", "Context", "Disconnected", "Value", "check_installed"]

_missing: str | None = None
try:
    from numcodecs import Blosc
    from p4p import Value, logLevelFatal, set_debug
    from p4p.client.raw import Context, Disconnected
    from p4p.client.thread import Context as BlockingContext
except ImportError as error:
    _missing = error.name or str(error)


def check_installed() -> None:
    """Say so where a package is missing.

    Raises:
        MissingExtra: One is.
    """
    if (missing := _missing or codecs.missing) is not None:
        raise MissingExtra(
            f"PVAccess needs the package {missing}, which is not installed.",
            mend="Install the extra: pip install 'scanmend[epics]'.",
        )
    set_debug(logLevelFatal)  # that a server cannot be reached is said once, by the relay
