"""The answers of Open Beam Interface: which bytes belong to which points.

An answer carries no index, so that a byte too few or too many would shift all that follows. Points are therefore asked
for in blocks, each closed by a Synchronize with a cookie of its own, which is answered by a mark: 0xFFFF, which no
14-bit sample is, and the cookie. A block whose mark does not come right behind as many bytes as it has samples is given
up as a whole. So what is lost is never taken for its neighbour.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.sources.obi.commands import MAX_CODE

MARK_BYTES = 4

SLACK_BYTES = 1 << 16
"""So much more than was asked for, without a mark, and nothing of it can be placed any more."""


@dataclass(frozen=True, slots=True)
class Block:
    """Points that were asked for together."""

    first: int
    """Number of the first one in its series."""
    points: int
    cookie: int

    @property
    def mark(self) -> bytes:
        """What closes its answers."""
        return b"\xff\xff" + self.cookie.to_bytes(2, "big")

    @property
    def samples_bytes(self) -> int:
        """Bytes of its samples."""
        return 2 * self.points


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a block."""

    block: Block
    values: npt.NDArray[np.uint16] | None
    """`(points,)`; None where they cannot be placed."""
    wrong: str = ""
    """Why not, in words."""


class Cookies:
    """Cookies one after another, which no two marks in the stream share for a long time.

    The upper byte lies below 0x40, so that a mark cannot be read from the last byte of a sample and the mark after it.
    """

    def __init__(self, start: int = 0) -> None:
        self._next = start

    def new(self) -> int:
        """The next one."""
        self._next = self._next % 0x3FFF + 1
        return self._next


class ReplyReader:
    """Answers from a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.asked: deque[Block] = deque()
        """Blocks that were asked for and have not been answered."""

    def expect(self, block: Block) -> None:
        """A block has been asked for."""
        self.asked.append(block)

    def feed(self, data: bytes) -> list[Answer]:
        """The blocks that are over with these bytes."""
        self._held += data
        answers: list[Answer] = []
        while self.asked and (found := self._first_mark()) is not None:
            answers += self._close(*found)
        if not self.asked:
            self._held.clear()  # nothing was asked for, so that it belongs to nothing
        most = sum(block.samples_bytes + MARK_BYTES for block in self.asked) + SLACK_BYTES
        if len(self._held) > most:
            answers += self.give_up("Far more bytes came than were asked for, and no mark among them.")
        return answers

    def give_up(self, why: str) -> list[Answer]:
        """Whatever was asked for will not be placed any more."""
        answers = [Answer(block, None, why) for block in self.asked]
        self.asked.clear()
        self._held.clear()
        return answers

    def _first_mark(self) -> tuple[int, int] | None:
        """Which of the blocks is closed first, and where its mark begins."""
        found = [(at, which) for which, block in enumerate(self.asked) if (at := self._held.find(block.mark)) >= 0]
        if not found:
            return None
        at, which = min(found)
        return which, at

    def _close(self, which: int, at: int) -> list[Answer]:
        """The block of this place is closed by the mark at this byte, and those before it never will be."""
        answers = [Answer(self.asked.popleft(), None, "Its mark never came.") for _ in range(which)]
        block = self.asked.popleft()
        samples = bytes(self._held[:at])
        del self._held[: at + MARK_BYTES]
        if answers:
            return [*answers, Answer(block, None, "Where it begins is not known.")]
        if at != block.samples_bytes:
            return [Answer(block, None, f"{at} bytes came for {block.points} samples.")]
        values = np.frombuffer(samples, ">u2").astype(np.uint16)
        if values.max(initial=0) > MAX_CODE:
            return [Answer(block, None, "It has values above 14 bits.")]
        return [Answer(block, values)]
