"""TIFF, PNG, npz and csv of a session."""

from __future__ import annotations

import csv
import html
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from journals import Shot, hello_for, write_journal
from scanmend import Restorer
from scanmend.cli.restore import read_exposure
from scanmend.errors import ExportError, InvalidInput, RecordingError
from scanmend.export import RecordedSession
from scanmend.export.drawn import bar_length_nm, grey_levels, length_text
from scanmend.export.model import model_loader
from scanmend.export.pictures import Shown, exposure_of, write_png, write_tiff
from scanmend.export.samples import write_csv, write_npz
from scanmend.export.snapshot import Picture, as_u16, png_bytes, tiff_bytes
from scanmend.field import Channel, DetectorKind, Field
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

SHAPE = (48, 64)
RASTER = ScanPlan.raster(SHAPE, 1000)
SPARSE = ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2.0, seed=1)
RNG = np.random.default_rng(2)
NAMES = {"ome": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}


def movie(place: Path, **more: object) -> tuple[RecordedSession, np.ndarray]:
    """Four passes of two channels; the third one in pieces, the fourth cut short."""
    passes = RNG.poisson(30, (4, 2, RASTER.points)).astype(np.uint16)
    half = RASTER.points // 2
    shots = [Shot(passes[0]), Shot(passes[1], pass_index=1)]
    shots += [Shot(passes[2][:, :half], pass_index=2, end=False)]
    shots += [Shot(passes[2][:, half:], pass_index=2, first_point=half)]
    shots += [Shot(passes[3][:, :half], pass_index=3, end=False)]
    channels = [Channel(name="SE"), Channel(name="BSE")]
    hello = hello_for(SHAPE, Mode.FRAMES, channels, **more)
    folder = write_journal(place, hello, {0: RASTER}, shots)
    return RecordedSession(folder), passes[:3].reshape(3, 2, *SHAPE)


def adaptive(place: Path, plan: ScanPlan | None = None, **more: object) -> RecordedSession:
    """Two passes of an exposure, the second one by a plan of its own."""
    second = plan or SPARSE
    shots = [Shot(RNG.poisson(20, SPARSE.points)), Shot(RNG.poisson(20, second.points), plan_id=1, pass_index=1)]
    return RecordedSession(write_journal(place, hello_for(SHAPE, **more), {0: SPARSE, 1: second}, shots))


def ome(path: Path) -> ElementTree.Element:
    with tifffile.TiffFile(path) as tiff:
        assert tiff.ome_metadata is not None
        return ElementTree.fromstring(tiff.ome_metadata)


def test_a_tiff_holds_every_complete_pass_with_its_pixel_size(tmp_path: Path) -> None:
    session, passes = movie(tmp_path)
    with session:
        assert write_tiff(session, tmp_path / "one.ome.tif", Shown.DATA, None, None, force=False) == 3
    back = tifffile.imread(tmp_path / "one.ome.tif")
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, passes)
    pixels = ome(tmp_path / "one.ome.tif").find(".//ome:Pixels", NAMES)
    assert pixels is not None
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit")) == ("0.5", "nm")
    assert (pixels.get("SizeT"), pixels.get("SizeC")) == ("3", "2")
    assert [each.get("Name") for each in pixels.findall("ome:Channel", NAMES)] == ["SE", "BSE"]
    with tifffile.TiffFile(tmp_path / "one.ome.tif") as tiff:
        count, of = tiff.pages[0].tags["XResolution"].value
        assert tiff.pages[0].tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        assert count / of == pytest.approx(1e7 / 0.5), "pixels in a centimetre, by which ImageJ knows the scale"


def test_a_tiff_of_an_exposure_is_its_mean_signal(tmp_path: Path) -> None:
    with adaptive(tmp_path) as session:
        write_tiff(session, tmp_path / "one.ome.tif", Shown.DATA, None, None, force=False)
        exposure = exposure_of(session)
    back = tifffile.imread(tmp_path / "one.ome.tif")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, np.where(exposure.visits > 0, exposure.values, np.nan))


