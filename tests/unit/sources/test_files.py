"""Files as instruments: what of each format is found, what it gives, and what a bad file brings."""

from __future__ import annotations

import argparse
import json
import math
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import file_samples as sample
import h5py
import numpy as np
import pytest
from file_samples import FRAMES, IMAGES

from scanmend.errors import DamagedFile, InvalidInput, MissingExtra, ScanmendError
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Images, Lost, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.files import opening
from scanmend.sources.files.adapter import ADAPTER
from scanmend.sources.files.opening import open_file

FORMATS = {
    "tif": (lambda at: sample.tiff(at / "a.tif"), FRAMES, {}),
    "compressed tif": (lambda at: sample.tiff(at / "a.tif", compression="zlib"), FRAMES, {}),
    "ome": (lambda at: sample.ome(at / "a.ome.tif"), FRAMES, {"pixel_nm": 20.0}),
    "hspy": (lambda at: sample.hspy(at / "a.hspy"), IMAGES.reshape(2, 3, 4, 5),
             {"images": True, "pixel_nm": 0.5, "beam_current_pa": 50.0, "beam_energy_kev": 200.0}),
    "hspy stack": (lambda at: sample.hspy(at / "a.hspy", FRAMES), FRAMES,
                   {"pixel_nm": 0.5, "beam_current_pa": 50.0, "beam_energy_kev": 200.0}),
    "velox": (lambda at: sample.velox(at / "a.emd"), FRAMES,
              {"pixel_nm": 0.2, "dwell_ns": 4000.0, "beam_energy_kev": 300.0, "name": "HAADF"}),
    "ncem": (lambda at: sample.ncem(at / "a.emd"), FRAMES[0], {"pixel_nm": 0.25, "name": "single"}),
    "nexus": (lambda at: sample.nexus(at / "a.nxs"), FRAMES, {"pixel_nm": 0.3, "name": "HAADF"}),
    "dectris": (lambda at: sample.dectris(at), IMAGES, {"images": True}),
    "mib": (lambda at: sample.mib(at / "a.mib"), IMAGES.reshape(2, 3, 4, 5), {"images": True, "dwell_ns": 2e6}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_file_holds_is_found_and_read(tmp_path: Path, name: str) -> None:
    make, wanted, about = FORMATS[name]
    reader = open_file(make(tmp_path))
    signal = reader.signals[0]
    assert signal.shape == wanted.shape
    for key in ("images", "pixel_nm", "dwell_ns", "beam_current_pa", "beam_energy_kev", "name"):
        if key in about or key != "name":
            found = getattr(signal, key)
            assert found == (pytest.approx(about[key]) if isinstance(about.get(key), float) else about.get(key) or (
                False if key == "images" else None)), key  # fmt: skip
    read = np.concatenate(list(reader.read([0])))
    np.testing.assert_array_equal(read[:, 0], wanted.reshape(-1, *wanted.shape[-2:]))
    reader.close()
    reader.close()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.98])
