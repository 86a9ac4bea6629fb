"""Peers: programs that the exported files are meant for, each in an environment of its own.

`make peers` makes the environments and runs these tests. Elsewhere they are not collected: HyperSpy is under the GPL
and they take more than two gigabytes. What h5py, tifffile and zarr see of the files is tested in `tests/unit/export`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from journals import Shot, hello_for, receipt_for, said, write_journal
from scanmend.export import RecordedSession, export_nexus
from scanmend.export.model import model_loader
from scanmend.export.pictures import Shown, write_tiff
from scanmend.export.zarr_session import export_zarr
from scanmend.field import Channel
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

ENVIRONMENTS = os.environ.get("SCANMEND_PEERS")
collect_ignore_glob = [] if ENVIRONMENTS else ["test_*.py"]

SHAPE = (40, 56)
RASTER = ScanPlan.raster(SHAPE, 1000)
SPARSE = ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2.0, seed=4)

Look = Callable[..., dict[str, Any]]


def pytest_report_header() -> str:
    return "peers: in this run" if ENVIRONMENTS else "peers: HyperSpy, LiberTEM and ome-zarr are left to `make peers`"


@pytest.fixture
def shape() -> tuple[int, int]:
    return SHAPE


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each mode's session as NeXus, OME-TIFF and OME-Zarr: `frames.nxs`, `exposure.nxs`, `frames.ome.tif` …"""
    place = tmp_path_factory.mktemp("peers")
    rng = np.random.default_rng(5)
    truth = 20 + 15 * np.sin(np.arange(SHAPE[0])[:, None] / 5) * np.cos(np.arange(SHAPE[1]) / 7)
    for mode in Mode:
        hello = hello_for(SHAPE, mode, [Channel(name="SE"), Channel(name="BSE")])
        hello = msgspec.structs.replace(hello, session=str(mode))
        shots = []
        for index, plan_id in enumerate((0, 1, 1, 0, 1)):
            plan = (SPARSE, RASTER)[plan_id]
            samples = rng.poisson(truth, (2, *SHAPE))[:, plan.y, plan.x]
            shots.append(Shot(samples, plan_id=plan_id, pass_index=index))
        answers, receipt = said(hello, SPARSE), receipt_for(hello, len(shots))
        folder = write_journal(place, hello, {0: SPARSE, 1: RASTER}, shots, answers=answers, receipt=receipt)
        load = model_loader(1)
        export_nexus(folder, place / f"{mode}.nxs", load=load)
        with RecordedSession(folder) as session:
            write_tiff(session, place / f"{mode}.ome.tif", Shown.DATA, None, None, force=False)
            export_zarr(session, place / f"{mode}.ome.zarr", load, None)
    return place


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Runs a script of this folder with a peer's Python; gives what it printed and the arrays that it saved."""

    def run(peer: str, *words: object) -> dict[str, Any]:
        python = Path(ENVIRONMENTS or "") / peer / "bin" / "python"
        assert python.exists(), f"there is no environment {python.parent.parent}: run `make peers`"
        arrays = tmp_path / f"{peer}.npz"
        script = Path(__file__).with_name(f"sees_{peer}.py")
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        done = subprocess.run(
            [python, "-I", script, arrays, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=110,
            env=environment | {"MPLBACKEND": "agg", "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        with np.load(arrays, allow_pickle=False) as saved:
            return json.loads(done.stdout.splitlines()[-1]) | {"arrays": dict(saved)}

    return run
