"""The package of the extra `direct-electron`; its import is put off, because it sets up logging and takes a second."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from scanmend.errors import MissingExtra


def new_client() -> Any:
    """An unconnected `deapi.Client`.

    Raises:
        MissingExtra: deapi is not installed.
    """
    check_installed()
    from deapi import Client

    return Client()


def check_installed() -> None:
    """Say so where the package is missing.

    Raises:
        MissingExtra: It is.
    """
    if find_spec("deapi") is None:
        raise MissingExtra(
            "Direct Electron cameras need the package deapi, which is not installed.",
            mend="Install the extra: pip install 'scanmend[direct-electron]'.",
        )
