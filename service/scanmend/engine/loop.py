"""The engine's loop: takes what acquire sends, in order within a session and in turn among sessions."""

from __future__ import annotations

import logging
import select
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path

from scanmend.engine.models import LiveModels
from scanmend.engine.rebuild import rebuild
from scanmend.engine.session import MISHAPS, EngineSession
from scanmend.errors import MalformedMessage, OversizeMessage, ProtocolError
from scanmend.ipc import Doorbell, PeerGone, Sent
from scanmend.ipc.engine_link import (
    AskDose,
    AskRaw,
    CloseSession,
    Done,
    DoseMade,
    EngineProblem,
    ExecutedNotice,
    FromEngine,
    OpenSession,
    PlanNotice,
    ProposalTerm,
    RawMade,
    ScannedNotice,
    SessionSummary,
    TermsNotice,
    ToEngine,
    Work,
    decode_to_engine,
    encode,
)
from scanmend.wire.header import FrameHeader, PassReason

log = logging.getLogger(__name__)

IDLE_S = 0.2
"""Longest sleep: how late a stop is noticed, and how often an idle engine shows that it lives."""

_NO_LIMIT = 1 << 62

Queued = (
    PlanNotice
    | ScannedNotice
    | ExecutedNotice
    | TermsNotice
    | ProposalTerm
    | AskDose
    | AskRaw
    | CloseSession
    | tuple[Work, FrameHeader]
)


