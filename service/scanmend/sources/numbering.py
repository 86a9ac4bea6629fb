"""Which series an image belongs to, and which number it has there, for instruments that name no series.

An image of Merlin's, and an array of areaDetector's, has a number and a time. Merlin counts from 1 in each acquisition;
areaDetector counts from 1 after `ArrayCounter` was set to 0, and otherwise goes on over acquisitions. That a series
began has to be seen from the instrument's word where it gives one, from a number that goes back, from a pause, or from
the count that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

LEFTOVER_NS = 60_000_000_000
"""An image that is older than the last one by less than this came late or twice; by more, and the clock was set."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs."""

    series: int
    """1 for the first series, and so on."""
    index: int
    """From 0."""
    begins: bool
    """Whether a series begins, whose beginning was not told before."""


class Numbering:
    """Places images one after another.

    Args:
        first_id: Number of the first image after the counter was set back.
        images: Images of a series, after which the next one begins; 0 where that is not known.
        pause_s: A longer pause between two images begins a series; None where the instrument tells.
    """

    def __init__(self, first_id: int = 1, images: int = 0, pause_s: float | None = None) -> None:
        self.series = 0
        """The series of the last image; 0 before the first."""
        self._first_id = first_id
        self._images = images
        self._pause_s = pause_s
        self._base = first_id
        """Number of the image that is index 0 of the series."""
        self._last_id: int | None = None
        self._last_ns: int | None = None
        self._heard_s = 0.0
        self._armed = False
        self._joined = False
        """Whether the present series is one that was seen since the connection was made."""

    def arm(self) -> int:
        """The instrument says that a series begins: the next image is of a new one, whose number this gives."""
        self._armed = True
        self.series += 1
        return self.series

    def forget(self) -> None:
        """The connection was lost; the next image may be of any series."""
        self._last_id, self._last_ns = None, None
        self._armed = self._joined = False

    def saw(self, unique_id: int, taken_ns: int | None) -> None:
        """Note an image that was there before anybody listened, so that what comes next is known to be new."""
        self._last_id, self._last_ns = unique_id, taken_ns

    def place(self, unique_id: int, taken_ns: int | None, now_s: float) -> Place:
        """Where the next image belongs.

        Args:
            unique_id: Its number.
            taken_ns: Its time, by the instrument's clock; None where that was never set.
            now_s: By our clock, which only goes on.
        """
        back = self._last_id is None or unique_id <= self._last_id
        if back and self._is_leftover(unique_id, taken_ns):
            return Place(self.series - self._armed, max(0, unique_id - self._base), begins=False)
        begins = self._begin(unique_id, back, self._paused(taken_ns, now_s))
        self._last_id, self._last_ns, self._heard_s = unique_id, taken_ns, now_s
        self._armed, self._joined = False, True
        return Place(self.series, unique_id - self._base, begins)

    def _is_leftover(self, unique_id: int, taken_ns: int | None) -> bool:
        """Whether an image whose number is not new came late or twice: its time is not new either."""
        if not self._joined or taken_ns is None or self._last_ns is None:
            return False
        if taken_ns == self._last_ns:  # or the clock stands still, and then only the number tells
            return unique_id == self._last_id
        return 0 < self._last_ns - taken_ns <= LEFTOVER_NS

    def _begin(self, unique_id: int, back: bool, paused: bool) -> bool:
        """Begin a series where this image is one of the next; gives whether its beginning is to be told now."""
        last_id, reset = self._last_id, min(self._first_id, unique_id)
        if self._armed:
            self._base = reset if back or last_id is None else last_id + 1
            return False
        if back or last_id is None:
            self._base = reset
            begins = last_id is not None or unique_id == reset
        elif paused:
            self._base, begins = last_id + 1, True
        elif not self._joined:
            self._base, begins = reset, False
        elif self._images and unique_id - self._base >= self._images:
            self._base += (unique_id - self._base) // self._images * self._images
            begins = True
        else:
            return False
        self.series += 1
        return begins

    def _paused(self, taken_ns: int | None, now_s: float) -> bool:
        if self._pause_s is None:
            return False
        if taken_ns is not None and self._last_ns is not None and taken_ns - self._last_ns > self._pause_s * 1e9:
            return True
        return bool(self._heard_s) and now_s - self._heard_s > self._pause_s
