"""How the relay is told to behave, and what it tells of each series."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scanmend.client import AdaptiveOptions, SessionOptions
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
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
class SeriesOptions:
    """How a series becomes a session."""

    field: Field
    """The area being imaged."""
    plan: ScanPlan
    """What the beam visits, pass after pass: point *i* of a series is the plan's point *i modulo its points*. Of an
    adaptive scan it is the first pass."""
    passes: int = 0
    """Passes of a session, after which the rest of a series is left out; 0 for as many as come."""
    mode: str = "frames"
    """`frames`: every pass is a picture of its own. `exposure`: passes add up."""
    record: bool = True
    model: str = "auto"
    restore_channel: str | None = None
    flush_s: float = 0.1
    """Points wait so long for others, so that a message holds many."""
    chunk_points: int = 4096
    """Most points of a message."""
    deadline_ms: int = 10_000
    """Longest wait for a restoration: the receipt, and so the next series, must not wait for an engine that is slow."""
    hold_s: float = 2.0
    """Longest wait for credit, after which points are dropped and counted: an instrument does not wait."""

    def session_options(self, channels: tuple[Channel, ...]) -> SessionOptions:
        """What the session is asked for: pictures for the service's page, of which nobody reads the answers here."""
        return SessionOptions(
            channels=channels,
            restore_channel=self.restore_channel,
            mode="exposure" if self.mode == "exposure" else "frames",
            record=self.record,
            model=self.model,
            returns="none",
            deadline_ms=self.deadline_ms,
            hold_timeout_s=self.hold_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveTerms:
    """When an adaptive scan is done, in the words of `Client.adaptive`."""

    budget_e_per_nm2: float | None = None
    target_sigma: float | None = None
    quantile: float | None = None
    region: tuple[int, int, int, int] | None = None
    min_gain: float | None = None
    max_passes: int | None = None
    policy: str = "auto"
    approval: Literal["microscope", "operator"] = "microscope"
    decision_timeout_s: float = 60.0

    def options(self, series: SeriesOptions, stopping: Callable[[], bool]) -> AdaptiveOptions:
        """What `Client.adaptive` is asked for; name, channels and what the instrument can run come later."""
        options = AdaptiveOptions(
            first=series.plan,
            budget_e_per_nm2=self.budget_e_per_nm2,
            target_sigma=self.target_sigma,
            quantile=self.quantile,
            region=self.region,
            max_passes=self.max_passes,
            policy=self.policy,
            approval=self.approval,
            decision_timeout_s=self.decision_timeout_s,
            stopping=stopping,
            restore_channel=series.restore_channel,
            record=series.record,
            model=series.model,
            returns="estimate",
            # A pass is sent in pieces, each with an answer of its own; only the last one matters here.
            unread=2,
            when_unread="drop_oldest",
            hold_timeout_s=series.hold_s,
        )
        if self.min_gain is not None:
            options["min_gain"] = self.min_gain
        return options


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What became of a series, or of all those of an adaptive scan."""

    series: str
    """The instrument's name for it; of an adaptive scan, for the first one."""
    session: str
    points: int
    """Points up to the last one that came."""
    lost: int
    """Of these, and of those that were announced, how many are missing or could not be used."""
    receipt: Receipt | None
    """The service's account; None where it gave none."""
    why: str = ""
    """Of an adaptive scan: why it ended, in words."""


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
