"""The simulated microscope on the wire: runs a scenario against a service, as a real microscope's software would.

It has no thread. While it waits, for the beam, for credit, for answers, it lets the client read and write::

    hello ──▶ scanning ──plans done──▶ rescanning ──nothing more proposed, or budget spent──▶ ending ──▶ receipt
                 │                         │                                                    ▲
                 └──── stop: the pass is finished; abort: at once ─────────────────────────────┘
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from scanmend.client import Client, Session
from scanmend.client.sync import DEFAULT_ADDRESS
from scanmend.frame import Frame, Samples
from scanmend.plan import ScanPlan
from scanmend_sim.frame_pool import FramePool
from scanmend_sim.line import Line
from scanmend_sim.microscope import Microscope
from scanmend_sim.pacing import Pacer, Rate
from scanmend_sim.quality import QualityMeter
from scanmend_sim.report import Progress, Report, percentiles_ms
from scanmend_sim.rescans import Rescans
from scanmend_sim.scenario import Scenario
from scanmend_sim.scenario_tables import Mode
from scanmend_sim.specimens import Specimen, load_specimen
from scanmend_sim.unreliable import UnreliableLink

PLANS_REUSED = 64
"""Plans that change from pass to pass come again after so many: each is announced once and kept on both sides."""

UNREAD = 256
PROGRESS_S = 0.25
START_LOOK_S = 0.1
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
    wait: bool = False
    """Whether the beam waits until an operator starts the session at the service."""
    approval: Literal["microscope", "operator"] = "microscope"
    """Who decides on rescans: the microscope alone, or an operator first."""
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
                start="operator" if self.options.wait else "microscope",
                approval=self.options.approval,
                model=self.options.model,
                deadline_ms=self.options.deadline_ms,
                rescan=None if scenario.rescan is None else scenario.rescan.policy,
                target=None if scenario.rescan is None else scenario.rescan.target(),
                dose_budget_e_per_nm2=scenario.dose_budget_e_per_nm2(field),
                pixel_dose_budget_e_per_nm2=scenario.pixel_dose_budget_e_per_nm2(field),
                capabilities=self.microscope.generator.capabilities,
                unread=UNREAD,
            ) as session:
                try:
                    return self._run(session, link)
                finally:
                    # It refers back to this object: let its pictures go now, and not when the collector comes by.
                    del self._line

    def _run(self, session: Session, link: UnreliableLink | None) -> Report:
        """Run the open session to its end."""
        self._session = session
        self._began_s = time.monotonic()
        self._quality = QualityMeter(self.microscope, adds_up=self._adds_up)
        self._line = Line(
            session,
            self._quality,
            stopping=lambda: self._stopping,
            tell=self._tell,
            watched=self._on_progress is not None,
        )
        self._wait_for_start()
        self._pacer = Pacer(self.scenario.rate, speed=self.options.speed)
        self._scan()
        if self.scenario.rescan is not None:
            self._rescan(self.scenario.rescan.max_proposals)
        self._line.read_all()
        receipt = session.end("stopped" if self._stop and session.command is None else None)
        self._line.compare_all()
        dose, stats = self.microscope.dose(), session.stats
        return Report(
            scenario=self.scenario.name,
            specimens=tuple(self._specimens),
            elapsed_s=self._line.answered_s - self._began_s,
            passes=self._passes,
            receipt=receipt,
            tally=self._line.tally,
            quality=self._quality.mean(),
            pictures_compared=self._quality.count,
            resent=stats.resent,
            reconnects=stats.reconnects,
            true_dose_e_per_nm2=dose.mean_e_per_nm2,
            true_dose_max_e_per_nm2=dose.max_e_per_nm2,
            faults=None if link is None else link.report,
        )

    def _wait_for_start(self) -> None:
        """Let the beam wait, blanked, until an operator starts the session, or wants it to end."""
        while not self._stopping and not self._session.wait_for_start(START_LOOK_S):
            self._tell()
        self._line.answered_s = self._began_s = time.monotonic()

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
        budget = self.scenario.dose_budget_e_per_nm2(self.microscope.field)
        rescans = Rescans(self._line, self.microscope, budget, stopping=lambda: self._stopping)
        limit = self.scenario.frames or (1 << 62)
        while not self._stopping and self._rescans < max_proposals and self._passes < limit:
            plan = rescans.next()
            if plan is None:
                break
            self._rescans += 1
            self._run_pass(plan, self.scenario.chunk_points(0))
        rescans.close()

    def _run_pass(self, plan: ScanPlan, chunk_points: int) -> None:
        """Scan a plan once and send it, frame by frame."""
        microscope, line, number = self.microscope, self._line, self._passes
        compared = self._is_compared(number)
        self._pass_began_ns = microscope.clock_ns
        self._quality.begin_pass(self._pass_began_ns)
        scan = microscope.scan(plan)
        plan_id = line.announce(plan)
        for first, points, end_ns in scan.chunks(min(chunk_points or plan.points, self._most_points())):
            last = first + points == plan.points
            due_s = self._pacer.due_s(self._pass_began_ns + end_ns, number + (first + points) / plan.points)
            line.read(until_s=self._pacer.start_work_s(due_s))
            if line.aborted:
                break
            samples = self._samples(plan, number, first, points)
            line.read(until_s=due_s)
            seq = line.send(plan, samples, number, first, end_of_pass=last, copy=self._pool is None)
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

    def _most_points(self) -> int:
        """Points that fit one message, so that each send is one frame and can be tried again as a whole."""
        welcome = self._session.welcome
        channels = self.microscope.channels
        size = len(channels) * channels[0].numpy_dtype.itemsize
        return max(1, min(welcome.max_frame_bytes, welcome.credit_bytes) // size)

    def _is_compared(self, number: int) -> bool:
        if self._adds_up:
            return True
        frames = self.scenario.frames
        return number % (max(1, frames // COMPARED_PASSES) if frames else COMPARED_EVERY) == 0

    def _tell(self) -> None:
        now_s = time.monotonic()
        if self._on_progress is None or now_s - self._told_s < PROGRESS_S:
            return
        self._told_s = now_s
        tally, session = self._line.tally, self._session
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
            self._line.read_all()
            self._line.compare_all()  # the truth that answers are compared with is the old specimen's
            self.microscope.insert(self._specimen(self._passes // every))
            self._specimens.append(self.microscope.specimen.name)


def unique_name(scenario: str) -> str:
    """A name for a session that no other has: the scenario's, the time, and a random word."""
    return f"{scenario}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
