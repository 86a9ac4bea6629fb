"""Faults on purpose: a seeded transform of outgoing messages that loses, delays and damages some of them.

It knows nothing of sockets. Each message meets at most one fault, and each fault is counted, so that a test can
compare the service's books with these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

import numpy as np

from scanmend.errors import InvalidInput
from scanmend.wire.header import FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader

Bytes = bytes | memoryview
"""A part of a message."""

MAX_PAYLOAD_BYTES = 1 << 40
"""Limit for reading our own headers again; the service has its own, smaller one."""

SWAPPED_DTYPE = {
    "uint8": "uint16",
    "uint16": "int16",
    "int16": "uint16",
    "uint32": "float32",
    "int32": "uint32",
    "float32": "int32",
}
"""The type that a wrong header names: of the same size where there is one, so that only the session notices."""


class Fault(StrEnum):
    """What can happen to a message."""

    DROP = "drop"
    """It is never sent."""
    DELAY = "delay"
    """It is sent late; later messages do not wait for it."""
    REORDER = "reorder"
    """It is sent after the next message that is not itself held back."""
    TRUNCATE = "truncate"
    """The end of its payload is missing."""
    DUPLICATE = "duplicate"
    """It is sent twice."""
    GARBAGE = "garbage"
    """Random bytes of random length are sent in its place."""
    WRONG_DTYPE = "wrong_dtype"
    """Its header, otherwise right and sealed, names another type of sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """How often each fault happens, as a share of all messages.

    Raises:
        InvalidInput: A share outside 0 to 1, or shares that sum to more than 1.
    """

    drop: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    truncate: float = 0.0
    duplicate: float = 0.0
    garbage: float = 0.0
    wrong_dtype: float = 0.0
    delay_ms: float = 50.0
    """Mean of the delays; they are distributed exponentially."""

    def __post_init__(self) -> None:
        shares = [self.share(fault) for fault in Fault]
        if not all(math.isfinite(share) and 0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise InvalidInput(
                f"The fault rates {shares} are not shares of all messages.",
                mend="Give each from 0 to 1, with a sum of at most 1.",
            )
        if not (math.isfinite(self.delay_ms) and self.delay_ms >= 0):
            raise InvalidInput(f"A mean delay of {self.delay_ms} ms.", mend="Give delay_ms of 0 or more.")

    def share(self, fault: Fault) -> float:
        """Give the share of one fault."""
        return float(getattr(self, fault.value))

    @property
    def any(self) -> bool:
        """Whether anything ever goes wrong."""
        return any(self.share(fault) > 0 for fault in Fault)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send."""

    header: Bytes
    payload: Bytes
    delay_s: float = 0.0
    """How much later than now to send it, in seconds."""
    fault: Fault | None = None
    """What happened to it; None for a message as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """The injector's books: `messages_in = untouched + Σ faults`.

    `messages_out` is `messages_in - drop + duplicate` once nothing is held back.
    """

    messages_in: int = 0
    messages_out: int = 0
    untouched: int = 0
    held_back: int = 0
    """Messages that wait to be sent out of order."""
    faults: Mapping[Fault, int]

    @property
    def damaged(self) -> int:
        """Messages that went out in a form that no receiver may take."""
        return sum(self.faults[kind] for kind in (Fault.TRUNCATE, Fault.GARBAGE, Fault.WRONG_DTYPE))


class FaultInjector:
    """A stream of messages, with faults."""

    def __init__(self, rates: FaultRates, seed: int = 0) -> None:
        """Start counting.

        Args:
            rates: How often each fault happens.
            seed: The same seed and messages give the same faults.
        """
        self.rates = rates
        self._rng = np.random.default_rng(seed)
        self._edges = np.cumsum([rates.share(fault) for fault in Fault])
        self._held: list[Outgoing] = []
        self._faults = dict.fromkeys(Fault, 0)
        self._in = self._out = self._untouched = 0

    @property
    def report(self) -> FaultReport:
        """What has happened so far."""
        return FaultReport(
            messages_in=self._in,
            messages_out=self._out,
            untouched=self._untouched,
            held_back=len(self._held),
            faults=dict(self._faults),
        )

    def feed(self, header: Bytes, payload: Bytes) -> list[Outgoing]:
        """Take one message and give what is to be sent now, in order.

        Args:
            header: Its first part.
            payload: Its second part; may be empty.

        Returns:
            None, one, or several messages.
        """
        self._in += 1
        message = Outgoing(header, payload)
        fault = self._choose(message)
        if fault is None:
            self._untouched += 1
            return self._emit([message])
        self._faults[fault] += 1
        message = replace(message, fault=fault)
        match fault:
            case Fault.DROP:
                return []
            case Fault.REORDER:
                self._held.append(message)
                return []
            case Fault.DELAY:
                wait = float(self._rng.exponential(self.rates.delay_ms * 1e-3))
                return self._emit([replace(message, delay_s=wait)])
            case Fault.DUPLICATE:
                return self._emit([message, message])
            case Fault.TRUNCATE:
                return self._emit([self._shorter(message)])
            case Fault.GARBAGE:
                parts = (self._rng.bytes(int(self._rng.integers(1, most))) for most in (160, 4096))
                return self._emit([replace(message, header=next(parts), payload=next(parts))])
            case Fault.WRONG_DTYPE:
                return self._emit([replace(message, header=_other_dtype(header))])

    def flush(self) -> list[Outgoing]:
        """Give the messages that are still held back; call it when nothing more will be fed."""
        return self._emit([])

    def apply(self, messages: Iterable[tuple[Bytes, Bytes]]) -> Iterator[Outgoing]:
        """Put a whole stream through `feed` and `flush`."""
        for header, payload in messages:
            yield from self.feed(header, payload)
        yield from self.flush()

    def _emit(self, messages: list[Outgoing]) -> list[Outgoing]:
        leaving = [*messages, *self._held]
        self._held.clear()
        self._out += len(leaving)
        return leaving

    def _choose(self, message: Outgoing) -> Fault | None:
        index = int(np.searchsorted(self._edges, self._rng.random(), side="right"))
        fault = list(Fault)[index] if index < len(Fault) else None
        if fault is Fault.WRONG_DTYPE and not _is_frame(message.header):
            return None
        if fault is Fault.TRUNCATE and len(message.header) + len(message.payload) == 0:
            return None
        return fault

    def _shorter(self, message: Outgoing) -> Outgoing:
        if len(message.payload):
            return replace(message, payload=message.payload[: int(self._rng.integers(len(message.payload)))])
        return replace(message, header=message.header[: int(self._rng.integers(len(message.header)))])


def _is_frame(header: Bytes) -> bool:
    return len(header) == FRAME_HEADER_BYTES and bytes(header[:4]) == FRAME_MAGIC


def _other_dtype(header: Bytes) -> bytes:
    right = FrameHeader.unpack(header, max_payload_bytes=MAX_PAYLOAD_BYTES)
    return replace(right, dtype=SWAPPED_DTYPE[right.dtype]).pack()


RATE_NAMES = tuple(item.name for item in fields(FaultRates))
"""Names of all rates, for messages and tables."""
