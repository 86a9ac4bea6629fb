"""What has gone wrong in a session and has to reach the caller."""

from __future__ import annotations

from collections import deque

from scanmend.errors import FrameRejected, PlanError, RecordingError, ScanmendError, SessionClosed
from scanmend.wire.messages import Nack, NackCode

NOTES = 100
"""Most remarks kept."""


class Troubles:
    """Rejections, complaints and remarks, in the order in which they came."""

    def __init__(self) -> None:
        self.failure: ScanmendError | None = None
        """Why no frame can be sent any more."""
        self.complaints: deque[ScanmendError] = deque()
        """What the caller has not been told of."""
        self.rejected: list[FrameRejected] = []
        """Every frame that the service will never take."""
        self.notes: deque[str] = deque(maxlen=NOTES)
        """The last things that the service remarked without rejecting a frame."""
        self.damaged = 0
        """Messages of the service that could not be read."""

    def note(self, nack: Nack) -> int | None:
        """File a NACK after which nothing is resent.

        Returns:
            The number of the frame that is rejected by it, or None.
        """
        if nack.code in (NackCode.RECORDING_FAILED, NackCode.ENDED):
            kind = RecordingError if nack.code == NackCode.RECORDING_FAILED else SessionClosed
            self.failure = self.failure or kind(nack.reason, mend=nack.mend)
        elif nack.seq is not None and nack.code != NackCode.NOT_FINITE:
            self.reject(nack.seq, nack)
            return nack.seq
        elif nack.code == NackCode.BAD_PLAN:
            self.complaints.append(PlanError(nack.reason, mend=nack.mend))
        else:
            self.remark(nack)
        return None

    def remark(self, nack: Nack) -> None:
        """Note what concerns no frame of this session, or rejects none."""
        self.notes.append(f"{nack.reason} {nack.mend}".rstrip())

    def reject(self, seq: int, nack: Nack) -> None:
        """Note a frame that the service will never take."""
        rejection = FrameRejected(nack.reason, seq=seq, code=nack.code, mend=nack.mend)
        self.rejected.append(rejection)
        self.complaints.append(rejection)
