"""Whatever was scanned, and whatever became of the journal: the samples in the file are those that were sent."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journals import Shot, hello_for, receipt_for, write_journal
from scanmend.export import RecordedSession, export_nexus
from scanmend.export.passes import last_pass, whole_pictures
from scanmend.field import SAMPLE_DTYPES, Channel
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

assert hdf5plugin.FILTERS, "Blosc is read with it"

SHAPE = (6, 10)
PLANS = {
    0: ScanPlan.raster(SHAPE, 1000),
    1: ScanPlan.serpentine(SHAPE, 700),
    2: ScanPlan.random(SHAPE, 300, coverage=0.4, seed=3),
    3: ScanPlan.point_list(SHAPE, [1, 2, 3, 4], xy=[[0, 0], [9, 5], [9, 5], [4, 4]]),
    4: ScanPlan.raster(SHAPE, 1000, top=1, height=2, left=3, width=4),
}


def samples_of(file: h5py.File, channel: str, row: int) -> np.ndarray:
    """The samples of a frame, by its row in the table of frames: from the stack, or from the list."""
    entry = file["entry"]
    frames = {
        name: int(entry["raw/frames"][name][row]) for name in ("picture", "first_sample", "first_point", "points")
    }
    if frames["picture"] >= 0:
        flat = entry[f"frames_{channel}/data"][frames["picture"]].reshape(-1)
        return flat[frames["first_point"] :][: frames["points"]]
    return entry[f"raw/samples/{channel}"][frames["first_sample"] :][: frames["points"]]


@st.composite
def scans(draw: st.DrawFn) -> tuple[str, int, list[Shot]]:
    """A sample type, a number of channels, and passes in one or several frames, some of them cut short."""
    dtype = draw(st.sampled_from(SAMPLE_DTYPES))
    channels = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shots: list[Shot] = []
    for index in range(draw(st.integers(0, 6))):
        plan_id = draw(st.sampled_from(sorted(PLANS)))
        points = PLANS[plan_id].points
        cuts = sorted({0, *draw(st.lists(st.integers(1, points - 1), max_size=3))})
        ends = [*cuts[1:], points]
        kept = draw(st.integers(1, len(cuts)))
        for number, (first, last) in enumerate(zip(cuts[:kept], ends[:kept], strict=True)):
            raw = rng.integers(0, 256, (channels, last - first, np.dtype(dtype).itemsize), dtype=np.uint8)
            values = raw.view(dtype)[..., 0]
            if dtype == "float32":  # every pattern of bits is a sample but those of NaN, which == cannot compare
                values = np.where(np.isfinite(values), values, np.float32(0.1))
            shots.append(Shot(values, plan_id, index, first, end=number == len(cuts) - 1))
    return dtype, channels, shots


@settings(max_examples=30, deadline=None)
@given(scans(), st.sampled_from(Mode), st.randoms(use_true_random=False))
def test_samples_come_back_bit_for_bit(scan: tuple[str, int, list[Shot]], mode: Mode, chance) -> None:
    dtype, count, shots = scan
    channels = [Channel(name=f"C{number}", dtype=dtype) for number in range(count)]
    hello = hello_for(SHAPE, mode, channels)
    order = list(range(len(shots)))
    chance.shuffle(order)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = write_journal(place, hello, PLANS, shots, order=order)
        report = export_nexus(folder, place / "one.nxs")
        assert report.frames == len(shots)
        assert report.sample_bytes == sum(shot.samples.nbytes for shot in shots)
        with h5py.File(place / "one.nxs") as file:
            for row, shot in enumerate(shots):
                for number, channel in enumerate(channels):
                    back = samples_of(file, channel.name, row)
                    assert back.dtype == np.dtype(dtype)
                    assert back.tobytes() == shot.samples[number].tobytes()
                passed = int(file["entry/raw/frames/pass"][row])
                assert file["entry/raw/passes/plan_id"][passed] == shot.plan_id
                assert file["entry/raw/passes/pass_index"][passed] == shot.pass_index
            stacked = "frames_C0" in file["entry"]
        with RecordedSession(folder) as session:
            whole = [samples.copy() for _, samples in whole_pictures(session)]
            assert stacked is (mode is Mode.FRAMES and bool(whole))
            found = last_pass(session)
            assert (found is None) is (shots == [])
            if found is not None:
                complete = {index for index in {s.pass_index for s in shots} if _is_complete(shots, index)}
                assert found[0] == max(complete or {s.pass_index for s in shots})


def _is_complete(shots: list[Shot], index: int) -> bool:
    mine = [shot for shot in shots if shot.pass_index == index]
    return sum(shot.samples.shape[1] for shot in mine) == PLANS[mine[0].plan_id].points


def damage(folder: Path, payload: bytes) -> None:
    """Turn one bit of a recorded payload over."""
    for path in folder.glob("journal-*.smj"):
        data = bytearray(path.read_bytes())
        at = data.find(payload)
        if at >= 0:
            data[at + len(payload) // 2] ^= 4
            path.write_bytes(data)
            return
    raise AssertionError("the payload is not in the journal")


@pytest.mark.parametrize("mode", Mode)
def test_a_damaged_frame_is_named_and_all_others_are_there(tmp_path: Path, mode: Mode) -> None:
    hello = hello_for((40, 50), mode)
    raster = ScanPlan.raster((40, 50), 1000)
    passes = [np.random.default_rng(i).integers(0, 60_000, 2000, dtype=np.uint16) for i in range(5)]
    shots = [Shot(samples, pass_index=index) for index, samples in enumerate(passes)]
    folder = write_journal(tmp_path, hello, {0: raster}, shots, receipt=receipt_for(hello, 5))
    damage(folder, passes[2].tobytes())
    report = export_nexus(folder, tmp_path / "one.nxs")
    assert (report.frames, report.frames_damaged, report.frames_missing, report.finished) == (4, 1, 0, True)
    assert len(report.problems) == 1 and report.problems[0].startswith("frame 2: ")
    with h5py.File(tmp_path / "one.nxs") as file:
        np.testing.assert_array_equal(file["entry/raw/frames/seq"], [0, 1, 3, 4])
        np.testing.assert_array_equal(file["entry/recording/frames_damaged"], [2])
        assert "checksum" in file["entry/recording/problems"].asstr()[()]
        for row, index in enumerate((0, 1, 3, 4)):
            np.testing.assert_array_equal(samples_of(file, "SE", row), passes[index])
        assert file["entry/dose/total_dwell_ns"][()] == 4 * raster.total_dwell_ns


def test_entries_that_are_gone_are_counted(tmp_path: Path) -> None:
    """Entry headers of two frames and of the receipt are wiped out: the seal still knows how many there were."""
    hello = hello_for((40, 50))
    raster = ScanPlan.raster((40, 50), 1000)
    passes = [np.random.default_rng(i).integers(0, 60_000, 2000, dtype=np.uint16) for i in range(4)]
    shots = [Shot(samples, pass_index=index) for index, samples in enumerate(passes)]
    folder = write_journal(tmp_path, hello, {0: raster}, shots, receipt=receipt_for(hello, 4))
    (path,) = folder.glob("journal-*.smj")
    data = bytearray(path.read_bytes())
    begins = [at for at in range(4096, len(data), 8) if data[at : at + 4] == b"SMJE"]
    assert len(begins) == 8  # HELLO, plan, four frames, receipt, seal
    for number in (3, 4, 6):
        data[begins[number] : begins[number] + 64] = bytes(64)
    path.write_bytes(data)
    report = export_nexus(folder, tmp_path / "one.nxs")
    assert (report.frames, report.entries_lost, report.frames_missing, report.finished) == (2, 3, 2, False)
    assert set(report.problems) == {
        "journal entries 3 to 4 are damaged or missing",
        "journal entries 6 to 6 are damaged or missing",
        "frames 1 to 2 are not in the recording",
    }


def test_samples_of_a_lost_plan_are_kept_without_their_places(tmp_path: Path) -> None:
    hello = hello_for((40, 50))
    sparse = ScanPlan.point_list((40, 50), 1000, xy=[[3, 4], [7, 8], [9, 10]] * 50)
    samples = np.arange(150, dtype=np.uint16)
    folder = write_journal(tmp_path, hello, {0: PLANS_OF_50, 9: sparse}, [Shot(samples, plan_id=9)])
    damage(folder, sparse.pattern.xy)
    report = export_nexus(folder, tmp_path / "one.nxs")
    assert any("plan 9 is lost" in text for text in report.problems)
    with h5py.File(tmp_path / "one.nxs") as file:
        np.testing.assert_array_equal(file["entry/raw/samples/SE"], samples)
        assert file["entry/raw/passes/planned_points"][0] == 0
        assert list(file["entry/raw/plans"]) == ["plan_0"]
        assert file["entry/exposure_SE/visits"][()].sum() == 0


PLANS_OF_50 = ScanPlan.raster((40, 50), 1000)
