"""Frames that are not yet safe with the service, and which of them goes out next.

The ring keeps a frame from the moment it has a sequence number until the service holds it as safely as the session
asked for. It counts what the credit is measured in, and never looks at a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scanmend.wire.messages import Delivery

RESEND_PAUSE_S = 0.2
"""A frame that was resent is not resent again sooner: the report of the same hole may come several times."""


@dataclass(slots=True)
class RingFrame:
    """A frame as it goes over the wire."""

    seq: int
    plan_id: int
    header: bytes
    payload: memoryview
    times_sent: int = 0
    sent_at_s: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.payload)


class FrameRing:
    """Frames by sequence number, with a cursor on the first that was never sent.

    Args:
        delivery: When a frame may be forgotten.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.received_upto = 0
        """Every frame below this is received or rejected."""
        self.durable_upto = 0
        """Every frame below this is on the disk or rejected."""
        self.next_seq = 0
        """The sequence number of the next new frame."""
        self.cursor = 0
        """The next frame to send for the first time, or for the first time since a resume."""
        self.held_bytes = 0
        """Payload bytes in the ring."""
        self.unreceived_bytes = 0
        """Payload bytes sent and not yet received, as the credit counts them."""
        self.resent = 0
        """Frames sent more than once, each time counted."""
        self._durable = delivery is Delivery.DURABLE
        self._frames: dict[int, RingFrame] = {}
        self._low = 0
        self._again: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def held_from(self) -> int:
        """The first sequence number that could still be resent; everything below is safe, rejected or forgotten."""
        return self._low

    @property
    def all_sent(self) -> bool:
        """Whether nothing is waiting to be sent or resent."""
        return self.cursor == self.next_seq and not self._again

    def get(self, seq: int) -> RingFrame | None:
        """The frame of a sequence number while it is held."""
        return self._frames.get(seq)

    def push(self, frame: RingFrame) -> None:
        """Take a new frame; its number must be `next_seq`."""
        self._frames[frame.seq] = frame
        self.next_seq = frame.seq + 1
        self.held_bytes += frame.size

    def fits(self, size: int, credit_until: int, credit_bytes: int) -> bool:
        """Whether the credit covers a new frame of a size, behind all that is held."""
        if self.cursor != self.next_seq or self.next_seq >= credit_until:
            return False
        return self.unreceived_bytes == 0 or self.unreceived_bytes + size <= credit_bytes

    def due(self, now_s: float, credit_until: int, credit_bytes: int) -> RingFrame | None:
        """The frame that goes out next, or None; resends come first."""
        if self._again:
            for seq in sorted(self._again):
                if seq < credit_until and self._again[seq] <= now_s:
                    return self._frames[seq]
        if self.cursor == self.next_seq or self.cursor >= credit_until:
            return None
        frame = self._frames[self.cursor]
        if self.unreceived_bytes and self.unreceived_bytes + frame.size > credit_bytes:
            return None
        return frame

    def sent(self, frame: RingFrame, now_s: float) -> None:
        """Note that a frame was handed to the socket."""
        self._again.pop(frame.seq, None)
        if frame.seq == self.cursor:
            if frame.seq >= self.received_upto:
                self.unreceived_bytes += frame.size
            self._move_cursor(frame.seq + 1)
        if frame.times_sent:
            self.resent += 1
        frame.times_sent += 1
        frame.sent_at_s = now_s

    def acknowledge(self, received_upto: int, durable_upto: int) -> None:
        """Move both marks forward, never back, and forget what is safe."""
        received_upto, durable_upto = min(received_upto, self.next_seq), min(durable_upto, self.next_seq)
        for seq in range(self.received_upto, received_upto):
            frame = self._frames.get(seq)
            if frame is not None and seq < self.cursor:
                self.unreceived_bytes -= frame.size
            self._again.pop(seq, None)
        self.received_upto = max(self.received_upto, received_upto)
        self.durable_upto = max(self.durable_upto, durable_upto)
        for seq in range(self._low, self.durable_upto if self._durable else self.received_upto):
            self._drop(seq)
            self._low = seq + 1
        if self.cursor < self._low:
            self._move_cursor(self._low)

    def reject(self, seq: int) -> None:
        """Forget a frame that the service will never take."""
        frame = self._frames.get(seq)
        if frame is None:
            return
        if self.received_upto <= seq < self.cursor:
            self.unreceived_bytes -= frame.size
        self._drop(seq)
        if seq == self.cursor:
            self._move_cursor(seq)

    def resend(self, seqs: Iterable[int], now_s: float, *, pause_s: float = 0.0) -> None:
        """Send frames again, each after a pause, and not again right after it was already resent."""
        for seq in seqs:
            frame = self._frames.get(seq)
            if frame is None or seq >= self.cursor or seq in self._again:
                continue
            earliest = frame.sent_at_s + RESEND_PAUSE_S if frame.times_sent > 1 else now_s
            self._again[seq] = max(earliest, now_s + pause_s)

    def rewind(self, resume_from: int, *, forgotten: bool) -> int:
        """Send everything again that the service may not have.

        Args:
            resume_from: The first frame that the service does not hold safely.
            forgotten: Whether the service was started anew, so that what it had only received is gone.

        Returns:
            Number of frames that the service lost and that are no longer held here.
        """
        self._again.clear()
        resume_from = min(resume_from, self.next_seq)
        lost = 0
        if forgotten:
            lost = max(0, self._low - resume_from)
            self.received_upto = min(self.received_upto, max(resume_from, self._low))
        self.acknowledge(max(self.received_upto, resume_from), max(self.durable_upto, resume_from))
        self.unreceived_bytes = 0
        self._move_cursor(max(self.received_upto, self._low))
        return lost

    def _move_cursor(self, seq: int) -> None:
        while seq < self.next_seq and seq not in self._frames:  # rejected ones leave holes
            seq += 1
        self.cursor = seq

    def _drop(self, seq: int) -> None:
        frame = self._frames.pop(seq, None)
        if frame is not None:
            self.held_bytes -= frame.size
        self._again.pop(seq, None)
