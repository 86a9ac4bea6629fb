"""What the service still owes an answer to, and the answers that the caller has not read."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from scanmend.client.restored import Restored

DOUBT_S = 10.0
"""After a reconnect, an answer that was on its way may be lost; it is waited for no longer than this."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A frame without an answer."""

    pass_index: int
    full_raster: bool
    """Whether it holds every pixel of the field in raster order."""
    since_s: float


class Answers:
    """Sequence numbers without an answer, and a bounded queue of answers.

    Args:
        bound: Most answers kept unread.
        drop_oldest: Whether the oldest unread answer makes room for a new one; without it, sending is held.
    """

    def __init__(self, *, bound: int, drop_oldest: bool) -> None:
        self.bound = bound
        self.drop_oldest = drop_oldest
        self.unread: deque[Restored] = deque()
        self.taken = 0
        """Answers that came, unread ones included."""
        self.dropped = 0
        """Unread answers that made room for newer ones."""
        self.repeated = 0
        """Answers that came a second time and were put aside."""
        self.given_up = 0
        """Frames whose answer was lost with a connection or a process."""
        self._awaited: dict[int, Awaited] = {}
        self._lost: set[int] = set()
        self._doubt_below = 0
        self._doubt_until_s = 0.0

    @property
    def awaited(self) -> int:
        """How many frames have no answer yet."""
        return len(self._awaited)

    @property
    def full(self) -> bool:
        """Whether nothing more may be sent before something is read."""
        return not self.drop_oldest and len(self.unread) >= self.bound

    def expect(self, seq: int, pass_index: int, *, full_raster: bool, now_s: float) -> None:
        """Wait for the answer to a frame."""
        self._awaited[seq] = Awaited(pass_index, full_raster, now_s)

    def get(self, seq: int) -> Awaited | None:
        """What is known of a frame whose answer is waited for."""
        return self._awaited.get(seq)

    def wanted(self, seq: int) -> bool:
        """Whether an answer to a frame is new; one that is not is counted as repeated."""
        if seq in self._awaited or seq in self._lost:
            return True
        self.repeated += 1
        return False

    def forget(self, seq: int) -> None:
        """Wait no longer for the answer to a frame, which was rejected."""
        self._awaited.pop(seq, None)

    def take(self, restored: Restored) -> None:
        """Queue an answer that is `wanted`."""
        seq, pass_index = restored.seq, restored.pass_index
        if self._awaited.pop(seq, None) is None:
            self._lost.discard(seq)
            self.given_up -= 1
        # Earlier chunks of the pass were superseded: the service answers only the newest that waits.
        for earlier in [s for s, a in self._awaited.items() if s < seq and a.pass_index == pass_index]:
            del self._awaited[earlier]
        if self.drop_oldest and len(self.unread) >= self.bound:
            self.unread.popleft()
            self.dropped += 1
        self.unread.append(restored)
        self.taken += 1

    def give_up(self, below: int) -> None:
        """Wait no longer for answers to frames below a number: what was to send them is gone."""
        for seq in [seq for seq in self._awaited if seq < below]:
            del self._awaited[seq]
            self._lost.add(seq)
            self.given_up += 1

    def doubt(self, below: int, now_s: float) -> None:
        """Give answers to frames below a number some more time only, because a connection broke."""
        self._doubt_below, self._doubt_until_s = below, now_s + DOUBT_S

    def tick(self, now_s: float) -> None:
        """Give up what has been in doubt for too long."""
        if self._doubt_below and now_s >= self._doubt_until_s:
            self.give_up(self._doubt_below)
            self._doubt_below = 0
