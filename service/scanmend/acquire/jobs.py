"""A frame on its way through the engine, and the shared slot that its answer lies in."""

from __future__ import annotations

from dataclasses import dataclass, field

import zmq

from scanmend.ipc import SlotPool, SlotRing
from scanmend.ipc.pool import Lease
from scanmend.wire.header import FrameHeader

FLOAT_BYTES = 4


@dataclass(slots=True)
class Job:
    """A received frame until it has its outcome and the engine has let go of it."""

    header: FrameHeader
    header_bytes: bytes
    payload: zmq.Frame
    """The samples, as they came from the socket."""
    received_mono_ns: int
    deadline_mono_ns: int | None = None
    """When it is passed through if there is no restoration; None waits."""
    answered: bool = False
    """Whether the frame has its outcome; the engine may still hold its slots."""
    ticket: int | None = None
    lease_in: Lease | None = None
    pool_in: SlotPool | None = None
    """Where `lease_in` is from."""
    picture: Picture | None = None
    awaited_engine: bool = False
    """Whether it came while there was no engine that could restore it; the problems tell of that time."""
    engines_lost: int = 0
    """How many engines have died while they had it."""


@dataclass(slots=True)
class Picture:
    """An output slot with a restoration in it, freed when its last user lets go."""

    ring: SlotRing
    pool: SlotPool
    lease: Lease
    users: int = 1
    shape: tuple[int, int] = (0, 0)
    has_sigma: bool = False
    has_raw: bool = False

    def bytes_of(self, plane: int) -> memoryview:
        """One of estimate, sigma and raw (0, 1, 2), float32 `(ny, nx)`, without a copy."""
        size = self.shape[0] * self.shape[1] * FLOAT_BYTES
        return self.ring.slot(self.lease.slot)[plane * size : (plane + 1) * size]

    def hold(self) -> Picture:
        """One user more."""
        self.users += 1
        return self

    def release(self) -> None:
        """One user less; the last one frees the slot."""
        self.users -= 1
        if self.users == 0:
            self.pool.free(self.lease)


@dataclass(slots=True)
class InFlight:
    """Pictures that ZeroMQ still reads from; released when it has sent them."""

    _waiting: list[tuple[Picture, list[zmq.MessageTracker]]] = field(default_factory=list)

    def add(self, picture: Picture, trackers: list[zmq.MessageTracker]) -> None:
        """Keep a picture until its trackers are done; the caller's hold passes to here."""
        self._waiting.append((picture, trackers))

    def sweep(self) -> None:
        """Release what has been sent."""
        if not self._waiting:
            return
        still = []
        for picture, trackers in self._waiting:
            if all(tracker.done for tracker in trackers):
                picture.release()
            else:
                still.append((picture, trackers))
        self._waiting = still

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(frozen=True, slots=True)
class Slots:
    """The two rings of a session, and who may use what of them."""

    ring_in: SlotRing
    ring_out: SlotRing
    pool_in: SlotPool
    pool_out: SlotPool

    @property
    def size_bytes(self) -> int:
        """Shared memory of both rings."""
        return sum(ring.slots * ring.slot_bytes for ring in (self.ring_in, self.ring_out))

    @property
    def idle(self) -> bool:
        """Whether nobody uses any slot."""
        return self.pool_in.in_use == 0 and self.pool_out.in_use == 0

    def close(self) -> None:
        """Remove both rings."""
        self.ring_in.close()
        self.ring_out.close()
