"""`scanmend source file` as a process: files of other programs, replayed to a real service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from running import RunningService
from scanmend.cli import main
from scanmend.export.session import RecordedSession
from scanmend.field import Field

FRAMES = np.random.default_rng(3).poisson(30, (4, 24, 32)).astype(np.uint16)


def test_a_stack_with_what_it_says_of_itself_becomes_a_session(
    service: RunningService, scanmend: Callable[..., Any], tmp_path: Path
) -> None:
    sizes = {f"PhysicalSize{axis}{key}": value for axis in "XY" for key, value in (("", 0.5), ("Unit", "nm"))}
    tifffile.imwrite(tmp_path / "a.ome.tif", FRAMES, ome=True, metadata={"axes": "TYX", **sizes})
    words = ["--speed", "max", "--dwell-us", "2", "--beam-current-pa", "10", "--series", "2", "--json"]
    done = scanmend("source", "file", tmp_path / "a.ome.tif", "--address", service.address, *words)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    field = Field(shape=(24, 32), pixel_size_nm=0.5, beam_current_pa=10.0)
    for report in reports:
        receipt = report["receipt"]
        assert receipt["balanced"] and report["lost"] == 0 and report["problems"] == []
        assert receipt["dose_e_per_nm2"] == pytest.approx(4 * field.dose_e_per_nm2(24 * 32 * 2000))
    with RecordedSession(service.data_dir / "sessions" / reports[1]["session"]) as session:
        assert session.hello.field == field
        samples = np.concatenate([frame.samples for frame in session.frames()], axis=1)
    np.testing.assert_array_equal(samples[0], FRAMES.reshape(-1))


def test_images_through_a_virtual_detector_and_a_picture_that_cannot_be_used(
    service: RunningService, scanmend: Callable[..., Any], tmp_path: Path
) -> None:
    images = np.ones((4, 5, 8, 8), np.float32)
    images[2, 3, 0, 0] = np.nan
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/images"] = images
    words = ["--speed", "max", "--detector", "disk:radius=20,name=all", "--pixel-size-nm", "1", "--json"]
    done = scanmend("source", "file", tmp_path / "a.h5", "--address", service.address, *words)
    assert done.returncode == 0 and "1 µs is assumed" in done.stderr
    report = json.loads(done.stdout)
    assert [problem["code"] for problem in report["problems"]] == ["undecodable"]
    assert report["lost"] == report["receipt"]["dropped_by_client"] >= 1 and report["receipt"]["balanced"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nowhere.tif"], "There is no file"), (["a.tif", "--speed", "0"], "no speed"), (["a.tif"], "--pixel-size-nm")],
)
def test_what_cannot_be_is_said_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["source", "file", *words])
    except SystemExit as end:
        status = int(str(end.code))
    assert status in (1, 2) and said in capsys.readouterr().err
