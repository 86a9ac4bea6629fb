"""The two rings of a session as the engine sees them: samples in, pictures out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanmend.errors import ConfigurationError
from scanmend.frame import Samples
from scanmend.ipc import SlotRing
from scanmend.ipc.engine_link import OpenSession, RingInfo
from scanmend.restoration import FloatPicture
from scanmend.wire.header import FrameHeader


@dataclass(frozen=True, slots=True)
class OutSlot:
    """The three pictures of an output slot, each float32 `(ny, nx)`."""

    estimate: FloatPicture
    sigma: FloatPicture
    raw: FloatPicture | None
    """None where the slot has no room for it."""


class SessionSlots:
    """Views of the slots that acquire names; nothing is copied.

    Args:
        opening: What acquire said of the session.

    Raises:
        ConfigurationError: A ring is not there, or not the one that acquire told of.
    """

    def __init__(self, opening: OpenSession) -> None:
        self._field = opening.hello.field
        self._ring_in = _attach(opening.frames_in)
        try:
            self._ring_out = _attach(opening.pictures_out)
        except ConfigurationError:
            self._ring_in.close()
            raise
        self._out: dict[int, OutSlot] = {}

    def samples(self, index: int, header: FrameHeader) -> Samples:
        """The samples of an input slot, `(channels, points)`.

        Raises:
            InvalidInput: They would reach beyond the slot.
        """
        dtype = np.dtype(header.dtype).newbyteorder("<")
        samples: Samples = self._ring_in.array(index, (header.channels, header.points), dtype)
        return samples

    def out(self, index: int) -> OutSlot:
        """The pictures of an output slot.

        Raises:
            InvalidInput: They would reach beyond the slot.
        """
        slot = self._out.get(index)
        if slot is None:
            shape, size, ring = self._field.shape, 4 * self._field.pixels, self._ring_out
            has_raw = ring.slot_bytes >= 3 * size
            slot = OutSlot(
                ring.array(index, shape, np.float32),
                ring.array(index, shape, np.float32, offset_bytes=size),
                ring.array(index, shape, np.float32, offset_bytes=2 * size) if has_raw else None,
            )
            self._out[index] = slot
        return slot

    def close(self) -> None:
        """Let go of both rings."""
        self._out.clear()
        self._ring_in.close()
        self._ring_out.close()


def _attach(info: RingInfo) -> SlotRing:
    ring = SlotRing.attach(Path(info.path))
    if ring.slots != info.slots or ring.slot_bytes < info.slot_bytes:
        ring.close()
        raise ConfigurationError("A ring is not the one that acquire told of.", mend="Restart the service.")
    return ring
