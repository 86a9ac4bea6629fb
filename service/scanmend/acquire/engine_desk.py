"""acquire's side of the engine: gives it work, takes its answers, and lives on when it dies.

::

    starting ──EngineReady──▶ ready ──silence──▶ stuck ──killed by the supervisor──▶ down
                                │ its end of the doorbell closes                      │
                                └────────────────────▶ down ──connects again──▶ starting
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scanmend.acquire.answers import answer_dropped, answer_passed, answer_restored, keep_state
from scanmend.acquire.approvals import take_enough, take_proposal
from scanmend.acquire.context import MENDS, Context
from scanmend.acquire.engine_line import EngineLine, Gone, proposal_of
from scanmend.acquire.engine_told import Told
from scanmend.acquire.jobs import Job, Picture
from scanmend.acquire.passing import late, pass_all, pass_late, show_some
from scanmend.acquire.session import Session, SessionState
from scanmend.ipc.engine_link import (
    AskDose,
    AskRaw,
    Done,
    DoseMade,
    EngineProblem,
    EngineReady,
    EnoughSaid,
    FromEngine,
    ProposalMade,
    RawMade,
    SessionSummary,
    Work,
)
from scanmend.wire.header import PassReason
from scanmend.wire.messages import Enough, Mode, Nack, NackCode

log = logging.getLogger(__name__)

WAIT_FOR_RESTART_NS = 10_000_000_000
"""An adaptive session's frames wait this long for an engine that is being started again, then pass through."""


FIRST_START_NS = 60_000_000_000
"""Frames wait this long for the first engine, which loads and tunes its models; then they pass through."""

MOST_ENGINES_LOST = 2
"""A frame that so many engines have died on is not given to another one."""