def test_a_restored_tiff_says_so(tmp_path: Path) -> None:
    with adaptive(tmp_path) as session:
        for shown in (Shown.RESTORED, Shown.SIGMA):
            write_tiff(session, tmp_path / f"{shown}.tif", shown, model_loader(1), "pushpull", force=False)
            told = ElementTree.tostring(ome(tmp_path / f"{shown}.tif"), encoding="unicode")
            assert "restored by pushpull 1.0.0 — estimate, not data" in told
            assert "made at export" in told
        wanted = Restorer.load("pushpull", threads=1).restore(exposure_of(session))
    np.testing.assert_allclose(tifffile.imread(tmp_path / "restored.tif"), wanted.image, rtol=1e-5)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "sigma.tif"), wanted.sigma, rtol=1e-5)


def test_a_tiff_in_16_bits_says_how_to_get_the_values_back(tmp_path: Path) -> None:
    with adaptive(tmp_path) as session:
        for shown in (Shown.DATA, Shown.RESTORED):
            target = tmp_path / f"{shown}.tif"
            write_tiff(session, target, shown, model_loader(1), "pushpull", bits=16, force=False)
        exposure = exposure_of(session)
        wanted = Restorer.load("pushpull", threads=1).restore(exposure).image
    back = tifffile.imread(tmp_path / "restored.tif")
    assert back.dtype == np.uint16 and (back.min(), back.max()) == (1, 65535)
    told = ElementTree.tostring(ome(tmp_path / "restored.tif"), encoding="unicode")
    assert "estimate, not data" in told
    scale = re.search(r"value = (\S+) \+ (\S+) × \(sample − 1\)", html.unescape(told))
    assert scale is not None
    values = float(scale[1]) + float(scale[2]) * (back.astype(np.float64) - 1)
    np.testing.assert_allclose(values, wanted, atol=float(np.ptp(wanted)) / 65534)
    data = tifffile.imread(tmp_path / "data.tif")
    np.testing.assert_array_equal(data == 0, exposure.visits == 0)
    assert ome(tmp_path / "data.tif").find(".//ome:Pixels", NAMES).get("PhysicalSizeX") == "0.5"


@pytest.mark.parametrize(
    ("values", "wanted", "words"),
    [
        ([[0.0, 3.0]], [[0, 3]], ""),
        ([[7, 65535]], [[7, 65535]], ""),
        ([[np.nan, np.nan]], [[0, 0]], "; nothing was sampled"),
        ([[np.nan, 5.0]], [[0, 1]], "; value = 5 + 1 × (sample − 1); 0: not sampled"),
        ([[-1.0, 65533.0]], [[1, 65535]], "; value = -1 + 1 × (sample − 1)"),
    ],
)
def test_counts_stay_counts_in_16_bits(values: list, wanted: list, words: str) -> None:
    made, said = as_u16(np.asarray(values))
    np.testing.assert_array_equal(made, wanted)
    assert (made.dtype, said) == (np.uint16, words)


def test_passes_are_written_in_the_bits_that_are_asked_for(tmp_path: Path) -> None:
    session, passes = movie(tmp_path)
    with session:
        write_tiff(session, tmp_path / "16.tif", Shown.DATA, None, None, bits=16, force=False)
        write_tiff(session, tmp_path / "32.tif", Shown.DATA, None, None, bits=32, force=False)
    assert tifffile.imread(tmp_path / "16.tif").dtype == np.uint16
    back = tifffile.imread(tmp_path / "32.tif")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, passes)


def test_passes_that_do_not_fit_into_16_bits_are_refused(tmp_path: Path) -> None:
    hello = hello_for(SHAPE, Mode.FRAMES, [Channel(name="SE", dtype="float32")])
    folder = write_journal(tmp_path, hello, {0: RASTER}, [Shot(np.ones(RASTER.points))])
    with RecordedSession(folder) as session, pytest.raises(InvalidInput, match="does not fit into 16 bits"):
        write_tiff(session, tmp_path / "one.tif", Shown.DATA, None, None, bits=16, force=False)
    assert not (tmp_path / "one.tif").exists()


