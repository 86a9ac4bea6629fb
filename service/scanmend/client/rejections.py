"""What a NACK means for the frames that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from scanmend.client.answers import Answers
from scanmend.client.plans import PlanBook
from scanmend.client.ring import FrameRing
from scanmend.client.troubles import Troubles
from scanmend.wire.messages import Nack, NackCode

CREDIT_PAUSE_S = 0.05
"""A frame that was sent beyond the credit is tried again after this."""


@dataclass(frozen=True, slots=True)
class Rejections:
    """Keeps ring, answers and troubles of one session in step."""

    ring: FrameRing
    answers: Answers
    plans: PlanBook
    troubles: Troubles

    def take(self, nack: Nack) -> None:
        """Take a NACK after which nothing is resent."""
        rejected = self.troubles.note(nack)
        if rejected is not None:
            self._forget(rejected)
        elif nack.code == NackCode.BAD_PLAN and nack.plan_id is not None:
            self.plans.refused.add(nack.plan_id)

    def resend(self, seq: int, nack: Nack, now_s: float) -> bytes | None:
        """Take a NACK after which a frame is resent.

        Returns:
            The PLAN that goes before it, where it is missing.
        """
        frame = self.ring.get(seq)
        if frame is None:
            return None
        plan = None
        if nack.code == NackCode.UNKNOWN_PLAN:
            if frame.plan_id in self.plans.refused:  # sending it again would go on for ever
                self.troubles.reject(seq, nack)
                self._forget(seq)
                return None
            plan = self.plans.encoded(frame.plan_id)
        self.ring.resend((seq,), now_s, pause_s=CREDIT_PAUSE_S if nack.code == NackCode.CREDIT else 0.0)
        return plan

    def _forget(self, seq: int) -> None:
        self.ring.reject(seq)
        self.answers.forget(seq)