class EngineLoop:
    """Serves one connection to acquire; when that ends, so do its sessions.

    Args:
        bell: The connection.
        models: The live models.
        run_dir: The run folder.
        beat: Shows that this process lives; called in every turn and during long work.
    """

    def __init__(self, bell: Doorbell, models: LiveModels, run_dir: Path, beat: Callable[[], None]) -> None:
        self.stop_asked = False
        """Set by a signal handler: finish the frame in hand, then end."""
        self._bell = bell
        self._models = models
        self._run_dir = run_dir
        self._beat = beat
        self._sessions: OrderedDict[int, EngineSession] = OrderedDict()
        self._queues: dict[int, deque[Queued]] = {}
        self._unsent: deque[bytes] = deque()
        self._gone = False

    def run(self) -> None:
        """Work until acquire is gone, or a stop is asked."""
        try:
            while not (self._gone or self.stop_asked):
                self._beat()
                self._receive()
                if not self._one_turn():
                    self._wait()
            self._flush()
        finally:
            for session in self._sessions.values():
                session.close()
            for queue in self._queues.values():
                for message in queue:
                    _unlink_plan(message)

    def say(self, message: FromEngine) -> None:
        """Send a message to acquire, in order, as soon as it takes it."""
        self._unsent.append(encode(message))
        self._flush()

    # The doorbell ---------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Take all that acquire has sent."""
        while not self._gone:
            try:
                data = self._bell.receive()
                if data is None:
                    return
                if isinstance(data, PeerGone):
                    self._gone = True
                    return
                self._take(decode_to_engine(data))
            except (MalformedMessage, OversizeMessage) as error:
                log.error("acquire: %s", error)
                self.say(EngineProblem(code="engine_version", text=str(error)))

    def _take(self, message: ToEngine) -> None:
        match message:
            case OpenSession():
                self._open(message)
            case Work():
                try:
                    header = FrameHeader.unpack(message.header, max_payload_bytes=_NO_LIMIT)
                except ProtocolError as error:
                    self._refuse(message, seq=0, text=str(error))
                    return
                if not self._enqueue(message.session_id, (message, header)):
                    self._refuse(message, seq=header.seq, text="The engine does not know the session.")
            case ExecutedNotice():
                self._enqueue(message.executed.session_id, message)
            case PlanNotice() | ScannedNotice() | TermsNotice() | ProposalTerm():
                if not self._enqueue(message.session_id, message):
                    _unlink_plan(message)
            case AskDose() | AskRaw():
                if not self._enqueue(message.session_id, message):
                    self.say(_unpainted(message))
            case CloseSession():
                if not self._enqueue(message.session_id, message):
                    self.say(SessionSummary(session_id=message.session_id))

    def _enqueue(self, session_id: int, message: Queued) -> bool:
        queue = self._queues.get(session_id)
        if queue is None:
            return False
        queue.append(message)
        return True

    def _refuse(self, work: Work, *, seq: int, text: str) -> None:
        reason = int(PassReason.ENGINE_FAILED)
        self.say(
            Done(ticket=work.ticket, session_id=work.session_id, seq=seq, restored=False, reason=reason, error=text)
        )

    def _flush(self) -> None:
        while self._unsent and not self._gone:
            match self._bell.send(self._unsent[0]):
                case Sent.SENT:
                    self._unsent.popleft()
                case Sent.FULL:
                    return
                case Sent.PEER_GONE:
                    self._gone = True

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._bell.fileno(), select.POLLIN | (select.POLLOUT if self._unsent else 0))
        poller.poll(1000 * IDLE_S)
        self._flush()

    # Sessions -------------------------------------------------------------------------------------------------------

    def _open(self, message: OpenSession) -> None:
        session_id = message.hello.session_id
        self._close(session_id)
        try:
            session = EngineSession(message, self._models, self.say, self._beat, self._run_dir)
        except MISHAPS as error:
            log.exception("session %s cannot be opened", message.hello.session)
            self.say(EngineProblem(code="session_not_opened", text=str(error), session_id=session_id))
            return
        self._sessions[session_id] = session
        self._queues[session_id] = deque()
        if message.rebuild and message.journal:
            found = rebuild(session, Path(message.journal), message.rebuild_skip, self._beat)
            log.info("session %s: %d frames rebuilt from the journal", message.hello.session, found.frames)
            if found.problems:
                session.mark_incomplete()
                text = f"The exposure could not be rebuilt whole, and no rescans are proposed: {found.problems[0]}"
                self.say(EngineProblem(code="exposure_incomplete", text=text, session_id=session_id))
            if message.propose and found.last is not None and found.last.end_of_pass:
                session.choose_again(found.last)

    def _close(self, session_id: int) -> None:
        """Forget a session; what still waits for it is answered, since acquire waits for that."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()
        for message in self._queues.pop(session_id, ()):
            match message:
                case (work, header):
                    self._refuse(work, seq=header.seq, text="The session was closed before the frame's turn.")
                case CloseSession():
                    self.say(SessionSummary(session_id=session_id))
                case AskDose() | AskRaw():
                    self.say(_unpainted(message))
                case _:
                    _unlink_plan(message)

    def _one_turn(self) -> bool:
        """Handle the messages of one session up to and including its next frame; False where nothing waits."""
        for session_id, session in self._sessions.items():
            queue = self._queues[session_id]
            if queue:
                self._sessions.move_to_end(session_id)
                self._serve(session, queue)
                return True
        return False

    def _serve(self, session: EngineSession, queue: deque[Queued]) -> None:
        while queue:
            message = queue.popleft()
            match message:
                case (work, header):
                    session.work(work, header, superseded=_superseded(header, queue))
                    return
                case CloseSession():
                    self.say(session.summary())
                    self._close(session.id)
                    return
                case PlanNotice():
                    self._take_plan(session, message)
                case ScannedNotice():
                    session.take_scanned(message)
                case ExecutedNotice():
                    session.take_executed(message)
                case TermsNotice() | ProposalTerm():
                    self._take_terms(session, message)
                case AskDose() | AskRaw():
                    self._paint(session, message)

    def _take_terms(self, session: EngineSession, notice: TermsNotice | ProposalTerm) -> None:
        try:
            session.take_terms(notice)
        except MISHAPS as error:  # acquire has checked them: the two are of different versions
            log.exception("session %s cannot change its terms", session.hello.session)
            session.mark_incomplete()
            self.say(EngineProblem(code="terms_lost", text=str(error), session_id=session.id))

    def _paint(self, session: EngineSession, ask: AskDose | AskRaw) -> None:
        try:
            self.say(session.paint(ask))
        except MISHAPS:
            log.exception("a picture of session %s cannot be shown", session.hello.session)
            self.say(_unpainted(ask))

    def _take_plan(self, session: EngineSession, notice: PlanNotice) -> None:
        try:
            session.take_plan(notice)
        except MISHAPS as error:  # its frames will be answered one by one
            log.exception("a plan of session %s cannot be read", session.hello.session)
            self.say(EngineProblem(code="plan_lost", text=str(error), session_id=session.id))


def _unlink_plan(message: object) -> None:
    """Remove the file of a plan that nobody is going to read; it would take shared memory until the service ends."""
    if isinstance(message, PlanNotice) and message.path:
        Path(message.path).unlink(missing_ok=True)


def _unpainted(ask: AskDose | AskRaw) -> DoseMade | RawMade:
    """The answer to who asked for a picture that cannot be made."""
    made = DoseMade if isinstance(ask, AskDose) else RawMade
    return made(session_id=ask.session_id, ask=ask.ask, path="")


def _superseded(header: FrameHeader, queue: deque[Queued]) -> bool:
    """Whether a later frame of the same pass waits already, so that this one need not be restored by itself."""
    if header.end_of_pass:
        return False
    return any(isinstance(item, tuple) and item[1].pass_index == header.pass_index for item in queue)