@dataclass(slots=True)
class EngineDesk:
    """Everything that acquire knows about the engine."""

    context: Context
    line: EngineLine
    state: Literal["starting", "ready", "down", "stuck"] = "starting"
    ready: EngineReady | None = None
    pid: int = 0
    generation: int = 0
    down_since_mono_ns: int = 0
    started_mono_ns: int = 0
    _jobs: dict[int, tuple[Session, Job]] = field(default_factory=dict)
    _silent_since_mono_ns: int = 0
    """When the engine last said something, or was given work while it had none."""
    _tickets: int = 0
    doses_made: dict[int, DoseMade] = field(default_factory=dict)
    """Pictures of the dose, by session, that the console has not fetched yet."""
    raws_made: dict[int, RawMade] = field(default_factory=dict)
    """Channels that are not restored, by `ask`, that the console has not fetched yet."""
    told: Told = field(init=False)
    """What the engine knows of sessions."""

    def __post_init__(self) -> None:
        """Nothing is told yet."""
        self.told = Told(self.context, self.line)

    # Its life -------------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """An engine connects; the newest one counts."""
        bell = self.line.accept()
        if bell is None:
            return
        if self.line.bell is not None:
            self._gone("another engine has connected")
        self.line.connect(bell)
        self.pid = bell.peer_pid
        self.generation += 1
        self.state = "starting"

    def receive(self) -> None:
        """Take all that the engine has said."""
        for message in self.line.receive():
            if isinstance(message, Gone):
                self._gone(message.why)
            else:
                self._handle(message)

    def _gone(self, why: str) -> None:
        """The engine is no more: frames pass through, or wait for the next one where passes add up."""
        log.warning("engine %d gone: %s", self.pid, why)
        self.line.hang_up()
        self.state, self.ready = "down", None
        self.down_since_mono_ns = self.context.clock.mono_ns()
        self.told.forget_all()
        jobs, self._jobs = self._jobs, {}
        again: dict[int, list[Job]] = {}
        for session, job in jobs.values():
            self._free(job)
            if job.answered:
                continue
            job.engines_lost += 1
            if _waits_for_engine(session) and job.engines_lost < MOST_ENGINES_LOST:
                again.setdefault(session.id, []).append(job)
            else:
                answer_passed(self.context, session, job, PassReason.ENGINE_DOWN)
        for session_id, waiting in again.items():
            self.context.sessions[session_id].waiting.extendleft(reversed(waiting))
        self.context.problem(
            "engine_down",
            f"The restoration engine stopped ({why}); frames are recorded and passed on as they came.",
            mend="It is started again by itself; see the log if this repeats.",
        )

    def _handle(self, message: FromEngine) -> None:
        self._silent_since_mono_ns = self.context.clock.mono_ns()
        match message:
            case EngineReady():
                self.ready, self.state, self.pid = message, "ready", message.pid
                self.context.problems.clear("engine_down")
                self.context.problems.clear("engine_stuck")
                for each in self.context.sessions.values():
                    for job in each.waiting:
                        job.awaited_engine = True
                for info in message.models:
                    if info.problem:
                        self.context.problem(f"model_{info.name}", f"Model {info.name} is not live: {info.problem}")
            case Done():
                self._done(message)
            case ProposalMade():
                self._proposal(message)
            case EnoughSaid():
                self._enough(message.enough)
            case DoseMade():
                before = self.doses_made.get(message.session_id)
                if before is not None and before.path:  # nobody has fetched it, and now nobody will
                    Path(before.path).unlink(missing_ok=True)
                self.doses_made[message.session_id] = message
            case RawMade():
                self.raws_made[message.ask] = message
            case SessionSummary():
                session = self.context.sessions.get(message.session_id)
                if session is not None:
                    _take_dose(session, message)
            case EngineProblem():
                owner = self.context.sessions.get(message.session_id)
                self.context.problem(message.code, message.text, session=owner.name if owner else "")

    # Work -----------------------------------------------------------------------------------------------------------

    def dispatch(self) -> None:
        """Give the engine what it has slots for; while there is none, let frames pass through or wait."""
        self.line.flush()
        self._report_lost_plans()
        now = self.context.clock.mono_ns()
        for session in self.context.sessions.values():
            if session.summary_asked:
                continue
            if session.waiting and not session.needs_engine:
                show_some(self.context, session, now, ready=self.state == "ready")
            if self.state == "ready":
                self._dispatch_session(session, now)
            elif session.waiting and not self._still_waits(session, now):
                pass_all(self.context, session, comes_back=self.state == "stuck")

    def _report_lost_plans(self) -> None:
        while self.line.plans_lost:
            session_id, why = self.line.plans_lost.pop()
            session = self.context.sessions.get(session_id)
            self.context.problem(
                "plan_lost",
                f"A plan could not be left for the engine ({why}): its frames pass through, and no rescans follow.",
                mend="Free shared memory: end other sessions, or other programs that use /dev/shm.",
                session=session.name if session is not None else "",
            )

    def _still_waits(self, session: Session, now: int) -> bool:
        """Whether frames wait for an engine: at the start of the service, or for one that restarts."""
        if self.state == "starting" and self.generation <= 1:
            return now - self.started_mono_ns < FIRST_START_NS
        return _waits_for_engine(session) and now - self.down_since_mono_ns < WAIT_FOR_RESTART_NS

    def _dispatch_session(self, session: Session, now: int) -> None:
        if not self.told.introduce(session):
            return
        if not self.line.choked:
            self.told.tell_scanned(session)
        while session.waiting and not self.line.choked:
            lease_in = session.slots.pool_in.allocate()
            if lease_in is None:
                return
            lease_out = session.slots.pool_out.allocate()
            if lease_out is None:
                session.slots.pool_in.free(lease_in)
                return
            job = session.waiting.popleft()
            slot = session.slots.ring_in.slot(lease_in.slot)
            slot[: job.header.payload_bytes] = job.payload.buffer
            live = session.live.due(now) or (job.header.end_of_pass and _stops(session))
            if live:
                session.live.offered_mono_ns = now
            if not self._jobs:
                self._silent_since_mono_ns = now
            self._tickets += 1
            job.ticket = self._tickets
            job.lease_in, job.pool_in = lease_in, session.slots.pool_in
            job.picture = Picture(session.slots.ring_out, session.slots.pool_out, lease_out)
            self._jobs[job.ticket] = (session, job)
            self.line.send(
                Work(
                    ticket=job.ticket,
                    session_id=session.id,
                    header=job.header_bytes,
                    slot_in=lease_in.slot,
                    slot_out=lease_out.slot,
                    live=live,
                )
            )

    def _done(self, done: Done) -> None:
        session, job = self._jobs.pop(done.ticket, (None, None))
        if session is None or job is None:
            return
        if self.state == "stuck":  # it was only slow
            self.state = "ready"
            self.context.problems.clear("engine_stuck")
        if done.restored:  # in time or not, it is what the session has come to
            session.proposal_owed = job.header.end_of_pass and session.hello.rescan is not None
            keep_state(session, done)
        if not job.answered:
            if done.restored:
                answer_restored(self.context, session, job, done)
            elif done.superseded:
                session.live.offered_mono_ns = 0  # it may have been the one that was to become a picture
                answer_dropped(session, job, "superseded")
            else:
                reason = PassReason(done.reason)
                answer_passed(self.context, session, job, reason)
                self._explain(session, job, reason, done.error)
        self._free(job)

    def _explain(self, session: Session, job: Job, reason: PassReason, text: str) -> None:
        if reason is PassReason.INPUT_NOT_FINITE:
            why, mend = MENDS[NackCode.NOT_FINITE]
            code = NackCode.NOT_FINITE
            nack = Nack(session_id=session.id, code=code, reason=why, mend=mend, seq=job.header.seq)
            self.context.send(session.peer, nack)
        self.context.problem(
            f"passed_{reason.name.lower()}",
            f"A frame was passed on unrestored: {text or reason.name.lower().replace('_', ' ')}",
            session=session.name,
            level="warning",
        )

    @staticmethod
    def _free(job: Job) -> None:
        if job.lease_in is not None and job.pool_in is not None:
            job.pool_in.free(job.lease_in)
        if job.picture is not None:
            job.picture.release()
        job.lease_in, job.picture, job.ticket = None, None, None

    def check_deadlines(self) -> None:
        """Pass through what has waited too long, and call an engine stuck that does not answer."""
        now = self.context.clock.mono_ns()
        for session in self.context.sessions.values():
            pass_late(self.context, session, now)
        for session, job in self._jobs.values():
            if not job.answered and late(job, now):
                answer_passed(self.context, session, job, PassReason.DEADLINE)
        if self._jobs and self.state == "ready" and now - self._silent_since_mono_ns > self._patience_ns():
            self._stuck()

    def _patience_ns(self) -> int:
        """How long the engine may say nothing while it has work.

        It has one frame in hand at a time, which may be of any session, and what a frame of another session takes says
        nothing of that one.
        """
        limit = int(self.context.settings.engine_timeout_s * 1e9)
        open_ = (s for s in self.context.sessions.values() if s.state is not SessionState.ENDED)
        slowest = max((session.meters.slow_restore_ns for session in open_), default=limit)
        return min(limit, slowest) + 100_000_000 * len(self._jobs)

    def _stuck(self) -> None:
        """The engine hangs: answer for it; the supervisor ends it when its heartbeat stays away."""
        self.state = "stuck"
        self.context.problem(
            "engine_stuck",
            "The restoration engine does not answer; frames are passed on as they came.",
            mend="It is ended and started again by itself within ten seconds.",
        )
        for session, job in self._jobs.values():
            if not job.answered and not _waits_for_engine(session):
                answer_passed(self.context, session, job, PassReason.ENGINE_DOWN)

    # Sessions -------------------------------------------------------------------------------------------------------

    def ask_dose(self, session: Session, ask: int) -> bool:
        """Have the engine paint the dose of each pixel; whether there is an engine that can."""
        return self.state == "ready" and self.told.tell(session.id, AskDose(session_id=session.id, ask=ask))

    def ask_raw(self, session: Session, ask: int, channel: int) -> bool:
        """Have the engine paint a channel that is not restored; whether there is an engine that can."""
        return self.state == "ready" and self.told.tell(
            session.id, AskRaw(session_id=session.id, ask=ask, channel=channel)
        )

    def ask_summary(self, session: Session) -> None:
        """The session has no more frames: have the engine close it and tell its dose."""
        session.summary_asked = True
        session.summary_known = not self.told.tell_end(session)

    def summary_lost(self, session: Session) -> bool:
        """Whether the summary that was asked for will never come."""
        return self.state in ("down", "stuck") and not session.summary_known

    def _proposal(self, made: ProposalMade) -> None:
        proposal = proposal_of(made)
        session = self.context.sessions.get(proposal.session_id)
        if session is None or session.state in (SessionState.ENDING, SessionState.ENDED):
            return
        take_proposal(self.context, self, session, proposal)

    def _enough(self, enough: Enough) -> None:
        session = self.context.sessions.get(enough.session_id)
        if session is None or session.state in (SessionState.ENDING, SessionState.ENDED):
            return
        take_enough(self.context, session, enough)


def _stops(session: Session) -> bool:
    """Whether each pass becomes a picture.

    An adaptive scan stands still after it, and who opens the page then, to decide on a proposal, must see the specimen.
    Of a session that wants no answers, only what is shown comes here.
    """
    return session.hello.mode is Mode.EXPOSURE or not session.needs_engine


def _waits_for_engine(session: Session) -> bool:
    return session.hello.mode is Mode.EXPOSURE and session.hello.deadline_ms == 0


def _take_dose(session: Session, summary: SessionSummary) -> None:
    session.summary_known = session.summary_came = True
    if summary.dose_e_per_nm2 == summary.dose_e_per_nm2:  # not NaN
        session.dose_e_per_nm2 = summary.dose_e_per_nm2
        session.dose_max_e_per_nm2 = summary.dose_max_e_per_nm2
