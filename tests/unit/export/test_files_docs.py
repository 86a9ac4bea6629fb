"""The page about files is true: its programs run on a real file, and every place that it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from journals import Shot, hello_for, receipt_for, said, write_journal
from scanmend.export import export_nexus
from scanmend.export.model import model_loader
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "files.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SHAPE = (24, 32)
SPARSE = ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2.0, seed=4)
RASTER = ScanPlan.raster(SHAPE, 1000)


@pytest.fixture(scope="module", params=list(Mode), ids=str)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with session.nxs, of one mode."""
    hello = hello_for(SHAPE, request.param)
    made = tmp_path_factory.mktemp("docs")
    whole, part = np.arange(RASTER.points, dtype=np.uint16), np.arange(SPARSE.points, dtype=np.uint16)
    shots = [Shot(part), Shot(whole, plan_id=1, pass_index=1), Shot(part, pass_index=2)]
    answers, receipt = said(hello, SPARSE), receipt_for(hello, 3)
    folder = write_journal(made, hello, {0: SPARSE, 1: RASTER}, shots, answers=answers, receipt=receipt)
    export_nexus(folder, made / "session.nxs", load=model_loader(1))
    return made


def run(program: str, place: Path) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_its_programs() -> None:
    assert len(PROGRAMS) == 2


def test_the_first_program_prints_what_is_known(place: Path) -> None:
    finished, dose = run(PROGRAMS[0], place).split()
    assert finished == "True" and float(dose) > 0


def test_the_second_program_puts_samples_in_their_places(place: Path) -> None:
    more = """
    for row, (plan, count) in enumerate(((SPARSE, SPARSE.points), (RASTER, RASTER.points), (SPARSE, SPARSE.points))):
        samples, x, y = frame(h5py.File("session.nxs")["entry"], row, "SE")
        np.testing.assert_array_equal(samples, np.arange(count))
        np.testing.assert_array_equal(x, plan.x)
        np.testing.assert_array_equal(y, plan.y)
"""
    plans = f"""
from scanmend.plan import ScanPlan
SPARSE = ScanPlan.jittered_grid({SHAPE}, 1000, pitch_px=2.0, seed=4)
RASTER = ScanPlan.raster({SHAPE}, 1000)
if True:
"""
    assert "[0 1 2]" in run(PROGRAMS[1] + plans + more, place)


def test_every_place_that_the_page_names_is_in_the_file(place: Path) -> None:
    rows = re.findall(r"^\| (`.*?)\|", PAGE.split("## Layout")[1], re.MULTILINE)
    named = {word.split("@")[0] for row in rows for word in re.findall(r"`([a-z_/N]+(?:CHANNEL)?(?:@\w+)?)`", row)}
    assert len(named) > 12
    with h5py.File(place / "session.nxs") as file:
        entry = file["entry"]
        frames = entry["mode"].asstr()[()] == "frames"
        for name in named:
            assert (name.replace("CHANNEL", "SE") in entry) is (frames or name != "frames_CHANNEL"), name
        for group in ("raw/frames", "raw/passes"):
            columns = next(row for row in PAGE.splitlines() if row.startswith(f"| `{group}` |"))
            assert set(re.findall(r"`([a-z_0-9]+)`", columns.split("|", 3)[3])) - {"raw"} == set(entry[group])
