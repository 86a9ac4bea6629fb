"""An adaptive scan as one loop: a pass, its restoration, the plan of the next pass, until it is enough.

>>> with Client() as scope:
...     scan = scope.adaptive(field, budget_e_per_nm2=200, target_sigma=0.03)
...     for step in scan:
...         step.submit(microscope.run(step.plan))
...     final, why = step.restoration, scan.why

The shells differ in how they wait (`Step` and `AsyncStep`); what is decided, and what is said, stands in the base.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypedDict, cast

import numpy as np
import numpy.typing as npt

from scanmend.client.face import SessionFace
from scanmend.client.first_pass import first_plan
from scanmend.client.options import SessionOptions
from scanmend.client.restored import Restored
from scanmend.errors import InvalidInput, SessionPaused
from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan
from scanmend.target import Target
from scanmend.wire.messages import Enough, Proposal, Receipt

if TYPE_CHECKING:
    from scanmend.client.aio import AsyncClient, AsyncSession
    from scanmend.client.sync import Client, Session

MIN_GAIN = 0.02
"""Least share by which a pass must be expected to lower sigma, where the caller does not say: without some such rule
a scan with neither budget nor target would never end."""

_LOOK_S = 0.25
_STOP_S = 2.0


class AdaptiveOptions(SessionOptions, total=False):
    """Options of `Client.adaptive`, all with a default, beside those of a session."""

    name: str
    """Name of the session; default: made from the time."""
    budget_e_per_nm2: float | None
    """Largest dose, averaged over the field, of all passes together; default: none."""
    target_sigma: float | None
    """Standard deviation to reach, as a share of the picture's range; default: none. See `scanmend.target.Target`."""
    quantile: float | None
    """Share of the pixels that must reach it; default None: their root mean square."""
    region: tuple[int, int, int, int] | None
    """`(top, left, height, width)` in pixels that the target is about; default: the whole field."""
    min_gain: float
    """Least share by which a pass must be expected to lower sigma; default 0.02."""
    max_passes: int | None
    """Most passes, the first included; default: no limit."""
    policy: str
    """Rescan policy; default `auto`: the service's best."""
    first: ScanPlan | None
    """The first pass; default: every pixel with a quarter of the budget, or a jittered grid where that is too much."""
    decision_timeout_s: float
    """Longest wait for the service's choice of the next plan after a restoration; default 60 s. Where the plan then
    needs an operator's approval, that is waited for without a limit of its own: the service gives it one."""


_OWN = set(AdaptiveOptions.__annotations__) - set(SessionOptions.__annotations__)


class _Begun(TypedDict):
    name: str
    options: SessionOptions


class AdaptiveBase:
    """What an adaptive scan knows of itself; both shells are one.

    Args:
        field: The area being imaged.
        options: As `AdaptiveOptions` has them.

    Raises:
        InvalidInput: Options that cannot be, or a first pass above the budget.
    """

    def __init__(self, field: Field, options: AdaptiveOptions) -> None:
        for taken in ("mode", "rescan", "target", "dose_budget_e_per_nm2"):
            if taken in options:
                raise InvalidInput(
                    f"An adaptive scan sets {taken} itself.",
                    mend="Use budget_e_per_nm2, target_sigma, quantile, region, min_gain, max_passes and policy.",
                )
        if options.get("returns") == "none":
            raise InvalidInput("An adaptive scan needs restorations.", mend="Leave `returns` out.")
        self.field = field
        self.budget_e_per_nm2 = options.get("budget_e_per_nm2")
        able = options.get("capabilities") or Capabilities()
        self.first = options.get("first") or first_plan(field, able, self.budget_e_per_nm2)
        """The first pass."""
        price = field.dose_e_per_nm2(self.first.total_dwell_ns)
        if self.budget_e_per_nm2 is not None and price is not None and price > self.budget_e_per_nm2:
            raise InvalidInput(
                f"The first pass alone costs {price:.4g} e/nm², the budget is {self.budget_e_per_nm2:.4g}.",
                mend="Give a shorter first pass, or a larger budget.",
            )
        self.why = ""
        """Why the scan ended, in words; empty before."""
        self.passes = 0
        """Passes submitted so far."""
        self._timeout_s = options.get("decision_timeout_s", 60.0)
        self._begun = _Begun(
            name=options.get("name") or _new_name(),
            options=_session_options(options),
        )
        self._face: SessionFace | None = None

    @property
    def enough(self) -> Enough | None:
        """The service's word that it is enough, with the figures; None where the scan ended for another reason."""
        return None if self._face is None else self._face.enough

    @property
    def receipt(self) -> Receipt | None:
        """The account of every frame, once the scan has ended."""
        return None if self._face is None else self._face.receipt

    def _over(self) -> bool:
        """Whether something ends the scan now; `why` says what."""
        face = self._face
        if face is not None and face.enough is not None:
            self.why = face.enough.reason
        elif face is not None and face.command is not None:
            self.why = f"An operator asked to {face.command}."
        return bool(self.why)

    def _until(self, session: SessionFace, until_s: float) -> float:
        """When the choice of the next plan is overdue; an operator's time is not the service's.

        Raises:
            SessionPaused: It is overdue now.
        """
        now_s = time.monotonic()
        if session.awaits:
            return now_s + self._timeout_s
        if now_s > until_s:
            raise self._no_decision()
        return until_s

    def _check_submitted(self, step: StepBase) -> None:
        if step.declined:
            self.why = f"The plan was declined: {step.declined}"
        elif not step.submitted:
            raise InvalidInput(
                f"Pass {step.index} was neither submitted nor declined.",
                mend="Call step.submit(samples), or step.decline(reason), once in each turn of the loop.",
            )
        elif step.restoration is not None and not step.restoration.restored:
            self.why = (
                f"Pass {step.index} was not restored ({step.restoration.reason}), so nothing can be chosen from it."
            )

    def _no_decision(self) -> SessionPaused:
        return SessionPaused(
            f"The service did not say within {self._timeout_s:g} s what comes next.",
            mend="Look at its page or log for the reason, or give a longer decision_timeout_s.",
        )


