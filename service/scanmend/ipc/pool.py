"""Who may use which slot of a ring: kept by the ring's owner alone, in its own memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use one slot, until it is freed or taken back."""

    slot: int
    """Which slot of the ring."""
    generation: int
    """How often this slot was handed out before; a message about an older generation is about another frame."""


class SlotPool:
    """Hands out slots and takes them back; not thread-safe, for one loop.

    A worker that was given up for dead may still send "slot 3 is free". By then slot 3 may hold another frame, so
    each lease has a generation and `free` ignores every generation but the present one.

    A worker that hangs can still *write* to a slot: stop its process before `reclaim`.

    Args:
        slots: How many slots there are.
    """

    def __init__(self, slots: int) -> None:
        self._generation = [0] * slots
        self._leased = [False] * slots
        self._free: deque[int] = deque(range(slots))
        self.stale_frees = 0
        """Frees that were ignored because their generation was over."""

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self._leased)

    @property
    def available(self) -> int:
        """How many can be allocated now."""
        return len(self._free)

    @property
    def in_use(self) -> int:
        """How many are leased now."""
        return self.slots - self.available

    def allocate(self) -> Lease | None:
        """A free slot, the one that has rested longest; None when all are in use."""
        if not self._free:
            return None
        slot = self._free.popleft()
        self._leased[slot] = True
        return Lease(slot, self._generation[slot])

    def is_current(self, lease: Lease) -> bool:
        """Whether the lease still holds."""
        return (
            0 <= lease.slot < self.slots
            and self._leased[lease.slot]
            and self._generation[lease.slot] == lease.generation
        )

    def free(self, lease: Lease) -> bool:
        """Take a slot back.

        Returns:
            False for a lease that is over already (or never was): it is counted and changes nothing.
        """
        if not self.is_current(lease):
            self.stale_frees += 1
            return False
        self._leased[lease.slot] = False
        self._generation[lease.slot] += 1
        self._free.append(lease.slot)
        return True

    def reclaim(self) -> int:
        """Take every leased slot back from a worker that is gone.

        Returns:
            How many were taken back.
        """
        held = [Lease(slot, self._generation[slot]) for slot in range(self.slots) if self._leased[slot]]
        for lease in held:
            self.free(lease)
        return len(held)
