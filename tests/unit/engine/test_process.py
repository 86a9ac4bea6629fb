"""A real engine process, driven over a real doorbell and real rings."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from engine_process import FakeAcquire, frame_header, proposal_of, scan

from scanmend import Exposure, Restoration, Restorer
from scanmend.engine.fidelity import truth_picture
from scanmend.field import Channel, Field
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, create_journal
from scanmend.rescan import policy_names
from scanmend.wire.header import PassReason, xxh3
from scanmend.wire.messages import Executed, ExecutedStatus, Mode, Plan, encode

SHAPE = (96, 128)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=10.0)
RASTER = ScanPlan.raster(SHAPE, 1000)
COUNTS = (truth_picture(128)[:96] * 40).astype(np.uint16)
WHOLE = COUNTS.reshape(1, -1)


@pytest.fixture(scope="module")
def acquire() -> Iterator[FakeAcquire]:
    """One engine for all tests; each opens sessions of its own."""
    with FakeAcquire(slots=16) as made:
        yield made
        assert made.end() == 0


@cache
def restorer() -> Restorer:
    return Restorer.load("pushpull", threads=1)


@cache
def wanted() -> Restoration:
    """COUNTS restored in this process."""
    return restorer().restore(Exposure.from_samples(COUNTS, np.ones(SHAPE, np.uint16), electrons_per_unit=1.0))


def dose(plan: ScanPlan, times: float = 1) -> float:
    return times * (FIELD.dose_e_per_nm2(plan.total_dwell_ns) or 0)


def test_an_engine_says_what_is_live(acquire: FakeAcquire) -> None:
    assert {info.name for info in acquire.ready.models if info.live} >= {"identity", "pushpull"}
    assert acquire.ready.default_model == "pushpull"
    assert acquire.ready.policies == policy_names()
    assert acquire.ready.pid == acquire.board.pid("engine") == acquire.process.pid
    assert acquire.board.age_s("engine") < 2


def test_frames_come_back_restored(acquire: FakeAcquire) -> None:
    session_id = acquire.open(SHAPE)
    acquire.plan(RASTER)
    for seq in range(3):
        slot = acquire.frame(seq, WHOLE, live=seq == 1)
        done: link.Done = acquire.wait_for(link.Done)
        estimate, sigma, raw = acquire.pictures(slot)
        assert (done.seq, done.restored, done.model, done.frames_included) == (seq, True, "pushpull", 1)
        np.testing.assert_allclose(estimate, wanted().image, rtol=1e-4)
        np.testing.assert_allclose(sigma, wanted().sigma, rtol=1e-3)
        assert done.estimate_xxh3 == xxh3(np.ascontiguousarray(estimate).data.cast("B"))
        assert done.sigma_xxh3 == xxh3(np.ascontiguousarray(sigma).data.cast("B"))
        assert done.sigma_mean == pytest.approx(float(sigma.mean()), rel=1e-4)
        assert (done.coverage, done.electrons_per_unit, done.has_raw) == (1.0, 1.0, seq == 1)
        assert 0 < done.taken_mono_ns <= time.monotonic_ns()
        assert 0 < done.restore_ns < 10e9
        if done.has_raw:
            np.testing.assert_array_equal(raw, COUNTS)
    acquire.send(link.CloseSession(session_id=session_id))
    summary: link.SessionSummary = acquire.wait_for(link.SessionSummary)
    assert summary.session_id == session_id
    assert summary.dose_e_per_nm2 == pytest.approx(dose(RASTER, 3))
    assert summary.dose_max_e_per_nm2 == pytest.approx(dose(RASTER, 3))


def test_every_bad_work_gets_one_answer_that_says_why(acquire: FakeAcquire) -> None:
    session_id = acquire.open(SHAPE, model="identity", channels=(Channel(name="HAADF", dtype="float32"),))
    acquire.plan(RASTER)
    good = WHOLE.astype(np.float32)
    bad = good.copy()
    bad[0, 77] = np.nan
    first = acquire.tickets + 1
    acquire.frame(0, good)
    acquire.frame(1, bad)
    acquire.frame(2, good, plan_id=9)
    acquire.frame(3, good, first_point=5)
    acquire.frame(4, np.concatenate([good, good]))
    acquire.frame(5, good)
    acquire.send(link.Work(ticket=10_001, session_id=session_id, header=b"junk", slot_in=0, slot_out=0))
    acquire.send(link.Work(ticket=10_002, session_id=77, header=frame_header(0, good).pack(), slot_in=0, slot_out=0))
    beyond = frame_header(6, good, session_id=session_id).pack()
    acquire.send(link.Work(ticket=10_003, session_id=session_id, header=beyond, slot_in=99, slot_out=0))
    answers: dict[int, link.Done] = {}
    for _ in range(9):
        done = acquire.wait_for(link.Done)
        assert done.ticket not in answers
        answers[done.ticket] = done
    restored = [answers[first + i].restored for i in range(6)]
    assert restored == [True, False, False, False, True, True]
    assert answers[first + 1].reason == PassReason.INPUT_NOT_FINITE
    cases = {first + 2: "Plan 9", first + 3: "points up to", 10_001: "header", 10_002: "session", 10_003: "slot 99"}
    for ticket, words in cases.items():
        assert not answers[ticket].restored
        assert answers[ticket].reason == PassReason.ENGINE_FAILED
        assert words in answers[ticket].error


def test_chunks_of_a_pass_are_restored_progressively_and_the_last_one_always(acquire: FakeAcquire) -> None:
    """Chunks that wait together supersede each other; the one that ends the pass sees all of them."""
    for mode in Mode:
        acquire.open(SHAPE, mode=mode)
        acquire.plan(RASTER)
        pieces = np.array_split(np.arange(WHOLE.shape[1]), 12)
        for seq, piece in enumerate(pieces):
            acquire.frame(seq, WHOLE[:, piece], pass_index=0, first_point=int(piece[0]), end=seq == 11)
        done = [acquire.wait_for(link.Done) for _ in range(12)]
        assert [d.seq for d in done] == list(range(12))
        assert all(d.restored != d.superseded for d in done)
        assert sum(d.superseded for d in done) >= 4
        assert done[-1].restored
        assert (done[-1].frames_included, done[-1].coverage) == (12, 1.0)
        np.testing.assert_allclose(acquire.pictures(11)[0], wanted().image, rtol=1e-3)


def test_sessions_take_turns(acquire: FakeAcquire) -> None:
    busy, other = acquire.open(SHAPE), acquire.open(SHAPE)
    for session_id in (busy, other):
        acquire.plan(RASTER, session_id=session_id)
    for seq in range(10):
        acquire.frame(seq, WHOLE, session_id=busy)
    acquire.frame(0, WHOLE, session_id=other)
    order = [acquire.wait_for(link.Done).session_id for _ in range(11)]
    assert other in order[:6]


def test_an_adaptive_session_gets_proposals_within_its_budget(acquire: FakeAcquire) -> None:
    plan = ScanPlan.jittered_grid(SHAPE, 4000, pitch_px=3.0, seed=1)
    budget = dose(plan, 2.5)
    session_id = acquire.open(
        SHAPE, field=FIELD, mode=Mode.EXPOSURE, rescan="uncertainty", dose_budget_e_per_nm2=budget
    )
    spent, proposals, sigmas = 0.0, 0, []
    for seq in range(6):
        acquire.plan(plan, plan_id=seq)
        acquire.frame(seq, scan(COUNTS, plan), plan_id=seq)
        done: link.Done = acquire.wait_for(link.Done)
        assert (done.restored, done.frames_included) == (True, seq + 1)
        spent += dose(plan)
        assert done.dose_e_per_nm2 == pytest.approx(spent)
        assert spent <= budget
        sigmas.append(done.sigma_mean)
        if spent > 0.99 * budget:
            break
        proposal = proposal_of(acquire.wait_for(link.ProposalMade))
        proposals += 1
        assert proposal.dose_e_per_nm2 + spent <= budget
        assert proposal.based_on_frames == seq + 1
        assert proposal.sigma_expected < proposal.sigma_now
        answer = Executed(
            session_id=session_id, proposal_id=proposal.proposal_id, status=ExecutedStatus.ACCEPTED, plan_id=seq + 1
        )
        acquire.send(link.ExecutedNotice(executed=answer))
        plan = proposal.plan
    assert proposals >= 2
    assert sigmas[-1] < sigmas[0]


def test_while_a_proposal_is_open_there_is_no_other(acquire: FakeAcquire) -> None:
    session_id = acquire.open(SHAPE, mode=Mode.EXPOSURE, rescan="uncertainty")
    acquire.plan(RASTER)
    for seq in range(3):
        acquire.frame(seq, WHOLE)
    for _ in range(3):
        assert acquire.wait_for(link.Done).restored
    acquire.send(link.CloseSession(session_id=session_id))
    acquire.wait_for(link.SessionSummary)
    made = [proposal_of(m) for m in acquire.said if isinstance(m, link.ProposalMade)]
    assert len([p for p in made if p.session_id == session_id]) == 1


def test_an_exposure_that_is_lost_is_not_passed_off_as_whole(acquire: FakeAcquire) -> None:
    acquire.open(SHAPE, mode=Mode.EXPOSURE, rescan="uncertainty", opening={"lost_frames": 2})
    acquire.plan(RASTER)
    acquire.frame(2, WHOLE)
    done: link.Done = acquire.wait_for(link.Done)
    assert (done.restored, done.reason) == (False, PassReason.EXPOSURE_LOST)


def test_killed_engine_rebuilds_the_exposure_from_the_journal(acquire: FakeAcquire, tmp_path: Path) -> None:
    plan = ScanPlan.random(SHAPE, 1000, coverage=0.3, seed=5)
    session_id = acquire.open(SHAPE, mode=Mode.EXPOSURE)
    acquire.plan(plan)
    hello = acquire.rings[session_id][2]
    samples = scan(COUNTS, plan)
    journal = create_journal(tmp_path, hello.session, session_id)
    journal.append(EntryKind.SESSION, 0, [encode(hello)])
    journal.append(EntryKind.PLAN, 0, [encode(Plan(session_id=session_id, plan_id=0, plan=plan))])
    for seq in range(4):
        header = frame_header(seq, samples, session_id=session_id)
        journal.append(EntryKind.FRAME, seq, [header.pack(), samples.tobytes()])
        if seq < 3:
            acquire.frame(seq, samples)
            assert acquire.wait_for(link.Done).frames_included == seq + 1
    journal.close()
    skip = link.RebuildSkip(seqs=[3], from_index=journal.next_index)
    acquire.process.kill()
    acquire.process.wait()
    acquire.bell.close()
    acquire.start()
    folder = next((tmp_path / "sessions").iterdir())
    opening = {"journal": str(folder), "rebuild": True, "rebuild_skip": skip}
    acquire.open(SHAPE, mode=Mode.EXPOSURE, opening=opening, again=True)
    slot = acquire.frame(3, samples)
    done: link.Done = acquire.wait_for(link.Done)
    assert (done.restored, done.frames_included) == (True, 4)
    visits = np.zeros(SHAPE, np.uint16)
    visits.reshape(-1)[plan.pixels] = 4
    exposure = Exposure.from_samples(np.where(visits > 0, COUNTS, 0), visits, electrons_per_unit=1.0)
    np.testing.assert_allclose(acquire.pictures(slot)[0], restorer().restore(exposure).image, rtol=1e-3)
    assert done.dose_e_per_nm2 == pytest.approx(dose(plan, 4))


def test_engine_outlives_acquire_and_serves_the_next_one(acquire: FakeAcquire) -> None:
    acquire.open(SHAPE)
    acquire.bell.close()
    acquire.accept()
    acquire.open(SHAPE, again=True)
    acquire.plan(RASTER)
    acquire.frame(0, WHOLE)
    assert acquire.wait_for(link.Done).restored


def test_engine_ends_with_its_parent(acquire: FakeAcquire) -> None:
    arguments = [str(acquire.run_dir.path / "settings.json"), str(acquire.run_dir.path)]
    assert acquire.end() == 0
    acquire.bell.close()
    starts_one = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'scanmend.engine', *sys.argv[1:]])"
    parent = subprocess.Popen([sys.executable, "-c", starts_one, *arguments])
    acquire.accept()
    pid = acquire.ready.pid
    assert _alive(pid)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 5
    while time.monotonic() < end and _alive(pid):
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
