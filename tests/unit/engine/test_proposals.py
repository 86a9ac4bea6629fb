"""What follows a pass: each reason for which no plan does, and what a proposal promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_process import frame_header

from scanmend.engine import proposals as proposals_module
from scanmend.engine.proposals import Proposals
from scanmend.engine.runtimes import Picture
from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Channel, Field
from scanmend.ipc.engine_link import EnoughSaid, ProposalMade, ProposalTerm, TermsNotice
from scanmend.plan import ScanPlan
from scanmend.rescan import DoseLedger
from scanmend.target import Target
from scanmend.wire.messages import Enough, EnoughCode, Executed, ExecutedStatus, Hello, Mode, Proposal

SHAPE = (48, 64)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=10.0)
RASTER = ScanPlan.raster(SHAPE, 2000)
PASS_DOSE = FIELD.dose_e_per_nm2(RASTER.total_dwell_ns) or 0.0
ESTIMATE = np.tile(np.linspace(0.0, 100.0, SHAPE[1], dtype=np.float32), (SHAPE[0], 1))


class Scan:
    """A session whose microscope scans whole rasters, whatever is proposed."""

    def __init__(self, folder: Path, **hello: Any) -> None:
        self.hello = Hello(
            session="s",
            session_id=1,
            field=FIELD,
            channels=(Channel(name="HAADF"),),
            mode=Mode.EXPOSURE,
            **{"rescan": "variance", **hello},
        )
        self.proposals = Proposals(self.hello, folder)
        self.ledger = DoseLedger(
            FIELD,
            self.hello.dose_budget_e_per_nm2,
            self.hello.pixel_dose_budget_e_per_nm2,
            self.hello.pixel_dose_rate_e_per_nm2_s,
        )
        self.passes = 0

    def after_pass(self, sigma: float | np.ndarray, **more: Any) -> ProposalMade | EnoughSaid | None:
        """Scan once more, with this sigma after it, and hear what follows."""
        self.ledger.add(RASTER, 0, FIELD.pixels)
        samples = np.zeros((1, FIELD.pixels), np.uint16)
        header = frame_header(self.passes, samples, session_id=1, pass_index=self.passes)
        self.passes += 1
        picture = Picture(values=ESTIMATE, weight=np.ones(SHAPE, np.float32), units_per_electron=1.0, read_variance=0.0)
        sigmas = np.broadcast_to(np.asarray(sigma, np.float32), SHAPE).copy()
        return self.proposals.choose(header, picture, ESTIMATE, sigmas, self.ledger, **more)

    def runs(self, made: ProposalMade) -> Proposal:
        proposal = made.proposal
        assert proposal is not None
        self.proposals.executed(
            Executed(session_id=1, proposal_id=proposal.proposal_id, status=ExecutedStatus.ACCEPTED, plan_id=1)
        )
        return proposal


def enough(said: object) -> Enough:
    assert isinstance(said, EnoughSaid), said
    return said.enough


def proposal(said: object) -> Proposal:
    assert isinstance(said, ProposalMade) and said.proposal is not None
    return said.proposal


def test_the_target_ends_it(tmp_path: Path) -> None:
    scan = Scan(tmp_path, target=Target(sigma_of_range=0.05))
    scan.runs(scan.after_pass(10.0))
    said = enough(scan.after_pass(4.0))
    assert said.code == EnoughCode.TARGET and "5.00%" in said.reason
    assert (said.passes, said.based_on_frames) == (2, 2)
    assert said.sigma_now == pytest.approx(4.0) and said.sigma_of_range == pytest.approx(4.0 / 98, rel=0.02)
    assert said.dose_e_per_nm2 == pytest.approx(2 * PASS_DOSE)


def test_fading_ends_it_before_sigma_is_believed(tmp_path: Path) -> None:
    scan = Scan(tmp_path, target=Target(sigma_of_range=0.05))
    scan.runs(scan.after_pass(10.0))
    said = enough(scan.after_pass(1.0, fades="the signal falls by 6 ± 1 % a pass"))
    assert said.code == EnoughCode.FADING and said.reason.startswith("The signal falls by 6 ± 1 % a pass, and sigma")


def test_a_target_for_a_region_spends_dwell_there_only(tmp_path: Path) -> None:
    scan = Scan(tmp_path, target=Target(sigma_of_range=0.05, region=(8, 8, 16, 16)))
    sigma = np.full(SHAPE, 20.0, np.float32)
    sigma[8:24, 8:24] = 10.0
    made = proposal(scan.after_pass(sigma))
    assert made.sigma_now == pytest.approx(10.0) and made.sigma_expected < 10.0
    rows, columns = made.plan.y, made.plan.x
    assert rows.min() >= 0 and rows.max() < 24 + 8 and columns.min() >= 0 and columns.max() < 24 + 8
    scan.proposals.executed(
        Executed(session_id=1, proposal_id=made.proposal_id, status=ExecutedStatus.ACCEPTED, plan_id=1)
    )
    sigma[8:24, 8:24] = 4.0
    assert enough(scan.after_pass(sigma)).code == EnoughCode.TARGET


def test_as_many_passes_as_wanted(tmp_path: Path) -> None:
    scan = Scan(tmp_path, target=Target(max_passes=2))
    scan.runs(scan.after_pass(10.0))
    assert enough(scan.after_pass(10.0)).code == EnoughCode.PASSES


def test_the_budget_is_spent(tmp_path: Path) -> None:
    scan = Scan(tmp_path, dose_budget_e_per_nm2=2.0 * PASS_DOSE)
    made = scan.runs(scan.after_pass(10.0))
    assert made.dose_e_per_nm2 <= PASS_DOSE * (1 + 1e-9)
    assert enough(scan.after_pass(8.0)).code == EnoughCode.BUDGET


def test_every_pixel_has_had_what_it_bears(tmp_path: Path) -> None:
    scan = Scan(tmp_path, pixel_dose_budget_e_per_nm2=PASS_DOSE)
    assert enough(scan.after_pass(10.0)).code == EnoughCode.BUDGET


def test_another_pass_would_not_pay(tmp_path: Path) -> None:
    scan = Scan(tmp_path, target=Target(min_gain=0.2))
    first = scan.runs(scan.after_pass(10.0))  # twice the dwell: sigma should fall by some 29 %
    assert first.sigma_expected == pytest.approx(10.0 / np.sqrt(2), rel=0.05)
    said = enough(scan.after_pass(first.sigma_expected))  # half as much again: some 18 %
    assert said.code == EnoughCode.GAIN


def test_a_promise_that_was_not_kept_is_believed_less(tmp_path: Path) -> None:
    kept, broken = Scan(tmp_path), Scan(tmp_path)
    promise = kept.runs(kept.after_pass(10.0))
    broken.runs(broken.after_pass(10.0))
    next_kept = proposal(kept.after_pass(promise.sigma_expected))
    next_broken = proposal(broken.after_pass(10.0))
    fall = [1 - one.sigma_expected / one.sigma_now for one in (next_kept, next_broken)]
    assert fall[1] == pytest.approx(fall[0] / 2, rel=0.1)


def test_no_plan_keeps_to_the_dose_rate(tmp_path: Path) -> None:
    scan = Scan(tmp_path, pixel_dose_rate_e_per_nm2_s=1e-6)
    assert enough(scan.after_pass(10.0)).code == EnoughCode.LIMITS


def test_no_plan_keeps_to_the_instruments_limits(tmp_path: Path) -> None:
    able = Capabilities(min_dwell_ns=500_000_000, dwell_quantum_ns=500_000_000)
    scan = Scan(tmp_path, capabilities=able)
    assert enough(scan.after_pass(10.0)).code == EnoughCode.LIMITS


def test_nothing_to_gain_where_everything_is_certain(tmp_path: Path) -> None:
    assert enough(Scan(tmp_path).after_pass(0.0)).code == EnoughCode.GAIN


def test_a_dose_that_is_not_all_known_is_vouched_for_by_nobody(tmp_path: Path) -> None:
    scan = Scan(tmp_path)
    scan.proposals.dose_known = False
    assert enough(scan.after_pass(10.0)).code == EnoughCode.INCOMPLETE


def test_an_open_proposal_is_followed_by_nothing_until_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = Scan(tmp_path)
    first = proposal(scan.after_pass(10.0))
    assert scan.after_pass(9.0) is None
    monkeypatch.setattr(proposals_module.time, "time_ns", lambda: first.expires_unix_ns + 1)
    second = proposal(scan.after_pass(8.0))
    assert second.proposal_id != first.proposal_id and second.based_on_frames == 3


def test_a_session_that_asks_for_no_rescans_hears_of_none(tmp_path: Path) -> None:
    assert Scan(tmp_path, rescan=None).after_pass(10.0) is None


def test_a_choice_that_fails_is_told_to_the_client_that_waits_for_it(tmp_path: Path) -> None:
    scan = Scan(tmp_path)
    samples = np.zeros((1, FIELD.pixels), np.uint16)
    said = scan.proposals.failed(frame_header(0, samples, session_id=1), ValueError("no memory"), scan.ledger)
    assert enough(said).code == EnoughCode.FAILED and "no memory" in enough(said).reason


def test_an_operators_terms_hold_from_the_next_proposal_on(tmp_path: Path) -> None:
    scan = Scan(tmp_path, dose_budget_e_per_nm2=100 * PASS_DOSE)
    first = scan.runs(scan.after_pass(5.0))
    assert first.policy == "variance"
    scan.proposals.change(TermsNotice(session_id=1, policy="uniform", budget_e_per_nm2=50 * PASS_DOSE))
    assert scan.runs(scan.after_pass(4.0)).policy == "uniform"
    with pytest.raises(InvalidInput):
        scan.proposals.change(TermsNotice(session_id=1, policy="no such", budget_e_per_nm2=None))
    assert scan.runs(scan.after_pass(3.0)).policy == "uniform"


def test_a_proposal_that_awaits_approval_stays_open_until_its_term(tmp_path: Path) -> None:
    scan = Scan(tmp_path)
    made = scan.after_pass(5.0)
    assert isinstance(made, ProposalMade) and made.proposal is not None
    number = made.proposal.proposal_id
    scan.proposals.set_term(ProposalTerm(session_id=1, proposal_id=number + 1, expires_unix_ns=1))
    assert scan.after_pass(4.0) is None
    scan.proposals.set_term(ProposalTerm(session_id=1, proposal_id=number, expires_unix_ns=1))
    assert isinstance(scan.after_pass(3.0), ProposalMade)
