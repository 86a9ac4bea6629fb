"""A real engine process, driven over a real doorbell and real rings."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from engine_process import FakeAcquire, frame_header, proposal_of, scan

from scanmend import Exposure, Restorer
from scanmend.engine.fidelity import truth_picture
from scanmend.field import Channel, Field
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, create_journal
from scanmend.wire.header import PassReason, xxh3
from scanmend.wire.messages import Executed, ExecutedStatus, Mode, Plan, encode

SHAPE = (96, 128)
RASTER = ScanPlan.raster(SHAPE, 1000)
COUNTS = (truth_picture(128)[:96] * 40).astype(np.uint16)


def test_frames_come_back_restored_and_the_end_is_clean() -> None:
    with FakeAcquire() as acquire:
        assert {info.name for info in acquire.ready.models if info.live} >= {"identity", "pushpull"}
        assert acquire.ready.default_model == "pushpull"
        assert acquire.ready.policies == ["uncertainty"]
        assert acquire.board.pid("engine") == acquire.process.pid
        acquire.open(SHAPE)
        acquire.plan(RASTER)
        wanted = Restorer.load("pushpull", threads=1).restore(
            Exposure.from_samples(COUNTS, np.ones(SHAPE, np.uint16), electrons_per_unit=1.0)
        )
        for seq in range(3):
            slot = acquire.frame(seq, COUNTS.reshape(1, -1), live=seq == 1)
            done: link.Done = acquire.wait_for(link.Done)
            estimate, sigma, raw = acquire.pictures(slot)
            assert (done.seq, done.restored, done.model, done.frames_included) == (seq, True, "pushpull", 1)
            np.testing.assert_allclose(estimate, wanted.image, rtol=1e-5)
            np.testing.assert_allclose(sigma, wanted.sigma, rtol=1e-4)
            assert done.estimate_xxh3 == xxh3(np.ascontiguousarray(estimate).data.cast("B"))
            assert done.sigma_xxh3 == xxh3(np.ascontiguousarray(sigma).data.cast("B"))
            assert done.sigma_mean == pytest.approx(float(sigma.mean()), rel=1e-4)
            assert (done.coverage, done.electrons_per_unit, done.has_raw) == (1.0, 1.0, seq == 1)
            if done.has_raw:
                np.testing.assert_array_equal(raw, COUNTS)
        acquire.send(link.CloseSession(session_id=1))
        summary: link.SessionSummary = acquire.wait_for(link.SessionSummary)
        dose = Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=10.0).dose_e_per_nm2(3 * RASTER.total_dwell_ns)
        assert summary.dose_e_per_nm2 == pytest.approx(dose)
        assert summary.dose_max_e_per_nm2 == pytest.approx(dose)
        assert acquire.end() == 0


def test_every_bad_work_gets_one_answer_that_says_why() -> None:
    with FakeAcquire(model="identity") as acquire:
        acquire.open(SHAPE, channels=(Channel(name="HAADF", dtype="float32"),))
        acquire.plan(RASTER)
        good = COUNTS.reshape(1, -1).astype(np.float32)
        bad = good.copy()
        bad[0, 77] = np.nan
        acquire.frame(0, good)
        acquire.frame(1, bad)
        acquire.frame(2, good, plan_id=9)
        acquire.frame(3, good, first_point=5)
        acquire.frame(4, good)
        acquire.send(link.Work(ticket=99, session_id=1, header=b"junk", slot_in=0, slot_out=0))
        acquire.send(link.Work(ticket=98, session_id=7, header=frame_header(0, good).pack(), slot_in=0, slot_out=0))
        answers: dict[int, link.Done] = {}
        for _ in range(7):
            done = acquire.wait_for(link.Done)
            assert done.ticket not in answers
            answers[done.ticket] = done
        assert [answers[t].restored for t in (1, 2, 3, 4, 5, 98, 99)] == [True, False, False, False, True, False, False]
        assert answers[2].reason == PassReason.INPUT_NOT_FINITE
        for ticket, words in ((3, "Plan 9"), (4, "points up to"), (98, "session"), (99, "header")):
            assert answers[ticket].reason == PassReason.ENGINE_FAILED
            assert words in answers[ticket].error
        assert acquire.end() == 0


def test_chunks_of_a_pass_are_restored_progressively_and_the_last_one_always() -> None:
    """Chunks that wait together supersede each other; the one that ends the pass sees all of them."""
    with FakeAcquire(slots=16) as acquire:
        acquire.open(SHAPE)
        acquire.plan(RASTER)
        flat = COUNTS.reshape(1, -1)
        pieces = np.array_split(np.arange(flat.shape[1]), 12)
        for seq, piece in enumerate(pieces):
            acquire.frame(seq, flat[:, piece], pass_index=0, first_point=int(piece[0]), end=seq == 11)
        done = [acquire.wait_for(link.Done) for _ in range(12)]
        assert [d.seq for d in done] == list(range(12))
        assert all(d.restored != d.superseded for d in done)
        assert sum(d.superseded for d in done) >= 6
        assert done[-1].restored
        assert (done[-1].frames_included, done[-1].coverage) == (12, 1.0)
        wanted = Restorer.load("pushpull", threads=1).restore(
            Exposure.from_samples(COUNTS, np.ones(SHAPE, np.uint16), electrons_per_unit=1.0)
        )
        np.testing.assert_allclose(acquire.pictures(11)[0], wanted.image, rtol=1e-4)


def test_sessions_take_turns() -> None:
    with FakeAcquire(slots=16) as acquire:
        for session_id in (1, 2):
            acquire.open(SHAPE, session_id=session_id)
            acquire.plan(RASTER, session_id=session_id)
        for seq in range(10):
            acquire.frame(seq, COUNTS.reshape(1, -1), session_id=1)
        acquire.frame(0, COUNTS.reshape(1, -1), session_id=2)
        order = [acquire.wait_for(link.Done).session_id for _ in range(11)]
        assert 2 in order[:4]


def test_an_adaptive_session_gets_proposals_within_its_budget() -> None:
    plan = ScanPlan.jittered_grid(SHAPE, 4000, pitch_px=3.0, seed=1)
    field = Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=10.0)
    once = field.dose_e_per_nm2(plan.total_dwell_ns)
    assert once is not None
    with FakeAcquire() as acquire:
        acquire.open(SHAPE, field=field, mode=Mode.EXPOSURE, rescan="uncertainty", dose_budget_e_per_nm2=2.5 * once)
        spent, proposals, sigmas = 0.0, 0, []
        for seq in range(6):
            acquire.plan(plan, plan_id=seq)
            acquire.frame(seq, scan(COUNTS, plan), plan_id=seq)
            done: link.Done = acquire.wait_for(link.Done)
            assert done.restored
            assert done.frames_included == seq + 1
            spent += field.dose_e_per_nm2(plan.total_dwell_ns) or 0
            assert done.dose_e_per_nm2 == pytest.approx(spent)
            assert spent <= 2.5 * once
            sigmas.append(done.sigma_mean)
            if spent > 2.45 * once:
                break
            proposal = proposal_of(acquire.wait_for(link.ProposalMade))
            proposals += 1
            assert proposal.dose_e_per_nm2 + spent <= 2.5 * once
            assert proposal.based_on_frames == seq + 1
            assert proposal.sigma_expected < proposal.sigma_now
            answer = Executed(
                session_id=1, proposal_id=proposal.proposal_id, status=ExecutedStatus.ACCEPTED, plan_id=seq + 1
            )
            acquire.send(link.ExecutedNotice(executed=answer))
            plan = proposal.plan
        assert proposals >= 2
        assert sigmas[-1] < sigmas[0]


def test_killed_engine_rebuilds_the_exposure_from_the_journal(tmp_path: Path) -> None:
    plan = ScanPlan.random(SHAPE, 1000, coverage=0.3, seed=5)
    with FakeAcquire() as acquire:
        acquire.open(SHAPE, mode=Mode.EXPOSURE)
        acquire.plan(plan)
        hello = acquire.rings[1][2]
        journal = create_journal(tmp_path, hello.session, hello.session_id)
        journal.append(EntryKind.SESSION, 0, [encode(hello)])
        journal.append(EntryKind.PLAN, 0, [encode(Plan(session_id=1, plan_id=0, plan=plan))])
        samples = scan(COUNTS, plan)
        for seq in range(4):
            journal.append(EntryKind.FRAME, seq, [frame_header(seq, samples).pack(), samples.tobytes()])
            if seq < 3:
                slot = acquire.frame(seq, samples)
                assert acquire.wait_for(link.Done).frames_included == seq + 1
        journal.close()
        acquire.process.kill()
        acquire.process.wait()
        acquire.bell.close()
        acquire.start()
        folder = next((tmp_path / "sessions").iterdir())
        acquire.open(SHAPE, mode=Mode.EXPOSURE, opening={"journal": str(folder), "rebuild": True, "rebuild_skip": [3]})
        acquire.plan(plan)
        slot = acquire.frame(3, samples)
        done: link.Done = acquire.wait_for(link.Done)
        assert (done.restored, done.frames_included) == (True, 4)
        visits = np.zeros(SHAPE, np.uint16)
        visits.reshape(-1)[plan.pixels] = 4
        wanted = Restorer.load("pushpull", threads=1).restore(
            Exposure.from_samples(np.where(visits > 0, COUNTS, 0), visits, electrons_per_unit=1.0)
        )
        np.testing.assert_allclose(acquire.pictures(slot)[0], wanted.image, rtol=1e-3)
        dose = hello.field.dose_e_per_nm2(4 * plan.total_dwell_ns)
        assert done.dose_e_per_nm2 == pytest.approx(dose)


def test_an_exposure_that_is_lost_is_not_passed_off_as_whole() -> None:
    with FakeAcquire() as acquire:
        acquire.open(SHAPE, mode=Mode.EXPOSURE, rescan="uncertainty", opening={"lost_frames": 2})
        acquire.plan(RASTER)
        acquire.frame(2, COUNTS.reshape(1, -1))
        done: link.Done = acquire.wait_for(link.Done)
        assert (done.restored, done.reason) == (False, PassReason.EXPOSURE_LOST)


def test_engine_outlives_acquire_and_serves_the_next_one() -> None:
    with FakeAcquire(model="identity") as acquire:
        acquire.open(SHAPE)
        acquire.bell.close()
        acquire.accept()
        acquire.open(SHAPE)
        acquire.plan(RASTER)
        acquire.frame(0, COUNTS.reshape(1, -1))
        assert acquire.wait_for(link.Done).restored
        assert acquire.end() == 0


def test_engine_ends_with_its_parent() -> None:
    with FakeAcquire(model="identity") as acquire:
        arguments = [str(acquire.run_dir.path / "settings.json"), str(acquire.run_dir.path)]
        acquire.end()
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
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0]
    except FileNotFoundError:
        return False
