"""The newest picture of a session, and which frames become one."""

from __future__ import annotations

from dataclasses import dataclass

import zmq

from scanmend.acquire.jobs import Picture
from scanmend.ipc.console import PictureInfo

LIVE_INTERVAL_NS = 33_000_000
"""The page is offered 30 pictures a second at most."""
UNWATCHED_INTERVAL_NS = 1_000_000_000


@dataclass(slots=True)
class Live:
    """The newest picture for the page."""

    number: int = 0
    info: PictureInfo | None = None
    picture: Picture | None = None
    samples: zmq.Frame | None = None
    """A full raster as it came, where no engine made a picture of it."""
    fetched: bool = True
    wanted_until_mono_ns: int = 0
    offered_mono_ns: int = 0
    _judged_pass: int = -1
    _shown_pass: int = -1
    _chosen_mono_ns: int = 0

    def watched(self, now_mono_ns: int) -> bool:
        """Whether somebody has asked for pictures of late."""
        return now_mono_ns <= self.wanted_until_mono_ns

    def due(self, now_mono_ns: int) -> bool:
        """Whether the next frame should become a picture.

        One a second also where nobody watches: who opens the page of a scan that stands still, to decide on a
        proposal, must see the specimen.
        """
        return now_mono_ns - self.offered_mono_ns >= self._interval_ns(now_mono_ns)

    def shows(self, pass_index: int, now_mono_ns: int, *, idle: bool) -> bool:
        """Whether a pass becomes a picture where not all do: all frames of it, or none.

        Args:
            pass_index: Number of the pass; each is judged once, by its first frame.
            now_mono_ns: Now.
            idle: Whether nothing waits to become a picture.
        """
        if pass_index != self._judged_pass:
            self._judged_pass = pass_index
            rested = now_mono_ns - self._chosen_mono_ns >= self._interval_ns(now_mono_ns)
            if idle and (rested or self.due(now_mono_ns)):
                self._shown_pass, self._chosen_mono_ns = pass_index, now_mono_ns
        return pass_index == self._shown_pass

    def _interval_ns(self, now_mono_ns: int) -> int:
        return LIVE_INTERVAL_NS if self.watched(now_mono_ns) else UNWATCHED_INTERVAL_NS
