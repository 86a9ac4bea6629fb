"""OME-Zarr of a session: every sample once, pictures with their pixel size, whole under its name or not there."""

from __future__ import annotations

import builtins
import fcntl
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from journals import Shot, hello_for, receipt_for, write_journal
from scanmend import Restorer
from scanmend.cli import main
from scanmend.errors import ConfigurationError, ExportError, InvalidInput
from scanmend.export import RecordedSession
from scanmend.export.model import model_loader
from scanmend.export.pictures import exposure_of
from scanmend.export.zarr_session import export_zarr
from scanmend.field import Channel
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

SHAPE = (24, 32)
RASTER = ScanPlan.raster(SHAPE, 1000)
SPARSE = ScanPlan.jittered_grid(SHAPE, 2000, pitch_px=2.0, seed=4)
CHANNELS = [Channel(name="SE"), Channel(name="BSE")]
HALF = RASTER.points // 2


def shots() -> list[Shot]:
    """A sparse pass, a raster, a raster in two pieces, one that was cut short, and a raster again."""
    rng = np.random.default_rng(3)
    sparse = rng.poisson(20, (2, SPARSE.points))
    rasters = rng.poisson(20, (4, 2, RASTER.points))
    return [
        Shot(sparse),
        Shot(rasters[0], plan_id=1, pass_index=1),
        Shot(rasters[1][:, :HALF], plan_id=1, pass_index=2, end=False),
        Shot(rasters[1][:, HALF:], plan_id=1, pass_index=2, first_point=HALF),
        Shot(rasters[2][:, :HALF], plan_id=1, pass_index=3, end=False),
        Shot(rasters[3], plan_id=1, pass_index=4),
    ]


@pytest.fixture(params=list(Mode), ids=str)
def session(request: pytest.FixtureRequest, tmp_path: Path) -> RecordedSession:
    hello = hello_for(SHAPE, request.param, CHANNELS)
    frames = shots()
    folder = write_journal(tmp_path, hello, {0: SPARSE, 1: RASTER}, frames, receipt=receipt_for(hello, len(frames)))
    return RecordedSession(folder)


def test_every_sample_is_there_once_with_its_place(session: RecordedSession, tmp_path: Path) -> None:
    with session:
        export_zarr(session, tmp_path / "one.ome.zarr", None, None)
    root = zarr.open_group(tmp_path / "one.ome.zarr", mode="r")
    frames = shots()
    rest = [frames[0], frames[4]] if not session.adds_up else frames
    columns = {name: root["samples"][name][...] for name in root["samples"]}
    samples = np.concatenate([each.samples for each in rest], axis=1)
    np.testing.assert_array_equal(columns["channel_SE"], samples[0])
    np.testing.assert_array_equal(columns["channel_BSE"], samples[1])
    plans = [(SPARSE, RASTER)[each.plan_id] for each in rest]
    part = [slice(each.first_point, each.first_point + each.samples.shape[1]) for each in rest]
    for name in "xy":
        wanted = np.concatenate([getattr(plan, name)[some] for plan, some in zip(plans, part, strict=True)])
        np.testing.assert_array_equal(columns[name], wanted)
    counts = [each.samples.shape[1] for each in rest]
    np.testing.assert_array_equal(columns["pass_index"], np.repeat([each.pass_index for each in rest], counts))
    np.testing.assert_array_equal(columns["dwell_ns"], np.repeat([plan.dwell_ns for plan in plans], counts))
    if session.adds_up:
        assert "passes" not in root
    else:
        pieces = np.concatenate([frames[2].samples, frames[3].samples], axis=1)
        whole = np.stack([frames[1].samples, pieces, frames[5].samples]).reshape(3, 2, *SHAPE)
        np.testing.assert_array_equal(root["passes/0"][...], whole)
        assert root["passes"].attrs["scanmend"]["pass_index"] == [1, 2, 4]