def test_a_file_that_is_cut_off_is_said_in_words(
    tmp_path: Path, name: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    path = FORMATS[name][0](tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    try:
        with closing(open_file(path)) as reader:
            blocks = list(reader.read([0]))
        # What is read is good; that a TIFF has lost whole pages is a warning of tifffile's.
        wanted = FORMATS[name][1].reshape(-1, *FORMATS[name][1].shape[-2:])
        found = np.concatenate(blocks)[:, 0]
        np.testing.assert_array_equal(found, wanted[: len(found)])
        assert len(found) == len(wanted) or "tifffile" in [record.name for record in caplog.records]
    except (InvalidInput, DamagedFile) as error:
        assert error.message.endswith(".") and error.mend


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_that_are_none_of_the_format_are_refused(tmp_path: Path, name: str) -> None:
    path = FORMATS[name][0](tmp_path)
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(InvalidInput) as caught:
        open_file(path)
    assert caught.value.mend


def test_damage_anywhere_stays_within_the_tree(tmp_path: Path) -> None:
    dice = np.random.default_rng(2)
    for name in ("tif", "velox", "mib", "nexus"):
        path = FORMATS[name][0](tmp_path)
        whole = path.read_bytes()
        for _ in range(60):
            broken = bytearray(whole)
            for at in dice.integers(0, len(broken), 8):
                broken[at] = dice.integers(256)
            path.write_bytes(broken)
            try:
                with closing(open_file(path)) as reader:
                    for number in range(len(reader.signals)):
                        for _ in reader.read([number]):
                            pass
            except ScanmendError as error:
                assert error.mend


# Options -------------------------------------------------------------------------------------------------------------


OF_THE_RELAY = ("shape", "pixel_size_nm", "dwell_us", "beam_current_pa", "beam_energy_kev")


def options(path: Path, *words: str, **given: Any) -> argparse.Namespace:
    """The adapter's options, and those of the relay that are given, completed by what the file says."""
    parser = argparse.ArgumentParser()
    ADAPTER.add_arguments(parser)
    known = {"series": 0, **dict.fromkeys(OF_THE_RELAY), **given}
    arguments = parser.parse_args([str(path), *words], argparse.Namespace(**known))
    ADAPTER.complete(arguments)
    return arguments


def source(path: Path, *words: str, **given: Any) -> Any:
    arguments = options(path, "--speed", "max", *words, **{"pixel_size_nm": 1.0, "dwell_us": 1.0, **given})
    plan = ScanPlan.raster(arguments.shape, max(1, round(arguments.dwell_us * 1e3)))
    return ADAPTER.build(arguments, plan).source


def events(made: Any, series: int = 1) -> list[Any]:
    """All that a source gives until so many series have ended."""
    made.open()
    found: list[Any] = []
    while sum(isinstance(event, SeriesEnded) for event in found) < series:
        event = made.read(0.01)
        if event is not None:
            found.append(event)
    made.close()
    return found


def test_what_the_file_says_of_the_field_is_taken(tmp_path: Path) -> None:
    found = options(sample.velox(tmp_path / "a.emd"))
    assert (found.shape, found.pixel_size_nm, found.dwell_us) == ((8, 10), pytest.approx(0.2), 4.0)
    assert (found.beam_energy_kev, found.beam_current_pa, found.series) == (300.0, None, 1)
    assert options(sample.mib(tmp_path / "a.mib"), pixel_size_nm=1.0).shape == (2, 3)
    found = options(sample.hspy(tmp_path / "a.hspy"), dwell_us=7.0, beam_energy_kev=60.0)
    assert (found.shape, found.pixel_size_nm, found.beam_current_pa) == ((2, 3), 0.5, 50.0)
    assert (found.dwell_us, found.beam_energy_kev) == (7.0, 60.0)  # what is given goes before what the file says


def test_a_dwell_is_assumed_only_where_no_dose_depends_on_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert options(sample.tiff(tmp_path / "a.tif"), pixel_size_nm=1.0).dwell_us == 1.0
    assert "--dwell-us" in caplog.text
    with pytest.raises(InvalidInput, match="the dwell time, which the dose depends on"):
        options(sample.hspy(tmp_path / "a.hspy"))


def test_what_neither_the_file_nor_anybody_says_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="size of a pixel") as caught:
        options(sample.tiff(tmp_path / "a.tif"))
    assert caught.value.mend == "Give --pixel-size-nm."
    with pytest.raises(InvalidInput, match="grid") as caught:
        options(sample.tiff(tmp_path / "b.tif"), "--as", "image", pixel_size_nm=1.0)
    assert caught.value.mend == "Give --shape."
    with pytest.raises(InvalidInput, match="size of a pixel"):  # the axes of a detector are no lengths
        options(sample.hspy(tmp_path / "a.hspy"), "--as", "frame", dwell_us=1.0)


def test_detectors_of_one_scan_are_channels(tmp_path: Path) -> None:
    made = source(sample.velox(tmp_path / "a.emd"))
    assert [(channel.name, channel.dtype, channel.units_per_electron) for channel in made.channels] == [
        ("HAADF", "uint16", None), ("BF", "uint16", None)]  # fmt: skip
    samples = [event for event in events(made) if isinstance(event, Samples)]
    table = np.concatenate([event.values for event in samples], axis=1)
    np.testing.assert_array_equal(table, np.stack([FRAMES.reshape(-1), FRAMES.reshape(-1) + 1]))
    alone = source(sample.velox(tmp_path / "b.emd", ("DF", "DF")), "--signal", "1", "--counting")
    assert [(c.name, c.kind, c.units_per_electron) for c in alone.channels] == [("DF", "counting", 1.0)]
    assert [c.name for c in source(sample.velox(tmp_path / "c.emd", ("DF", "DF"))).channels] == ["DF", "DF 2"]


def test_channels_of_a_tiff_are_channels(tmp_path: Path) -> None:
    both = np.stack([FRAMES, FRAMES + 1], axis=1)
    about = {"axes": "TCYX", "Channel": {"Name": ["SE", "BSE"]}, "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}
    for options_, names in (
        ({"ome": True, "metadata": about}, ["SE", "BSE"]),
        ({"imagej": True, "metadata": {"axes": "TCYX"}}, ["series 0 0", "series 0 1"]),
    ):
        path = sample.tiff(tmp_path / ("a.ome.tif" if "ome" in options_ else "b.tif"), both, **options_)
        with closing(open_file(path)) as reader:
            assert [(s.name, s.shape) for s in reader.signals] == [(name, (3, 8, 10)) for name in names]
            np.testing.assert_array_equal(np.concatenate(list(reader.read([1, 0]))), both[:, ::-1])
    assert [channel.name for channel in source(tmp_path / "a.ome.tif").channels] == ["SE", "BSE"]


def test_images_come_one_a_point_and_again_for_each_series(tmp_path: Path) -> None:
    found = events(source(sample.hspy(tmp_path / "a.hspy"), dwell_us=1.0), 2)
    begun = [event for event in found if isinstance(event, SeriesBegan)]
    assert [(event.series, event.points) for event in begun] == [("a-1", 6), ("a-2", 6)]
    stacks = [event.stack for event in found if isinstance(event, Images)]
    np.testing.assert_array_equal(np.concatenate(stacks), np.concatenate([IMAGES, IMAGES]))


def test_a_stack_can_be_called_images_and_images_frames(tmp_path: Path) -> None:
    path = sample.tiff(tmp_path / "a.tif", IMAGES)
    made = source(path, "--as", "image", shape=(2, 3))
    assert made.channels == () and sum(len(e.stack) for e in events(made) if isinstance(e, Images)) == 6
    frames = options(sample.hspy(tmp_path / "a.hspy"), "--as", "frame", pixel_size_nm=1.0, dwell_us=1.0)
    assert frames.shape == (4, 5)


def test_it_is_replayed_at_the_speed_of_the_scan(tmp_path: Path) -> None:
    arguments = options(sample.tiff(tmp_path / "a.tif"), "--speed", "2", dwell_us=1000.0, pixel_size_nm=1.0)
    made = ADAPTER.build(arguments, ScanPlan.raster(arguments.shape, 1_000_000)).source
    began_s = time.monotonic()
    samples = [event for event in events(made) if isinstance(event, Samples)]
    assert time.monotonic() - began_s >= 240 * 1e-3 / 2
    assert sum(event.values.shape[1] for event in samples) == 240 and len(samples) >= 3
    made.open()
    assert isinstance(made.read(0.0), SeriesBegan) and made.read(0.0) is None  # it never waits longer than it is told
    made.close()


TYPES = {
    "bool": (FRAMES > 50, "uint8"),
    "int8": ((FRAMES % 100 - 50).astype(np.int8), "int16"),
    "big-endian": (FRAMES.astype(">u2"), "uint16"),
    "int64": (FRAMES.astype(np.int64), "float32"),
    "float64": (FRAMES / 7, "float32"),
    "float16": (FRAMES.astype(np.float16), "float32"),
}


@pytest.mark.parametrize("name", TYPES)
def test_values_of_every_type_are_sent_as_one_of_the_protocols(tmp_path: Path, name: str) -> None:
    data, dtype = TYPES[name]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = data
    made = source(tmp_path / "a.h5")
    assert made.channels[0].dtype == dtype
    table = np.concatenate([e.values for e in events(made) if isinstance(e, Samples)], axis=1)
    assert table.dtype == dtype
    np.testing.assert_allclose(table[0], data.reshape(-1).astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "said"), [(math.nan, "not a number"), (math.inf, "not a number"), (1e300, "too large")]
)
def test_a_picture_with_a_value_that_cannot_be_is_counted_as_lost(tmp_path: Path, value: float, said: str) -> None:
    data = FRAMES.astype(np.float64)
    data[1, 2, 3] = value
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = data
    found = events(source(tmp_path / "a.h5"))
    (lost,) = [event for event in found if isinstance(event, Lost)]
    assert (lost.first, lost.points, lost.problem.code) == (80, 80, Code.UNDECODABLE) and said in lost.problem.text
    assert sum(event.values.shape[1] for event in found if isinstance(event, Samples)) == 160


def test_a_whole_number_that_float32_cannot_hold_is_not_sent_as_another_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = FRAMES.astype(np.int64) + (1 << 40)
    assert [type(event) for event in events(source(tmp_path / "a.h5"))] == [SeriesBegan, Lost, Lost, Lost, SeriesEnded]


def test_what_comes_before_the_damage_is_replayed(tmp_path: Path) -> None:
    path = sample.mib(tmp_path / "a.mib")
    path.write_bytes(path.read_bytes()[:-3])
    found = events(source(path, shape=(2, 3)))
    assert sum(len(event.stack) for event in found if isinstance(event, Images)) == 5
    (lost,) = [event for event in found if isinstance(event, Lost)]
    assert (lost.first, lost.points) == (5, 1) and "Is the file whole?" in lost.problem.mend


def test_what_cannot_be_replayed_is_said_at_once(tmp_path: Path) -> None:
    h5, cases = tmp_path / "a.h5", []
    with h5py.File(h5, "w") as file:
        file["complex"], file["other"] = FRAMES.astype(np.complex64), FRAMES
        file["text"], file["line"] = "no picture", np.arange(9)
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    colour = sample.tiff(tmp_path / "colour.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    master = sample.dectris(tmp_path)
    (tmp_path / "run_data_000002.h5").unlink()
    (tmp_path / "zero.tif").touch()
    raw = sample.mib(tmp_path / "raw.mib", kind="R64")
    cases = [
        ([h5], "several signals: 0 'complex' 3×8×10 complex64, 1 'other'"),
        ([h5, "--signal", "complex"], "complex64"),
        ([h5, "--signal", "neither"], "no signal 'neither'"),
        ([h5, "--signal", "complex", "--signal", "other"], "several signals"),
        ([tmp_path / "empty.h5"], "holds no picture"),
        ([colour], "colour"),
        ([master], "not beside it"),
        ([tmp_path / "zero.tif"], "is empty"),
        ([tmp_path / "nowhere.tif"], "There is no file"),
        ([tmp_path], "There is no file"),
        ([raw], "R64"),
    ]
    for words, said in cases:
        with pytest.raises(InvalidInput, match=said) as caught:
            options(*words)
        assert caught.value.mend
    with pytest.raises(InvalidInput, match="8 × 10 pixels, the field 9 × 9"):
        source(h5, "--signal", "other", shape=(9, 9))


# Readers behind a pipe -----------------------------------------------------------------------------------------------


def test_a_reader_of_somebody_else_is_read_through_its_pipe(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=FRAMES, b=FRAMES + 1)
    made = source(tmp_path / "a.npz", "--reader", sample.reader(tmp_path))
    assert [channel.name for channel in made.channels] == ["array 0", "array 1"]
    found = events(made, 2)
    table = np.concatenate([event.values for event in found if isinstance(event, Samples)], axis=1)
    np.testing.assert_array_equal(table[:, :240], np.stack([FRAMES.reshape(-1), FRAMES.reshape(-1) + 1]))
    np.testing.assert_array_equal(table[:, :240], table[:, 240:])


def header(shape: tuple[int, ...] = (), dtype: str = "<u2", version: int = 1) -> str:
    """A reader that says what it has, and no more."""
    signals = [{"name": "a", "shape": shape, "dtype": dtype}] if shape else []
    return f"print({json.dumps({'scanmend_reader': version, 'signals': signals})!r})"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('hello')", "cannot be read"),
        ("pass", "cannot be read"),
        ("import sys; sys.exit('the file is of a dialect that nobody reads')", "a dialect that nobody reads"),
        (header(version=2), "version 2"),
        (header(), "holds no picture"),
        (header((9,)), "shape"),
        (header((9, 9), "O"), "type O"),
        (header((9, 9), "?!"), "type"),
        (header((9, 99_999_999)), "shape"),
        ("print('{' * 5_000_000)", "cannot be read"),
    ],
)
def test_a_reader_that_does_not_keep_to_the_pipe_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.odd").write_bytes(b"x")
    with pytest.raises(InvalidInput, match=said) as caught:
        options(tmp_path / "a.odd", "--reader", sample.reader(tmp_path, text))
    assert caught.value.mend


