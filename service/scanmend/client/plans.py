"""The plans that a session has announced, under their ids."""

from __future__ import annotations

from collections.abc import Collection

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend.wire.header import xxh3
from scanmend.wire.messages import Plan, encode


class PlanBook:
    """Plans by id; a plan keeps its id, and its bytes are kept for a service that was started anew.

    Args:
        session_id: The session.
    """

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self._plans: dict[int, ScanPlan] = {}
        self._encoded: dict[int, bytes] = {}
        self._ids: dict[int, int] = {}
        self._last: tuple[ScanPlan, int] | None = None
        self.refused: set[int] = set()
        """Plans that the service will not have."""

    def find(self, plan: ScanPlan) -> int | None:
        """The id of a plan that is announced already, or None."""
        if self._last is not None and self._last[0] is plan:
            return self._last[1]
        for plan_id, known in self._plans.items():
            if known is plan:
                self._last = (plan, plan_id)
                return plan_id
        return None

    def add(self, plan: ScanPlan) -> tuple[int, bool]:
        """Give a plan its id; the flag says whether it is new and must be sent.

        Raises:
            OversizeMessage: Its bytes are above the limit.
        """
        plan_id = len(self._plans)
        fingerprint = xxh3(encode(Plan(session_id=self._session_id, plan_id=0, plan=plan)))
        if fingerprint in self._ids and self._plans[self._ids[fingerprint]] == plan:
            return self._ids[fingerprint], False
        if self._last is not None:
            self._last[0].forget_pixels()
        self._encoded[plan_id] = encode(Plan(session_id=self._session_id, plan_id=plan_id, plan=plan))
        self._plans[plan_id] = plan
        self._ids[fingerprint] = plan_id
        self._last = (plan, plan_id)
        return plan_id, True

    def plan(self, plan_id: int) -> ScanPlan:
        """The plan of an id.

        Raises:
            InvalidInput: No such plan was announced.
        """
        if plan_id not in self._plans:
            raise InvalidInput(f"No plan has the id {plan_id}.", mend="Announce it first: plan_id = send_plan(plan).")
        return self._plans[plan_id]

    def encoded(self, plan_id: int) -> bytes | None:
        """The PLAN message of an id, or None where there is no such plan."""
        return self._encoded.get(plan_id)

    def unknown(self, known: Collection[int]) -> list[bytes]:
        """PLAN messages of all plans but those known, in the order of their ids."""
        return [data for plan_id, data in self._encoded.items() if plan_id not in known]
