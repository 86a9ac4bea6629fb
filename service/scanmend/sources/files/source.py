"""Replays a file as a source: its pictures as passes of a scan, or as images of a detector, one for each point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import DamagedFile, InvalidInput
from scanmend.field import Channel
from scanmend.sources.files.signals import Array, Reader, Signal
from scanmend.sources.kit import Event, Images, Lost, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.problems import Code, Problem

SAMPLES = {
    **dict.fromkeys(("b1", "u1"), "uint8"),
    **dict.fromkeys(("i1", "i2"), "int16"),
    **dict.fromkeys(("f2", "f4", "f8", "i8", "u8"), "float32"),
    "u2": "uint16",
    "u4": "uint32",
    "i4": "int32",
}
"""What the protocol carries for a file's type, by numpy's letter and size."""

EXACT_FLOAT32 = 1 << 24
"""Largest whole number up to which float32 holds every one."""

SLICE_S = 0.05
"""A replay at the scan's own speed gives points of so much time at once."""

MOST_POINTS = 65_536


def sample_type(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The type in which values of a file's type are sent.

    Raises:
        InvalidInput: There is none.
    """
    name = SAMPLES.get(f"{dtype.kind}{dtype.itemsize}")
    if name is None:
        raise InvalidInput(
            f"The values are of the type {dtype}, which is no detector's.",
            mend="Save their magnitude, or their real part, as float32."
            if dtype.kind == "c"
            else "Save them as float32.",
        )
    return np.dtype(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What of a file is replayed, and how."""

    name: str
    """Of the series; a number comes behind it."""
    chosen: tuple[int, ...]
    """Signals; each is a channel, or the one with the images."""
    images: bool
    dwell_ns: float
    speed: float = 1.0
    """How much faster than it was scanned; infinity for as fast as it goes."""


class FileSource:
    """A file that is replayed again and again, one series each time.

    Args:
        opener: Opens the file.
        signal: The first signal that is replayed, as the file was found.
        replay: What of the file, and how.
        channels: What its pictures are; empty where they are images.
    """

    def __init__(
        self, opener: Callable[[], Reader], signal: Signal, replay: Replay, channels: tuple[Channel, ...]
    ) -> None:
        self.channels = channels
        self._opener, self._replay, self._signal = opener, replay, signal
        self._reader: Reader | None = None
        self._side, self._steps = signal.side, signal.steps
        self._dtype = (
            np.dtype(signal.dtype) if replay.images and signal.dtype.kind != "f" else sample_type(signal.dtype)
        )
        self._count = 0
        self._events: Iterator[tuple[Event, int]] = iter(())
        self._next: tuple[Event, int] | None = None
        self._began_s = 0.0

    def open(self) -> None:
        """Open the file, at its beginning.

        Raises:
            InvalidInput: It is not what it was.
        """
        self.close()
        self._reader = self._opener()
        found = self._reader.signals
        if max(self._replay.chosen) >= len(found) or found[self._replay.chosen[0]] != self._signal:
            self.close()
            raise InvalidInput("The file has changed since it was looked at.", mend="Begin the replay again.")

    def close(self) -> None:
        """Let go of the file."""
        self._events, self._next = iter(()), None
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def read(self, timeout_s: float) -> Event | None:
        """What comes next, once it is due."""
        if self._next is None:
            self._next = next(self._events, None) or self._begin()
        event, points = self._next
        wait_s = self._began_s + points * self._replay.dwell_ns * 1e-9 / self._replay.speed - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return None
        self._next = None
        return event

    # From pictures to events ------------------------------------------------------------------------------------

    def _begin(self) -> tuple[Event, int]:
        self._count += 1
        self._began_s = time.monotonic()
        series = f"{self._replay.name}-{self._count}"
        total = self._steps * self._points_a_step
        self._events = self._series(series, total)
        return SeriesBegan(series=series, points=total), 0

    @property
    def _points_a_step(self) -> int:
        return 1 if self._replay.images else self._side[0] * self._side[1]

    def _series(self, series: str, total: int) -> Iterator[tuple[Event, int]]:
        """Events, each with the number of points that are scanned by then."""
        first = 0
        if self._reader is None:
            raise RuntimeError("a source was read that is not open")
        try:
            for block in self._reader.read(self._replay.chosen):
                for step in self._steps_of(block):
                    for event, points in self._slices(series, first, step):
                        yield event, first + points
                    first += len(step) * self._points_a_step
        except DamagedFile as error:
            problem = Problem(Code.UNDECODABLE, error.message, error.mend)
            yield Lost(series=series, first=first, points=total - first, problem=problem), first
        yield SeriesEnded(series=series), first

    def _steps_of(self, block: Array) -> Iterator[Array]:
        """A block in parts that are sent or lost as a whole: images of the same time, or one picture of a scan."""
        size = self._slice_points if self._replay.images else 1
        for first in range(0, len(block), size):
            yield block[first : first + size]

    @property
    def _slice_points(self) -> int:
        return int(min(MOST_POINTS, max(1.0, SLICE_S * self._replay.speed * 1e9 / self._replay.dwell_ns)))

    def _slices(self, series: str, first: int, step: Array) -> Iterator[tuple[Event, int]]:
        """Events of a part `(steps, signals, height, width)`, each with the points up to its end."""
        points = len(step) * self._points_a_step
        values, wrong = self._values(step)
        if values is None:
            problem = Problem(
                Code.UNDECODABLE, f"{wrong} at point {first} of {series}.", "Mend the file, or cut it there."
            )
            yield Lost(series=series, first=first, points=points, problem=problem), points
        elif self._replay.images:
            yield Images(series=series, first=first, stack=values[:, 0]), points
        else:
            table = values[0].reshape(len(self._replay.chosen), -1)
            for begin in range(0, points, self._slice_points):
                part = table[:, begin : begin + self._slice_points]
                yield Samples(series=series, first=first + begin, values=part), begin + part.shape[1]

    def _values(self, step: Array) -> tuple[npt.NDArray[np.generic] | None, str]:
        """Values of the type that is sent, or what is wrong with them."""
        if step.dtype.kind == "f" and not np.isfinite(step).all():
            return None, "A value is not a number, or infinite,"
        if self._dtype == np.float32 and step.dtype.kind in "iu" and np.abs(step).max(initial=0) > EXACT_FLOAT32:
            return None, f"A whole number of {step.dtype} is too large"
        with np.errstate(over="ignore"):
            values = step.astype(self._dtype)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return None, "A value is too large"
        return values, ""


def channels_of(
    signals: Sequence[Signal], *, units_per_electron: float | None, counting: bool, dwell_ns: float
) -> tuple[Channel, ...]:
    """The channels of signals that are pictures of a scan, each named after its signal."""
    made: list[Channel] = []
    for signal in signals:
        name = signal.name.encode()[:60].decode(errors="ignore") or "picture"
        taken = sum(channel.name.startswith(name) for channel in made)
        made.append(
            Channel(
                name=name if not taken else f"{name} {taken + 1}",
                dtype=sample_type(signal.dtype).name,
                kind="counting" if counting else "analogue",  # type: ignore[arg-type]
                units_per_electron=units_per_electron,
                reference_dwell_ns=max(1, round(dwell_ns)),
            )
        )
    return tuple(made)
