"""How the relay is told to behave, and what it tells of each series."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from scanmend.wire.messages import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """How the relay behaves; what a session is asked for stands in `SeriesOptions`."""

    name: str
    """Sessions are called `name-series`, with a number behind where there was one already."""
    silence_s: float = 10.0
    """A running series from which nothing came for so long is over."""
    retry_s: float = 1.0
    """Pause between tries to connect."""
    drive: bool = False
    """Tell the instrument to begin before each series, where its adapter has a controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What became of a series."""

    series: str
    session: str
    points: int
    """Points up to the last one that came."""
    lost: int
    """Of these, and of those that were announced, how many are missing or could not be used."""
    receipt: Receipt | None
    """The service's account; None where it gave none."""


class SessionNames:
    """Names that no session had before: of the instrument, the time and the series.

    Args:
        instrument: How all of them begin.
    """

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
        self._last, self._count = "", 0

    def new(self, series: str) -> str:
        """A name for the session of a series, with a number behind for a second one within a second."""
        word = re.sub(r"[^A-Za-z0-9_-]+", "-", series).strip("-")[:24] or "series"
        name = f"{self._instrument}-{time.strftime('%Y%m%d-%H%M%S')}-{word}"
        self._count = self._count + 1 if name == self._last else 1
        self._last = name
        return name if self._count == 1 else f"{name}-{self._count}"
