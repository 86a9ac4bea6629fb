"""`scanmend source` as a process: a simulated DECTRIS detector, armed over SIMPLON, relayed to a real service."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import RunningService
from scanmend.cli import main
from scanmend.client import Client
from scanmend.errors import NotConnected
from scanmend.export.session import RecordedSession
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend_sim.dectris.diffraction import Diffraction
from scanmend_sim.dectris.sender import Sender
from scanmend_sim.dectris.simplon import SimplonServer
from scanmend_sim.obi.server import ObiServer, obi_microscope
from scanmend_sim.specimens import load_specimen

SHAPE, IMAGE, ELECTRONS = (16, 20), (24, 24), 624.15
DETECTORS = ["--detector", "annular:inner=6.5,outer=12,name=HAADF", "--detector", "disk:radius=6,name=BF"]
FIELD = ["--shape", "16x20", "--pixel-size-nm", "1", "--dwell-us", "100", "--beam-current-pa", "1"]


class Detector:
    """A detector that sends a whole series as soon as it is armed."""

    def __init__(self, plan: ScanPlan) -> None:
        signal_ = np.clip(np.add.outer(np.linspace(0, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1])), 0, 1)
        self.scene = Diffraction(signal_, IMAGE, ELECTRONS, disc_px=5, ring_px=(7, 11))
        self.plan = plan
        self.sender = Sender(patience_s=4.0)
        self.threads: list[threading.Thread] = []
        self.server = SimplonServer(self._obey)

    def _obey(self, command: str, config: dict[str, Any]) -> None:
        if command == "arm":
            self.threads.append(threading.Thread(target=self._send, args=(config["nimages"],)))
            self.threads[-1].start()

    def _send(self, images: int) -> None:
        info = self.sender.new_series(images, IMAGE)
        self.sender.start(info)
        self.sender.images(info, 0, self.scene.images(self.plan))
        self.sender.end(info)
        self.server.state = "idle"

    @property
    def words(self) -> list[str]:
        return ["--stream", self.sender.address, "--simplon", self.server.url, "--drive"]

    def close(self) -> None:
        for thread in self.threads:
            thread.join()
        self.server.close()
        self.sender.close()


@pytest.fixture(scope="module", autouse=True)
def engine(service: RunningService) -> None:
    """Wait until the engine restores, which a busy machine begins late."""
    with Client(service.address) as client, client.session("first-of-all", Field(shape=(8, 8), pixel_size_nm=1)) as one:
        one.send(np.ones((8, 8), np.uint16))
        assert one.receive(timeout_s=90) is not None


@pytest.fixture
def detector() -> Iterator[Detector]:
    made = Detector(ScanPlan.raster(SHAPE, 100_000))
    yield made
    made.close()


def test_two_series_one_after_another(
    service: RunningService, scanmend: Callable[..., Any], detector: Detector
) -> None:
    words = [*FIELD, *DETECTORS, *detector.words, "--passes", "1", "--series", "2", "--json", "--name", "fourd"]
    done = scanmend("source", "dectris", "--address", service.address, *words)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["points"] for report in reports] == [320, 320] and detector.server.commands == ["arm", "arm"]
    for report in reports:
        receipt = report["receipt"]
        assert receipt["balanced"] and receipt["reason"] == "finished" and receipt["dropped_by_client"] == 0
        assert receipt["dose_e_per_nm2"] == pytest.approx(ELECTRONS, rel=1e-3) and report["problems"] == []
        assert receipt["dropped"] == {"returns_none": receipt["received"]} and receipt["problems"] == {}
    with RecordedSession(service.data_dir / "sessions" / reports[1]["session"]) as session:
        samples = np.concatenate([frame.samples for frame in session.frames()], axis=1)
    images = detector.scene.images(detector.plan).astype(np.int64)
    y, x = np.mgrid[0:24, 0:24] - 11.5
    ring = (np.hypot(y, x) >= 6.5) & (np.hypot(y, x) < 12)
    np.testing.assert_array_equal(samples[0], images[:, ring].sum(axis=1))


def test_the_points_of_a_sparse_scan(
    service: RunningService, scanmend: Callable[..., Any], detector: Detector, tmp_path: Path
) -> None:
    sparse = ScanPlan.jittered_grid(SHAPE, 100_000, pitch_px=2.5, seed=2)
    detector.plan = sparse
    points = tmp_path / "points.csv"
    points.write_text("\n".join(f"{x},{y}" for x, y in zip(sparse.x, sparse.y, strict=True)))
    words = [*FIELD, *DETECTORS, *detector.words, "--points", points, "--passes", "1", "--series", "1", "--json"]
    done = scanmend("source", "dectris", "--address", service.address, *words)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["points"] == sparse.points and report["receipt"]["balanced"]
    with RecordedSession(service.data_dir / "sessions" / report["session"]) as session:
        (plan_id,) = session.plan_ids
        np.testing.assert_array_equal(session.plan(plan_id).pixels, sparse.pixels)


def test_interrupted_it_finishes_the_pass(service: RunningService, detector: Detector) -> None:
    command = [sys.executable, "-m", "scanmend.cli", "source", "dectris", "--address", service.address, *FIELD]
    with subprocess.Popen(
        [*command, *DETECTORS, "--stream", detector.sender.address], stdout=subprocess.PIPE, text=True
    ) as process:
        info = detector.sender.new_series(0, IMAGE)
        images = detector.scene.images(detector.plan)
        detector.sender.start(info)
        detector.sender.images(info, 0, images)
        process.send_signal(signal.SIGINT)
        first = 320
        # A moving target: images come until the process has gone, which PUSH tells by having nobody to send to.
        with contextlib.suppress(NotConnected):
            while process.poll() is None:
                detector.sender.images(info, first, images[:80])
                first += 80
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and "account balances" in said
    assert int(said.split(": ")[1].split()[0]) % 320 == 0


def test_the_closed_loop_on_a_scan_generator(service: RunningService, scanmend: Callable[..., Any]) -> None:
    field = Field(shape=(32, 40), pixel_size_nm=2.0, beam_current_pa=5.0)
    words = ["--shape", "32x40", "--pixel-size-nm", "2", "--dwell-us", "4", "--beam-current-pa", "5"]
    words += ["--adaptive", "--budget-e-per-nm2", "200", "--max-passes", "4", "--min-gain", "0"]
    words += ["--units-per-electron", "100", "--series", "1", "--json", "--name", "obi"]
    with ObiServer(obi_microscope(load_specimen("nanoparticles:seed=3"), field, seed=1)) as server:
        done = scanmend("source", "obi", "--address", service.address, "--port", str(server.port), *words)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        report, dose = json.loads(done.stdout), server.generator.microscope.dose()
        assert server.generator.blanked
    receipt = report["receipt"]
    assert receipt["balanced"] and receipt["enough"] in ("passes", "budget") and report["why"]
    assert receipt["executed"]["accepted"] >= 1 and report["problems"] == [] and report["lost"] == 0
    assert receipt["dose_e_per_nm2"] == pytest.approx(dose.mean_e_per_nm2) and dose.mean_e_per_nm2 <= 200
    with RecordedSession(service.data_dir / "sessions" / report["session"]) as session:
        visited = np.zeros(field.pixels)
        for frame in session.frames():
            plan = session.plan(frame.header.plan_id)
            assert plan is not None
            part = slice(frame.header.first_point, frame.header.first_point + frame.header.points)
            np.add.at(visited, plan.pixels[part], plan.dwells_ns[part])
    # The exposure has grown where the beam was, and nowhere else.
    seen = server.generator.microscope.dose_e_per_nm2.reshape(-1)
    np.testing.assert_allclose(seen, visited * 5 * 6.241509e-3 / 4, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "No source is called 'nobody'"),
        (["dectris", *FIELD], "no virtual detector makes samples"),
        (["dectris", *FIELD, "--detector", "disk:radius=0"], "has no area"),
        (["dectris", *FIELD, "--detector", "disk:radius=5", "--drive"], "--simplon"),
        (["dectris", *FIELD, "--detector", "disk:radius=5", "--points", "nothing.npy"], "cannot be read"),
        (["dectris", *FIELD, "--detector", "disk:radius=5", "--stream", "nonsense", "--series", "1"], "no address"),
        (["dectris", *FIELD, "--detector", "disk:radius=5", "--name", "a b"], "name"),
    ],
)
def test_what_cannot_be_is_said_at_once(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["source", *words]) in (1, 3)
    assert said in capsys.readouterr().err


def test_the_list_names_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["source", "list"]) == 0
    said = capsys.readouterr().out
    assert "dectris" in said and "SIMPLON" in said
