"""When a session's next plan is proposed, and what the proposal says."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import msgspec

from scanmend.engine.runtimes import Picture
from scanmend.ipc.engine_link import INLINE_BYTES, ProposalMade
from scanmend.rescan import DoseLedger, Policy, RescanState, policy_named, propose
from scanmend.restoration import FloatPicture
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Executed, Hello, Mode, Proposal

VALID_NS = 60_000_000_000
"""How long a proposal may be taken up."""


class Proposals:
    """The proposals of one session: at most one is open at a time.

    Args:
        hello: What the session asked for.
        run_dir: Where a proposal too large for a message is left.
    """

    def __init__(self, hello: Hello, run_dir: Path) -> None:
        self._hello = hello
        self._run_dir = run_dir
        wanted = hello.rescan is not None and hello.mode is Mode.EXPOSURE
        self._policy: Policy | None = policy_named(hello.rescan or "") if wanted else None
        self._open: Proposal | None = None
        self.dose_known = True
        """Whether all that was scanned is in the ledger; without that nothing is proposed."""

    def executed(self, executed: Executed) -> None:
        """The client has answered: whatever it said, the proposal is not open any more."""
        if self._open is not None and self._open.proposal_id == executed.proposal_id:
            self._open = None

    def propose(
        self, header: FrameHeader, picture: Picture, estimate: FloatPicture, sigma: FloatPicture, ledger: DoseLedger
    ) -> ProposalMade | None:
        """The next plan after a complete pass; None where none is wanted, open, affordable or worth it.

        Args:
            header: The frame that ended the pass.
            picture: What was restored.
            estimate: Its restoration, `(ny, nx)`.
            sigma: The restoration's standard deviation, `(ny, nx)`.
            ledger: What the specimen has had.
        """
        now = time.time_ns()
        if self._policy is None or not self.dose_known:
            return None
        if self._open is not None and now < self._open.expires_unix_ns:
            return None
        state = RescanState(
            field=self._hello.field,
            capabilities=self._hello.capabilities,
            estimate=estimate,
            sigma=sigma,
            values=picture.values,
            weight=picture.weight,
            units_per_electron=picture.units_per_electron,
            read_variance=picture.read_variance,
            dwell_ns=ledger.dwell_ns,
            passes=header.pass_index + 1,
            affordable_dwell_ns=ledger.affordable_dwell_ns,
            affordable_px_dwell_ns=ledger.affordable_px_dwell_ns,
        )
        found = propose(self._policy, state)
        if found is None:
            return None
        able = self._hello.capabilities
        proposal = Proposal(
            session_id=self._hello.session_id,
            # Of all ids, the frame's is the one that an engine started anew would give again.
            proposal_id=(header.seq + 1) & 0xFFFFFFFF,
            plan=found.plan,
            policy=self._hello.rescan or "",
            reason=found.reason,
            based_on_frames=header.seq + 1,
            dose_e_per_nm2=ledger.price_e_per_nm2(found.plan),
            duration_ns=found.plan.duration_ns(settle_ns=able.settle_ns) + able.command_ns,
            sigma_now=found.sigma_now,
            sigma_expected=found.sigma_expected,
            expires_unix_ns=now + VALID_NS,
        )
        self._open = proposal
        return self._message(proposal)

    def _message(self, proposal: Proposal) -> ProposalMade:
        data = msgspec.msgpack.encode(proposal)
        if len(data) <= INLINE_BYTES:
            return ProposalMade(proposal=proposal)
        path = self._run_dir / f"proposal-{secrets.token_hex(12)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return ProposalMade(path=str(path))
