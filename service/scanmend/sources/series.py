"""One series of an instrument as one session of the native protocol."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.client import Client, Session, SessionOptions
from scanmend.errors import FrameRejected, PlanError, ScanmendError, SessionPaused
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.sources.cursor import Cursor, SeriesClock
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.wire.messages import Receipt

REJECTIONS_TOLD = 3
"""A send raises earlier frames' rejections first, one a call; after so many the service is taken to want none."""

RECEIPT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOptions:
    """How a series becomes a session."""

    field: Field
    """The area being imaged."""
    plan: ScanPlan
    """What the beam visits, pass after pass: point *i* of a series is the plan's point *i modulo its points*."""
    passes: int = 0
    """Passes of a session, after which the rest of a series is left out; 0 for as many as come."""
    mode: str = "frames"
    """`frames`: every pass is a picture of its own. `exposure`: passes add up."""
    record: bool = True
    model: str = "auto"
    restore_channel: str | None = None
    flush_s: float = 0.1
    """Points wait so long for others, so that a message holds many."""
    chunk_points: int = 4096
    """Most points of a message."""
    deadline_ms: int = 10_000
    """Longest wait for a restoration: the receipt, and so the next series, must not wait for an engine that is slow."""
    hold_s: float = 2.0
    """Longest wait for credit, after which points are dropped and counted: an instrument does not wait."""

    def session_options(self, channels: tuple[Channel, ...]) -> SessionOptions:
        """What the session is asked for: pictures for the service's page, of which nobody reads the answers here."""
        return SessionOptions(
            channels=channels,
            restore_channel=self.restore_channel,
            mode="exposure" if self.mode == "exposure" else "frames",
            record=self.record,
            model=self.model,
            returns="estimate+sigma",
            deadline_ms=self.deadline_ms,
            unread=1,
            when_unread="drop_oldest",
            verify=False,
            hold_timeout_s=self.hold_s,
        )


