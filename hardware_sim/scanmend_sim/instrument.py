"""The simulated microscope on the wire: runs a scenario against a service, as a real microscope's software would.

It has no thread. While it waits, for the beam, for credit, for answers, it lets the client read and write::

    hello ──▶ scanning ──plans done──▶ rescanning ──nothing more proposed, or budget spent──▶ ending ──▶ receipt
                 │                         │                                                    ▲
                 └──── stop: the pass is finished; abort: at once ─────────────────────────────┘
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec

from scanmend.client import Client
from scanmend.client.sync import DEFAULT_ADDRESS
from scanmend.errors import FrameRejected, PlanError, SessionPaused
from scanmend.frame import Frame, Samples
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Proposal
from scanmend_sim.frame_pool import FramePool
from scanmend_sim.microscope import Microscope
from scanmend_sim.pacing import Pacer, Rate
from scanmend_sim.quality import QualityMeter
from scanmend_sim.report import Progress, Report, Tally, percentiles_ms
from scanmend_sim.scenario import Scenario
from scanmend_sim.scenario_tables import Mode
from scanmend_sim.specimens import Specimen, load_specimen
from scanmend_sim.unreliable import UnreliableLink

log = logging.getLogger(__name__)

T = TypeVar("T")

PLANS_REUSED = 64
"""Plans that change from pass to pass come again after so many: each is announced once and kept on both sides."""

UNREAD = 256
HOLD_SLICE_S = 0.25
"""How long the beam waits for credit before it looks whether somebody wants it to stop."""

HOLD_S = 60.0
"""How long the beam waits for credit before that is an error."""

PROPOSAL_WAIT_S = 2.0
"""After its last answer, the service has this long to propose another scan."""

PROGRESS_S = 0.25
COMPARED_PASSES = 25
"""About so many passes of a session are compared with the truth; in one without an end, every `COMPARED_EVERY`."""
COMPARED_EVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a scenario is run, where it differs from what the scenario says."""

    session: str | None = None
    """Name of the session; the scenario's with the time and a random word where None."""
    specimen: str | None = None
    frames: int | None = None
    """Passes of the session; in mode exposure at most so many, rescans included. 0: no limit."""
    rate: Rate | None = None
    speed: float = 1.0
    """How much faster than the beam, for rate `realtime`."""
    seed: int | None = None
    model: str = "auto"
    record: bool | None = None
    deadline_ms: int = 0
    variant: int = 0
    """Begin with another place or picture; for one session after another."""


