"""web's side of acquire's console: one shared status, pictures on demand, commands.

States: connecting ──status──▶ reachable ──silence of `SILENCE_S`──▶ unreachable ──status──▶ reachable. Nothing
here raises because acquire is away: the snapshot says so, and the next poll finds it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import zmq
import zmq.asyncio

from scanmend.errors import MalformedMessage, NotConnected
from scanmend.ipc.console import (
    Action,
    AskCommand,
    AskDose,
    AskPicture,
    AskProposal,
    AskStatus,
    FromAcquire,
    MapFile,
    Obeyed,
    PictureInfo,
    ProposalPlan,
    Refused,
    Status,
    ToAcquire,
    decode_from_acquire,
    encode,
)

log = logging.getLogger(__name__)

POLL_S = 0.2
"""Between two questions for the status: five times a second, for everybody together."""
SILENCE_S = 1.5
"""Without an answer for so long, acquire counts as unreachable."""
COMMAND_S = 2.0
"""A command that is not answered within this has failed."""
PICTURE_S = 4.0
"""acquire answers an open question for a picture within 2 s; twice that means that it is gone."""

RESTART_MEND = "Wait for the supervisor to start it again, within seconds; if it does not, read the service's log."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest status and when it was taken."""

    status: Status | None
    """None until acquire has answered for the first time."""
    reachable: bool
    """Whether acquire answered within `SILENCE_S`."""
    taken_mono_s: float
    """`time.monotonic` of the answer; of the start before the first."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command without the session and the name of who gives it."""

    action: Action
    proposal_id: int | None = None
    policy: str | None = None
    budget_e_per_nm2: float | None = None
    approval: Literal["microscope", "operator"] | None = None

    @property
    def details(self) -> dict[str, str | int | float | bool | None]:
        """What it says besides the action; None for what it does not say."""
        return {
            "proposal_id": self.proposal_id,
            "policy": self.policy,
            "budget_e_per_nm2": self.budget_e_per_nm2,
            "approval": self.approval,
        }


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as acquire gave it."""

    info: PictureInfo
    raw: bytes
    estimate: bytes
    """Empty where there is none."""
    sigma: bytes
    """Empty where there is none."""


class _Line:
    """A DEALER with its open questions."""

    def __init__(self, context: zmq.asyncio.Context, address: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is kept for an acquire that is not there
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._socket.connect(address)
        self._open: dict[int, asyncio.Future[list[bytes]]] = {}

    async def ask(self, message: ToAcquire, timeout_s: float) -> list[bytes]:
        """Send a question and wait for its answer's parts.

        Raises:
            NotConnected: Nobody is there, or no answer came in time.
        """
        future: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._open[message.ask] = future
        try:
            await self._socket.send(encode(message), zmq.NOBLOCK)
            async with asyncio.timeout(timeout_s):  # `wait_for` loses a cancellation that meets an answer (3.11)
                return await future
        except (zmq.Again, TimeoutError) as error:
            raise NotConnected("The acquire process does not answer.", mend=RESTART_MEND) from error
        finally:
            self._open.pop(message.ask, None)

    async def read(self) -> None:
        """Hand answers to those who asked, for ever; late answers are dropped."""
        while True:
            parts = await self._socket.recv_multipart()
            try:
                answer = decode_from_acquire(parts[0])
            except MalformedMessage as error:
                log.warning("acquire's answer cannot be read: %s", error)
                continue
            future = self._open.get(answer.ask)
            if future is not None and not future.done():
                future.set_result(parts)

    def close(self) -> None:
        self._socket.close(0)


def _fetch(path: Path) -> bytes:
    """What was left in a file for this process; empty where it is gone."""
    try:
        return path.read_bytes()
    except OSError as error:
        log.warning("a picture cannot be read: %s", error)
        return b""
    finally:
        path.unlink(missing_ok=True)


class ConsoleClient:
    """Talks to acquire; used from one event loop.

    Args:
        address: Where acquire listens, `ipc://RUN_DIR/console`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._asks = itertools.count(1)
        self._snapshot = Snapshot(None, False, time.monotonic())
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._context: zmq.asyncio.Context | None = None
        self._control: _Line | None = None
        self._pictures: _Line | None = None
        self._changed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        """What is known now; never waits."""
        return self._snapshot

    async def start(self) -> None:
        """Connect, and begin to poll."""
        self._context = zmq.asyncio.Context(io_threads=1)
        # Two lines, so that no status ever waits behind a large picture.
        self._control = _Line(self._context, self._address)
        self._pictures = _Line(self._context, self._address)
        self._tasks = [
            asyncio.create_task(self._control.read(), name="console-answers"),
            asyncio.create_task(self._pictures.read(), name="console-pictures"),
            asyncio.create_task(self._poll(), name="console-poll"),
        ]

    async def close(self) -> None:
        """Stop polling and disconnect; safe to call twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for line in (self._control, self._pictures):
            if line is not None:
                line.close()
        if self._context is not None:
            self._context.term()
        self._control = self._pictures = self._context = None

    def on_snapshot(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener` with each new snapshot, on the event loop."""
        self._listeners.append(listener)

    async def next_snapshot(self) -> Snapshot:
        """Wait for the next snapshot, at most one poll away while acquire answers."""
        changed = self._changed
        await changed.wait()
        return self._snapshot

    async def picture(self, session: str, newer_than: int, channel: str = "") -> Picture | Refused:
        """The newest picture of a session, as soon as there is a newer one.

        Args:
            session: Its name.
            newer_than: The number of the last one; 0 for any.
            channel: Which channel; empty for the one that is restored.

        Raises:
            NotConnected: acquire is away.
        """
        if self._pictures is None:
            raise NotConnected("The console is closed.", mend=RESTART_MEND)
        message = AskPicture(ask=next(self._asks), session=session, newer_than=newer_than, channel=channel)
        parts = await self._pictures.ask(message, PICTURE_S)
        answer = decode_from_acquire(parts[0])
        if isinstance(answer, PictureInfo) and len(parts) == 4:
            raw = await asyncio.to_thread(_fetch, Path(answer.raw_path)) if answer.raw_path else parts[1]
            return Picture(answer, raw, parts[2], parts[3])
        if isinstance(answer, Refused):
            return answer
        raise NotConnected("acquire answered a question for a picture with something else.", mend=RESTART_MEND)

    async def dose(self, session: str) -> Path | None:
        """A file with the dose of each pixel, float32 `(ny, nx)`, to be read and deleted; None where nobody can tell.

        Raises:
            NotConnected: acquire is away.
        """
        if self._pictures is None:
            raise NotConnected("The console is closed.", mend=RESTART_MEND)
        parts = await self._pictures.ask(AskDose(ask=next(self._asks), session=session), PICTURE_S)
        answer = decode_from_acquire(parts[0])
        return Path(answer.path) if isinstance(answer, MapFile) else None

    async def proposal(self, session: str) -> tuple[int, bytes] | None:
        """The id and the plan, as msgpack, of a session's open proposal; None where there is none.

        Raises:
            NotConnected: acquire is away.
        """
        if self._pictures is None:
            raise NotConnected("The console is closed.", mend=RESTART_MEND)
        parts = await self._pictures.ask(AskProposal(ask=next(self._asks), session=session), PICTURE_S)
        answer = decode_from_acquire(parts[0])
        return (answer.proposal_id, parts[1]) if isinstance(answer, ProposalPlan) and len(parts) == 2 else None

    async def command(self, session: str, order: Order, by: str) -> Obeyed | Refused:
        """Pass an operator's word on.

        Raises:
            NotConnected: acquire is away; the command was not obeyed as far as is known.
        """
        message = AskCommand(
            ask=next(self._asks),
            session=session,
            action=order.action,
            by=by,
            proposal_id=order.proposal_id or 0,
            policy=order.policy,
            budget_e_per_nm2=order.budget_e_per_nm2,
            approval=order.approval,
        )
        answer = await self._ask_control(message, COMMAND_S)
        if isinstance(answer, (Obeyed, Refused)):
            return answer
        raise NotConnected("acquire answered a command with something else.", mend=RESTART_MEND)

    async def _ask_control(self, message: ToAcquire, timeout_s: float) -> FromAcquire:
        if self._control is None:
            raise NotConnected("The console is closed.", mend=RESTART_MEND)
        parts = await self._control.ask(message, timeout_s)
        return decode_from_acquire(parts[0])

    async def _poll(self) -> None:
        while True:
            asked = time.monotonic()
            with contextlib.suppress(NotConnected):
                answer = await self._ask_control(AskStatus(ask=next(self._asks)), SILENCE_S / 3)
                if isinstance(answer, Status):
                    self._publish(Snapshot(answer, True, time.monotonic()))
            silent_s = time.monotonic() - self._snapshot.taken_mono_s
            if silent_s > SILENCE_S:
                if self._snapshot.reachable:
                    log.warning("acquire has been silent for %.1f s", silent_s)
                self._publish(Snapshot(self._snapshot.status, False, self._snapshot.taken_mono_s))
            await asyncio.sleep(max(0.02, POLL_S - (time.monotonic() - asked)))

    def _publish(self, snapshot: Snapshot) -> None:
        if snapshot.reachable and not self._snapshot.reachable:
            log.info("acquire answers")
        self._snapshot = snapshot
        for listener in self._listeners:
            listener(snapshot)
        self._changed.set()
        self._changed = asyncio.Event()
