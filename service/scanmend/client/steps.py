"""One pass of an adaptive scan: what to run, and what came of it.

The shells differ in how they wait (`Step` and `AsyncStep`); what is decided, and what is said, stands in the base.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scanmend.client.restored import Restored
from scanmend.errors import InvalidInput
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Proposal

if TYPE_CHECKING:
    from scanmend.client.aio import AsyncSession
    from scanmend.client.sync import Session


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
        self.said = False
        """Whether the service has been told what was run."""
        self.declined = ""
        """Why it was not run."""
        self._begun_unix_ns = time.time_ns()

    def _check_open(self) -> None:
        if self.submitted or self.said or self.declined:
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
    """One pass of a blocking adaptive scan.

    `submit` takes a whole pass. Who gets it point by point sends it so, and says before the last frame what was run::

        step.session.send_samples(run, part, step.index, first_point=first, end_of_pass=False)
        step.ran(run, points)
        step.session.send_samples(run, last, step.index, first_point=first, end_of_pass=True)
        step.restored()
    """

    def __init__(self, session: Session, index: int, plan: ScanPlan, proposal: Proposal | None) -> None:
        super().__init__(session.field, index, plan, proposal)
        self.session = session
        """Of the scan; for passes that are sent in pieces."""

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
        run = plan or self.plan
        self.ran(run, self._points_of(samples, run))
        self.session.send_samples(run, samples, self.index, end_of_pass=True)
        return self.restored()

    def ran(self, plan: ScanPlan, points: int) -> None:
        """Tell the service what was run; once, and before the frame that ends the pass.

        Args:
            plan: As it was run, with rounded dwell times and without what was left out.
            points: How many of its points; fewer than all where the pass ended early.

        Raises:
            InvalidInput: The pass is done, or it was said before.
            PlanError: The plan cannot be run on the field.
        """
        self._check_open()
        if self.proposal is not None:
            run = None if plan is self.plan else plan
            self.session.accept(self.proposal, run, begun_unix_ns=self._begun_unix_ns, points_run=points)
        self.said = True

    def restored(self) -> Restored | None:
        """Wait for the restoration of a pass whose last frame has been sent; gives and raises what `submit` does."""
        self.submitted = True
        while self.restoration is None and (answer := self.session.receive()) is not None:
            if self._is_mine(answer):
                self.restoration = answer
        self.session.check()
        return self.restoration

    def decline(self, reason: str) -> None:
        """Say that the plan is not run, and end the scan.

        Raises:
            InvalidInput: The pass is done.
        """
        self._check_open()
        if self.proposal is not None:
            self.session.decline(self.proposal, reason)
        self.declined = reason or "no reason given"


class AsyncStep(StepBase):
    """One pass of an adaptive scan under asyncio; as `Step`, with `await`."""

    def __init__(self, session: AsyncSession, index: int, plan: ScanPlan, proposal: Proposal | None) -> None:
        super().__init__(session.field, index, plan, proposal)
        self.session = session
        """Of the scan; for passes that are sent in pieces."""

    async def submit(self, samples: npt.ArrayLike, plan: ScanPlan | None = None) -> Restored | None:
        """Hand over what the pass brought, and wait for its restoration; as `Step.submit`."""
        run = plan or self.plan
        await self.ran(run, self._points_of(samples, run))
        await self.session.send_samples(run, samples, self.index, end_of_pass=True)
        return await self.restored()

    async def ran(self, plan: ScanPlan, points: int) -> None:
        """Tell the service what was run; as `Step.ran`."""
        self._check_open()
        if self.proposal is not None:
            run = None if plan is self.plan else plan
            await self.session.accept(self.proposal, run, begun_unix_ns=self._begun_unix_ns, points_run=points)
        self.said = True

    async def restored(self) -> Restored | None:
        """Wait for the restoration of a pass whose last frame has been sent; as `Step.restored`."""
        self.submitted = True
        async for answer in self.session.drain():
            if self._is_mine(answer):
                self.restoration = answer
                break
        self.session.check()
        return self.restoration

    async def decline(self, reason: str) -> None:
        """Say that the plan is not run, and end the scan; as `Step.decline`."""
        self._check_open()
        if self.proposal is not None:
            await self.session.decline(self.proposal, reason)
        self.declined = reason or "no reason given"
