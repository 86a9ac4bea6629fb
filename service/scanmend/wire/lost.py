"""Where the beam was while a client discarded frames: the specimen had that dose, though no sample of it ever came.

No frame says which points they were. It follows from the last frame before and the first one after: a client discards
what it has scanned, so that all points of its plans between the two were scanned; and where there is nothing between
two whole pictures, pictures like them were discarded. Where frames were lost *and* a pass was cut short, this counts
more than there was, never less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from scanmend.plan import ScanPlan
from scanmend.wire.header import FrameHeader

Span = tuple[int, int, int]
"""Plan id, first point, number of points."""


PlanOf = Callable[[int], ScanPlan | None]
"""The plan of an id; None where it is not known."""


@dataclass(slots=True)
class Loss:
    """Points that were scanned and lost."""

    spans: Counter[Span] = field(default_factory=Counter)
    """How often each."""
    known: bool = True
    """Whether these are all."""


@dataclass(slots=True)
class Place:
    """How far a session's frames have come."""

    _seq: int = -1
    _last: Span = (-1, 0, 0)
    """Of the last frame; its plan is -1 before the first one."""
    _pass_index: int = -1

    def go_on(self, header: FrameHeader, plan_of: PlanOf) -> Loss | None:
        """Take in a new frame; gives what was lost before it, None where nothing was.

        Args:
            header: Of the frame. One that comes late, behind frames with a higher number, changes nothing.
            plan_of: Gives the session's plans.
        """
        if header.seq < self._seq:
            return None
        span = (header.plan_id, header.first_point, header.points)
        lost = self._before(header, span, plan_of) if header.dropped_before else None
        self._seq, self._last, self._pass_index = header.seq, span, header.pass_index
        return lost

    def end(self, dropped_after: int, plan_of: PlanOf) -> Loss | None:
        """The session ends; gives what was lost after its last frame, None where nothing was."""
        if not dropped_after:
            return None
        return self._rest(plan_of) or _whole(self._last, dropped_after, plan_of) or Loss(known=False)

    def _before(self, header: FrameHeader, span: Span, plan_of: PlanOf) -> Loss:
        plan_id, first, _ = span
        before, done, points = self._last
        passes = header.pass_index - self._pass_index
        lost = Loss()
        if passes <= 0:  # within a pass
            lost.spans[plan_id, done + points, first - done - points] += plan_id == before
        else:
            lost = self._rest(plan_of) or lost
            lost.spans[plan_id, 0, first] += 1
            plan = plan_of(plan_id)
            if passes > 1 and plan is not None:
                lost.spans[plan_id, 0, plan.points] += passes - 1
                lost.known = before in (-1, plan_id)  # else some of them may have had a plan that no frame names
        lost.spans = Counter({span: times for span, times in lost.spans.items() if span[2] > 0 and times > 0})
        return lost if lost.spans else _whole(span, header.dropped_before, plan_of) or Loss(known=False)

    def _rest(self, plan_of: PlanOf) -> Loss | None:
        """What the last pass did not come to."""
        plan_id, first, points = self._last
        plan = plan_of(plan_id)
        if plan is None or first + points >= plan.points:
            return None
        return Loss(Counter({(plan_id, first + points, plan.points - first - points): 1}))


def _whole(span: Span, times: int, plan_of: PlanOf) -> Loss | None:
    """So many passes like a frame that is a whole one; None for a part of a pass."""
    plan = plan_of(span[0])
    return Loss(Counter({span: times})) if plan is not None and span[2] == plan.points else None
