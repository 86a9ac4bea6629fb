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
from typing import TYPE_CHECKING, Self, TypedDict

from scanmend.client.adaptive_options import AdaptiveOptions, session_options
from scanmend.client.face import SessionFace
from scanmend.client.first_pass import first_plan
from scanmend.client.options import SessionOptions
from scanmend.client.steps import AsyncStep, Step, StepBase
from scanmend.errors import InvalidInput, SessionPaused
from scanmend.field import Capabilities, Field
from scanmend.wire.messages import Enough, Proposal, Receipt

if TYPE_CHECKING:
    from scanmend.client.aio import AsyncClient, AsyncSession
    from scanmend.client.sync import Client, Session

_LOOK_S = 0.25
_STOP_S = 2.0


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
        self._stopping = options.get("stopping") or (lambda: False)
        self._reason: str | None = None
        self._stop_s = _STOP_S
        self._begun = _Begun(
            name=options.get("name") or _new_name(),
            options=session_options(options),
        )
        self.dropped_after = 0
        """Frames that you had to discard after the last one that was sent, for the receipt."""
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
        elif not self.why and self._stopping():
            self.why, self._reason = "The scan was asked to stop.", "stopped"
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

    def close(self, reason: str = "stopped", why: str = "The loop was left.", *, timeout_s: float = _STOP_S) -> None:
        """End the session where it is still open; what was sent is kept.

        Args:
            reason: stopped or aborted, for the receipt.
            why: The same in words, where nothing else has ended the scan.
            timeout_s: Longest wait for the receipt.
        """
        self._reason, self.why, self._stop_s = reason, self.why or why, timeout_s
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
                session.end(self._reason, dropped_after=self.dropped_after)
            except GeneratorExit:
                self.why = self.why or "The loop was left."
                if not session.closed:
                    session.end(self._reason or "stopped", dropped_after=self.dropped_after, timeout_s=self._stop_s)
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

    async def close(
        self, reason: str = "stopped", why: str = "The loop was left.", *, timeout_s: float = _STOP_S
    ) -> None:
        """End the session where it is still open; as `AdaptiveScan.close`."""
        self._reason, self.why, self._stop_s = reason, self.why or why, timeout_s
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
                await session.end(self._reason, dropped_after=self.dropped_after)
            except GeneratorExit:
                self.why = self.why or "The loop was left."
                if not session.closed:
                    await session.end(
                        self._reason or "stopped", dropped_after=self.dropped_after, timeout_s=self._stop_s
                    )
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


def _new_name() -> str:
    return f"adaptive-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
