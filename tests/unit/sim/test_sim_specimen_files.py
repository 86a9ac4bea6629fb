"""Micrographs from files and folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from scanmend.errors import InvalidInput
from scanmend_sim.specimens import FileSpecimen, FolderSpecimen, default_folder, load_specimen
from scanmend_sim.specimens.files import fit, read_picture

RAMP = np.linspace(0, 1, 90)[:, None] + np.linspace(0, 1, 110)[None, :]


def write(path: Path, values: np.ndarray) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, values)
        case ".png":
            Image.fromarray(values).save(path)
        case _:
            tifffile.imwrite(path, values)
    return path


@pytest.mark.parametrize(
    ("name", "dtype", "scale"),
    [
        ("a.tif", np.uint8, 120),
        ("a.tif", np.uint16, 30000),
        ("a.tiff", np.float32, 3.5),
        ("a.png", np.uint8, 120),
        ("a.png", np.uint16, 30000),
        ("a.npy", np.float64, 1e-3),
        ("a.npy", np.int32, 70000),
    ],
)
def test_every_kind_of_file_becomes_the_same_signal(tmp_path: Path, name: str, dtype: type, scale: float) -> None:
    path = write(tmp_path / name, (RAMP * scale).astype(dtype))
    picture = load_specimen(str(path)).render((64, 64), 1.0)
    assert picture.dtype == np.float32
    assert picture.min() == pytest.approx(0.02)
    assert picture.max() == pytest.approx(1.0)
    assert np.corrcoef(picture.ravel(), RAMP[13:77, 23:87].ravel())[0, 1] > 0.999


def test_outliers_do_not_set_the_scale(tmp_path: Path) -> None:
    values = RAMP.astype(np.float32).copy()
    values[45, 55] = 1e6
    values[50, 60] = np.nan
    picture = FileSpecimen(write(tmp_path / "hot.npy", values)).render((90, 110), 1.0)
    assert 0.35 < float(np.median(picture)) < 0.65


def test_colours_are_averaged_and_stacks_give_their_first_picture(tmp_path: Path) -> None:
    colours = np.stack([RAMP * 30, RAMP * 60, RAMP * 90], axis=-1).astype(np.uint8)
    grey = read_picture(write(tmp_path / "rgb.png", colours))
    assert grey.shape == RAMP.shape
    assert np.abs(grey - RAMP * 60).max() < 1.5
    stack = read_picture(write(tmp_path / "stack.npy", np.stack([RAMP, RAMP + 9])))
    assert np.allclose(stack, RAMP)


def test_a_small_picture_is_enlarged_and_a_large_one_cropped() -> None:
    small = fit(RAMP.astype(np.float32), (180, 220))
    assert small.shape == (180, 220)
    assert small[:, 110].std() == pytest.approx(RAMP[:, 55].std(), rel=0.02)
    assert np.array_equal(fit(RAMP.astype(np.float32), (10, 10)), RAMP[40:50, 50:60].astype(np.float32))
    assert fit(np.ones((1, 1), np.float32), (5, 7)).tolist() == np.ones((5, 7)).tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.tif", b"II*\x00\x08\x00\x00\x00", "cannot be read"),
        ("none.png", b"", "cannot be read"),
        ("text.png", b"hello", "cannot be read"),
        ("cut.npy", b"\x93NUMPY\x01", "cannot be read"),
        ("notes.txt", b"hello", "not a picture that the simulator reads"),
    ],
)
def test_a_damaged_file_is_explained(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as error:
        load_specimen(str(tmp_path / name)).render((8, 8), 1.0)
    assert error.value.mend


@pytest.mark.parametrize(
    "values",
    [np.zeros((8, 8)), np.arange(5.0), np.full((4, 4), np.nan), np.ones((4, 4), complex), np.zeros((0, 4))],
    ids=["flat", "line", "nan", "complex", "empty"],
)
def test_values_that_are_no_picture_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        FileSpecimen(write(tmp_path / "odd.npy", values)).render((4, 4), 1.0)


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput, match="cannot be read"):
        FileSpecimen(tmp_path / "evil.npy").render((4, 4), 1.0)


def test_a_folder_shows_quiet_pictures_first_and_kinds_in_turn(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1", "n1"):
        write(tmp_path / f"{name}.npy", RAMP)
    rows = ["file,mode,noise_rel", "a1.npy,a,0.01", "a2.npy,a,0.01", "b1.npy,b,0.02", "n1.npy,b,0.4", "junk,,x"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    folder = load_specimen(str(tmp_path))
    assert isinstance(folder, FolderSpecimen)
    assert [folder.variant(index).name for index in range(5)] == ["a1", "b1", "a2", "n1", "a1"]
    shuffled = {load_specimen(f"{tmp_path}:seed={seed}").variant(1).name for seed in range(1, 12)}
    assert shuffled <= {"a1", "a2", "b1"}
    assert len(shuffled) > 1


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no picture"):
        load_specimen(str(tmp_path))


def test_real_micrographs_can_be_rendered(micrographs: list[Path]) -> None:
    for path in micrographs[::40]:
        picture = FileSpecimen(path).render((128, 128), 1.0)
        assert picture.min() >= np.float32(0.02)
        assert picture.max() <= 1.0
        assert picture.std() > 0.01


def test_auto_takes_real_micrographs_where_there_are_some() -> None:
    specimen = load_specimen("auto:seed=1")
    assert isinstance(specimen, FolderSpecimen) == (default_folder() is not None)
    assert specimen.render((32, 32), 0.5).shape == (32, 32)
