"""One pass that is sent while it is being scanned: parts as they come, an end of the pass, and what was lost told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.client.sync import Session
from scanmend.plan import ScanPlan


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Consecutive points of a pass that were just measured."""

    first_point: int
    """Index of the first one within the plan; parts come in the plan's order, and may leave points out."""
    points: int
    """How many they are."""
    samples: npt.NDArray[np.generic] | None
    """`(points,)` or `(channels, points)` of the type announced; None where they were measured and cannot be used."""


class PassSender:
    """Sends the parts of one pass.

    The last point that came is held back until more comes, so that a frame is left to end the pass with, and to carry
    the number of points that were lost after it.

    Args:
        session: An open session.
        plan: What is really run.
        pass_index: Which pass of the session it is.
        before_end: Told, before the frame that ends the pass, how many points were measured.
    """

    def __init__(
        self, session: Session, plan: ScanPlan, pass_index: int, before_end: Callable[[int], None] | None = None
    ) -> None:
        self._session, self._plan, self._pass_index = session, plan, pass_index
        self._before_end = before_end
        self._held: npt.NDArray[np.generic] | None = None
        self._held_at = 0
        self._untold = 0
        """Lost before the point that is held."""
        self._untold_after = 0
        """Lost after it."""
        self.points = 0
        """Points measured so far, those lost included."""
        self.lost = 0
        """Points lost so far; the receipt names them as dropped by the client."""
        self.ended = False
        """Whether the frame that ends the pass was sent."""

    def take(self, part: Part) -> None:
        """Send what came, but for its last point.

        Raises:
            ScanmendError: As `Session.send_samples` does.
        """
        self.points += part.points
        if part.samples is None:
            self.lost += part.points
            if self._held is None:
                self._untold += part.points
            else:
                self._untold_after += part.points
            return
        table = np.atleast_2d(part.samples)
        first = part.first_point
        if self._held is not None and self._held_at + 1 == first:
            table, first = np.concatenate([self._held, table], axis=1), self._held_at
            self._held = None
        elif self._held is not None:
            self._send(self._held_at, self._held, end_of_pass=False)
            self._held = None
            self._untold, self._untold_after = self._untold_after, 0
        last = first + table.shape[1] - 1
        if last == self._plan.points - 1:
            self._send(first, table, end_of_pass=True)
            return
        if table.shape[1] > 1:
            self._send(first, table[:, :-1], end_of_pass=False)
        self._held, self._held_at = table[:, -1:].copy(), last

    def finish(self) -> None:
        """End the pass, complete or not; nothing is sent of a pass of which nothing could be used.

        Raises:
            ScanmendError: As `Session.send_samples` does.
        """
        if self._held is not None:
            self._untold, self._untold_after = self._untold + self._untold_after, 0
            self._send(self._held_at, self._held, end_of_pass=True)
            self._held = None

    def _send(self, first: int, table: npt.NDArray[np.generic], *, end_of_pass: bool) -> None:
        if end_of_pass:
            self.ended = True
            if self._before_end is not None:
                self._before_end(self.points)
        dropped, self._untold = self._untold, 0
        self._session.send_samples(
            self._plan,
            table,
            self._pass_index,
            first_point=first,
            end_of_pass=end_of_pass,
            dropped_before=dropped,
        )
