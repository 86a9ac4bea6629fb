"""An unreliable link: faults act on frames between the client and its socket.

`scanmend.client.Client` hands every message on its way out to a tap. This one loses, delays, reorders, repeats and
damages FRAMEs as `scanmend_sim.faults` says; control messages pass unharmed, as over any connection that is up. It has
no thread: a delayed message leaves with the first message after its time, and all leave before END, so that nothing
comes after the receipt.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from itertools import count

import msgspec

from scanmend.client.link import Message
from scanmend_sim.faults import FaultInjector, FaultRates, FaultReport, Outgoing

LONGEST_END_BYTES = 512
"""No END is longer; larger control messages need not be looked into."""


class UnreliableLink:
    """A tap for `Client` that injects faults.

    Args:
        rates: How often each fault happens.
        seed: The same seed and messages give the same faults.
        clock: Seconds that never go back.
    """

    def __init__(self, rates: FaultRates, seed: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._injector = FaultInjector(rates, seed)
        self._clock = clock
        self._late: list[tuple[float, int, Outgoing]] = []
        self._numbers = count()

    @property
    def report(self) -> FaultReport:
        """What has been done to the frames so far."""
        return self._injector.report

    def __call__(self, message: Message) -> Iterable[Message]:
        """Give what goes out in place of a message, in order."""
        now_s = self._clock()
        leaving: list[Message] = []
        if len(message) == 2:
            for outgoing in self._injector.feed(message[0], message[1]):
                if outgoing.delay_s > 0:
                    heapq.heappush(self._late, (now_s + outgoing.delay_s, next(self._numbers), outgoing))
                else:
                    leaving.append((outgoing.header, outgoing.payload))
            leaving.extend(self._due(now_s))
            return leaving
        if _is_end(message[0]):
            leaving.extend((outgoing.header, outgoing.payload) for outgoing in self._injector.flush())
            leaving.extend(self._due(float("inf")))
        else:
            leaving.extend(self._due(now_s))
        leaving.append(message)
        return leaving

    def _due(self, until_s: float) -> list[Message]:
        due: list[Message] = []
        while self._late and self._late[0][0] <= until_s:
            outgoing = heapq.heappop(self._late)[2]
            due.append((outgoing.header, outgoing.payload))
        return due


def _is_end(data: bytes | memoryview) -> bool:
    if len(data) > LONGEST_END_BYTES:
        return False
    return bool(msgspec.msgpack.decode(data).get("type") == "END")
