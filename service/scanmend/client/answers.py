"""What the service still owes an answer to, and the answers that the caller has not read."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from scanmend.client.restored import Restored

DOUBT_S = 10.0
"""After a reconnect, an answer that was on its way may be lost; it is waited for no longer than this."""

PATIENCE_S = 120.0
"""Longest wait while the service is there and no answer comes. A large exposure may be slow, or its engine be started
again; but an answer that was lost unseen looks the same, and must not be waited for for ever."""


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
        self._doubted: dict[int, float] = {}
        """Until when answers in doubt are waited for."""
        self._patience: tuple[int, float] | None = None
        """Below which number answers are late, and until when they are waited for."""

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
        self._settle(seq)

    def _settle(self, seq: int) -> Awaited | None:
        self._doubted.pop(seq, None)
        return self._awaited.pop(seq, None)

    def take(self, restored: Restored) -> None:
        """Queue an answer that is `wanted`."""
        seq, pass_index = restored.seq, restored.pass_index
        self._patience = None  # answers come: those behind it are in their turn
        if self._settle(seq) is None:
            self._lost.discard(seq)
            self.given_up -= 1
        # Earlier chunks of the pass were superseded: the service answers only the newest that waits.
        for earlier in [s for s, a in self._awaited.items() if s < seq and a.pass_index == pass_index]:
            self._settle(earlier)
        if self.drop_oldest and len(self.unread) >= self.bound:
            self.unread.popleft()
            self.dropped += 1
        self.unread.append(restored)
        self.taken += 1

    def give_up(self, below: int) -> None:
        """Wait no longer for answers to frames below a number: what was to send them is gone."""
        for seq in [seq for seq in self._awaited if seq < below]:
            self._lose(seq)

    def _lose(self, seq: int) -> None:
        if self._settle(seq) is not None:
            self._lost.add(seq)
            self.given_up += 1

    def ask_anew(self, below: int) -> None:
        """The service was started again: it answers what it gets again, and nothing below a number."""
        self.give_up(below)
        self._doubted.clear()
        self._patience = None

    def doubt(self, below: int, now_s: float) -> None:
        """Give answers to frames below a number some more time only, because a connection broke.

        What is in doubt already gets no more time: each silence of the service leads here again.
        """
        for seq in self._awaited:
            if seq < below:
                self._doubted.setdefault(seq, now_s + DOUBT_S)

    def be_patient(self, below: int, now_s: float) -> None:
        """Wait for answers to frames below a number for as long as one may take, because the service is only quiet."""
        if self._patience is None:
            self._patience = below, now_s + PATIENCE_S

    def tick(self, now_s: float) -> None:
        """Give up what has been waited for for too long."""
        for seq in [seq for seq, until_s in self._doubted.items() if now_s >= until_s]:
            self._lose(seq)
        if self._patience is not None and now_s >= self._patience[1]:
            self.give_up(self._patience[0])
            self._patience = None
