"""What both kinds of session have in common: everything that does not wait."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Literal

import numpy as np
import numpy.typing as npt
import zmq

from scanmend.client.core import SessionCore, State
from scanmend.client.link import Link, Tap
from scanmend.client.options import SessionSetup
from scanmend.client.restored import Restored
from scanmend.client.samples import Piece, SampleShaper
from scanmend.client.stats import SessionStats
from scanmend.client.unfinished import Unfinished
from scanmend.errors import (
    FrameRejected,
    InvalidInput,
    NotConnected,
    ScanmendError,
    SessionClosed,
    SessionPaused,
    SessionProblem,
)
from scanmend.field import Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Awaits, Enough, ExecutedStatus, Proposal, Receipt, Welcome


class SessionFace:
    """A session as its owner sees it, without the calls that wait.

    Args:
        context: The ZeroMQ context.
        address: The service's.
        setup: The options.
        tap: What alters messages on their way out, or None.
        timeout_s: Longest wait for the answer to a HELLO.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        setup: SessionSetup,
        tap: Tap | None,
        *,
        timeout_s: float,
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self.name = setup.hello.session
        """Name of the session, and of its recording."""
        self._setup = setup
        self._shaper = SampleShaper(setup.hello.field, setup.hello.channels)
        self._core = SessionCore(
            setup.hello,
            clock=time.monotonic,
            unread=setup.unread,
            drop_oldest=setup.drop_oldest,
            ring_bytes=setup.ring_bytes,
            verify=setup.verify,
        )
        self._link = Link(context, address, self._core, tap)
        self._next_pass = 0
        self._unfinished = Unfinished()
        self._dense_plan: ScanPlan | None = None
        self._closed = False

    # Looking ----------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> int:
        """The session's number on the wire."""
        return self._setup.hello.session_id

    @property
    def closed(self) -> bool:
        """Whether the connection is closed."""
        return self._closed

    @property
    def field(self) -> Field:
        """The field being imaged."""
        return self._setup.hello.field

    @property
    def welcome(self) -> Welcome:
        """What the service said to the last HELLO: its limits, its model, its policies."""
        if self._core.welcome is None:
            raise SessionProblem("The session is not open.", mend="Open it first: use it in a `with` block.")
        return self._core.welcome

    @property
    def command(self) -> str | None:
        """What an operator asked for: `stop` (finish the pass, then end), `abort` (end at once), or None."""
        return self._core.command

    @property
    def awaits(self) -> str:
        """What an operator must do before the session goes on: `start`, `approval` (of a proposal), or nothing."""
        return self._core.awaits

    @property
    def paused(self) -> str:
        """Why the service holds back credit, for people; empty while frames flow."""
        return self._core.paused

    @property
    def receipt(self) -> Receipt | None:
        """The account of the session, once it has ended."""
        return self._core.receipt

    @property
    def rejected(self) -> tuple[FrameRejected, ...]:
        """Every frame that the service will never take; each was also raised once by the call that followed."""
        return tuple(self._core.troubles.rejected)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the service remarked without rejecting anything, for example samples that are not finite."""
        return tuple(self._core.troubles.notes)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """Rescan proposals without a decision, oldest first."""
        return tuple(self._core.proposals.open)

    @property
    def enough(self) -> Enough | None:
        """The service's word that no plan follows the last pass, with the reason; None where it has not said so."""
        return self._core.enough

    @property
    def stats(self) -> SessionStats:
        """Where the session stands."""
        core, ring, answers = self._core, self._core.ring, self._core.answers
        return SessionStats(
            sent=ring.next_seq,
            received_upto=ring.received_upto,
            durable_upto=ring.durable_upto,
            resent=ring.resent,
            reconnects=core.reconnects,
            in_ring=len(ring),
            ring_bytes=ring.held_bytes,
            rejected=len(core.troubles.rejected),
            lost=core.lost,
            answers=answers.taken,
            awaited=answers.awaited,
            unread=len(answers.unread),
            dropped_unread=answers.dropped,
            unanswered=answers.given_up,
            damaged=core.troubles.damaged,
        )

    # Reporting --------------------------------------------------------------------------------------------------

    def report_problem(
        self,
        code: str,
        text: str,
        *,
        mend: str = "",
        level: Literal["warning", "error"] = "warning",
        points: int = 0,
        stands: bool = False,
    ) -> None:
        """Have the service show a problem of the instrument or of this program, and count it in the receipt.

        It never waits, and may be called as often as there are problems: they are counted here and told now and then.
        A service that does not know such messages is told nothing.

        Args:
            code: The kind of problem, a word of small letters, digits and `_`; it is counted under it.
            text: What is wrong, in one sentence; cut after 600 characters.
            mend: What to do about it, in one sentence.
            level: `warning`: the scan goes on. `error`: somebody must do something.
            points: Points that it cost.
            stands: Whether it holds until `clear_problem`; else it has happened, and is shown for a minute.

        Raises:
            InvalidInput: The code or the level cannot be, or there is no text.
        """
        self._core.problems.report(code, text, mend=mend, level=level, points=points, stands=stands)
        self._turn()

    def clear_problem(self, code: str) -> None:
        """A problem that was reported is over."""
        self._core.problems.clear(code)
        self._turn()

    def _turn(self) -> None:
        if not self._closed:
            self._link.turn()

    # Preparing --------------------------------------------------------------------------------------------------

    def _dense_frame(
        self, image: npt.ArrayLike, plan: ScanPlan | None, dwell_ns: int, acquired_unix_ns: int | None, dropped: int
    ) -> Frame:
        if plan is None:
            if self._dense_plan is None or self._dense_plan.dwell_ns != dwell_ns:
                self._dense_plan = ScanPlan.raster(self.field.shape, dwell_ns)
            plan = self._dense_plan
        elif not plan.is_full_raster:
            raise InvalidInput(
                "A picture of the whole field needs a plan that visits every pixel line by line.",
                mend="Send the samples of other plans with send_samples(plan, samples).",
            )
        return Frame(
            plan_id=self._core.add_plan(plan),
            samples=self._shaper.dense(image),
            pass_index=self._next_pass,
            acquired_unix_ns=time.time_ns() if acquired_unix_ns is None else acquired_unix_ns,
            dropped_before=dropped,
        )

    def _sparse_frame(
        self,
        plan: ScanPlan | int,
        samples: npt.ArrayLike,
        pass_index: int | None,
        first_point: int,
        end_of_pass: bool | None,
        acquired_unix_ns: int | None,
        dropped: int,
    ) -> Frame:
        plan_id = plan if isinstance(plan, int) else self._core.add_plan(plan)
        table = self._shaper.table(samples)
        if end_of_pass is None:
            end_of_pass = first_point + table.shape[1] == self._core.plans.plan(plan_id).points
        return Frame(
            plan_id=plan_id,
            samples=table,
            pass_index=self._next_pass if pass_index is None else pass_index,
            first_point=first_point,
            end_of_pass=end_of_pass,
            acquired_unix_ns=time.time_ns() if acquired_unix_ns is None else acquired_unix_ns,
            dropped_before=dropped,
        )

    def _pushes(self, frame: Frame, chunk_points: int | None, copy: bool) -> Generator[Piece]:
        """Push a frame piece by piece; yields each piece, and pushes it when asked to go on.

        To be closed where it is left early: what was pushed is kept in mind then, and left out when the same frame
        is sent again.
        """
        plan = self._core.plans.plan(frame.plan_id)
        if frame.first_point < 0 or frame.first_point + frame.points > plan.points:
            raise InvalidInput(
                f"Points {frame.first_point} to {frame.first_point + frame.points - 1} were given of a plan that has "
                f"{plan.points}.",
                mend="Send the samples of one pass in visiting order, and count first_point from 0.",
            )
        welcome = self.welcome
        rest, skip = self._unfinished.go_on(frame)
        done = skip
        try:
            for piece in self._shaper.cut(
                rest,
                skip=skip,
                max_bytes=min(welcome.max_frame_bytes, welcome.credit_bytes),
                chunk_points=chunk_points,
                full_raster=plan.is_full_raster,
                copy=copy,
            ):
                yield piece
                self._core.push(piece)
                done += piece.samples.shape[1]
        finally:
            if skip < done < frame.points:
                self._unfinished.note(rest, done, frame.dropped_before)
        self._unfinished.forget(frame)
        self._next_pass = max(self._next_pass, frame.pass_index + frame.end_of_pass)

    def _decide_to_run(
        self, proposal: Proposal, plan: ScanPlan | None, begun_unix_ns: int | None, points_run: int | None
    ) -> int | None:
        """Say EXECUTED accepted or changed, or expired, and give the id of the plan to run."""
        if (time.time_ns() if begun_unix_ns is None else begun_unix_ns) > proposal.expires_unix_ns:
            self._core.decide(proposal, ExecutedStatus.EXPIRED)
            return None
        run = plan or proposal.plan
        status, reason = ExecutedStatus.ACCEPTED, ""
        if points_run is not None and points_run < run.points:
            status, reason = ExecutedStatus.CHANGED, f"Ended early, after {points_run} of {run.points} points."
        elif plan is not None and not self._is_rounded(plan, proposal.plan):
            status = ExecutedStatus.CHANGED
        plan_id = self._core.add_plan(run)
        self._core.decide(proposal, status, plan_id=plan_id, reason=reason)
        return plan_id

    def _is_rounded(self, plan: ScanPlan, proposed: ScanPlan) -> bool:
        """Whether a plan is another one as the instrument rounds it: the same points, about the same dwell times."""
        if not np.array_equal(plan.pixels, proposed.pixels):
            return False
        able = self._setup.hello.capabilities
        apart = np.abs(plan.dwells_ns.astype(np.int64) - proposed.dwells_ns.astype(np.int64))
        return bool(apart.max() <= max(able.dwell_quantum_ns, able.min_dwell_ns))

    def _next_open_proposal(self) -> Proposal | None:
        """The oldest proposal that can still be run; those that expired are answered so."""
        while (proposal := self._core.proposals.next()) is not None:
            if time.time_ns() <= proposal.expires_unix_ns:
                return proposal
            self._core.decide(proposal, ExecutedStatus.EXPIRED)
        return None

    def _start_said(self) -> bool:
        """Whether an operator has started the session, or it will not be."""
        core = self._core
        waits = core.awaits == Awaits.START or core.state is State.GREETING
        return not waits or core.command is not None or self._closed or core.over

    def _is_started(self) -> bool:
        """Whether frames may be sent, after a wait for the start."""
        if self._core.command is None:
            self.check()
        return self._start_said() and self._core.command is None

    def _begin_end(self, reason: str | None, dropped_after: int) -> None:
        if dropped_after < 0:
            raise InvalidInput(f"{dropped_after} frames discarded.", mend="Give 0 or more in dropped_after.")
        by_command = {"stop": "stopped", "abort": "aborted"}.get(self._core.command or "", "finished")
        self._core.end(reason or by_command, dropped_after)

    # Errors -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what the caller has not been told yet; every call that sends does it first.

        Raises:
            FrameRejected: A frame was rejected; raised once for each.
            PlanError: A plan was not taken.
            SessionClosed: The session has ended.
            ScanmendError: No frame can be sent any more.
        """
        core = self._core
        if core.troubles.complaints:
            raise core.troubles.complaints.popleft()
        if core.troubles.failure is not None:
            raise core.troubles.failure
        if self._closed or core.ending or core.over:
            raise SessionClosed(f"The session {self.name} has ended.", mend="Open another session, under another name.")

    def _check_silence(self, since_s: float) -> None:
        """Give up on a service that has been silent for too long since a wait began."""
        silent_s = time.monotonic() - max(since_s, self._core.last_heard_s)
        if silent_s > self._setup.give_up_s:
            raise self._not_connected(f"The service at {self.address} has been silent for {silent_s:.0f} s.")

    def _not_connected(self, message: str) -> NotConnected:
        return NotConnected(
            message, mend="Is `scanmend serve` running there? Start it, or give the address that it prints."
        )

    def _opening_error(self, timeout_s: float) -> ScanmendError:
        if self._core.troubles.failure is not None:
            return self._core.troubles.failure
        return self._not_connected(f"Nobody answered at {self.address} within {timeout_s:g} s.")

    def _held_error(self, frame: Frame, piece: Piece, waited_s: float) -> ScanmendError:
        reason = self._core.why_held(piece.samples.nbytes)
        if self._core.state is State.GREETING:
            return self._not_connected(f"{reason} Frame {self._core.ring.next_seq} was not sent.")
        if self._core.answers.full:
            mend = (
                "Read the answers between sends, or open the session with when_unread='drop_oldest' or returns='none'."
            )
        else:
            mend = "Send it again later, look at the service's page for the reason, or give a longer hold_timeout_s."
        message = f"Frame {self._core.ring.next_seq} was not sent in {waited_s:g} s: {reason}"
        points_sent = piece.first_point - frame.first_point
        if points_sent:
            message = f"The first {points_sent} of the {frame.points} points given went out. {message}"
            mend += " The same samples sent again go on behind the points that went out."
        return SessionPaused(message, mend=mend, points_sent=points_sent)

    def _no_receipt_error(self, timeout_s: float) -> ScanmendError:
        core = self._core
        if core.state is State.FAILED and core.troubles.failure is not None:
            return core.troubles.failure
        if core.state is State.GREETING:
            return self._not_connected(f"No receipt came within {timeout_s:g} s; {len(core.ring)} frames are not safe.")
        return SessionPaused(
            f"No receipt came within {timeout_s:g} s; {len(core.ring)} frames are not safe. {core.paused}".rstrip(),
            mend="Call end() again to wait longer.",
        )

    def _pop(self) -> Restored | None:
        unread = self._core.answers.unread
        return unread.popleft() if unread else None