class StepBase:
    """One pass of an adaptive scan."""

    def __init__(self, field: Field, index: int, plan: ScanPlan, proposal: Proposal | None) -> None:
        self.index = index
        """Number of the pass, from 0."""
        self.plan = plan
        """What to scan now."""
        self.proposal = proposal
        """Where the plan comes from, with its reason and what it should gain; None for the first pass."""
        self.dose_e_per_nm2 = field.dose_e_per_nm2(plan.total_dwell_ns)
        """What the plan adds, averaged over the field; None where the beam current is not known."""
        self.restoration: Restored | None = None
        """What the service made of all passes up to this one; None before `submit`, and where the answer was lost."""
        self.submitted = False
        self.declined = ""
        """Why it was not run."""
        self._begun_unix_ns = time.time_ns()

    def _check_open(self) -> None:
        if self.submitted or self.declined:
            raise InvalidInput(f"Pass {self.index} is done.", mend="Go on to the next turn of the loop.")

    def _points_of(self, samples: npt.ArrayLike, run: ScanPlan) -> int:
        points = int(np.shape(samples)[-1]) if np.ndim(samples) else 0
        if not 1 <= points <= run.points:
            raise InvalidInput(
                f"{points} samples were submitted for a plan of {run.points} points.",
                mend="Give one sample a point in visiting order, fewer where the pass ended early, or the plan that "
                "was really run.",
            )
        return points

    def _is_mine(self, answer: Restored) -> bool:
        return answer.pass_index == self.index and answer.end_of_pass


class Step(StepBase):
    """One pass of a blocking adaptive scan."""

    def __init__(self, session: Session, index: int, plan: ScanPlan, proposal: Proposal | None) -> None:
        super().__init__(session.field, index, plan, proposal)
        self._session = session

    def submit(self, samples: npt.ArrayLike, plan: ScanPlan | None = None) -> Restored | None:
        """Hand over what the pass brought, and wait for its restoration.

        Args:
            samples: `(points,)` or `(channels, points)` in visiting order; fewer than the plan's points where the
                pass ended early.
            plan: What was really run, where it differs from `plan`.

        Returns:
            The answer, also kept as `restoration`; None where it was lost with a connection or a restart of the
            service: the samples are not, and the scan goes on.

        Raises:
            InvalidInput: More samples than points, or the pass is done.
            PlanError: The plan cannot be run on the field.
            ScanmendError: As `Session.send` does.
        """
        self._check_open()
        session, run = self._session, plan or self.plan
        points = self._points_of(samples, run)
        if self.proposal is not None:
            session.accept(self.proposal, plan, begun_unix_ns=self._begun_unix_ns, points_run=points)
        session.send_samples(run, samples, self.index, end_of_pass=True)
        self.submitted = True
        while self.restoration is None and (answer := session.receive()) is not None:
            if self._is_mine(answer):
                self.restoration = answer
        session.check()
        return self.restoration

    def decline(self, reason: str) -> None:
        """Say that the plan is not run, and end the scan.

        Raises:
            InvalidInput: The pass is done.
        """
        self._check_open()
        if self.proposal is not None:
            self._session.decline(self.proposal, reason)
        self.declined = reason or "no reason given"