def test_a_picture_in_memory_becomes_the_same_files(tmp_path: Path) -> None:
    values = np.linspace(0, 10, 48 * 64, dtype=np.float32).reshape(48, 64)
    shot = Picture(
        values=values, pixel_size_nm=0.5, title="live", words="SE, restored by x — estimate, not data", channel="SE"
    )
    with Image.open(io.BytesIO(png_bytes(shot))) as png:
        assert png.text["Description"] == "live: SE, restored by x — estimate, not data"
        assert (np.asarray(png)[48 * 8 :] == 255).any()
        np.testing.assert_array_equal(np.asarray(png)[: 48 * 8 : 8, ::8], grey_levels(values))
    with tifffile.TiffFile(io.BytesIO(tiff_bytes(shot))) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), values)
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
    with tifffile.TiffFile(io.BytesIO(tiff_bytes(shot, bits=16))) as tiff:
        assert tiff.asarray().dtype == np.uint16


def test_a_png_shows_the_picture_its_scale_and_what_it_is(tmp_path: Path) -> None:
    with adaptive(tmp_path) as session:
        write_png(session, tmp_path / "data.png", Shown.DATA, None, None, force=False)
        write_png(session, tmp_path / "restored.png", Shown.RESTORED, model_loader(1), "pushpull", force=False)
        grey = grey_levels(np.where(exposure_of(session).visits > 0, exposure_of(session).values, np.nan))
    with Image.open(tmp_path / "data.png") as data, Image.open(tmp_path / "restored.png") as restored:
        assert (data.mode, restored.mode) == ("L", "L")
        assert "restored" not in data.text["Description"]
        assert "restored by pushpull 1.0.0 — estimate, not data" in restored.text["Description"]
        levels = np.asarray(data)
        factor = levels.shape[1] // SHAPE[1]
        assert factor == 8, "a small field is enlarged, so that the words can be read"
        np.testing.assert_array_equal(levels[: SHAPE[0] * factor : factor, ::factor], grey)
        bars = [_bar_px(np.asarray(each)[SHAPE[0] * factor :]) for each in (data, restored)]
        assert bars == [factor * 10] * 2, "5 nm of 0.5 nm pixels"
        words = np.asarray(restored)[SHAPE[0] * factor :] != np.asarray(data)[SHAPE[0] * factor :]
        assert words.any(), "a restored picture says so in the picture itself"


def _bar_px(strip: np.ndarray) -> int:
    runs = [np.flatnonzero(np.diff(np.concatenate(([0], line == 255, [0])))) for line in strip]
    return max(int(np.diff(run.reshape(-1, 2)).max()) for run in runs if run.size)


@pytest.mark.parametrize(
    ("width_nm", "bar_nm", "text"),
    [(32, 5, "5 nm"), (80, 20, "20 nm"), (1000, 200, "200 nm"), (5000, 1000, "1 µm"), (0.4, 0.1, "100 pm"),
     (8.1e6, 2e6, "2 mm"), (4 * 0.05, 0.05, "50 pm"), (9999, 2000, "2 µm")],
)  # fmt: skip
def test_scale_bars_are_one_two_or_five(width_nm: float, bar_nm: float, text: str) -> None:
    assert bar_length_nm(width_nm) == pytest.approx(bar_nm)
    assert length_text(bar_length_nm(width_nm)) == text


