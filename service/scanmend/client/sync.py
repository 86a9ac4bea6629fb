"""The blocking client.

It has no thread of its own: bytes move inside `send`, `receive`, `next_proposal`, iteration, `end` and `pump`. What is
lost while a program calls none of these is resent when it does. A session belongs to the thread that uses it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self, Unpack

import numpy.typing as npt
import zmq

from scanmend.client.adaptive import AdaptiveScan
from scanmend.client.adaptive_options import AdaptiveOptions
from scanmend.client.core import State
from scanmend.client.face import SessionFace
from scanmend.client.link import Tap
from scanmend.client.options import SessionOptions, SessionSetup, session_setup
from scanmend.client.reporter import Reporter, Reporting
from scanmend.client.restored import Restored
from scanmend.client.samples import Piece
from scanmend.errors import ScanmendError
from scanmend.field import Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.wire.messages import ExecutedStatus, Proposal, Receipt

log = logging.getLogger(__name__)

DEFAULT_ADDRESS = "tcp://127.0.0.1:7501"
_SLICE_S = 0.1
_ABORT_S = 2.0


class Session(SessionFace):
    """An open session; made by `Client.session`.

    As a context manager it ends the session and waits for the receipt when the block is left normally, and ends it
    as aborted when the block is left by an exception, which then goes on.
    """

    def open(self) -> None:
        """Say HELLO and wait for the answer.

        Raises:
            NotConnected: Nobody answered in time.
            SessionRefused: The service said no.
        """
        opened = self._wait(lambda: self._core.state is not State.GREETING, self._timeout_s)
        if not opened or self._core.troubles.failure is not None:
            self.close()
            raise self._opening_error(self._timeout_s)

    def wait_for_start(self, timeout_s: float | None = None) -> bool:
        """Wait until an operator starts the session, where `start="operator"` left that to one.

        Args:
            timeout_s: Longest wait; None waits for as long as it takes.

        Returns:
            Whether frames may be sent; False where an operator asked to stop (`command`), or the time is over.

        Raises:
            NotConnected: The service has been silent for `give_up_s`.
            SessionClosed: The session has ended.
        """
        self._wait(self._start_said, timeout_s)
        return self._is_started()

    def send(
        self,
        frame: Frame | npt.ArrayLike,
        plan: ScanPlan | None = None,
        *,
        dwell_ns: int = 1000,
        acquired_unix_ns: int | None = None,
        dropped_before: int = 0,
        copy: bool = True,
        timeout_s: float | None = None,
    ) -> int:
        """Send a picture of the whole field as one pass, or a frame made by hand; waits while there is no credit.

        Args:
            frame: `(ny, nx)` or `(channels, ny, nx)` of the type announced; or a `Frame` whose plan is announced.
            plan: The full raster that the picture was taken with; made from `dwell_ns` where it is None.
            dwell_ns: Dwell at each pixel, in nanoseconds, where no plan is given.
            acquired_unix_ns: When the last sample was taken; now where it is None.
            dropped_before: Frames that you had to discard since the last one.
            copy: Whether the samples are copied. Without a copy the array must not change until it is safe with
                the service (`stats.in_ring == 0`).
            timeout_s: Longest wait for credit; the session's `hold_timeout_s` where it is None.

        Returns:
            Number of the (last) frame sent.

        Raises:
            InvalidInput: The array is not what the session announced.
            FrameRejected: An earlier frame was rejected; raised once for each.
            SessionPaused: No credit came in time; the text says why. Send the same samples again to go on: of a pass
                in several messages, what went out before (`points_sent`) is not sent twice.
            NotConnected: The service has gone.
            SessionClosed: The session has ended.
        """
        self.check()
        if not isinstance(frame, Frame):
            frame = self._dense_frame(frame, plan, dwell_ns, acquired_unix_ns, dropped_before)
        return self._send(frame, None, copy, timeout_s)

    def send_samples(
        self,
        plan: ScanPlan | int,
        samples: npt.ArrayLike,
        pass_index: int | None = None,
        chunk_points: int | None = None,
        *,
        first_point: int = 0,
        end_of_pass: bool | None = None,
        acquired_unix_ns: int | None = None,
        dropped_before: int = 0,
        copy: bool = True,
        timeout_s: float | None = None,
    ) -> int:
        """Send samples of a plan in visiting order: a whole pass, or a run of its points.

        The same samples of the same pass go on where sending them was given up. Others are a scan of their own, and
        their points count as exposed again.

        Args:
            plan: The plan, announced now where it was not before, or its id.
            samples: `(points,)` or `(channels, points)` of the type announced.
            pass_index: Which pass they belong to; the current one where it is None.
            chunk_points: Most points of a message; None for as many as fit.
            first_point: Index of the first sample's point within the plan.
            end_of_pass: Whether the pass ends here; where it is None, it does at the plan's last point.
            acquired_unix_ns: When the last sample was taken; now where it is None.
            dropped_before: Frames that you had to discard since the last one.
            copy: As in `send`.
            timeout_s: As in `send`.

        Returns:
            Number of the last frame sent.

        Raises:
            PlanError: The plan cannot be run on the field.
            ScanmendError: As `send` does.
        """
        self.check()
        frame = self._sparse_frame(
            plan, samples, pass_index, first_point, end_of_pass, acquired_unix_ns, dropped_before
        )
        return self._send(frame, chunk_points, copy, timeout_s)

    def send_plan(self, plan: ScanPlan) -> int:
        """Announce a plan and give its id; the same plan keeps its id.

        Raises:
            PlanError: It cannot be run on the session's field.
        """
        self.check()
        plan_id = self._core.add_plan(plan)
        self._link.turn()
        return plan_id

    def receive(self, timeout_s: float | None = None) -> Restored | None:
        """The next answer.

        Args:
            timeout_s: Longest wait; 0 only looks; None waits for as long as an answer is owed.

        Returns:
            The answer; None where none came in time or none is owed.

        Raises:
            NotConnected: The service has been silent for `give_up_s`.
        """
        answers = self._core.answers
        if not answers.unread:
            self._wait(
                lambda: (
                    bool(answers.unread)
                    or self._core.state is State.FAILED
                    or (timeout_s is None and not answers.awaited)
                ),
                timeout_s,
            )
        return self._pop()

    def __iter__(self) -> Iterator[Restored]:
        """Answers in the order in which they come, until none is owed."""
        while (restored := self.receive()) is not None:
            yield restored

    def next_proposal(self, timeout_s: float = 0.0) -> Proposal | None:
        """The oldest rescan proposal that can still be run; None where none came in time, or `enough` says why."""
        found: list[Proposal] = []

        def ready() -> bool:
            proposal = self._next_open_proposal()
            if proposal is not None:
                found.append(proposal)
            return proposal is not None or self._core.enough is not None or self._core.over

        self._wait(ready, timeout_s)
        return found[0] if found else None

    def accept(
        self,
        proposal: Proposal,
        plan: ScanPlan | None = None,
        *,
        begun_unix_ns: int | None = None,
        points_run: int | None = None,
    ) -> int | None:
        """Announce that a proposal is run now.

        Args:
            proposal: An open proposal.
            plan: What is really run, where it differs from `proposal.plan`; with the same points and dwell times
                that the instrument's quantum rounded it counts as accepted, else as changed.
            begun_unix_ns: When the instrument began, where that was before this call; now where it is None.
            points_run: How many points of the plan were run, where the pass ended early; it counts as changed.

        Returns:
            The plan's id for `send_samples`; None where the proposal had expired, which the service is told.

        Raises:
            PlanError: The plan cannot be run on the field.
            InvalidInput: The proposal is not open.
        """
        self.check()
        plan_id = self._decide_to_run(proposal, plan, begun_unix_ns, points_run)
        self._link.turn()
        return plan_id

    def decline(self, proposal: Proposal, reason: str = "") -> None:
        """Say that a proposal is not run, and why.

        Raises:
            InvalidInput: The proposal is not open.
        """
        self.check()
        self._core.decide(proposal, ExecutedStatus.DECLINED, reason=reason)
        self._link.turn()

    def end(self, reason: str | None = None, *, dropped_after: int = 0, timeout_s: float = 60.0) -> Receipt:
        """End the session and wait for its receipt; answers that come meanwhile can still be read.

        Args:
            reason: finished, stopped or aborted; where it is None, what an operator's command says, else finished.
            dropped_after: Frames that you had to discard after the last one that was sent.
            timeout_s: Longest wait.

        Raises:
            NotConnected: The service has gone; the frames in the ring are not safe.
            SessionPaused: No receipt came in time; call again to wait longer.
        """
        self._begin_end(reason, dropped_after)
        self._wait(lambda: self._core.state in (State.ENDED, State.FAILED), timeout_s, give_up=False)
        if self._core.receipt is None:
            raise self._no_receipt_error(timeout_s)
        return self._core.receipt

    def pump(self) -> None:
        """Let bytes move without waiting; a program with nothing to send may call it now and then."""
        self._link.turn()

    def close(self) -> None:
        """Close the connection without ending the session; the service waits for the client to come back."""
        if not self._closed:
            self._closed = True
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._core.receipt is None and not self._closed:
                    self.end()
            elif self._core.receipt is None and not self._closed:
                try:
                    self.end("aborted", timeout_s=_ABORT_S)
                except ScanmendError as problem:
                    log.warning("The aborted session %s has no receipt: %s", self.name, problem)
        finally:
            self.close()

    def _send(self, frame: Frame, chunk_points: int | None, copy: bool, timeout_s: float | None) -> int:
        with closing(self._pushes(frame, chunk_points, copy)) as pieces:
            for piece in pieces:
                if self._core.why_held(piece.samples.nbytes):
                    self._hold(frame, piece, self._setup.hold_timeout_s if timeout_s is None else timeout_s)
        self._link.turn()
        return self._core.ring.next_seq - 1

    def _hold(self, frame: Frame, piece: Piece, timeout_s: float) -> None:
        core, size = self._core, piece.samples.nbytes

        def ready() -> bool:
            # Unread answers cannot become fewer while this thread waits here.
            return core.over or core.answers.full or not core.why_held(size)

        self._wait(ready, timeout_s)
        if core.over:
            self.check()
        if core.why_held(size):
            raise self._held_error(frame, piece, timeout_s if not core.answers.full else 0.0)

    def _wait(self, ready: Callable[[], bool], timeout_s: float | None, *, give_up: bool = True) -> bool:
        began_s = time.monotonic()
        end_s = None if timeout_s is None else began_s + timeout_s
        while True:
            if not self._closed:
                self._link.turn()
            if ready():
                return True
            left_s = _SLICE_S if end_s is None else min(_SLICE_S, end_s - time.monotonic())
            if left_s <= 0 or self._closed:
                return False
            if give_up:
                self._check_silence(began_s)
            self._link.poll(left_s)


class Client(Reporting):
    """Pushes samples to a service and reads restored frames back.

    Args:
        address: Where the service listens.
        timeout_s: Longest wait for the answer to a HELLO; a service on the same machine answers in milliseconds.
        tap: Sees every message on its way out and gives those that really go; for simulated faults and tests.
        program: What this client is, for people; its package and version where it is not given.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = 2.0, tap: Tap | None = None, program: str = ""
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._tap = tap
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sessions: list[Session] = []
        self._program = program
        self._reporter = Reporter(self._context, address, program)

    def session(self, name: str, field: Field, **options: Unpack[SessionOptions]) -> Session:
        """Open a session.

        Args:
            name: Unique on the service: letters, digits, `_`, `.`, `-`, at most 64.
            field: The area being imaged.
            **options: See `SessionOptions`.

        Raises:
            NotConnected: Nobody answered in time.
            SessionRefused: The service said no; `code` and `mend` say why and what to do.
            InvalidInput: Options that cannot be.
        """
        setup: SessionSetup = session_setup(name, field, options, self._program)
        self._sessions = [session for session in self._sessions if not session.closed]
        session = Session(self._context, self.address, setup, self._tap, timeout_s=self.timeout_s)
        session.open()
        self._sessions.append(session)
        return session

    def adaptive(self, field: Field, **options: Unpack[AdaptiveOptions]) -> AdaptiveScan:
        """Scan a field pass by pass, each where the service says that it pays, until it is enough.

        Args:
            field: The area being imaged.
            **options: See `AdaptiveOptions`.

        Returns:
            The scan: iterate over it, and `submit` in each turn what the instrument brought for `step.plan`.

        Raises:
            InvalidInput: Options that cannot be, or a first pass above the budget.
        """
        return AdaptiveScan(self, field, options)

    def close(self) -> None:
        """Close all connections; sessions that have not ended can be taken up by no one else."""
        for session in self._sessions:
            session.close()
        self._reporter.close()
        self._context.destroy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