def test_pictures_carry_pixel_size_units_and_origin(session: RecordedSession, tmp_path: Path) -> None:
    with session:
        assert export_zarr(session, tmp_path / "one.ome.zarr", model_loader(1), "pushpull") == "pushpull"
        exposure = exposure_of(session)
    root = zarr.open_group(tmp_path / "one.ome.zarr", mode="r")
    made = Restorer.load("pushpull", threads=1).restore(exposure)
    np.testing.assert_allclose(root["restored/0"][...], made.image, rtol=1e-5)
    np.testing.assert_allclose(root["sigma/0"][...], made.sigma, rtol=1e-5)
    seen = exposure.visits > 0
    np.testing.assert_allclose(root["exposure/0"][0], np.where(seen, exposure.values, np.nan), rtol=1e-6)
    images = root["OME"].attrs["series"]
    assert root.attrs["bioformats2raw.layout"] == 3
    assert set(images) - {"passes"} == {"exposure", "restored", "sigma", "dose"}
    assert ("passes" in images) is not session.adds_up
    for name in images:
        (image,) = root[name].attrs["multiscales"]
        assert image["version"] == "0.4"
        assert [axis.get("unit") for axis in image["axes"][-2:]] == ["nanometer", "nanometer"]
        (level,) = image["datasets"]
        assert level["coordinateTransformations"][0]["scale"][-2:] == [0.5, 0.5]
        assert len(level["coordinateTransformations"][0]["scale"]) == root[f"{name}/{level['path']}"].ndim
    about = root["restored"].attrs["scanmend"]
    assert about["made_at_export"] and "estimate, not data" in about["what"]
    assert (about["model"], about["sha256"]) == ("pushpull", made.sha256)
    said = root.attrs["scanmend"]
    assert said["hello"]["session"] == "one" and said["receipt"]["count"] == 6 and said["recording"]["finished"]
    dose = root["dose"].attrs["scanmend"]
    assert root["dose/0"][...].mean() == pytest.approx(dose["mean_e_per_nm2"], rel=1e-5)


def test_a_zip_holds_the_same_in_one_file(session: RecordedSession, tmp_path: Path) -> None:
    with session:
        export_zarr(session, tmp_path / "one.ome.zarr", None, None)
        export_zarr(session, tmp_path / "one.ome.zarr.zip", None, None)
    with zipfile.ZipFile(tmp_path / "one.ome.zarr.zip") as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    folder = tmp_path / "one.ome.zarr"
    assert set(files) == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert all((folder / name).read_bytes() == data for name, data in files.items() if name != ".zattrs")
    assert not list(tmp_path.glob(".*"))


def test_a_folder_is_replaced_only_where_that_is_asked_for_and_only_a_zarr(
    session: RecordedSession, tmp_path: Path
) -> None:
    target = tmp_path / "one.ome.zarr"
    with session:
        export_zarr(session, target, None, None)
        with pytest.raises(InvalidInput, match="is there already"):
            export_zarr(session, target, None, None)
        (target / "mine").write_text("in the way")
        export_zarr(session, target, None, None, force=True)
        assert not (target / "mine").exists()
        with pytest.raises(InvalidInput, match="is no Zarr folder"):
            export_zarr(session, tmp_path / "sessions", None, None, force=True)
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_export_left_is_written_over_and_two_are_kept_apart(
    session: RecordedSession, tmp_path: Path
) -> None:
    aside = tmp_path / ".one.ome.zarr.part"
    (aside / "passes").mkdir(parents=True)
    (aside / "passes" / "stale").write_text("x")
    fd = os.open(aside, os.O_RDONLY)
    with session:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(ExportError, match="Another export is writing"):
            export_zarr(session, tmp_path / "one.ome.zarr", None, None)
        os.close(fd)
        export_zarr(session, tmp_path / "one.ome.zarr", None, None)
    assert not list(tmp_path.rglob("stale")) and not aside.exists()


def test_without_the_library_the_mend_is_named(
    session: RecordedSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "zarr":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with session, pytest.raises(ConfigurationError, match=r"scanmend\[zarr\]"):
        export_zarr(session, tmp_path / "one.ome.zarr", None, None)
    assert not (tmp_path / "one.ome.zarr").exists() and not list(tmp_path.glob(".*"))


def test_a_plan_that_is_lost_is_named(tmp_path: Path) -> None:
    hello = hello_for(SHAPE, Mode.EXPOSURE)
    folder = write_journal(tmp_path, hello, {0: SPARSE}, [Shot(np.ones(SPARSE.points)), Shot(np.ones(9), plan_id=7)])
    with RecordedSession(folder) as session:
        export_zarr(session, tmp_path / "one.ome.zarr", None, None)
    problems = zarr.open_group(tmp_path / "one.ome.zarr", mode="r").attrs["scanmend"]["recording"]["problems"]
    assert any("frame 1 is not in this file" in text for text in problems)


def test_the_command_writes_it_and_says_so(
    session: RecordedSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session.close()
    words = ["export", "one", "--data-dir", str(tmp_path), "--to", "zarr", "--model", "none"]
    assert main([*words, "--out", str(tmp_path / "x.zarr")]) == 0
    assert "without a restored picture" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "x.zarr")]) == 1
    assert "say --force" in capsys.readouterr().err
