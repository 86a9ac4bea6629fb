"""The adapter kit: what an adapter for another maker's instrument is, and what it says.

An adapter is a `Source`, and a `ScanController` too where the instrument can be told what to do. It knows the maker's
bytes and nothing of the service: `scanmend.sources.relay` turns what it says into sessions of the native protocol.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from scanmend.field import Capabilities, Channel
from scanmend.plan import ScanPlan
from scanmend.sources.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesBegan:
    """The instrument begins a series: one run of its own, of one pass or several."""

    series: str
    """The instrument's name for it; never the same for two series, also after the instrument was started anew."""
    points: int | None = None
    """Samples or images that are to come; None where the instrument does not say, or goes on until it is stopped."""
    dead: npt.NDArray[np.bool_] | None = None
    """Of an image detector: pixels `(height, width)` whose values mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Values of consecutive points."""

    series: str
    first: int
    """Number of the first one in its series, from 0."""
    values: npt.NDArray[np.generic]
    """`(channels, points)`, in the order and of the type of `Source.channels`."""
    acquired_unix_ns: int | None = None
    """When the last one was taken, by the instrument's clock; None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images of a pixelated detector, one a point; virtual detectors make samples of them."""

    series: str
    first: int
    """Number of the first one in its series, from 0."""
    stack: npt.NDArray[np.generic] | Sequence[npt.NDArray[np.generic]]
    """`(points, height, width)`, or the images one by one, of one size and type: putting them together is a copy."""
    acquired_unix_ns: int | None = None
    """When the last one was taken, by the instrument's clock; None where it does not say."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """`(height, width)`."""
        height, width = self.stack[0].shape
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Points that the instrument measured and that cannot be used, with the reason; they are counted."""

    series: str
    first: int
    points: int
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEnded:
    """The instrument says that no more points of a series come."""

    series: str
    aborted: bool = False
    points: int | None = None
    """How many points were measured, where it was fewer than were to come; None where the instrument does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something went wrong that cost no point that is known of."""

    problem: Problem


def points_of(event: Samples | Images | Lost) -> int:
    """How many points an event is about."""
    if isinstance(event, Lost):
        return event.points
    return int(event.values.shape[-1] if isinstance(event, Samples) else len(event.stack))


Event = SeriesBegan | Samples | Images | Lost | SeriesEnded | Remark


class Source(Protocol):
    """A detector, a scan generator or a file that gives samples."""

    channels: tuple[Channel, ...]
    """What the lines of `Samples.values` are; empty where the source gives `Images`."""

    def open(self) -> None:
        """Connect. The relay calls it first, and again after `close` when the instrument has gone silent.

        Raises:
            NotConnected: The instrument is not there now. The relay tries again.
            ScanmendError: It can never be used so; the relay ends with it.
        """

    def read(self, timeout_s: float) -> Event | None:
        """What happened next; None where nothing did in time. The relay calls it all the time.

        What cannot be understood is a `Remark` or `Lost`, never an exception. A connection that died must be noticed
        here (TCP by keepalive): a silent one is not made anew, because a series may have a pause.

        Raises:
            NotConnected: The connection is gone. The relay closes, and opens again.
        """

    def close(self) -> None:
        """Let go of the connection; the relay calls it last, also when `open` failed, and may call it twice."""


class ScanController(Protocol):
    """What can be told to scan, or to be ready for a scan; called by the relay, from its one thread.

    Points of a plan that it runs come back through the adapter's `Source`, as a series of their own that counts them
    from 0 in the order of the plan. A pass that was cut short ends with `SeriesEnded`, with the number of its points
    that were measured, or `aborted`.
    """

    def capabilities(self) -> Capabilities:
        """What plans it can run: points or blocks, dwell times, largest number of points, and what each costs in time.

        Called once, after `prepare` of the first plan; proposals keep to it.
        """

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        """The plan as it would be run, with dwell times rounded and what is too long cut; touches no instrument.

        `scanmend.plan.fit` does it for what `capabilities` can say.

        Raises:
            PlanError: It cannot be run: a field of this shape, or points where only blocks can be run.
        """

    def begin(self, plan: ScanPlan, passes: int) -> str | None:
        """Run a prepared plan so many times, 0 for ever, and return when it runs or waits for its trigger.

        Called when the source is open, once for each series; always with one pass in an adaptive scan.

        Returns:
            Name of the series that will come of it, where that is known: no other one is taken then.

        Raises:
            NotConnected: The instrument does not answer in time.
            InstrumentError: It answered, and said no.
        """

    def abort(self) -> None:
        """Stop at once, and blank the beam where it can; does nothing where nothing runs.

        The source then gives what was measured, and `SeriesEnded`; the relay listens for a second.

        Raises:
            NotConnected: The instrument does not answer in time.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """An adapter that is ready for use."""

    source: Source
    controller: ScanController | None = None


@runtime_checkable
class Completes(Protocol):
    """An adapter that knows of the field what its options leave out, because a file says it."""

    def complete(self, arguments: argparse.Namespace) -> None:
        """Fill in `shape`, `pixel_size_nm`, `dwell_us` and the like where they are None; called before `build`.

        Raises:
            InvalidInput: Options that cannot be.
            MissingExtra: A package that it needs is not installed; the text names the mend.
        """


class Adapter(Protocol):
    """What an adapter's package registers: a description, options of its own, and how to build it."""

    help: str
    """One sentence for `scanmend source list`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options; the relay's own are there already."""

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make it from its options, without connecting.

        Args:
            arguments: Its own options, and the relay's.
            plan: What the beam visits in each pass.

        Raises:
            InvalidInput: Options that cannot be.
            MissingExtra: A package that it needs is not installed; the text names the mend.
        """
