"""What follows a complete pass of a session: the next plan, or the word that it is enough."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import msgspec
import numpy as np

from scanmend.engine.runtimes import Picture
from scanmend.ipc.engine_link import INLINE_BYTES, VALID_NS, EnoughSaid, ProposalMade, ProposalTerm, TermsNotice
from scanmend.rescan import (
    DoseLedger,
    Focused,
    Policy,
    ProposedPlan,
    RescanState,
    policy_named,
    propose,
    resolved,
    why_none,
)
from scanmend.restoration import FloatPicture
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Enough, EnoughCode, Executed, ExecutedStatus, Hello, Mode, Proposal

Choice = ProposalMade | EnoughSaid


def _policy_of(hello: Hello) -> Policy | None:
    """What chooses for a session; None where nothing is to be proposed."""
    if hello.rescan is None or hello.mode is not Mode.EXPOSURE:
        return None
    policy = policy_named(hello.rescan)
    return policy if hello.target.region is None else Focused(policy, hello.target.region)


class Proposals:
    """The proposals of one session: at most one is open at a time.

    Args:
        hello: What the session asked for.
        run_dir: Where a proposal too large for a message is left.
    """

    def __init__(self, hello: Hello, run_dir: Path) -> None:
        self._hello = hello
        self._run_dir = run_dir
        self._policy = _policy_of(hello)
        self._open: Proposal | None = None
        self._promised: Proposal | None = None
        """The proposal that is being run as it was made."""
        self._kept = 1.0
        """Of the fall of sigma that earlier proposals promised, the share that came."""
        self.dose_known = True
        """Whether all that was scanned is in the ledger; without that nothing is proposed."""

    def executed(self, executed: Executed) -> None:
        """The client has answered: whatever it said, the proposal is not open any more."""
        if self._open is not None and self._open.proposal_id == executed.proposal_id:
            self._promised = self._open if executed.status is ExecutedStatus.ACCEPTED else None
            self._open = None

    def change(self, terms: TermsNotice) -> None:
        """From the next proposal on another policy chooses, or another budget holds.

        Raises:
            InvalidInput: There is no such policy.
        """
        hello = msgspec.structs.replace(self._hello, rescan=terms.policy, dose_budget_e_per_nm2=terms.budget_e_per_nm2)
        self._policy = _policy_of(hello)
        self._hello = hello

    def set_term(self, term: ProposalTerm) -> None:
        """A proposal stays open until another time than was said: it awaits approval, or has got it."""
        if self._open is not None and self._open.proposal_id == term.proposal_id:
            self._open = msgspec.structs.replace(self._open, expires_unix_ns=term.expires_unix_ns)

    def choose(
        self,
        header: FrameHeader,
        picture: Picture,
        estimate: FloatPicture,
        sigma: FloatPicture,
        ledger: DoseLedger,
        *,
        fades: str = "",
    ) -> Choice | None:
        """What follows a complete pass; None where nothing was asked for, or the client has a proposal to answer.

        Args:
            header: The frame that ended the pass.
            picture: What was restored.
            estimate: Its restoration, `(ny, nx)`.
            sigma: The restoration's standard deviation, `(ny, nx)`.
            ledger: What the specimen has had.
            fades: How fast the specimen fades, in words; empty where it does not.
        """
        now_unix_ns = time.time_ns()
        if self._policy is None or (self._open is not None and now_unix_ns < self._open.expires_unix_ns):
            return None
        hello, target = self._hello, self._hello.target
        inside = target.inside(sigma)
        sigma_now = float(np.sqrt(np.mean(np.square(inside, dtype=np.float64))))
        self._learn(sigma_now)

        def enough(code: EnoughCode, reason: str) -> EnoughSaid:
            return EnoughSaid(
                enough=Enough(
                    session_id=hello.session_id,
                    code=code,
                    reason=reason,
                    based_on_frames=header.seq + 1,
                    passes=header.pass_index + 1,
                    sigma_now=sigma_now,
                    sigma_of_range=target.measure(estimate, sigma) if reached is None else reached,
                    dose_e_per_nm2=ledger.spent_e_per_nm2,
                )
            )

        reached = target.measure(estimate, sigma) if target.sigma_of_range is not None else None
        if not self.dose_known:
            return enough(EnoughCode.INCOMPLETE, "Not all that was scanned is known, so no dose can be vouched for.")
        if fades:
            return enough(EnoughCode.FADING, f"{fades[0].upper()}{fades[1:]}, and sigma does not know of it.")
        if target.sigma_of_range is not None and reached is not None and reached <= target.sigma_of_range:
            which = "of all pixels" if target.quantile is None else f"of {target.quantile:.0%} of the pixels"
            return enough(
                EnoughCode.TARGET,
                f"Sigma {which} is {reached:.2%} of the picture's range, and {target.sigma_of_range:.2%} was asked.",
            )
        if target.max_passes is not None and header.pass_index + 1 >= target.max_passes:
            return enough(EnoughCode.PASSES, f"{header.pass_index + 1} passes are done, as many as were wanted.")
        state = self._state(header, picture, estimate, sigma, ledger)
        found = propose(self._policy, state)
        if found is None:
            code, reason = why_none(state)
            return enough(EnoughCode(code), reason)
        gain = self._kept * (1.0 - found.sigma_expected / found.sigma_now)
        if gain < target.min_gain:
            return enough(
                EnoughCode.GAIN,
                f"Another pass is expected to lower sigma by {gain:.1%}, and {target.min_gain:.1%} is asked of one.",
            )
        return self._proposed(header, found, sigma_now, sigma_now * (1.0 - gain), ledger, now_unix_ns)

    def failed(self, header: FrameHeader, error: BaseException, ledger: DoseLedger) -> EnoughSaid | None:
        """What the client is told where the choice itself failed; None where it waits for none."""
        if self._policy is None:
            return None
        enough = Enough(
            session_id=self._hello.session_id,
            code=EnoughCode.FAILED,
            reason=f"The next plan could not be made: {error}"[:400],
            based_on_frames=header.seq + 1,
            passes=header.pass_index + 1,
            sigma_now=float("nan"),
            sigma_of_range=float("nan"),
            dose_e_per_nm2=ledger.spent_e_per_nm2,
        )
        return EnoughSaid(enough=enough)

    def _learn(self, sigma_now: float) -> None:
        """See what the last proposal kept of its promise; half of what is believed comes from it."""
        promise, self._promised = self._promised, None
        if promise is None or not promise.sigma_now > promise.sigma_expected:
            return
        came = (promise.sigma_now - sigma_now) / (promise.sigma_now - promise.sigma_expected)
        self._kept = 0.5 * self._kept + 0.5 * min(max(self._kept * came, 0.0), 1.5)

    def _state(
        self, header: FrameHeader, picture: Picture, estimate: FloatPicture, sigma: FloatPicture, ledger: DoseLedger
    ) -> RescanState:
        if self._hello.target.region is not None:  # what lies outside is not to be made surer
            sigma = Focused.only(sigma, self._hello.target.region)
        return RescanState(
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
            px_dwell_share=ledger.px_dwell_share,
        )

    def _proposed(
        self,
        header: FrameHeader,
        found: ProposedPlan,
        sigma_now: float,
        sigma_expected: float,
        ledger: DoseLedger,
        now_unix_ns: int,
    ) -> ProposalMade:
        proposal = Proposal(
            session_id=self._hello.session_id,
            # Of all ids, the frame's is the one that an engine started anew would give again.
            proposal_id=(header.seq + 1) & 0xFFFFFFFF,
            plan=found.plan,
            policy=resolved(self._hello.rescan or ""),
            reason=found.reason,
            based_on_frames=header.seq + 1,
            dose_e_per_nm2=ledger.price_e_per_nm2(found.plan),
            duration_ns=found.duration_ns,
            sigma_now=sigma_now,
            sigma_expected=sigma_expected,
            expires_unix_ns=now_unix_ns + VALID_NS,
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