class AdaptiveScan(AdaptiveBase):
    """An adaptive scan; iterate over it once. As a context manager it ends its session however the block is left."""

    def __init__(self, client: Client, field: Field, options: AdaptiveOptions) -> None:
        super().__init__(field, options)
        self._client = client
        self._steps = self._run()

    def __iter__(self) -> Iterator[Step]:
        """The passes; after the last one the session has ended and `receipt` is here."""
        return self._steps

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session where it is still open; what was sent is kept."""
        self._steps.close()

    def _run(self) -> Generator[Step, None, None]:
        with self._client.session(self._begun["name"], self.field, **self._begun["options"]) as session:
            self._face = session
            plan, proposal = self.first, None
            try:
                session.wait_for_start()
                while not self._over():
                    step = Step(session, self.passes, plan, proposal)
                    yield step
                    self._check_submitted(step)
                    self.passes += not step.declined
                    if self._over() or (proposal := self._next(session)) is None:
                        break
                    plan = proposal.plan
            except GeneratorExit:
                self.why = self.why or "The loop was left."
                session.end("stopped", timeout_s=_STOP_S)
                raise

    def _next(self, session: Session) -> Proposal | None:
        until_s = time.monotonic() + self._timeout_s
        while not self._over():
            proposal = session.next_proposal(timeout_s=_LOOK_S)
            if proposal is not None:
                return proposal
            session.check()
            until_s = self._until(session, until_s)
        return None


class AsyncStep(StepBase):
    """One pass of an adaptive scan under asyncio; as `Step`, with `await`."""

    def __init__(self, session: AsyncSession, index: int, plan: ScanPlan, proposal: Proposal | None) -> None:
        super().__init__(session.field, index, plan, proposal)
        self._session = session

    async def submit(self, samples: npt.ArrayLike, plan: ScanPlan | None = None) -> Restored | None:
        """Hand over what the pass brought, and wait for its restoration; as `Step.submit`."""
        self._check_open()
        session, run = self._session, plan or self.plan
        points = self._points_of(samples, run)
        if self.proposal is not None:
            await session.accept(self.proposal, plan, begun_unix_ns=self._begun_unix_ns, points_run=points)
        await session.send_samples(run, samples, self.index, end_of_pass=True)
        self.submitted = True
        async for answer in session.drain():
            if self._is_mine(answer):
                self.restoration = answer
                break
        session.check()
        return self.restoration

    async def decline(self, reason: str) -> None:
        """Say that the plan is not run, and end the scan; as `Step.decline`."""
        self._check_open()
        if self.proposal is not None:
            await self._session.decline(self.proposal, reason)
        self.declined = reason or "no reason given"


class AsyncAdaptiveScan(AdaptiveBase):
    """An adaptive scan under asyncio; iterate over it once, best inside `async with`."""

    def __init__(self, client: AsyncClient, field: Field, options: AdaptiveOptions) -> None:
        super().__init__(field, options)
        self._client = client
        self._steps = self._run()

    def __aiter__(self) -> AsyncIterator[AsyncStep]:
        """The passes; after the last one the session has ended and `receipt` is here."""
        return self._steps

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session where it is still open; what was sent is kept."""
        await self._steps.aclose()

    async def _run(self) -> AsyncGenerator[AsyncStep, None]:
        async with self._client.session(self._begun["name"], self.field, **self._begun["options"]) as session:
            self._face = session
            plan, proposal = self.first, None
            try:
                await session.wait_for_start()
                while not self._over():
                    step = AsyncStep(session, self.passes, plan, proposal)
                    yield step
                    self._check_submitted(step)
                    self.passes += not step.declined
                    if self._over() or (proposal := await self._next(session)) is None:
                        break
                    plan = proposal.plan
            except GeneratorExit:
                self.why = self.why or "The loop was left."
                await session.end("stopped", timeout_s=_STOP_S)
                raise

    async def _next(self, session: AsyncSession) -> Proposal | None:
        until_s = time.monotonic() + self._timeout_s
        while not self._over():
            proposal = await session.next_proposal(timeout_s=_LOOK_S)
            if proposal is not None:
                return proposal
            session.check()
            until_s = self._until(session, until_s)
        return None


def _session_options(options: AdaptiveOptions) -> SessionOptions:
    """The options of the session that an adaptive scan opens."""
    passed = {key: value for key, value in options.items() if key not in _OWN}
    target = Target(
        sigma_of_range=options.get("target_sigma"),
        quantile=options.get("quantile"),
        region=options.get("region"),
        min_gain=options.get("min_gain", MIN_GAIN),
        max_passes=options.get("max_passes"),
    )
    passed |= {
        "mode": "exposure",
        "rescan": options.get("policy", "auto"),
        "target": target,
        "dose_budget_e_per_nm2": options.get("budget_e_per_nm2"),
    }
    return cast(SessionOptions, passed)


def _new_name() -> str:
    return f"adaptive-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
