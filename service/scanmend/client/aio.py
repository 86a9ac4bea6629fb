"""The asyncio client: the names of the blocking one, with `await`, `async for` and `async with`.

A session reads its socket whenever the event loop runs, so answers, credit and an operator's commands arrive while
the program waits for something else. Several tasks may use one session: one may send while another reads. The
docstrings of `scanmend.client.sync` hold here too; what differs is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, Unpack

import numpy.typing as npt
import zmq

from scanmend.client.adaptive import AsyncAdaptiveScan
from scanmend.client.adaptive_options import AdaptiveOptions
from scanmend.client.core import State
from scanmend.client.face import SessionFace
from scanmend.client.link import Tap
from scanmend.client.options import SessionOptions, session_setup
from scanmend.client.reporter import Reporter, Reporting
from scanmend.client.restored import Restored
from scanmend.client.sync import DEFAULT_ADDRESS
from scanmend.errors import ScanmendError
from scanmend.field import Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.wire.messages import ExecutedStatus, Proposal, Receipt

log = logging.getLogger(__name__)

_BEAT_S = 0.1
_ABORT_S = 2.0


class AsyncSession(SessionFace):
    """A session for asyncio; made by `AsyncClient.session` and opened by `async with`, or by `await open()`.

    Left normally, the block ends the session and waits for the receipt; left by an exception, it ends it as aborted,
    and the exception goes on.
    """

    _beat: asyncio.TimerHandle | None = None

    async def open(self) -> Self:
        """Say HELLO and wait for the answer.

        Raises:
            NotConnected: Nobody answered in time.
            SessionRefused: The service said no.
        """
        loop = asyncio.get_running_loop()
        self._waiters: set[asyncio.Future[None]] = set()
        self._sending = asyncio.Lock()
        loop.add_reader(self._link.socket.fileno(), self._turn)
        self._beat = loop.call_later(_BEAT_S, self._on_beat)
        opened = await self._wait(lambda: self._core.state is not State.GREETING, self._timeout_s)
        if not opened or self._core.troubles.failure is not None:
            self.close()
            raise self._opening_error(self._timeout_s)
        return self

    async def wait_for_start(self, timeout_s: float | None = None) -> bool:
        """Wait until an operator starts the session; as `Session.wait_for_start`."""
        await self._wait(self._start_said, timeout_s)
        return self._is_started()

    async def send(
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
        """Send a picture of the whole field as one pass, or a `Frame`; as `Session.send`.

        Where answers are left unread it waits for another task to read them. A send that is cancelled goes on like
        one that was held, when the same samples are sent again.
        """
        self.check()
        async with self._sending:
            if not isinstance(frame, Frame):
                frame = self._dense_frame(frame, plan, dwell_ns, acquired_unix_ns, dropped_before)
            return await self._send(frame, None, copy, timeout_s)

    async def send_samples(
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
        """Send samples of a plan in visiting order; as `Session.send_samples`."""
        self.check()
        async with self._sending:
            frame = self._sparse_frame(
                plan, samples, pass_index, first_point, end_of_pass, acquired_unix_ns, dropped_before
            )
            return await self._send(frame, chunk_points, copy, timeout_s)

    async def send_plan(self, plan: ScanPlan) -> int:
        """Announce a plan and give its id; as `Session.send_plan`."""
        self.check()
        plan_id = self._core.add_plan(plan)
        self._turn()
        return plan_id

    async def receive(self, timeout_s: float | None = None) -> Restored | None:
        """The next answer, or None where none came in time.

        Unlike `Session.receive`, with `timeout_s=None` it waits until the session has ended, because another task may
        still be about to send.
        """
        answers = self._core.answers
        if not answers.unread:
            await self._wait(lambda: bool(answers.unread) or (timeout_s is None and self._over), timeout_s)
        return self._pop()

    async def __aiter__(self) -> AsyncIterator[Restored]:
        """Answers in the order in which they come, until the session has ended; see `drain` for a single task."""
        while (restored := await self.receive()) is not None:
            yield restored

    async def drain(self) -> AsyncIterator[Restored]:
        """Answers until none is owed: what iterating over a blocking `Session` gives."""
        answers = self._core.answers
        while True:
            await self._wait(lambda: bool(answers.unread) or not answers.awaited or self._over, None)
            restored = self._pop()
            if restored is None:
                return
            yield restored

    async def next_proposal(self, timeout_s: float = 0.0) -> Proposal | None:
        """The oldest rescan proposal that can still be run; None where none came in time, or `enough` says why."""
        await self._wait(
            lambda: self._next_open_proposal() is not None or self._core.enough is not None or self._over, timeout_s
        )
        return self._next_open_proposal()

    async def accept(
        self,
        proposal: Proposal,
        plan: ScanPlan | None = None,
        *,
        begun_unix_ns: int | None = None,
        points_run: int | None = None,
    ) -> int | None:
        """Announce that a proposal is run now; as `Session.accept`."""
        self.check()
        plan_id = self._decide_to_run(proposal, plan, begun_unix_ns, points_run)
        self._turn()
        return plan_id

    async def decline(self, proposal: Proposal, reason: str = "") -> None:
        """Say that a proposal is not run, and why."""
        self.check()
        self._core.decide(proposal, ExecutedStatus.DECLINED, reason=reason)
        self._turn()

    async def end(self, reason: str | None = None, *, dropped_after: int = 0, timeout_s: float = 60.0) -> Receipt:
        """End the session and wait for its receipt; as `Session.end`."""
        async with self._sending:
            self._begin_end(reason, dropped_after)
        await self._wait(lambda: self._core.state in (State.ENDED, State.FAILED), timeout_s, give_up=False)
        if self._core.receipt is None:
            raise self._no_receipt_error(timeout_s)
        return self._core.receipt

    def close(self) -> None:
        """Close the connection without ending the session."""
        if not self._closed:
            self._closed = True
            if self._beat is not None:
                self._beat.cancel()
                asyncio.get_running_loop().remove_reader(self._link.socket.fileno())
                self._wake()
            self._link.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._core.receipt is None and not self._closed:
                if kind is None:
                    await self.end()
                else:
                    await self._abort()
        finally:
            self.close()

    async def _abort(self) -> None:
        try:
            await self.end("aborted", timeout_s=_ABORT_S)
        except ScanmendError as problem:
            log.warning("The aborted session %s has no receipt: %s", self.name, problem)

    async def _send(self, frame: Frame, chunk_points: int | None, copy: bool, timeout_s: float | None) -> int:
        core = self._core
        longest_s = self._setup.hold_timeout_s if timeout_s is None else timeout_s
        size = 0

        def ready() -> bool:
            return self._over or not core.why_held(size)

        with contextlib.closing(self._pushes(frame, chunk_points, copy)) as pieces:
            for piece in pieces:
                size = piece.samples.nbytes
                if not ready() and not await self._wait(ready, longest_s):
                    raise self._held_error(frame, piece, longest_s)
                if self._over:
                    self.check()
        self._turn()
        return core.ring.next_seq - 1

    @property
    def _over(self) -> bool:
        return self._closed or self._core.over

    # The event loop ---------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        # ZeroMQ's descriptor signals changes, not states: `turn` reads until nothing is left, so none is missed.
        if not self._closed and self._beat is not None and self._link.turn():
            self._wake()

    def _on_beat(self) -> None:
        self._turn()
        self._wake()
        self._beat = asyncio.get_running_loop().call_later(_BEAT_S, self._on_beat)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _wait(self, ready: Callable[[], bool], timeout_s: float | None, *, give_up: bool = True) -> bool:
        began_s = time.monotonic()
        loop = asyncio.get_running_loop()
        self._turn()
        while not ready():
            left_s = None if timeout_s is None else began_s + timeout_s - time.monotonic()
            if self._closed or (left_s is not None and left_s <= 0):
                return False
            if give_up:
                self._check_silence(began_s)
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await waiter
            finally:
                self._waiters.discard(waiter)
        return True


class AsyncClient(Reporting):
    """Pushes samples to a service and reads restored frames back, under asyncio.

    Args:
        address: Where the service listens.
        timeout_s: Longest wait for the answer to a HELLO.
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
        self._sessions: list[AsyncSession] = []
        self._program = program
        self._reporter = Reporter(self._context, address, program)

    def session(self, name: str, field: Field, **options: Unpack[SessionOptions]) -> AsyncSession:
        """A session that `async with`, or `await open()`, opens.

        Raises:
            InvalidInput: Options that cannot be.
        """
        setup = session_setup(name, field, options, self._program)
        self._sessions = [session for session in self._sessions if not session.closed]
        session = AsyncSession(self._context, self.address, setup, self._tap, timeout_s=self.timeout_s)
        self._sessions.append(session)
        return session

    def adaptive(self, field: Field, **options: Unpack[AdaptiveOptions]) -> AsyncAdaptiveScan:
        """Scan a field pass by pass; as `Client.adaptive`, with `async for` and `await step.submit(samples)`."""
        return AsyncAdaptiveScan(self, field, options)

    def close(self) -> None:
        """Close all connections, without ending their sessions."""
        for session in self._sessions:
            session.close()
        self._reporter.close()
        self._context.destroy()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
