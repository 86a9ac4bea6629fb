"""One session in the engine: what comes in a `Work` goes through expose → restore → assess → choose."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from scanmend.engine.assess import Assessment, UnusableOutput
from scanmend.engine.beating import beating
from scanmend.engine.catalogue import FALLBACK
from scanmend.engine.exposures import InputNotFinite, SessionExposure
from scanmend.engine.models import LiveModels
from scanmend.engine.other_channels import OtherChannels
from scanmend.engine.painting import paint_dose, paint_raw
from scanmend.engine.proposals import Proposals
from scanmend.engine.restorer import AUTO, Restorer
from scanmend.engine.runtimes import Picture
from scanmend.engine.slots import OutSlot, SessionSlots
from scanmend.engine.specimen import Specimen
from scanmend.errors import ExposureError, ModelError, PlanError, ScanmendError
from scanmend.frame import Frame, Samples
from scanmend.ipc.engine_link import (
    AskDose,
    AskRaw,
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
    Work,
)
from scanmend.plan import ScanPlan
from scanmend.rescan import DoseLedger
from scanmend.restoration import FloatPicture
from scanmend.wire.header import FrameHeader, PassReason, xxh3
from scanmend.wire.messages import Mode

log = logging.getLogger(__name__)

FAILURES_BEFORE_FALLBACK = 3
"""A model that fails so often in a row is given up for the session."""

PARTS_TOGETHER = 4
"""So many parts of a pass may wait while one is restored; the client may have four times as many on their way."""

LONGEST_ERROR = 500
"""Characters of an error that are passed on; the log has all of it."""

CHOICE_S = 10.0
CHOICE_S_A_PIXEL = 3e-6
"""A choice that takes longer than the two together is one that hangs. The slowest policy took 0.4 µs a pixel on two
cores, 20 s for a field of 7168 × 7168: without a beat in that time the supervisor would end the engine, and every one
after it that owes the same choice."""

Say = Callable[[FromEngine], None]

# Whatever a frame does to the code that handles it, it gets its one answer and the engine lives on: a frame that
# killed the engine would come again and kill the next one too.
MISHAPS = (ScanmendError, ArithmeticError, LookupError, ValueError, TypeError, RuntimeError, OSError, MemoryError)


class EngineSession:
    """Everything that the engine holds of a session.

    Args:
        opening: What acquire said of it.
        models: The live models.
        say: Sends a message to acquire.
        beat: Called during long work.
        run_dir: Where proposals too large for a message are left.
    """

    def __init__(
        self, opening: OpenSession, models: LiveModels, say: Say, beat: Callable[[], None], run_dir: Path
    ) -> None:
        hello = opening.hello
        self.hello = hello
        self.id = hello.session_id
        names = [channel.name for channel in hello.channels]
        index = names.index(hello.restore_channel) if hello.restore_channel in names else 0
        self.exposure = SessionExposure(hello.field, hello.channels[index], index, hello.mode)
        self._others = OtherChannels(self.exposure, hello.channels, index, hello.mode)
        self.ledger = DoseLedger(
            hello.field,
            hello.dose_budget_e_per_nm2,
            hello.pixel_dose_budget_e_per_nm2,
            hello.pixel_dose_rate_e_per_nm2_s,
        )
        self.lost = opening.lost_frames > 0 and hello.mode is Mode.EXPOSURE
        """Whether earlier frames of the exposure are gone: what is left is not what the client thinks it is."""
        self.plans: dict[int, ScanPlan] = {}
        self._models = models
        self._restorer = models.get(hello.model) or models.get(AUTO)
        self._free = hello.model == AUTO
        """Whether the engine chooses the model, frame by frame."""
        self._say = say
        self._run_dir = run_dir
        self._beat = beat
        self._best: dict[bool, Restorer] = {}
        """What the engine chose last, for pictures that a plan is chosen from and for the others."""
        self._largest_part = 0
        """Points of the largest frame of the pass so far."""
        self._failures = 0
        self._picture: Picture | None = None
        """What was restored last; good until the exposure grows."""
        self._proposals = Proposals(hello, run_dir)
        self._specimen = Specimen(hello, say)
        self._slots = SessionSlots(opening)
        if opening.lost_frames:
            self.mark_incomplete()

    # Messages -------------------------------------------------------------------------------------------------------

    def take_plan(self, notice: PlanNotice) -> None:
        """Keep a plan under its id."""
        data = notice.data
        if notice.path:
            path = Path(notice.path)
            data = path.read_bytes()
            path.unlink()
        for plan in self.plans.values():
            plan.forget_pixels()
        self.plans[notice.plan_id] = msgspec.msgpack.decode(data, type=ScanPlan)

    def take_scanned(self, notice: ScannedNotice) -> None:
        """Enter the dose of points whose samples do not come here."""
        if notice.incomplete:
            self.mark_incomplete()
        for plan_id, first, points, times in notice.spans:
            plan = self.plans.get(plan_id)
            try:
                if plan is None:
                    raise PlanError(f"Plan {plan_id} is not known here.", mend="Send the plan before its frames.")
                self.ledger.add(plan, first, first + points, times)
            except MISHAPS as error:
                log.warning("session %s: %s", self.hello.session, error)
                self.mark_incomplete()

    def take_executed(self, notice: ExecutedNotice) -> None:
        """Note what became of a proposal."""
        self._proposals.executed(notice.executed)

    def take_terms(self, notice: TermsNotice | ProposalTerm) -> None:
        """Note what an operator's word has changed for proposals."""
        if isinstance(notice, ProposalTerm):
            self._proposals.set_term(notice)
            return
        self._proposals.change(notice)
        self.ledger.budget_e_per_nm2 = notice.budget_e_per_nm2

    def paint(self, ask: AskDose | AskRaw) -> DoseMade | RawMade:
        """Leave a picture in a file, for somebody who looks at it.

        Raises:
            OSError: There is no room for it.
        """
        if isinstance(ask, AskDose):
            return paint_dose(ask, self.ledger, self._run_dir)
        return paint_raw(ask, self._others, self.exposure, self._run_dir)

    def mark_incomplete(self) -> None:
        """Something that was scanned is not in the ledger: no plan could be sure to keep to the budget."""
        self._proposals.dose_known = False

    def work(self, work: Work, header: FrameHeader, *, superseded: bool) -> None:
        """Handle a frame, and answer with exactly one `Done`.

        Args:
            work: What acquire said of it.
            header: Its header.
            superseded: A later frame of the same pass is waiting: only take the samples.
        """
        taken = time.monotonic_ns()
        try:
            done, slot = self._handle(work, header, taken, superseded=superseded)
        except MISHAPS as error:
            done, slot = self._failed(work, header, taken, error), None
        self._say(done)
        if done.restored and slot is not None and header.end_of_pass:
            self._choose(header, slot.estimate, slot.sigma)

    def choose_again(self, header: FrameHeader) -> None:
        """Make the choice that an engine before this one owed when it ended.

        Args:
            header: The frame that ended the last pass; the exposure has just been rebuilt up to it.
        """
        if self.lost or self._restorer is None:
            return
        estimate, sigma = np.empty((2, *self.hello.field.shape), dtype=np.float32)
        try:
            self._picture = self.exposure.picture()
            self._restorer.restore_into(self._picture, estimate, sigma, beat=self._beat)
        except MISHAPS as error:
            log.exception("session %s: the choice that was owed cannot be made", self.hello.session)
            said = self._proposals.failed(header, error, self.ledger)
            if said is not None:
                self._say(said)
            return
        self._choose(header, estimate, sigma)

    def summary(self) -> SessionSummary:
        """The session's dose, for its receipt."""
        return SessionSummary(
            session_id=self.id,
            dose_e_per_nm2=self.ledger.spent_e_per_nm2,
            dose_max_e_per_nm2=self.ledger.spent_max_e_per_nm2,
        )

    def close(self) -> None:
        """Let go of the rings."""
        self._models.let_go(self.id)
        self._slots.close()

    # The way of a frame ---------------------------------------------------------------------------------------------

    def _handle(
        self, work: Work, header: FrameHeader, taken_mono_ns: int, *, superseded: bool
    ) -> tuple[Done, OutSlot | None]:
        self.expose(header, self._slots.samples(work.slot_in, header), live=work.live)
        if superseded:
            done = Done(ticket=work.ticket, session_id=self.id, seq=header.seq, restored=False, superseded=True)
            return done, None
        if self.lost:
            raise _Passed("Earlier frames of the exposure could not be rebuilt.", PassReason.EXPOSURE_LOST)
        self._models.at_work(self.id)
        if self._free:
            self._restorer = self._best_for(header)
        if self._restorer is None:
            raise _Passed("No model is live.", PassReason.NO_MODEL)
        slot = self._slots.out(work.slot_out)
        assessment, electrons_per_unit = self._restore(self._restorer, slot)
        if work.live and slot.raw is not None:
            self.exposure.write_raw(slot.raw)
        info = self._restorer.info
        ny, nx = self.hello.field.shape
        done = Done(
            ticket=work.ticket,
            session_id=self.id,
            seq=header.seq,
            restored=True,
            ny=ny,
            nx=nx,
            has_sigma=True,
            has_raw=work.live and slot.raw is not None,
            estimate_xxh3=xxh3(slot.estimate.data.cast("B")),
            sigma_xxh3=xxh3(slot.sigma.data.cast("B")),
            taken_mono_ns=taken_mono_ns,
            frames_included=self.exposure.frames_included,
            model=info.name,
            sha256=info.sha256,
            provider=info.provider,
            electrons_per_unit=electrons_per_unit,
            sigma_mean=assessment.sigma_mean,
            coverage=self.exposure.coverage,
            dose_e_per_nm2=self.ledger.spent_e_per_nm2,
            dose_max_e_per_nm2=self.ledger.spent_max_e_per_nm2,
            reference_dwell_ns=self.exposure.reference_dwell_ns,
            restore_ns=time.monotonic_ns() - taken_mono_ns,
            caution=self._specimen.cautioned(assessment.caution),
        )
        return done, slot

    def expose(self, header: FrameHeader, samples: Samples, *, live: bool = True) -> None:
        """Add a frame's samples to the exposure, and its dwell to the dose.

        Args:
            header: The frame's header.
            samples: `(channels, points)`; not kept.
            live: Whether somebody may see this very frame.

        Raises:
            PlanError: Its plan is not known.
            InputNotFinite: It holds NaN or infinity; its dose counts all the same.
            ExposureError: It does not fit its plan.
        """
        plan = self.plans.get(header.plan_id)
        if plan is None:
            raise PlanError(f"Plan {header.plan_id} is not known here.", mend="Send the plan before its frames.")
        last = header.first_point + header.points
        if last > (self.hello.field.pixels if plan.is_full_raster else plan.points):
            raise ExposureError(f"The frame has points up to {last - 1}, its plan has {plan.points}.")
        self.ledger.add(plan, header.first_point, last)
        self._beat()  # here and below: each step may take seconds in a large field
        frame = Frame(
            plan_id=header.plan_id,
            samples=samples,
            pass_index=header.pass_index,
            first_point=header.first_point,
            end_of_pass=header.end_of_pass,
        )
        self.exposure.add(frame, plan)
        self._beat()
        self._others.add(frame, plan, wanted=live)
        self._beat()
        if header.end_of_pass:
            self._specimen.pass_done(self.exposure)
            self._beat()

    def _restore(self, restorer: Restorer, slot: OutSlot) -> tuple[Assessment, float]:
        """What the restoration says of itself, and electrons per unit of the values."""
        picture = self._picture = self.exposure.picture()
        self._beat()
        start = time.perf_counter()
        assessment = restorer.restore_into(picture, slot.estimate, slot.sigma, beat=self._beat)
        self._models.choice.learn(restorer.info.name, slot.estimate.size, 1e3 * (time.perf_counter() - start))
        self._failures = 0
        per_electron = picture.units_per_electron
        return assessment, (1 / per_electron if per_electron > 0 else float("inf"))

    def _best_for(self, header: FrameHeader) -> Restorer | None:
        """The best model for a frame: it should be done before the next one is scanned, and before its deadline.

        A part of a pass may take as long as some parts do: those that come meanwhile are taken in together. A picture
        that a plan is chosen from may take as long as its pass did, since the microscope waits for the plan.
        """
        plan = self.plans[header.plan_id]
        whole_ms = plan.total_dwell_ns / 1e6
        self._largest_part = header.points if header.first_point == 0 else max(self._largest_part, header.points)
        decides = header.end_of_pass and self.hello.rescan is not None
        parts_ms = whole_ms * PARTS_TOGETHER * self._largest_part / max(1, plan.points)
        time_ms = whole_ms if decides else min(whole_ms, parts_ms)
        if self.hello.deadline_ms:
            time_ms = min(time_ms, self.hello.deadline_ms)
        best = self._models.best_for(self.hello.field.pixels, self.exposure.coverage, time_ms, self._best.get(decides))
        if best is not None:
            self._best[decides] = best
        return best

    def _choose(self, header: FrameHeader, estimate: FloatPicture, sigma: FloatPicture) -> None:
        if self._picture is None:
            return
        try:
            with beating(self._beat, longest_s=CHOICE_S + CHOICE_S_A_PIXEL * self.hello.field.pixels):
                self._specimen.look(estimate)
                made = self._proposals.choose(
                    header, self._picture, estimate, sigma, self.ledger, fades=self._specimen.ends
                )
        except MISHAPS as error:
            log.exception("no proposal for session %s", self.hello.session)
            self._say(EngineProblem(code="no_proposal", text=f"No rescan is proposed: {error}", session_id=self.id))
            made = self._proposals.failed(header, error, self.ledger)
        if made is not None:
            self._say(made)

    # What goes wrong ------------------------------------------------------------------------------------------------

    def _failed(self, work: Work, header: FrameHeader, taken_mono_ns: int, error: BaseException) -> Done:
        reason = PassReason.ENGINE_FAILED
        match error:
            case _Passed():
                reason = error.reason
            case InputNotFinite():
                reason = PassReason.INPUT_NOT_FINITE
            case UnusableOutput():
                reason = error.reason
                self._count_failure(error)
            case ModelError():
                self._count_failure(error)
            case ScanmendError():
                log.warning("session %s, frame %d: %s", self.hello.session, header.seq, error)
            case _:
                log.error("session %s, frame %d", self.hello.session, header.seq, exc_info=error)
        return Done(
            ticket=work.ticket,
            session_id=self.id,
            seq=header.seq,
            restored=False,
            reason=int(reason),
            error=(str(error) or type(error).__name__)[:LONGEST_ERROR],
            taken_mono_ns=taken_mono_ns,
            restore_ns=time.monotonic_ns() - taken_mono_ns,
            frames_included=self.exposure.frames_included,
            dose_e_per_nm2=self.ledger.spent_e_per_nm2,
            dose_max_e_per_nm2=self.ledger.spent_max_e_per_nm2,
        )

    def _count_failure(self, error: ModelError) -> None:
        self._failures += 1
        log.warning("session %s: %s", self.hello.session, error)
        fallback, failed = self._models.fallback, self._restorer
        if self._failures < FAILURES_BEFORE_FALLBACK or failed is None or fallback is None or failed is fallback:
            return
        self._restorer, self._failures, self._free = fallback, 0, False
        text = (
            f"Model {failed.info.name} failed {FAILURES_BEFORE_FALLBACK} times in a row "
            f"({error.message[:LONGEST_ERROR]}); "
            f"{FALLBACK} goes on in its place."
        )
        self._say(EngineProblem(code="model_failed", text=text, session_id=self.id))


class _Passed(ScanmendError):
    """A frame that is passed on as it came, for a reason that is nobody's fault."""

    def __init__(self, message: str, reason: PassReason) -> None:
        super().__init__(message)
        self.reason = reason
