"""Shared-memory slots for frames that go from one process to another without being copied."""

from __future__ import annotations

import mmap
import secrets
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from scanmend.errors import ConfigurationError, InvalidInput
from scanmend.ipc._mapping import Mapping

PAGE = mmap.PAGESIZE
_MAGIC = b"SMRING01"
_HEADER = struct.Struct("<8sQQ")


class SlotRing:
    """A file of equal slots that two processes have mapped.

    The owner makes it with `create` and removes it with `close`; the other process joins with `attach`. Who may
    use which slot is not written here: the owner's `SlotPool` decides, doorbell messages tell.

    Layout: one page (magic ``SMRING01``, slots u64, slot bytes u64, little-endian), then the slots, each a whole
    number of pages.
    """

    def __init__(self, mapping: Mapping, slots: int, slot_bytes: int, *, owner: bool) -> None:
        self._mapping = mapping
        self._owner = owner
        self.slots = slots
        self.slot_bytes = slot_bytes

    @classmethod
    def create(cls, folder: Path, *, slots: int, slot_bytes: int) -> SlotRing:
        """Make a ring under a random name in `folder`, with every page touched.

        Args:
            folder: The run folder (mode 0700).
            slots: How many.
            slot_bytes: Least size of one; rounded up to whole pages.

        Raises:
            InvalidInput: No slots, or slots without size.
            ConfigurationError: No room in shared memory.
        """
        if slots < 1 or slot_bytes < 1:
            raise InvalidInput(
                f"A ring of {slots} slots of {slot_bytes} bytes holds nothing.",
                mend="Ask for one slot of one byte or more.",
            )
        rounded = -(-slot_bytes // PAGE) * PAGE
        path = folder / f"ring-{secrets.token_hex(12)}"
        mapping = Mapping(path, create_bytes=PAGE + slots * rounded)
        _HEADER.pack_into(mapping.memory, 0, _MAGIC, slots, rounded)
        return cls(mapping, slots, rounded, owner=True)

    @classmethod
    def attach(cls, path: Path, *, writable: bool = True) -> SlotRing:
        """Join a ring that another process made.

        Args:
            path: The owner's `path`.
            writable: False maps it read-only: a write raises TypeError here and cannot reach the owner.

        Raises:
            ConfigurationError: No such ring, or not a ring.
        """
        mapping = Mapping(path, writable=writable)
        memory = mapping.memory
        if memory.nbytes >= PAGE:
            magic, slots, slot_bytes = _HEADER.unpack_from(memory)
            whole_pages = slot_bytes > 0 and slot_bytes % PAGE == 0
            if magic == _MAGIC and slots > 0 and whole_pages and memory.nbytes == PAGE + slots * slot_bytes:
                return cls(mapping, slots, slot_bytes, owner=False)
        mapping.close()
        raise ConfigurationError(
            "The file is not a ring of this version.", mend="Run the same version of every process."
        )

    @property
    def path(self) -> Path:
        """Where it is; never shown in errors, status or metrics."""
        return self._mapping.path

    def slot(self, index: int) -> memoryview:
        """The bytes of one slot, `slot_bytes` long, page aligned.

        Raises:
            InvalidInput: No such slot, or the ring is closed.
        """
        if self._mapping.closed or not 0 <= index < self.slots:
            raise InvalidInput(
                f"There is no slot {index} in a ring of {0 if self._mapping.closed else self.slots}.",
                mend="Use a slot that the pool handed out, before the ring is closed.",
            )
        start = PAGE + index * self.slot_bytes
        return self._mapping.memory[start : start + self.slot_bytes]

    def array(self, index: int, shape: tuple[int, ...], dtype: DTypeLike, *, offset_bytes: int = 0) -> NDArray[Any]:
        """A numpy view of a part of a slot, without a copy.

        Args:
            index: The slot.
            shape: Any shape that fits.
            dtype: Any fixed-size dtype.
            offset_bytes: Where in the slot it starts.

        Raises:
            InvalidInput: It does not fit into the slot.
        """
        kind = np.dtype(dtype)
        count = 1
        for extent in shape:
            count *= extent  # Python integers: no shape can overflow the check below.
        fits = min(shape, default=1) >= 0 and 0 <= offset_bytes <= self.slot_bytes - count * kind.itemsize
        if not fits or kind.hasobject:
            raise InvalidInput(
                f"An array {shape} of {kind} at byte {offset_bytes} does not fit a slot of {self.slot_bytes} bytes.",
                mend="Make the slots as large as the largest frame.",
            )
        return np.frombuffer(self.slot(index), dtype=kind, count=count, offset=offset_bytes).reshape(shape)

    def close(self) -> None:
        """Let go of the memory, and remove the file if this process made it; safe to call twice."""
        self._mapping.close()
        if self._owner:
            self._mapping.unlink()

    def __enter__(self) -> SlotRing:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
