"""Answers what web asks: the state of everything, pictures, the maps beside them, an operator's word."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zmq

from scanmend._version import __version__
from scanmend.acquire.closing import account
from scanmend.acquire.commands import command
from scanmend.acquire.context import Context
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.picture_desk import PATIENCE_NS, PictureDesk, refused
from scanmend.acquire.recordings import free_bytes
from scanmend.acquire.session import Session, SessionState
from scanmend.errors import MalformedMessage
from scanmend.ipc.console import (
    AskCommand,
    AskDose,
    AskPicture,
    AskProposal,
    AskStatus,
    EngineInfo,
    FromAcquire,
    MapFile,
    Obeyed,
    ProposalPlan,
    Refused,
    SessionInfo,
    Status,
    decode_to_acquire,
    encode,
)
from scanmend.wire.messages import Proposal, finite_or_none


@dataclass(slots=True)
class _OpenDose:
    asker: bytes
    ask: int
    until_mono_ns: int


@dataclass(slots=True)
class ConsoleDesk:
    """The ROUTER that web asks at."""

    context: Context
    desk: EngineDesk
    socket: zmq.Socket[bytes]
    _pictures: PictureDesk = field(init=False)
    _doses: dict[int, _OpenDose] = field(default_factory=dict)
    """Who waits for the dose of a session's pixels, one for each session."""

    def __post_init__(self) -> None:
        self._pictures = PictureDesk(self.context, self.desk, self.socket, self._answer)

    def receive(self) -> None:
        """Take all questions that have come."""
        while self.socket.poll(0):
            asker, *parts = self.socket.recv_multipart(zmq.DONTWAIT)
            if len(parts) != 1:
                continue
            try:
                question = decode_to_acquire(parts[0])
            except MalformedMessage as error:
                self.context.problem("console", error.message, level="warning")
                continue
            match question:
                case AskStatus():
                    self._answer(asker, self.status(question.ask))
                case AskPicture():
                    self._pictures.ask(asker, question)
                case AskDose():
                    self._ask_dose(asker, question)
                case AskProposal():
                    self._send_proposal(asker, question)
                case AskCommand():
                    self._answer(asker, self._command(question))

    def turn(self) -> None:
        """Answer the open questions that can be answered now."""
        self._answer_doses(self.context.clock.mono_ns())
        self._pictures.turn()

    def _answer(self, asker: bytes, answer: FromAcquire) -> None:
        self.socket.send_multipart([asker, encode(answer)], zmq.DONTWAIT)

    # Maps ------------------------------------------------------------------------------------------------------------

    def _ask_dose(self, asker: bytes, question: AskDose) -> None:
        """Have the engine paint it, one picture at a time for each session; a second asker is told to come again."""
        session = self.context.session_named(question.session)
        if session is None or session.state is SessionState.ENDED:
            self._answer(asker, refused(question.ask, session))
        elif session.id in self._doses or not self.desk.ask_dose(session, question.ask):
            self._answer(asker, Refused(ask=question.ask, code="nothing_new", reason="The engine cannot tell now."))
        else:
            until = self.context.clock.mono_ns() + PATIENCE_NS
            self._doses[session.id] = _OpenDose(asker, question.ask, until)

    def _answer_doses(self, now_mono_ns: int) -> None:
        made, self.desk.doses_made = self.desk.doses_made, {}
        for session_id, entry in list(self._doses.items()):
            dose = made.get(session_id)
            if dose is not None and dose.ask != entry.ask:  # of a question that was given up
                dose = None
            if dose is not None:
                del made[session_id]
            if dose is not None and dose.path:
                self._answer(entry.asker, MapFile(ask=entry.ask, path=dose.path))
            elif dose is not None or now_mono_ns > entry.until_mono_ns:
                self._answer(entry.asker, Refused(ask=entry.ask, code="nothing_new", reason="The engine cannot tell."))
            else:
                continue
            del self._doses[session_id]
        for late in made.values():
            if late.path:
                Path(late.path).unlink(missing_ok=True)

    def _send_proposal(self, asker: bytes, question: AskProposal) -> None:
        session = self.context.session_named(question.session)
        proposal = None if session is None else _shown_proposal(session)
        if proposal is None:
            self._answer(asker, Refused(ask=question.ask, code="no_proposal", reason="No proposal is open."))
            return
        head = encode(ProposalPlan(ask=question.ask, proposal_id=proposal.proposal_id))
        self.socket.send_multipart([asker, head, msgspec.msgpack.encode(proposal.plan)], zmq.DONTWAIT)

    # Commands --------------------------------------------------------------------------------------------------------

    def _command(self, question: AskCommand) -> FromAcquire:
        session = self.context.session_named(question.session)
        if session is None or session.state is SessionState.ENDED:
            return refused(question.ask, session)
        refusal = command(self.context, self.desk, session, question)
        if refusal is not None:
            return Refused(ask=question.ask, code=refusal.code, reason=refusal.reason, mend=refusal.mend)
        return Obeyed(ask=question.ask)

    # Status ----------------------------------------------------------------------------------------------------------

    def status(self, ask: int) -> Status:
        """The state of everything, as of now."""
        context, ready = self.context, self.desk.ready
        free = free_bytes(context.recordings) if context.recordings is not None else 0
        return Status(
            ask=ask,
            version=__version__,
            boot_id=context.boot_id,
            started_unix_ns=context.started_unix_ns,
            address=context.address,
            recordings=str(context.recordings or ""),
            disk_free_bytes=free,
            engine=EngineInfo(
                state=self.desk.state,
                pid=self.desk.pid,
                generation=self.desk.generation,
                default_model=ready.default_model if ready else "",
                models=ready.models if ready else [],
                policies=ready.policies if ready else [],
            ),
            sessions=[self._session(session) for session in context.sessions.values()],
            problems=context.all_problems(),
            refused=dict(context.refused),
            junk=dict(context.junk),
        )

    def _session(self, session: Session) -> SessionInfo:
        frames_in, frames_out, bytes_in = session.meters.rates(self.context.clock.mono_ns())
        proposal = _shown_proposal(session)
        operator = session.operator
        waiting = session.state is SessionState.OPEN and not operator.started
        return SessionInfo(
            hello=session.hello,
            state="waiting" if waiting else session.state.value,
            opened_unix_ns=session.opened_unix_ns,
            account=session.receipt or account(session),
            frames_per_s_in=frames_in,
            frames_per_s_out=frames_out,
            bytes_per_s_in=bytes_in,
            latency_ms=session.meters.latency_ms(),
            queued=session.ledger.unanswered,
            picture_number=session.live.number,
            model=session.model,
            provider=session.provider,
            coverage=session.coverage,
            sigma_mean=session.sigma_mean,
            caution=session.caution,
            paused=session.paused if session.state is SessionState.OPEN else "",
            proposal=None
            if proposal is None
            else {
                "proposal_id": proposal.proposal_id,
                "awaits": "operator" if proposal is operator.held else "microscope",
                "policy": proposal.policy,
                "reason": proposal.reason,
                "points": proposal.plan.points,
                "coverage": proposal.plan.coverage,
                "dose_e_per_nm2": finite_or_none(proposal.dose_e_per_nm2),
                "duration_ms": proposal.duration_ns / 1e6,
                "sigma_now": finite_or_none(proposal.sigma_now),
                "sigma_expected": finite_or_none(proposal.sigma_expected),
                "expires_unix_ns": proposal.expires_unix_ns,
            },
            enough=session.enough.reason if session.enough is not None else "",
            policy=operator.terms.policy,
            approval=operator.terms.approval.value,
        )


def _shown_proposal(session: Session) -> Proposal | None:
    """The proposal that an operator is asked about, else the oldest that the client has."""
    return session.operator.held or next(iter(session.proposals.values()), None)
