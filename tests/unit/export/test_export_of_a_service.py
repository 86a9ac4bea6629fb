"""A session of the running service, exported as an operator does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from running import RunningService, wait_for
from scanmend.client import Client, Session
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Receipt

assert hdf5plugin.FILTERS, "Blosc is read with it"

SHAPE = (64, 96)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.5, beam_current_pa=50.0)
SPARSE = ScanPlan.jittered_grid(SHAPE, 2000, pitch_px=3.0, seed=2)


def durable(session: Session) -> bool:
    session.pump()
    return session.stats.durable_upto == session.stats.sent


def export(data_dir: Path, name: str, target: Path) -> str:
    command = [sys.executable, "-m", "scanmend.cli", "export", name, "--data-dir", str(data_dir), "--out", str(target)]
    done = subprocess.run([*command, "--threads", "1"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stderr


def lose_some(client: Client) -> Receipt:
    """A client discards 30 points in a pass, the rest of it, half of the next one, and one point at the end."""
    with client.session(
        "lossy", FIELD, channels=(Channel(name="HAADF"),), mode="exposure", model="pushpull"
    ) as session:
        count = SPARSE.points
        samples = np.ones(count, np.uint16)
        session.send_samples(SPARSE, samples[:50], pass_index=0, end_of_pass=False)
        session.send_samples(SPARSE, samples[80:100], pass_index=0, first_point=80, end_of_pass=False, dropped_before=3)
        half = count // 2
        session.send_samples(
            SPARSE, samples[half:-1], pass_index=1, first_point=half, end_of_pass=False, dropped_before=9
        )
        return session.end(dropped_after=1)


def test_what_a_client_sent_is_in_the_file_while_the_session_runs_and_after_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    data_dir = tmp_path / "data"
    passes = [rng.poisson(15, SPARSE.points).astype(np.uint16) for _ in range(4)]
    with RunningService(data_dir) as service, Client(service.address) as client:
        channels = (Channel(name="HAADF"),)
        with client.session("run", FIELD, channels=channels, mode="exposure", model="pushpull") as session:
            for samples in passes[:3]:
                session.send_samples(SPARSE, samples, chunk_points=100)
            wait_for(lambda: durable(session), 10, "the frames did not become durable")
            said = export(data_dir, "run", tmp_path / "early.nxs")
            assert "the session had not ended" in said
            session.send_samples(SPARSE, passes[3])
            receipt = session.end()
        lossy = lose_some(client)
    assert receipt.balanced
    said = export(data_dir, "run", tmp_path / "run.nxs")
    assert "4 passes" in said and "restored by pushpull" in said and "Missing" not in said
    with h5py.File(tmp_path / "run.nxs") as file:
        entry = file["entry"]
        np.testing.assert_array_equal(entry["raw/samples/HAADF"], np.concatenate(passes))
        np.testing.assert_array_equal(entry["raw/plans"][sorted(entry["raw/plans"])[0]]["x"], SPARSE.x)
        assert entry["receipt/count"][()] == receipt.count == entry["raw/frames/seq"].size
        assert entry["receipt/dose_e_per_nm2"][()] == pytest.approx(entry["dose/mean_e_per_nm2"][()])
        total = np.zeros(SHAPE)
        np.add.at(total, (SPARSE.y, SPARSE.x), np.sum(passes, axis=0))
        np.testing.assert_array_equal(entry["exposure_HAADF/summed_signal"], total)
        assert entry["recording/sealed"][()] and entry["recording/finished"][()]
    # What was scanned had its dose, also where the samples are lost.
    assert lossy.dropped_by_client == 13
    assert lossy.dose_e_per_nm2 == pytest.approx(FIELD.dose_e_per_nm2(2 * SPARSE.total_dwell_ns))
    export(data_dir, "lossy", tmp_path / "lossy.nxs")
    with h5py.File(tmp_path / "lossy.nxs") as file:
        assert file["entry/dose/mean_e_per_nm2"][()] == pytest.approx(lossy.dose_e_per_nm2)
        assert file["entry/dose/max_e_per_nm2"][()] == pytest.approx(lossy.dose_max_e_per_nm2)
        seen = np.r_[0:50, 80:100, SPARSE.points // 2 : SPARSE.points - 1]
        assert file["entry/exposure_HAADF/summed_signal"][()].sum() == seen.size
        assert (file["entry/exposure_HAADF/visits"][()] > 0).sum() == seen.size
    with h5py.File(tmp_path / "early.nxs") as file:
        early = file["entry/raw/samples/HAADF"][()]
        np.testing.assert_array_equal(early, np.concatenate(passes)[: early.size])
        assert "receipt" not in file["entry"]
