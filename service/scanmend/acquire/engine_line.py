"""The doorbell to the engine: whole messages, none lost while it does not read, and its death noticed at once."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from scanmend.errors import MalformedMessage, OversizeMessage
from scanmend.ipc import Doorbell, Listener
from scanmend.ipc.doorbell import PeerGone, Sent
from scanmend.ipc.engine_link import (
    INLINE_BYTES,
    FromEngine,
    PlanNotice,
    ProposalMade,
    ScannedNotice,
    ToEngine,
    decode_from_engine,
    encode,
)
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Proposal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gone:
    """The engine is not at the other end any more."""

    why: str


@dataclass(slots=True)
class EngineLine:
    """The one connection that counts, and what it could not take yet."""

    listener: Listener
    run_dir: Path
    bell: Doorbell | None = None
    plans_lost: list[tuple[int, str]] = field(default_factory=list)
    """Plans that found no room on their way to the engine: of which session, and why; who reports them clears it."""
    _unsent: deque[bytes] = field(default_factory=deque)

    @property
    def fd(self) -> int | None:
        """What a poller waits at; None while nobody is connected."""
        return None if self.bell is None else self.bell.fileno()

    @property
    def choked(self) -> bool:
        """Whether the engine does not take what it is told."""
        return bool(self._unsent)

    def accept(self) -> Doorbell | None:
        """Somebody who wants to connect; the caller hangs up the old line and connects the new one."""
        return self.listener.accept()

    def connect(self, bell: Doorbell) -> None:
        """Make a connection the one that counts."""
        self.bell = bell

    def hang_up(self) -> None:
        """Close the connection and forget what it did not take, files included."""
        if self.bell is not None:
            self.bell.close()
        self.bell = None
        self._unsent.clear()
        for pattern in ("plan-*", "proposal-*"):  # of the other kinds some may still be read by web
            for path in self.run_dir.glob(pattern):
                path.unlink(missing_ok=True)

    def receive(self) -> Iterator[FromEngine | Gone]:
        """All that the engine has said; `Gone` as the last where it ended, or cannot be understood."""
        while self.bell is not None:
            try:
                data = self.bell.receive()
                if data is None:
                    return
                if isinstance(data, PeerGone):
                    yield Gone("it has ended")
                    return
                message = decode_from_engine(data)
            except (MalformedMessage, OversizeMessage) as error:
                log.error("engine: %s", error)
                yield Gone("it speaks another version")
                return
            yield message

    def send(self, message: ToEngine) -> None:
        """Tell the engine something, now or as soon as it reads."""
        self._unsent.append(encode(message))
        self.flush()

    def flush(self) -> None:
        """Send what was not taken before."""
        while self._unsent and self.bell is not None:
            if self.bell.send(self._unsent[0]) is not Sent.SENT:
                return  # full: tried again on the next turn; gone: `receive` finds out
            self._unsent.popleft()

    def send_plan(self, session_id: int, plan_id: int, plan: ScanPlan) -> None:
        """Tell the engine of a plan, through a file where it is too large for a message.

        Where there is no room for the file, the engine is told that it does not know all that is scanned: frames of
        the plan are in no exposure and no dose, so that no further plan could be sure to keep to the budget.
        """
        data = msgspec.msgpack.encode(plan)
        if len(data) <= INLINE_BYTES:
            self.send(PlanNotice(session_id=session_id, plan_id=plan_id, data=data))
            return
        path = self.run_dir / f"plan-{secrets.token_hex(12)}"
        try:
            path.write_bytes(data)
        except OSError as error:
            path.unlink(missing_ok=True)
            log.error("plan %d cannot be left for the engine: %s", plan_id, error)
            self.plans_lost.append((session_id, error.strerror or str(error)))
            self.send(ScannedNotice(session_id=session_id, spans=[], incomplete=True))
            return
        self.send(PlanNotice(session_id=session_id, plan_id=plan_id, path=str(path)))


def proposal_of(made: ProposalMade) -> Proposal:
    """The proposal itself, from the message or the file that it names."""
    if made.proposal is not None:
        return made.proposal
    path = Path(made.path)
    proposal = msgspec.msgpack.decode(path.read_bytes(), type=Proposal)
    path.unlink()
    return proposal
