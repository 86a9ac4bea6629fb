"""Rescan proposals: those that wait for a decision, and the decisions that may not have arrived yet."""

from __future__ import annotations

from collections import deque

from scanmend.errors import InvalidInput
from scanmend.wire.messages import Executed, ExecutedStatus, Proposal, encode


class ProposalBook:
    """Proposals of one session.

    Args:
        session_id: The session.
    """

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self.open: deque[Proposal] = deque()
        """Proposals without a decision, oldest first."""
        self._seen: set[int] = set()
        self._decisions: deque[tuple[int, bytes]] = deque()

    def take(self, proposal: Proposal) -> bool:
        """Note a proposal; False where it had come before."""
        if proposal.proposal_id in self._seen:
            return False
        self._seen.add(proposal.proposal_id)
        self.open.append(proposal)
        return True

    def next(self) -> Proposal | None:
        """The oldest proposal without a decision; it stays open."""
        return self.open[0] if self.open else None

    def decide(
        self, proposal: Proposal, status: ExecutedStatus, *, next_seq: int, plan_id: int | None = None, reason: str = ""
    ) -> bytes:
        """Close a proposal and give the EXECUTED that says so.

        Args:
            proposal: An open proposal of this session.
            status: What becomes of it.
            next_seq: Number of the next frame; once that is received, so is this message.
            plan_id: The plan that is run.
            reason: For people.

        Raises:
            InvalidInput: It is not open.
        """
        if proposal not in self.open:
            raise InvalidInput(
                f"Proposal {proposal.proposal_id} is not open.", mend="Accept or decline each proposal once."
            )
        self.open.remove(proposal)
        data = encode(
            Executed(
                session_id=self._session_id,
                proposal_id=proposal.proposal_id,
                status=status,
                plan_id=plan_id,
                reason=reason,
            )
        )
        self._decisions.append((next_seq, data))
        return data

    def undelivered(self, received_upto: int) -> list[bytes]:
        """Decisions that may have been lost: those that no received frame came after."""
        while self._decisions and self._decisions[0][0] < received_upto:
            self._decisions.popleft()
        return [data for _, data in self._decisions]