class Series:
    """Points of a series on their way into a session.

    The last point of an unfinished pass is held back, so that a frame is left to end the pass with, and to carry the
    number of what was lost after it.

    Args:
        client: Connects to the service.
        name: Of the session.
        channels: Lines of the samples.
        options: The plan, and what the session is asked for.
        problems: Where problems are counted.

    Raises:
        ScanmendError: As `Client.session` does.
    """

    def __init__(
        self, client: Client, name: str, channels: tuple[Channel, ...], options: SeriesOptions, problems: ProblemLog
    ) -> None:
        self.name = name
        self.channels = channels
        self.cursor = Cursor()
        self.lost = 0
        """Points lost so far, which the receipt names as dropped by the client."""
        self._options = options
        self._problems = problems
        self._clock = SeriesClock()
        self._stopping = False
        self._limit = options.passes * options.plan.points or None
        self._held: list[npt.NDArray[np.generic]] = []
        self._first = self._count = 0
        self._since_s = 0.0
        self._acquired_ns = 0
        self._untold = 0
        """Lost before the points that are held."""
        self._untold_after = 0
        """Lost after them."""
        self.session: Session = client.session(name, options.field, **options.session_options(channels))

    # Taking points ----------------------------------------------------------------------------------------------

    def take(self, first: int, values: npt.NDArray[np.generic], acquired_unix_ns: int | None) -> None:
        """Take samples `(channels, points)` from a number on; what came before is left out, what is missing counted.

        Raises:
            ScanmendError: No frame of the session can be sent any more.
        """
        if self._limit is not None and first + values.shape[1] > self._limit:
            beyond = first + values.shape[1] - max(first, self._limit)
            if not self._stopping:
                self._problems.note(too_many(self.name), beyond)
            values = values[:, : values.shape[1] - beyond]
            first = min(first, self._limit)
        placed = self.cursor.place(first, values.shape[1])
        if placed.skip:
            text = f"{placed.skip} points of series {self.name} came again, from number {first} on."
            self._problems.note(Problem(Code.DUPLICATE, text, "The first ones were kept."), placed.skip)
        if placed.missing:
            self._miss(first, placed.missing)
        self._acquired_ns, jumped_ns = self._clock.at(acquired_unix_ns)
        if jumped_ns:
            text = f"The instrument's clock jumped by {jumped_ns / 1e9:+.3g} s at point {first} of {self.name}."
            self._problems.note(Problem(Code.CLOCK, text, "This machine's clock times the rest of the series."))
        self._hold(first + placed.skip, values[:, placed.skip :])

    def lose(self, first: int, points: int, problem: Problem) -> None:
        """Count points that came and cannot be used, and why.

        Raises:
            ScanmendError: As `take` does.
        """
        placed = self.cursor.place(first, points)
        if placed.missing:
            self._miss(first, placed.missing)
        lost = points - placed.skip
        self._problems.note(problem, lost)
        self._count_lost(lost)

    def _count_lost(self, points: int) -> None:
        self.lost += points
        if self._count:
            self._untold_after += points
        else:
            self._untold += points

    def _miss(self, first: int, missing: int) -> None:
        text = f"{missing} points before number {first} of {self.name} never came."
        mend = "Look at the instrument's network and at its load."
        self._problems.note(Problem(Code.GAP, text, mend), missing)
        self._count_lost(missing)
        if self.cursor.every_other and not self._problems.count(Code.TWO_READERS):
            text = f"About every other point of {self.name} is missing."
            mend = "Another program reads the same stream and takes its share: stop it, or give it a stream of its own."
            self._problems.note(Problem(Code.TWO_READERS, text, mend))

    def _hold(self, first: int, values: npt.NDArray[np.generic]) -> None:
        points = self._options.plan.points
        while values.shape[1]:
            end = self._first + self._count
            if self._count and (first != end or self._ends_pass):
                self._send(self._count, end_of_pass=first // points != (end - 1) // points)
            if not self._count:
                self._first, self._since_s = first, time.monotonic()
            room = points - first % points
            part = values[:, :room]
            self._held.append(part)
            self._count += part.shape[1]
            first, values = first + part.shape[1], values[:, room:]
            if first % points == 0:
                self._send(self._count, end_of_pass=True)
            elif self._count > self._options.chunk_points:
                self._send(self._count - 1, end_of_pass=False)

    # Sending ----------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether as many passes came as were asked for."""
        return self._limit is not None and self.cursor.next >= self._limit

    def stop_after_pass(self) -> None:
        """Take no more than the present pass; nothing more where one has just ended."""
        self._stopping = True
        points = self._options.plan.points
        limit = -(-self.cursor.next // points) * points
        self._limit = limit if self._limit is None else min(limit, self._limit)

    def flush(self) -> None:
        """Send what has waited long enough; called now and then.

        Raises:
            ScanmendError: As `take` does.
        """
        if self._ends_pass and not self.session.paused:
            self._send(self._count, end_of_pass=True)
        elif self._count > 1 and time.monotonic() - self._since_s >= self._options.flush_s:
            self._send(self._count - 1, end_of_pass=False)
        else:
            self.session.pump()

    @property
    def _ends_pass(self) -> bool:
        """Whether the last held point is the last of its pass, kept from a frame that was dropped."""
        return bool(self._count) and (self._first + self._count) % self._options.plan.points == 0

    def _send(self, count: int, *, end_of_pass: bool, hold_s: float | None = None) -> None:
        """Send the first `count` of the held points; `hold_s` is the longest wait for credit."""
        table = np.concatenate(self._held, axis=1) if len(self._held) > 1 else self._held[0]
        first, points = self._first, self._options.plan.points
        self._held = [table[:, count:]] if count < table.shape[1] else []
        self._first, self._count, self._since_s = first + count, self._count - count, time.monotonic()
        welcome = self.session.welcome
        size = table.shape[0] * table.dtype.itemsize
        step = max(1, min(welcome.max_frame_bytes, welcome.credit_bytes) // size)
        for start in range(0, count, step):
            part = table[:, start : min(start + step, count)]
            at, last = first + start, start + step >= count
            if not self._push(part, at // points, at % points, end_of_pass and last, hold_s):
                # Of what is dropped the last point stays, to say later how much was lost.
                kept = part[:, -1:] if last and not self._count and hold_s is None else part[:, :0]
                if kept.shape[1]:
                    self._held, self._first, self._count = [kept], first + count - 1, 1
                self.lost += part.shape[1] - kept.shape[1]
                self._untold += part.shape[1] - kept.shape[1]
        if not self._count:
            self._untold, self._untold_after = self._untold + self._untold_after, 0

    def _push(
        self, part: npt.NDArray[np.generic], pass_index: int, point: int, end_of_pass: bool, hold_s: float | None
    ) -> bool:
        """Send one frame; False where there was no credit for it."""
        for _ in range(REJECTIONS_TOLD):
            try:
                self.session.send_samples(
                    self._options.plan,
                    part,
                    pass_index,
                    first_point=point,
                    end_of_pass=end_of_pass,
                    acquired_unix_ns=self._acquired_ns,
                    dropped_before=self._untold,
                    timeout_s=hold_s,
                )
            except (FrameRejected, PlanError) as problem:
                self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend))
            except SessionPaused as problem:
                self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend), part.shape[1])
                return False
            else:
                self._untold = 0
                return True
        raise ScanmendError(f"The service rejects what {self.name} sends.", mend="See the problems before this one.")

    # Ending -----------------------------------------------------------------------------------------------------

    def end(self, reason: str, missing: int = 0, *, timeout_s: float = RECEIPT_S) -> Receipt | None:
        """Send what is held, end the session, and give its receipt; None where the service gives none.

        Args:
            reason: finished, stopped or aborted.
            missing: Points at the end that were measured and never came; counted where a frame is left to tell it.
            timeout_s: Longest wait for credit for what is held, and for the receipt.
        """
        receipt = None
        self._count_lost(missing)
        self._untold, self._untold_after = self._untold + self._untold_after, 0
        try:
            if self._count:
                self._send(self._count, end_of_pass=True, hold_s=timeout_s)
            receipt = self.session.end(reason, timeout_s=timeout_s)
        except ScanmendError as problem:
            self._problems.note(Problem(Code.SERVICE, problem.message, problem.mend))
        finally:
            self.session.close()
        return receipt

    def abandon(self) -> None:
        """Close the connection; nothing more of the session can be sent."""
        self.session.close()


def too_many(series: str) -> Problem:
    """A series goes on beyond the passes that were asked for."""
    text = f"Series {series} goes on, though all the passes that were wanted are there."
    return Problem(Code.TOO_MANY, text, "Ask for more passes, or let the instrument end sooner.")
