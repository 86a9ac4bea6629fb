"""What the microscope does with rescan proposals: it runs what it can and may, and says so of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from scanmend.errors import PlanError
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Proposal
from scanmend_sim.line import Line
from scanmend_sim.microscope import Microscope

PROPOSAL_WAIT_S = 2.0
"""After its last answer, the service has this long to propose another scan."""

LOOK_S = 0.02


class Rescans:
    """Proposals of one session.

    Args:
        line: To the service.
        microscope: What can be run, and the dose so far.
        budget_e_per_nm2: Largest dose, averaged over the field, that a proposal may bring the session to.
        stopping: Whether somebody wants the scan to stop.
    """

    def __init__(
        self, line: Line, microscope: Microscope, budget_e_per_nm2: float | None, *, stopping: Callable[[], bool]
    ) -> None:
        self._line = line
        self._microscope = microscope
        self._budget = budget_e_per_nm2
        self._stopping = stopping

    def next(self) -> ScanPlan | None:
        """The plan to run now, accepted; None where the service proposes nothing more that can be run."""
        while (proposal := self._newest()) is not None:
            plan = self._affordable(proposal)
            if plan is not None and self._line.accept(proposal, plan):
                return plan
        return None

    def close(self) -> None:
        """Decline what is still open."""
        for proposal in self._line.session.proposals:
            self._line.decline(proposal, "The session ends.")

    def _newest(self) -> Proposal | None:
        """Wait for a proposal; older ones were made from less and are declined."""
        deadline_s: float | None = None
        while not self._stopping():
            owed = self._line.owed
            proposal = self._line.session.next_proposal()
            if proposal is not None:
                for newer in self._line.session.proposals[1:]:
                    self._line.decline(proposal, "A newer proposal has come.")
                    proposal = newer
                return proposal
            now_s = time.monotonic()
            if self._line.session.enough is not None:
                return None
            if owed or self._line.session.awaits:  # an operator takes what time it takes
                deadline_s = None
            elif deadline_s is None:
                deadline_s = now_s + PROPOSAL_WAIT_S
            elif now_s > deadline_s:
                return None
            self._line.read(until_s=now_s + LOOK_S)
        return None

    def _affordable(self, proposal: Proposal) -> ScanPlan | None:
        """The plan as the electronics run it; None where it cannot be run or paid, and is declined."""
        microscope = self._microscope
        try:
            plan = microscope.prepare(proposal.plan)
        except PlanError as error:
            self._line.decline(proposal, error.message)
            return None
        added = microscope.field.dose_e_per_nm2(float(plan.dwells_ns.sum(dtype=np.float64))) or 0.0
        spent = microscope.dose().mean_e_per_nm2
        if self._budget is not None and spent + added > self._budget * (1 + 1e-9):
            left = max(self._budget - spent, 0.0)
            self._line.decline(proposal, f"It costs {added:.4g} e/nm², and {left:.4g} are left of the budget.")
            return None
        return plan
