"""Gives frames their numbers and headers, and counts what END must say of them."""

from __future__ import annotations

import struct

import numpy as np
import xxhash

from scanmend.client.ring import RingFrame
from scanmend.client.samples import Piece
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import End, Hello, encode

_U64 = struct.Struct("<Q")


class Numbering:
    """The frames of one session, from 0, without gaps.

    Args:
        hello: The HELLO of the session.
    """

    def __init__(self, hello: Hello) -> None:
        self.count = 0
        """Numbers given."""
        self.dropped = 0
        """Frames that the caller discarded itself."""
        self._session_id = hello.session_id
        self._dtype = hello.channels[0].dtype
        self._checksum = xxhash.xxh3_64()

    def frame(self, piece: Piece) -> RingFrame:
        """The next frame, ready for the wire; its payload is a view of the piece's samples."""
        samples = piece.samples
        payload = samples.reshape(-1).view(np.uint8).data
        checksum = xxh3(payload)
        header = FrameHeader(
            session_id=self._session_id,
            seq=self.count,
            plan_id=piece.plan_id,
            pass_index=piece.pass_index,
            first_point=piece.first_point,
            points=samples.shape[1],
            channels=samples.shape[0],
            dtype=self._dtype,
            flags=FrameFlag.END_OF_PASS if piece.end_of_pass else FrameFlag(0),
            dropped_before=piece.dropped_before,
            acquired_unix_ns=piece.acquired_unix_ns,
            payload_bytes=len(payload),
            payload_xxh3=checksum,
        )
        self._checksum.update(_U64.pack(checksum))
        self.dropped += piece.dropped_before
        self.count += 1
        return RingFrame(header.seq, piece.plan_id, header.pack(), payload)

    def end(self, reason: str, dropped_after: int = 0) -> bytes:
        """The END of the session; `dropped_after` frames were discarded after the last one."""
        return encode(
            End(
                session_id=self._session_id,
                count=self.count,
                dropped=self.dropped + dropped_after,
                dropped_after=dropped_after,
                checksum=self._checksum.intdigest(),
                reason=reason,
            )
        )
