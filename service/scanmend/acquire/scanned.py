"""Which points a session's frames were of: what an engine must be told of those that it never sees, for the dose.

A session that wants no answers gives the engine only what the page shows, and an engine that was started anew has seen
nothing; the dose is that of all frames received all the same, and of those that the client had to discard. In mode
`exposure` the engine gets every frame received, and another engine reads them from the journal: it is told of the
discarded ones alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from scanmend.field import Field
from scanmend.ipc.engine_link import ScannedNotice
from scanmend.plan import ScanPlan
from scanmend.wire.header import FrameHeader
from scanmend.wire.lost import Loss, Place, Span

MOST_SPANS = 4096
"""Most different runs of points that are remembered; a session that has more does not survive its engine's dose."""

SPANS_A_NOTICE = 1024


@dataclass(slots=True)
class Scanned:
    """Runs of points of one session, each with how often it was received."""

    _received: Counter[Span] | None = field(default_factory=Counter)
    """None where there were too many different ones."""
    _lost: Counter[Span] = field(default_factory=Counter)
    """Scanned, and discarded by the client."""
    _untold: Counter[Span] = field(default_factory=Counter)
    """Of the frames that the engine does not get."""
    _place: Place = field(default_factory=Place)
    _doubt: bool = False
    """Whether more was lost than is known."""
    _doubt_untold: bool = False

    def receive(self, header: FrameHeader, plans: Mapping[int, ScanPlan]) -> None:
        """A frame was received."""
        if self._received is not None:
            self._received[_span(header)] += 1
            if len(self._received) > MOST_SPANS:
                self._received = None
        self._lose(self._place.go_on(header, plans.get))

    def end(self, dropped_after: int, plans: Mapping[int, ScanPlan]) -> None:
        """The client has ended, and has discarded so many frames after its last one."""
        self._lose(self._place.end(dropped_after, plans.get))

    def _lose(self, loss: Loss | None) -> None:
        if loss is None:
            return
        if len(self._lost) <= MOST_SPANS:
            self._lost.update(loss.spans)
        self._untold.update(loss.spans)
        if not loss.known or len(self._lost) > MOST_SPANS:
            self._doubt = self._doubt_untold = True

    def leave_out(self, header: FrameHeader) -> None:
        """A received frame does not go to the engine."""
        self._untold[_span(header)] += 1

    def begin_anew(self, waiting: Iterable[FrameHeader], *, rebuilt: bool) -> None:
        """Another engine takes over.

        Args:
            waiting: Frames that wait for it; of the others it must be told.
            rebuilt: Whether it gets every frame received by other ways: in mode `exposure`.
        """
        self._doubt_untold = self._doubt
        if rebuilt:
            self._untold = Counter(self._lost)
        elif self._received is not None:
            self._untold = self._received - Counter(_span(header) for header in waiting) + self._lost

    def dwell_ns(self, plans: Mapping[int, ScanPlan]) -> int | None:
        """Dwell of all points scanned, as far as they are known; None where not all frames, or plans, are."""
        if self._received is None:
            return None
        total = 0
        for (plan_id, first, points), times in (self._received + self._lost).items():
            plan = plans.get(plan_id)
            if plan is None:  # of a damaged journal
                return None
            if plan.dwell_list is None:
                total += plan.dwell_ns * points * times
            else:
                dwells = np.frombuffer(plan.dwell_list, "<u4")[first : first + points]
                total += int(dwells.sum(dtype=np.uint64)) * times
        return total

    def notices(self, session_id: int) -> Iterator[ScannedNotice]:
        """What the engine must be told now; it is told when this returns."""
        spans = [(*span, times) for span, times in self._untold.items()]
        self._untold.clear()
        for first in range(0, len(spans), SPANS_A_NOTICE):
            yield ScannedNotice(session_id=session_id, spans=spans[first : first + SPANS_A_NOTICE])
        if self._doubt_untold:
            self._doubt_untold = False
            yield ScannedNotice(session_id=session_id, spans=[], incomplete=True)


def dose_e_per_nm2(scanned: Scanned, field_: Field, plans: Mapping[int, ScanPlan]) -> float | None:
    """Dose of all frames received, averaged over the field; None where it cannot be told.

    For sessions that no engine has counted: it takes no look at pixels, so that it knows of no pixel with the most.
    """
    dwell_ns = scanned.dwell_ns(plans)
    return None if dwell_ns is None else field_.dose_e_per_nm2(dwell_ns)


def _span(header: FrameHeader) -> Span:
    return header.plan_id, header.first_point, header.points