def test_a_reader_that_ends_in_the_middle(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=FRAMES)
    half = sample.READER.replace("chosen.tobytes()", "chosen.tobytes()[:400]") + "\n    sys.exit('the disk is gone')"
    found = events(source(tmp_path / "a.npz", "--reader", sample.reader(tmp_path, half)))
    (lost,) = [event for event in found if isinstance(event, Lost)]
    assert (lost.first, lost.points) == (160, 80) and "the disk is gone" in lost.problem.text


def test_without_rosettasciio_the_mend_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.dm4").write_bytes(b"x")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(opening.ENVIRONMENT, str(tmp_path / "no-python"))
    for words in ([], ["--reader-python", str(tmp_path / "nobody")]):
        with pytest.raises(MissingExtra, match="RosettaSciIO") as caught:
            options(tmp_path / "a.dm4", *words)
        assert "pip install rosettasciio" in caught.value.mend
    with pytest.raises(InvalidInput, match="cannot be started"):
        options(tmp_path / "a.dm4", "--reader", str(tmp_path / "nobody"))


def test_nothing_of_this_package_imports_rosettasciio() -> None:
    folder = Path(opening.__file__).parents[2]
    guilty = [path for path in folder.rglob("*.py") if "rsciio" in path.read_text() and path != opening.SCRIPT]
    assert [path.name for path in guilty] == ["opening.py"]  # which asks another Python whether it has it
    assert not (opening.SCRIPT.parent / "__init__.py").exists()
