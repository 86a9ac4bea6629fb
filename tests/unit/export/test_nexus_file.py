"""The NeXus file: every array and every word of a session, as h5py reads them back."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from journals import OPENED_UNIX_NS, Shot, hello_for, receipt_for, said, write_journal
from scanmend import Exposure, Restoration, __version__
from scanmend.errors import ModelNotFound, RecordingError
from scanmend.export import Compression, Loader, Restored, export_nexus
from scanmend.export.model import model_loader
from scanmend.field import Channel, DetectorKind, Field
from scanmend.plan import ScanPlan
from scanmend.units import dose_e_per_nm2
from scanmend.wire.messages import Mode

assert hdf5plugin.FILTERS, "Blosc is read with it"

SHAPE = (24, 32)
SPARSE = ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2.0, seed=4)
POINTS = ScanPlan.point_list(SHAPE, [500, 1500, 2000], xy=[[3, 2], [31, 23], [3, 2]])
RASTER = ScanPlan.raster(SHAPE, 800)
RNG = np.random.default_rng(5)


def counts(*shape: int) -> np.ndarray:
    return RNG.poisson(9, shape).astype(np.uint16)


def doubled(seen: list[Exposure]) -> Loader:
    """A "model" that answers twice what it was shown, and notes what that was."""

    def mend(exposure: Exposure) -> Restored:
        seen.append(exposure)
        made = Restoration(
            image=2 * exposure.values,
            sigma=np.ones(exposure.shape, np.float32),
            model="doubled",
            model_version="3",
            sha256="ab",
            provider="a test",
            elapsed_ms=1.0,
            caution="it is not a model",
        )
        return Restored(made, {"threads": 1, "calibration": "{}"})

    return lambda name: mend


def test_an_exposure_is_written_whole(tmp_path: Path) -> None:
    hello = hello_for(SHAPE)
    first, second = counts(SPARSE.points), counts(3)
    folder = write_journal(
        tmp_path,
        hello,
        {0: SPARSE, 1: POINTS},
        [Shot(first), Shot(second, plan_id=1, pass_index=1)],
        answers=said(hello, POINTS),
        receipt=receipt_for(hello, 2),
    )
    seen: list[Exposure] = []
    report = export_nexus(folder, tmp_path / "one.nxs", load=doubled(seen))
    assert (report.frames, report.passes, report.finished, report.restored_by) == (2, 2, True, "doubled")
    assert (report.problems, report.frames_damaged, report.entries_lost, report.frames_missing) == ((), 0, 0, 0)
    assert report.sample_bytes == first.nbytes + second.nbytes

    signal, dwell, visits = np.zeros(SHAPE), np.zeros(SHAPE), np.zeros(SHAPE, np.uint32)
    for plan, samples in ((SPARSE, first), (POINTS, second)):
        np.add.at(signal, (plan.y, plan.x), samples)
        np.add.at(dwell, (plan.y, plan.x), plan.dwells_ns)
        np.add.at(visits, (plan.y, plan.x), 1)
    with h5py.File(tmp_path / "one.nxs") as file:
        assert (file.attrs["default"], file["entry"].attrs["default"]) == ("entry", "exposure_SE")
        entry = file["entry"]
        shown = entry["exposure_SE"]
        assert [shown.attrs["signal"], *shown.attrs["axes"]] == ["values", "y", "x"]
        np.testing.assert_array_equal(shown["summed_signal"], signal)
        np.testing.assert_array_equal(shown["dwell_ns"], dwell)
        np.testing.assert_array_equal(shown["visits"], visits)
        mean = np.where(visits > 0, signal * 1000 / np.maximum(dwell, 1), np.nan)
        np.testing.assert_allclose(shown["values"], mean, rtol=1e-6)
        np.testing.assert_array_equal(np.isnan(shown["values"]), visits == 0)
        for axis, length in (("y", 24), ("x", 32)):
            np.testing.assert_array_equal(shown[axis], np.arange(length) * 0.5)
            assert shown[axis].attrs["units"] == "nm"
        assert (shown["values"].attrs["units"], shown["dwell_ns"].attrs["units"]) == ("electrons", "ns")

        dose = entry["dose/dose_e_per_nm2"]
        assert (dose.dtype, dose.attrs["units"]) == (np.float32, "1/nm^2")
        np.testing.assert_allclose(dose, dose_e_per_nm2(20.0, 1.0, 0.25) * dwell, rtol=1e-6)
        assert entry["dose/mean_e_per_nm2"][()] == pytest.approx(np.mean(dose), rel=1e-6)
        assert entry["dose/max_e_per_nm2"][()] == pytest.approx(np.max(dose), rel=1e-6)
        assert entry["dose/total_dwell_ns"][()] == dwell.sum()

        restored = entry["restored"]
        assert restored.attrs["made_at_export"]
        np.testing.assert_array_equal(restored["restored"], 2 * seen[0].values)
        np.testing.assert_array_equal(restored["sigma"], np.ones(SHAPE))
        assert "doubled 3 — estimate, not data" in restored["title"].asstr()[()]
        words = {
            name: restored["process"][name].asstr()[()] for name in ("model", "model_version", "sha256", "caution")
        }
        assert words == {"model": "doubled", "model_version": "3", "sha256": "ab", "caution": "it is not a model"}
        assert restored["process/made_at_export"][()]
        assert restored["process/calibration"].asstr()[()] == "{}"


def test_what_was_said_is_written(tmp_path: Path) -> None:
    channel = Channel(name="SE 1/2", kind=DetectorKind.ANALOGUE, units_per_electron=3.5, saturation_units=4095.0)
    hello = hello_for(SHAPE, channels=[channel])
    folder = write_journal(
        tmp_path,
        hello,
        {0: SPARSE, 1: POINTS},
        [Shot(counts(SPARSE.points)), Shot(counts(3), plan_id=1, pass_index=1)],
        answers=said(hello, POINTS),
        receipt=receipt_for(hello, 2),
    )
    export_nexus(folder, tmp_path / "one.nxs")
    with h5py.File(tmp_path / "one.nxs") as file:
        entry = file["entry"]
        assert "restored" not in entry
        assert entry["start_time"].asstr()[()] == "2023-11-14T22:13:20.000000+00:00"
        assert entry["end_time"].asstr()[()].endswith("+00:00")
        assert entry["program_name"].attrs["version"] == __version__
        instrument = entry["measurement/instrument"]
        assert instrument["ebeam_column/electron_source/voltage"][()] == 5000
        assert instrument["optics/probe_current"][()] == pytest.approx(20e-12)
        assert instrument["optics/rotation"][()] == 12.0
        detector = instrument["detector1"]
        assert detector["local_name"].asstr()[()] == "SE 1/2"
        assert detector["local_name"].attrs["name_in_file"] == "SE_1_2"
        assert (detector["units_per_electron"][()], detector["saturation_value"][()]) == (3.5, 4095.0)

        plans = entry["raw/plans"]
        assert json.loads(plans["plan_0/pattern"].asstr()[()])["pitch_px"] == 2.0
        assert plans["plan_0/dwell_ns"][()] == 1000
        np.testing.assert_array_equal(plans["plan_0/x"], SPARSE.x)
        np.testing.assert_array_equal(plans["plan_0/y"], SPARSE.y)
        np.testing.assert_array_equal(plans["plan_1/dwell_ns"], [500, 1500, 2000])

        first, second = entry["proposals/proposal_1"], entry["proposals/proposal_2"]
        assert (first["status"].asstr()[()], first["executed_plan_id"][()]) == ("accepted", 1)
        assert (first["dose_e_per_nm2"][()], first["executed_reason"].asstr()[()]) == (2.0, "run at once")
        np.testing.assert_array_equal(first["plan/x"], POINTS.x)
        assert second["status"].asstr()[()] == "unanswered"
        assert "dose_e_per_nm2" not in second, "it was not known"
        assert entry["proposals/enough_0/code"].asstr()[()] == "target"

        receipt = entry["receipt"]
        assert json.loads(receipt["json"].asstr()[()])["balanced"] is True
        assert (receipt["count"][()], receipt["rejected/oversize"][()]) == (2, 0)
        assert "dose_max_e_per_nm2" not in receipt


def test_passes_over_the_whole_field_are_a_stack(tmp_path: Path) -> None:
    hello = hello_for(SHAPE, Mode.FRAMES, [Channel(name="SE"), Channel(name="BSE")])
    passes = [counts(2, RASTER.points) for _ in range(4)]
    shots = [Shot(passes[0], pass_index=0), Shot(passes[1], pass_index=1)]
    shots += [Shot(part, pass_index=2, first_point=256 * i, end=i == 2) for i, part in _thirds(passes[2])]
    shots += [Shot(part, pass_index=3, first_point=256 * i, end=False) for i, part in _thirds(passes[3])][:2]
    shots += [Shot(counts(2, SPARSE.points), plan_id=1, pass_index=4)]
    folder = write_journal(tmp_path, hello, {0: RASTER, 1: SPARSE}, shots)
    seen: list[Exposure] = []
    report = export_nexus(folder, tmp_path / "one.nxs", load=doubled(seen))
    assert (report.frames, report.passes, report.finished) == (8, 5, False)
    with h5py.File(tmp_path / "one.nxs") as file:
        entry = file["entry"]
        assert entry.attrs["default"] == "frames_SE"
        for channel, name in enumerate(("frames_SE", "frames_BSE")):
            stack = entry[name]
            assert [stack.attrs["signal"], *stack.attrs["axes"]] == ["data", "pass", "y", "x"]
            assert [stack.attrs[f"{axis}_indices"] for axis in ("pass", "y", "x")] == [0, 1, 2]
            wanted = [one[channel].reshape(SHAPE) for one in passes[:3]]
            np.testing.assert_array_equal(stack["data"], wanted)
            np.testing.assert_array_equal(stack["pass_index"], [0, 1, 2])
        table = entry["raw/passes"]
        np.testing.assert_array_equal(table["picture"], [0, 1, 2, -1, -1])
        np.testing.assert_array_equal(table["first_sample"], [-1, -1, -1, 0, 512])
        np.testing.assert_array_equal(table["complete"], [1, 1, 1, 0, 1])
        np.testing.assert_array_equal(table["frames"], [1, 1, 3, 2, 1])
        np.testing.assert_array_equal(entry["raw/samples/BSE"][:512], passes[3][1, :512])
        # The last complete pass is what the service would have shown last.
        np.testing.assert_array_equal(entry["exposure_BSE/visits"][()].sum(), SPARSE.points)
        assert entry["restored/process/channel"].asstr()[()] == "SE"
        dwell = 3 * 800 + (np.arange(RASTER.points) < 512).reshape(SHAPE) * 800.0
        np.add.at(dwell, (SPARSE.y, SPARSE.x), 1000)
        np.testing.assert_allclose(entry["dose/dose_e_per_nm2"], dose_e_per_nm2(20.0, 1.0, 0.25) * dwell, rtol=1e-6)
    assert len(seen) == 1


def _thirds(samples: np.ndarray) -> list[tuple[int, np.ndarray]]:
    return list(enumerate(np.split(samples, 3, axis=1)))


def test_frames_are_in_the_order_of_acquisition_whatever_the_order_on_disk(tmp_path: Path) -> None:
    hello = hello_for(SHAPE, Mode.FRAMES)
    passes = [counts(RASTER.points) for _ in range(5)]
    shots = [Shot(samples, pass_index=index) for index, samples in enumerate(passes)]
    folder = write_journal(tmp_path, hello, {0: RASTER}, shots, order=[0, 3, 1, 4, 2], seqs=[0, 1, 2, 5, 6])
    report = export_nexus(folder, tmp_path / "one.nxs")
    assert (report.frames_missing, report.problems) == (2, ("frames 3 to 4 are not in the recording",))
    with h5py.File(tmp_path / "one.nxs") as file:
        np.testing.assert_array_equal(file["entry/frames_SE/data"], [one.reshape(SHAPE) for one in passes])
        table = file["entry/raw/frames"]
        np.testing.assert_array_equal(table["seq"], [0, 1, 2, 5, 6])
        assert table["acquired_unix_ns"][0] == OPENED_UNIX_NS + 1_000_000
        assert np.all(np.diff(table["dose_e_per_nm2"]) > 0)
        np.testing.assert_array_equal(file["entry/recording/seqs_missing"], [[3, 5]])


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    field = Field(shape=SHAPE, pixel_size_nm=2.0)
    hello = hello_for(SHAPE, field=field, channels=[Channel(name="SE", units_per_electron=None)])
    folder = write_journal(tmp_path, hello, {0: SPARSE}, [Shot(counts(SPARSE.points))])
    export_nexus(folder, tmp_path / "one.nxs")
    with h5py.File(tmp_path / "one.nxs") as file:
        entry = file["entry"]
        assert entry["dose"].attrs["signal"] == "dwell_ns"
        assert "mean_e_per_nm2" not in entry["dose"]
        assert "probe_current" not in entry["measurement/instrument/optics"]
        assert "electrons_per_unit" not in entry["exposure_SE"]
        assert entry["exposure_SE/values"].attrs["units"] == "detector units"
        assert "receipt" not in entry
        assert not entry["recording/finished"][()]
        assert np.isnan(entry["raw/frames/dose_e_per_nm2"][0])


def test_samples_that_are_not_numbers_are_kept_and_stay_out_of_the_maps(tmp_path: Path) -> None:
    hello = hello_for(SHAPE, channels=[Channel(name="SE", dtype="float32")])
    bad = counts(SPARSE.points).astype(np.float32)
    bad[7] = np.nan
    folder = write_journal(tmp_path, hello, {0: SPARSE}, [Shot(counts(SPARSE.points)), Shot(bad, pass_index=1)])
    report = export_nexus(folder, tmp_path / "one.nxs")
    assert len(report.problems) == 1
    assert "frame 1 is not in the maps" in report.problems[0]
    with h5py.File(tmp_path / "one.nxs") as file:
        np.testing.assert_array_equal(file["entry/raw/samples/SE"][SPARSE.points :], bad)
        assert file["entry/exposure_SE/visits"][()].sum() == SPARSE.points
        assert file["entry/dose/total_dwell_ns"][()] == 2 * SPARSE.total_dwell_ns, "the specimen had it all the same"


@pytest.mark.parametrize("compression", Compression)
def test_every_compression_gives_the_same(tmp_path: Path, compression: Compression) -> None:
    passes = [counts(RASTER.points) for _ in range(3)]
    shots = [Shot(samples, pass_index=index) for index, samples in enumerate(passes)]
    folder = write_journal(tmp_path, hello_for(SHAPE, Mode.FRAMES), {0: RASTER}, shots)
    export_nexus(folder, tmp_path / "one.nxs", compression=compression)
    with h5py.File(tmp_path / "one.nxs") as file:
        data = file["entry/frames_SE/data"]
        np.testing.assert_array_equal(data, [one.reshape(SHAPE) for one in passes])
        assert (data.compression == "gzip") is (compression is Compression.GZIP)
        filters = data.id.get_create_plist().get_nfilters()
        assert (filters == 0) is (compression is Compression.NONE)


def test_a_model_of_the_catalogue_restores_and_says_how(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, hello_for(SHAPE), {0: SPARSE}, [Shot(counts(SPARSE.points))])
    report = export_nexus(folder, tmp_path / "one.nxs", load=model_loader(1))
    assert report.restored_by == "pushpull", "the model that the session asked for"
    with h5py.File(tmp_path / "one.nxs") as file:
        process = file["entry/restored/process"]
        assert len(process["sha256"].asstr()[()]) == 64
        assert {"runtime", "precision", "threads", "units_per_electron", "read_variance"} <= set(process)
        assert np.isfinite(file["entry/restored/restored"][()]).all()
        assert (file["entry/restored/sigma"][()] >= 0).all()


def test_data_come_out_where_no_model_works(tmp_path: Path) -> None:
    def none(name: str) -> None:
        raise ModelNotFound(f"There is no {name}.")

    folder = write_journal(tmp_path, hello_for(SHAPE), {0: SPARSE}, [Shot(counts(SPARSE.points))])
    report = export_nexus(folder, tmp_path / "one.nxs", load=none)
    assert report.restored_by == ""
    assert report.problems == ("not restored by pushpull: There is no pushpull.",)


def test_a_session_without_frames_is_a_file_that_says_so(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, hello_for(SHAPE), {0: SPARSE}, [])
    report = export_nexus(folder, tmp_path / "one.nxs", load=doubled([]))
    assert (report.frames, report.passes, report.problems) == (0, 0, ("the recording holds no frame",))
    with h5py.File(tmp_path / "one.nxs") as file:
        assert file["entry"].attrs["default"] == "dose"
        assert not np.any(file["entry/dose/dose_e_per_nm2"])


def test_no_array_is_empty(tmp_path: Path) -> None:
    """RosettaSciIO 0.15, by which HyperSpy reads, cannot load a file that has one."""
    passes = [Shot(counts(RASTER.points), pass_index=index) for index in range(2)]
    folder = write_journal(tmp_path, hello_for(SHAPE, Mode.FRAMES), {0: RASTER}, passes)
    export_nexus(folder, tmp_path / "one.nxs")
    empty: list[str] = []
    with h5py.File(tmp_path / "one.nxs") as file:
        file.visititems(
            lambda name, what: empty.append(name) if isinstance(what, h5py.Dataset) and not what.size else None
        )
    assert empty == []


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(RecordingError, match="There is no recording"):
            export_nexus(folder, tmp_path / "one.nxs")
    assert list(tmp_path.glob("*.nxs")) == []
    assert list(tmp_path.glob(".*")) == []
