"""The engine dies in a long adaptive session: its exposure is rebuilt from the journal, nobody begins again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from running import RunningService, wait_for
from scanmend.client import Client, Restored, Session
from scanmend.engine.restorer import Restorer
from scanmend.exposure import ExposureBuilder
from scanmend.field import Channel, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan

FIELD = Field(shape=(96, 96), pixel_size_nm=1.0, beam_current_pa=5.0)
CHANNEL = Channel(name="HAADF")
PASSES = 6
KILL_AFTER = (2, 4)


def last_answer(session: Session) -> Restored:
    """The answer to the last frame sent, whatever came before."""
    last = session.stats.sent - 1
    while True:
        restored = session.receive(timeout_s=30)
        assert restored is not None, "no answer"
        if restored.seq == last:
            return restored


def test_an_exposure_survives_its_engine(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    truth = 10 + 8 * np.sin(np.arange(96) / 7)[:, None] * np.cos(np.arange(96) / 9)[None, :]
    expected = ExposureBuilder(FIELD, CHANNEL)
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        with client.session(
            "long",
            FIELD,
            channels=[CHANNEL],
            mode="exposure",
            rescan="uncertainty",
            dose_budget_e_per_nm2=1e6,
            hold_timeout_s=30.0,
        ) as session:
            for number in range(PASSES):
                plan = ScanPlan.jittered_grid(FIELD.shape, 1000, pitch_px=3, seed=number)
                samples = rng.poisson(truth.reshape(-1)[plan.pixels]).astype(np.uint16)
                session.send_samples(plan, samples, chunk_points=300)
                expected.add(Frame(plan_id=1, samples=samples[None]), plan)
                restored = last_answer(session)
                assert restored.restored, restored.reason
                assert restored.frames_included == session.stats.sent
                if number in KILL_AFTER:
                    pid = service.kill("engine")
                    service.wait_restarted("engine", pid)
                while (proposal := session.next_proposal(timeout_s=20)) is not None:
                    session.decline(proposal, "the test runs its own plans")
                    break
                assert proposal is not None, "no proposal after the pass"
        receipt = session.receipt
    assert receipt is not None and receipt.balanced
    assert receipt.restored_out + sum(receipt.dropped.values()) == receipt.received
    alone = Restorer.load(restored.model, threads=1).restore(expected.view())
    assert restored.image is not None and restored.sigma is not None
    np.testing.assert_allclose(restored.image, alone.image, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(restored.sigma, alone.sigma, rtol=1e-3, atol=1e-4)


def test_frames_of_a_movie_pass_through_while_the_engine_is_away(tmp_path: Path) -> None:
    picture = np.full(FIELD.shape, 9, dtype=np.uint16)
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        with client.session("movie", FIELD, channels=[CHANNEL], hold_timeout_s=30.0) as session:
            session.send(picture)
            assert last_answer(session).restored
            pid = service.kill("engine")
            session.send(picture)
            passed = last_answer(session)
            service.wait_restarted("engine", pid)

            def restored_again() -> bool:
                session.send(picture)
                return last_answer(session).restored

            wait_for(restored_again, 30, "the engine does not come back")
    assert (passed.restored, passed.reason) == (False, "engine_down")
    assert passed.samples is not None and np.array_equal(passed.samples.reshape(FIELD.shape), picture)
    assert session.receipt is not None and session.receipt.balanced