class Instrument:
    """Runs one session of a scenario.

    Args:
        scenario: What to do.
        address: The service's.
        options: What differs from the scenario.
        on_progress: Told where the session stands, a few times a second.

    Raises:
        InvalidInput: A specimen that there is not, or options that cannot be.
    """

    def __init__(
        self,
        scenario: Scenario,
        address: str = DEFAULT_ADDRESS,
        options: RunOptions | None = None,
        *,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.options = options or RunOptions()
        changes = {
            name: value
            for name in ("specimen", "frames", "rate", "seed", "record")
            if (value := getattr(self.options, name)) is not None
        }
        self.scenario: Scenario = msgspec.structs.replace(scenario, **changes)
        self.scenario.check()
        self.address = address
        self.name = self.options.session or unique_name(scenario.name)
        self.microscope: Microscope = self.scenario.microscope(self._specimen(0))
        self._on_progress = on_progress
        self._stop = False
        self._adds_up = self.scenario.mode is Mode.EXPOSURE
        self._passes = self._rescans = 0
        self._pass_began_ns = 0
        self._tally = Tally()
        self._specimens = [self.microscope.specimen.name]
        self._plans: dict[int, ScanPlan] = {}
        self._pool: FramePool | None = None
        self._told_s = 0.0

    # From beginning to end --------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Finish the pass, then end the session; may be called from a signal handler or another thread."""
        self._stop = True

    def run(self) -> Report:
        """Run the session; gives its account.

        Raises:
            NotConnected: The service does not answer, or has gone.
            SessionRefused: It said no.
            SessionPaused: It took no frame for a minute, or gave no receipt.
            ScanmendError: Whatever else the client raises.
        """
        scenario, field = self.scenario, self.microscope.field
        rates = scenario.faults.rates()
        link = UnreliableLink(rates, scenario.seed) if rates.any else None
        if scenario.pool:
            self._pool = FramePool(self.microscope, self._plan(0), scenario.pool)
        with Client(self.address, tap=link) as client:
            with client.session(
                self.name,
                field,
                channels=self.microscope.channels,
                mode=scenario.mode.value,
                record=scenario.record,
                model=self.options.model,
                deadline_ms=self.options.deadline_ms,
                rescan=None if scenario.rescan is None else scenario.rescan.policy,
                dose_budget_e_per_nm2=scenario.dose_budget_e_per_nm2(field),
                capabilities=self.microscope.generator.capabilities,
                unread=UNREAD,
                hold_timeout_s=HOLD_S,
            ) as session:
                self._session = session
                self._began_s = time.monotonic()
                self._pacer = Pacer(scenario.rate, speed=self.options.speed)
                self._quality = QualityMeter(self.microscope, adds_up=self._adds_up)
                self._scan()
                if scenario.rescan is not None:
                    self._rescan(scenario.rescan.max_proposals)
                self._read_all()
                receipt = session.end("stopped" if self._stop and session.command is None else None)
                self._read()
                self._tell(force=True)
                dose, stats = self.microscope.dose(), session.stats
                return Report(
                    scenario=scenario.name,
                    specimens=tuple(self._specimens),
                    elapsed_s=time.monotonic() - self._began_s,
                    passes=self._passes,
                    receipt=receipt,
                    tally=self._tally,
                    quality=self._quality.mean(),
                    pictures_compared=self._quality.count,
                    resent=stats.resent,
                    reconnects=stats.reconnects,
                    true_dose_e_per_nm2=dose.mean_e_per_nm2,
                    true_dose_max_e_per_nm2=dose.max_e_per_nm2,
                    faults=None if link is None else link.report,
                )

    @property
    def _stopping(self) -> bool:
        """Whether no further pass begins."""
        return self._stop or self._session.command is not None

    # Scanning ---------------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        """Run the scenario's own plans."""
        frames = self.scenario.frames
        most = frames or (1 << 62)
        if self._adds_up:
            most = min(len(self.scenario.plans), most)
        while self._passes < most and not self._stopping:
            self._change_specimen()
            self._run_pass(self._plan(self._passes), self.scenario.chunk_points(self._passes))

    def _rescan(self, max_proposals: int) -> None:
        """Obey proposals until there are no more, or the budget is spent."""
        limit = self.scenario.frames or (1 << 62)
        while not self._stopping and self._rescans < max_proposals and self._passes < limit:
            proposal = self._next_proposal()
            if proposal is None:
                break
            plan = self._affordable(proposal)
            if plan is None:
                continue
            run = None if plan == proposal.plan else plan
            if self._calmly(partial(self._session.accept, proposal, run)) is None:
                continue  # it had expired, which the service was told
            self._rescans += 1
            self._run_pass(plan, self.scenario.chunk_points(0))
        for proposal in self._session.proposals:
            self._decline(proposal, "The session ends.")

    def _next_proposal(self) -> Proposal | None:
        """The newest proposal; older ones were made from less and are declined."""
        deadline_s: float | None = None
        while not self._stopping:
            waiting = self._session.stats.awaited > 0
            proposal = self._session.next_proposal(0.0)
            if proposal is not None:
                for newer in self._session.proposals[1:]:
                    self._decline(proposal, "A newer proposal has come.")
                    proposal = newer
                return proposal
            now_s = time.monotonic()
            if waiting:
                deadline_s = None
            elif deadline_s is None:
                deadline_s = now_s + PROPOSAL_WAIT_S
            elif now_s > deadline_s:
                return None
            self._read(until_s=now_s + 0.02)
        return None

    def _affordable(self, proposal: Proposal) -> ScanPlan | None:
        """The plan as the electronics run it, or None where it is declined."""
        try:
            plan = self.microscope.prepare(proposal.plan)
        except PlanError as error:
            self._decline(proposal, error.message)
            return None
        budget = self.scenario.dose_budget_e_per_nm2(self.microscope.field)
        added = self.microscope.field.dose_e_per_nm2(float(plan.dwells_ns.sum(dtype="float64"))) or 0.0
        spent = self.microscope.dose().mean_e_per_nm2
        if budget is not None and spent + added > budget * (1 + 1e-9):
            self._decline(
                proposal, f"It costs {added:.4g} e/nm² and {max(budget - spent, 0):.4g} are left of the budget."
            )
            return None
        return plan

    def _run_pass(self, plan: ScanPlan, chunk_points: int) -> None:
        """Scan a plan once and send it, frame by frame."""
        microscope, session, number = self.microscope, self._session, self._passes
        compared = self._is_compared(number)
        self._pass_began_ns = microscope.clock_ns
        self._quality.begin_pass(self._pass_began_ns)
        scan = microscope.scan(plan)
        plan_id = self._calmly(lambda: session.send_plan(plan))
        for first, points, end_ns in scan.chunks(min(chunk_points or plan.points, self._most_points())):
            last = first + points == plan.points
            due_s = self._pacer.due_s(self._pass_began_ns + end_ns, number + (first + points) / plan.points)
            self._read(until_s=self._pacer.start_work_s(due_s))
            if session.command == "abort":
                break
            samples = self._samples(plan, number, first, points)
            self._read(until_s=due_s)
            seq = self._send(plan, samples, number, first, last)
            self._pacer.left(due_s)
            if seq is None:
                break
            if compared or self._adds_up:
                frame = Frame(plan_id=plan_id, samples=samples, pass_index=number, first_point=first)
                self._quality.add(frame, plan)
                if last:
                    self._quality.expect(seq)
            self._tell()
        self._passes += 1

    def _samples(self, plan: ScanPlan, number: int, first: int, points: int) -> Samples:
        began_s = time.monotonic()
        if self._pool is not None and points == plan.points:
            samples = self._pool.take(number)
        else:
            samples = self.microscope.run(plan, number, first, points)
        self._pacer.worked(time.monotonic() - began_s)
        return samples

    def _send(self, plan: ScanPlan, samples: Samples, number: int, first: int, last: bool) -> int | None:
        """Send one frame; the beam waits while there is no credit. None where it was told to stop meanwhile."""
        send = partial(self._session.send_samples, plan, samples, number, first_point=first, end_of_pass=last)
        patience_s = time.monotonic() + HOLD_S
        while True:
            self._read()
            try:
                return self._calmly(partial(send, timeout_s=HOLD_SLICE_S, copy=self._pool is None))
            except SessionPaused:
                if time.monotonic() > patience_s:
                    raise
                if self._stopping:
                    return None
                self._tell()

    def _calmly(self, call: Callable[[], T]) -> T:
        """Call the client; a frame that the service has rejected is no reason to stop, its receipt will name it."""
        while True:
            try:
                return call()
            except FrameRejected as rejected:
                log.warning("frame %d was rejected: %s", rejected.seq, rejected)

    def _decline(self, proposal: Proposal, reason: str) -> None:
        self._calmly(partial(self._session.decline, proposal, reason))

    def _most_points(self) -> int:
        """Points that fit one message, so that each send is one frame and can be tried again as a whole."""
        welcome = self._session.welcome
        channels = self.microscope.channels
        size = len(channels) * channels[0].numpy_dtype.itemsize
        return max(1, min(welcome.max_frame_bytes, welcome.credit_bytes) // size)

    # Answers ----------------------------------------------------------------------------------------------------

    def _read(self, until_s: float | None = None) -> None:
        """Take all answers that are here, and those that come until a time."""
        while self._session.command != "abort" or until_s is None:
            left_s = 0.0 if until_s is None else max(0.0, until_s - time.monotonic())
            answer = self._session.receive(min(left_s, PROGRESS_S))
            if answer is not None:
                self._tally.take(answer)
                self._quality.compare(answer)
            elif left_s <= PROGRESS_S:
                return
            self._tell()

    def _read_all(self) -> None:
        """Wait for every answer that is owed."""
        while (answer := self._session.receive()) is not None:
            self._tally.take(answer)
            self._quality.compare(answer)
            self._tell()

    def _is_compared(self, number: int) -> bool:
        if self._adds_up:
            return True
        frames = self.scenario.frames
        return number % (max(1, frames // COMPARED_PASSES) if frames else COMPARED_EVERY) == 0

    def _tell(self, *, force: bool = False) -> None:
        now_s = time.monotonic()
        if self._on_progress is None or (now_s - self._told_s < PROGRESS_S and not force):
            return
        self._told_s = now_s
        tally, session = self._tally, self._session
        self._on_progress(
            Progress(
                session=self.name,
                scenario=self.scenario.name,
                elapsed_s=now_s - self._began_s,
                passes=self._passes,
                passes_planned=0 if self._adds_up else self.scenario.frames,
                frames_sent=session.stats.sent,
                restored=tally.restored,
                passed_through=tally.passed_through.total(),
                round_trip_ms=percentiles_ms(tally.round_trip_ms),
                quality=self._quality.last,
                dose_e_per_nm2=self.microscope.dose().mean_e_per_nm2,
                executed=self._rescans,
                paused=session.paused,
            )
        )

    # What is scanned --------------------------------------------------------------------------------------------

    def _plan(self, number: int) -> ScanPlan:
        """The plan of a pass, as the electronics run it."""
        which = number % (PLANS_REUSED * len(self.scenario.plans))
        if which not in self._plans:
            self._plans[which] = self.microscope.prepare(self.scenario.plan(which))
        return self._plans[which]

    def _specimen(self, moved: int) -> Specimen:
        return load_specimen(self.scenario.specimen).variant(self.options.variant + moved)

    def _change_specimen(self) -> None:
        every = self.scenario.passes_per_specimen
        if every and self._passes and self._passes % every == 0:
            self.microscope.insert(self._specimen(self._passes // every))
            self._specimens.append(self.microscope.specimen.name)


def unique_name(scenario: str) -> str:
    """A name for a session that no other has: the scenario's, the time, and a random word."""
    return f"{scenario}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
