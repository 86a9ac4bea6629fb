"""Adapters by name: those that come along, and those of other packages.

Another package registers its adapter by an entry point, so that a maker's libraries, licence and pins stay its own::

    [project.entry-points."scanmend.sources"]
    mydetector = "my_package.adapter:ADAPTER"
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from scanmend.errors import ConfigurationError, InvalidInput
from scanmend.sources.kit import Adapter

GROUP = "scanmend.sources"

BUILT_IN = {
    "dectris": "scanmend.sources.dectris.adapter:ADAPTER",
    "direct-electron": "scanmend.sources.direct_electron.adapter:ADAPTER",
    "epics": "scanmend.sources.epics.adapter:ADAPTER",
    "file": "scanmend.sources.files.adapter:ADAPTER",
    "merlin": "scanmend.sources.merlin.adapter:ADAPTER",
    "obi": "scanmend.sources.obi.adapter:ADAPTER",
}
"""One line for each adapter that comes along: its name, and where it is."""


def names() -> list[str]:
    """Every adapter that is installed, in order."""
    return sorted({*BUILT_IN, *_others()})


def load(name: str) -> Adapter:
    """The adapter of a name.

    Raises:
        InvalidInput: There is none.
        ConfigurationError: Its package cannot be imported, or two packages have one name.
    """
    others = _others()
    where = BUILT_IN.get(name)
    found = others.get(name, [])
    if where is None and not found:
        raise InvalidInput(f"No source is called {name!r}.", mend=f"Installed are: {', '.join(names())}.")
    if len(found) + (where is not None) > 1:
        packages = ", ".join([entry.value for entry in found] + ([where] if where else []))
        raise ConfigurationError(f"Several packages have a source {name!r}: {packages}.", mend="Remove all but one.")
    module, _, attribute = (where or found[0].value).partition(":")
    try:
        return cast(Adapter, getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The source {name!r} cannot be loaded from {module}: {error}.",
            mend="Install its package again, or ask who made it.",
        ) from error


def _others() -> dict[str, list[EntryPoint]]:
    """Entry points of other packages, by name."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found
