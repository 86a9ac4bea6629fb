"""The Direct Electron adapter against de-twin: a proposal becomes its list of points, is run, and comes back.

The adapter runs as users run it, as a process in an environment that has deapi.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_tickit import free_port

from running import RunningService, wait_for
from scanmend.export.session import RecordedSession

ROOT = Path(__file__).resolve().parents[2]
SHAPE, FRAME_US = (8, 8), 1000
FIELD = ["--shape", "8x8", "--pixel-size-nm", "1", "--dwell-us", str(FRAME_US), "--beam-current-pa", "1"]

# The command line itself imports every command, and with them what only the service needs.
RUN = """
import argparse, sys
from scanmend.cli import source
sys.exit(source.run(argparse.Namespace(name="direct-electron", options=sys.argv[1:])))
"""

# Two lists of points are handed over in each scan, and de-twin owes deapi a word after each, waited for 35 to 40 s.
pytestmark = pytest.mark.timeout(400)


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "VIRTUAL_ENV")}
    return kept | {"PYTHONPATH": str(ROOT / "service"), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}


@pytest.fixture(scope="module")
def python() -> Path:
    return (Path(os.environ["SCANMEND_PEERS"]) / "direct_electron" / "bin" / "python").absolute()


@pytest.fixture(scope="module")
def camera(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a camera with 64 × 64 pixels: a whole one renders for minutes."""
    port, folder = free_port(), tmp_path_factory.mktemp("twin")
    with (folder / "log").open("wb") as log:
        command = [python, "-m", "de_twin.faces.deapi_server", str(port), "--no-pace"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment())
    small = f"""
import deapi
client = deapi.Client()
client.usingMmf = False
client.connect(host="127.0.0.1", port={port})
client["Hardware ROI Size X"] = client["Hardware ROI Size Y"] = 64
"""

    def answers() -> bool:
        return subprocess.run([python, "-c", small], capture_output=True, env=environment()).returncode == 0

    try:
        wait_for(answers, 90, "the digital twin does not answer")
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


def relayed(python: Path, service: RunningService, camera: int, *words: str) -> dict[str, Any]:
    """The one line of `scanmend source direct-electron --json`."""
    command = [python, "-c", RUN, "--address", service.address, *FIELD]
    command += ["--port", str(camera), "--silence-s", "120", "--series", "1", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, env=environment())
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("repeat", [True, False], ids=["a dwell for each point", "one dwell"])
def test_a_proposal_is_run_and_the_exposure_grows_at_exactly_its_points(
    python: Path, service: RunningService, camera: int, repeat: bool
) -> None:
    words = ["--adaptive", "--max-passes", "2", "--min-gain", "0", "--policy", "variance"]
    report = relayed(python, service, camera, *words, *["--repeat-points"] * repeat)
    receipt = report["receipt"]
    assert receipt["balanced"] and receipt["executed"] == {"accepted": 1} and report["problems"] == []
    with RecordedSession(service.data_dir / "sessions" / report["session"]) as session:
        ((_, proposal),) = session.proposals()
        first, second = session.frames()
        plan = session.plan(second.header.plan_id)
    assert plan is not None and first.samples.shape == (1, 64)
    np.testing.assert_array_equal(plan.pixels, proposal.plan.pixels)
    assert second.header.first_point == 0 and second.samples.shape == (1, plan.points)
    assert plan.points < 64 or repeat or plan.dwell_ns >= FRAME_US * 1000
    assert not (plan.dwells_ns % (FRAME_US * 1000)).any()
    assert np.count_nonzero(second.samples) == plan.points  # read noise: a pixel that was looked at is never just 0
    dose = 6.241509e-3 * (64 * FRAME_US * 1000 + plan.total_dwell_ns) / 64  # 1 pA in electrons a nanosecond
    assert receipt["dose_e_per_nm2"] == pytest.approx(dose, rel=1e-3)


def test_the_points_of_a_sparse_scan(python: Path, service: RunningService, camera: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.permutation(64)[:20]
    points = tmp_path / "points.csv"
    points.write_text("\n".join(f"{pixel % 8},{pixel // 8}" for pixel in pixels))
    report = relayed(python, service, camera, "--drive", "--passes", "1", "--points", str(points))
    assert report["points"] == 20 and report["receipt"]["balanced"] and report["problems"] == []
    with RecordedSession(service.data_dir / "sessions" / report["session"]) as session:
        (frame,) = session.frames()
        plan = session.plan(frame.header.plan_id)
    assert plan is not None
    np.testing.assert_array_equal(plan.pixels, pixels)
    assert np.count_nonzero(frame.samples) == 20
