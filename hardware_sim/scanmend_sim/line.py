"""The microscope's line to the service: a client's session, with the patience that a scan needs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from scanmend.client import Restored, Session
from scanmend.errors import FrameRejected, NotConnected, SessionPaused
from scanmend.frame import Samples
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Proposal
from scanmend_sim.quality import QualityMeter
from scanmend_sim.report import Tally

log = logging.getLogger(__name__)

T = TypeVar("T")

HOLD_SLICE_S = 0.25
"""How long the beam waits for credit before it looks whether somebody wants it to stop."""

HOLD_S = 60.0
"""How long the beam waits for credit, or for a service that has gone, before that is an error."""

COMPARE_EVERY_S = 3.0
"""Where somebody watches the figures, a picture is compared at least so often, even if the scan has no time for it."""


class Line:
    """An open session: sends frames when there is credit, reads answers whenever there is time.

    Args:
        session: The session.
        quality: Compares answers with the truth while nothing else is to be done.
        stopping: Whether somebody wants the scan to stop.
        tell: Called often; tells people where the session stands.
        watched: Whether somebody looks at the figures meanwhile.
    """

    def __init__(
        self,
        session: Session,
        quality: QualityMeter,
        *,
        stopping: Callable[[], bool],
        tell: Callable[[], None],
        watched: bool,
    ) -> None:
        self.session = session
        self.tally = Tally()
        self.answered_s = time.monotonic()
        """When the last answer was read."""
        self._quality = quality
        self._stopping = stopping
        self._tell = tell
        self._watched = watched
        self._compared_s = time.monotonic()

    @property
    def aborted(self) -> bool:
        """Whether an operator wants the beam off at once."""
        return self.session.command == "abort"

    @property
    def owed(self) -> bool:
        """Whether the service still owes an answer."""
        return self.session.stats.awaited > 0

    def read(self, until_s: float | None = None) -> None:
        """Take all answers that are here, and those that come until a time; returns early when aborted."""
        while until_s is None or not self.aborted:
            left_s = 0.0 if until_s is None else max(0.0, until_s - time.monotonic())
            if self._quality.waiting and self._time_to_compare(left_s):
                self._quality.work()
                self._compared_s = time.monotonic()
                continue
            answer = self.session.receive(min(left_s, HOLD_SLICE_S))
            if answer is not None:
                self._take(answer)
            elif left_s <= HOLD_SLICE_S:
                return
            else:
                self._tell()

    def read_all(self) -> None:
        """Wait for every answer that is owed."""
        while (answer := self.session.receive()) is not None:
            self._take(answer)

    def compare_all(self) -> None:
        """Compare every answer that still waits for it."""
        while self._quality.waiting:
            self._quality.work()

    def announce(self, plan: ScanPlan) -> int:
        """Send a plan before its frames; gives its id."""
        return self._calmly(partial(self.session.send_plan, plan))

    def send(
        self, plan: ScanPlan, samples: Samples, pass_index: int, first_point: int, *, end_of_pass: bool, copy: bool
    ) -> int | None:
        """Send one frame; the beam waits while there is no credit.

        Returns:
            The frame's number; None where the scan was told to stop while it waited, and the frame was not sent.

        Raises:
            SessionPaused: No credit for a minute.
            NotConnected: No service for a minute.
            ScanmendError: Whatever else the client raises.
        """
        send = partial(self.session.send_samples, plan, samples, pass_index, first_point=first_point)
        began_s = time.monotonic()
        while True:
            self.read()
            try:
                return self._calmly(partial(send, end_of_pass=end_of_pass, copy=copy, timeout_s=HOLD_SLICE_S))
            except (SessionPaused, NotConnected):  # a service that is being started again is waited for, too
                if time.monotonic() > began_s + HOLD_S:
                    raise
                if self._stopping():
                    return None
                self._tell()

    def accept(self, proposal: Proposal, plan: ScanPlan) -> bool:
        """Tell the service that a proposal is run as this plan; False where it had expired."""
        run = None if plan == proposal.plan else plan
        return self._calmly(partial(self.session.accept, proposal, run)) is not None

    def decline(self, proposal: Proposal, reason: str) -> None:
        """Tell the service that a proposal is not run, and why."""
        self._calmly(partial(self.session.decline, proposal, reason))

    def _calmly(self, call: Callable[[], T]) -> T:
        """Call the client; a frame that the service has rejected is no reason to stop, its receipt will name it."""
        while True:
            try:
                return call()
            except FrameRejected as rejected:
                log.warning("frame %d was rejected: %s", rejected.seq, rejected)

    def _take(self, answer: Restored) -> None:
        self.answered_s = time.monotonic()
        self.tally.take(answer)
        self._quality.take(answer)
        self._tell()

    def _time_to_compare(self, left_s: float) -> bool:
        if left_s > 1.5 * self._quality.cost_s:
            return True
        overdue = time.monotonic() - self._compared_s > COMPARE_EVERY_S
        return self._watched and overdue