@pytest.mark.parametrize(
    "plan",
    [
        SPARSE,
        ScanPlan.jittered_grid(SHAPE, 3000, pitch_px=4.0, seed=9),
        ScanPlan.random(SHAPE, np.random.default_rng(1).integers(1, 9, 800) * 250, coverage=800 / (48 * 64)),
    ],
    ids=["one dwell", "multiples", "any dwells"],
)
@pytest.mark.parametrize("kind", DetectorKind)
def test_an_npz_can_be_restored_again_to_the_same(tmp_path: Path, plan: ScanPlan, kind: DetectorKind) -> None:
    channel = Channel(name="SE", kind=kind, read_noise_units=0.7, units_per_electron=2.0)
    with adaptive(tmp_path, plan, channels=[channel]) as session:
        write_npz(session, tmp_path / "one.npz", force=False)
        exposure = exposure_of(session)
    back = read_exposure(tmp_path / "one.npz", None, 0.0)
    assert back.electrons_per_unit == exposure.electrons_per_unit == 1.0
    np.testing.assert_array_equal(back.visits > 0, exposure.visits > 0)
    with np.load(tmp_path / "one.npz", allow_pickle=False) as arrays:
        reference = float(arrays["reference_dwell_ns"])
        assert float(arrays["pixel_size_nm"]) == 0.5
    scale = exposure.reference_dwell_ns / reference
    np.testing.assert_allclose(back.values * scale, exposure.values, rtol=1e-6)
    np.testing.assert_allclose(back.weight / scale, exposure.weight, rtol=1e-6)
    # The noise of a mean, read noise squared over weight, is the same in the units of either.
    assert back.read_noise * scale / scale**0.5 == pytest.approx(exposure.read_noise)
    if scale == 1:
        restorer = Restorer.load("pushpull", threads=1)
        ours, theirs = restorer.restore(exposure), restorer.restore(back)
        np.testing.assert_allclose(theirs.image, ours.image, rtol=1e-5)
        np.testing.assert_allclose(theirs.sigma, ours.sigma, rtol=1e-5)


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_a_table_has_a_line_a_frame_with_the_dose_so_far(tmp_path: Path) -> None:
    session, _ = movie(tmp_path)
    with session:
        assert write_csv(session, tmp_path / "one.csv", force=False) == 5
        per_pass = session.hello.field.dose_e_per_nm2(RASTER.total_dwell_ns)
    rows = read(tmp_path / "one.csv")
    assert per_pass is not None
    doses = [float(row["dose_e_per_nm2"]) for row in rows]
    assert doses == pytest.approx([per_pass * share for share in (1, 2, 2.5, 3, 3.5)])
    assert [(row["seq"], row["pass_index"], row["points"]) for row in rows][2:4] == [
        ("2", "2", str(RASTER.points // 2)),
        ("3", "2", str(RASTER.points // 2)),
    ]
    assert rows[0]["acquired"] == "2023-11-14T22:13:20.001000+00:00"


def test_a_dose_that_is_not_known_is_an_empty_cell(tmp_path: Path) -> None:
    session, _ = movie(tmp_path, field=Field(shape=SHAPE, pixel_size_nm=1.0))
    with session:
        write_csv(session, tmp_path / "one.csv", force=False)
    assert {row["dose_e_per_nm2"] for row in read(tmp_path / "one.csv")} == {""}


def test_pictures_of_nothing_are_refused(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, hello_for(SHAPE), {0: SPARSE}, [])
    with RecordedSession(folder) as session:
        for write in (write_tiff, write_png):
            with pytest.raises(RecordingError, match="holds no frame"):
                write(session, tmp_path / "one", Shown.DATA, None, None, force=False)
        with pytest.raises(RecordingError, match="holds no frame"):
            write_npz(session, tmp_path / "one", force=False)
    assert not (tmp_path / "one").exists()


def test_a_picture_that_cannot_be_restored_is_refused(tmp_path: Path) -> None:
    with adaptive(tmp_path) as session:
        with pytest.raises(ExportError, match="There is no model called 'best'"):
            write_png(session, tmp_path / "one.png", Shown.RESTORED, model_loader(1), "best", force=False)
    assert not (tmp_path / "one.png").exists()
