"""Procedural specimens: deterministic, structured at several scales, true to their ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend_sim.specimens import KINDS, LEAST_SIGNAL, DrawnSpecimen, load_specimen

SHAPE = (192, 224)


def natural(name: str) -> float:
    return KINDS[name].natural_pixel_size_nm


@pytest.mark.parametrize("name", KINDS)
def test_picture_is_a_signal_with_structure_at_several_scales(name: str) -> None:
    picture = load_specimen(f"{name}:seed=5").render(SHAPE, natural(name))
    assert picture.shape == SHAPE
    assert picture.dtype == np.float32
    assert LEAST_SIGNAL <= picture.min() < 0.35
    assert 0.9 < picture.max() <= 1.0
    assert picture.std() > 0.08
    fine = picture - 0.25 * sum(np.roll(picture, shift, axis) for axis in (0, 1) for shift in (-1, 1))
    coarse = picture[:192, :192].reshape(12, 16, 12, 16).mean(axis=(1, 3))
    assert fine.std() > 0.005, "no fine detail"
    assert coarse.std() > 0.015, "no coarse structure"
    assert fine.std() < 0.6 * picture.std(), "noise, not a picture"


@pytest.mark.parametrize("name", KINDS)
def test_same_seed_same_picture_other_seed_another(name: str) -> None:
    first, again = (DrawnSpecimen(name, 3).render(SHAPE, natural(name)) for _ in range(2))
    other = DrawnSpecimen(name, 3).variant(1).render(SHAPE, natural(name))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 130), (64, 3)])
def test_odd_fields_can_be_drawn(name: str, shape: tuple[int, int]) -> None:
    picture = DrawnSpecimen(name).render(shape, natural(name))
    assert picture.shape == shape
    assert np.isfinite(picture).all()


@pytest.mark.parametrize("name", ["nanoparticles", "cells", "porous", "fibres"])
def test_larger_pixels_show_finer_features(name: str) -> None:
    def fineness(pixel_size_nm: float) -> float:
        power = np.abs(np.fft.rfft2(DrawnSpecimen(name, 1).render((256, 256), pixel_size_nm))) ** 2
        power[0, 0] = 0
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
        return float((frequency * power).sum() / power.sum())

    assert fineness(1.5 * natural(name)) > 1.1 * fineness(0.5 * natural(name))


def test_lattice_columns_are_where_the_truth_says() -> None:
    drawing = DrawnSpecimen("lattice", 2, {"boundary": False}).draw((256, 256), 0.025)
    heavy = drawing.features["columns"][drawing.features["columns"][:, 2] == 0]
    inside = heavy[np.all((heavy[:, :2] > 4) & (heavy[:, :2] < 251), axis=1)]
    at_columns = drawing.image[tuple(np.rint(inside[:, :2]).astype(int).T)]
    assert len(inside) > 150
    assert np.median(at_columns) > 1.8 * np.median(drawing.image)
    spacing = np.sort(np.hypot(*(inside[:, None, :2] - inside[None, :, :2]).transpose(2, 0, 1)), axis=1)[:, 1]
    assert np.median(spacing) == pytest.approx(0.3905 / 0.025, rel=0.03)


def test_whole_vacancies_are_dark_and_dopants_bright() -> None:
    options = {"boundary": False, "vacancy_share": 0.05, "dopant_share": 0.05}
    drawing = DrawnSpecimen("lattice", 4, options).draw((512, 512), 0.025)
    columns, vacancies, dopants = (drawing.features[key] for key in ("columns", "vacancies", "dopants"))

    def brightness(places: np.ndarray) -> float:
        return float(np.median(drawing.image[tuple(np.rint(places[:, :2]).astype(int).T)]))

    heavy = brightness(columns[columns[:, 2] == 0])
    assert len(vacancies) > 20
    assert len(dopants) > 20
    assert brightness(vacancies[vacancies[:, 2] == 1.0]) < 0.6 * heavy
    doped_heavy = dopants[drawing.image[tuple(np.rint(dopants[:, :2]).astype(int).T)] > 0.6]
    assert brightness(doped_heavy) > 1.1 * heavy


def test_grain_boundary_has_two_grains_without_crowding() -> None:
    columns = DrawnSpecimen("lattice", 0).draw((512, 512), 0.025).features["columns"]
    assert set(columns[:, 3]) == {0.0, 1.0}
    nearest = np.sort(np.hypot(*(columns[:, None, :2] - columns[None, :, :2]).transpose(2, 0, 1)), axis=1)[:, 1]
    assert nearest.min() > 0.45 * 0.3905 / 0.025


def test_particles_are_bright_where_the_truth_says() -> None:
    drawing = DrawnSpecimen("nanoparticles", 1).draw((384, 384), 0.5)
    particles = drawing.features["particles"]
    large = particles[(particles[:, 2] > 8) & np.all((particles[:, :2] > 1) & (particles[:, :2] < 382), axis=1)]
    at_particles = drawing.image[tuple(np.rint(large[:, :2]).astype(int).T)]
    assert len(large) > 20
    assert np.quantile(at_particles, 0.1) > 2 * np.median(drawing.image)


def test_lattice_refuses_pixels_that_cannot_show_it() -> None:
    with pytest.raises(InvalidInput, match=r"cannot be seen with pixels of 1\.0 nm") as error:
        DrawnSpecimen("lattice").render((64, 64), 1.0)
    assert "0.098" in error.value.mend


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nanopartikles", "There is no specimen or file"),
        ("cells:color=red", "cells has no option 'color'"),
        ("cells:contrast=grey", "cannot be 'grey'"),
        ("cells:contrast", "is not an option"),
        ("cells:seed=1,seed=2", "is not an option"),
        ("cells:seed=x", "not a whole number"),
        ("cells:seed=1.5", "not a whole number"),
        ("lattice:boundary=3", "cannot be 3"),
        ("porous:solid=-1", "cannot be -1"),
    ],
)
def test_a_wrong_name_or_option_is_explained(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        load_specimen(text)
    assert error.value.mend


@pytest.mark.parametrize(("shape", "pixel"), [((0, 5), 1.0), ((5, -1), 1.0), ((99999, 99999), 1.0), ((8, 8), 0.0)])
def test_a_field_that_cannot_be_drawn_is_refused(shape: tuple[int, int], pixel: float) -> None:
    with pytest.raises(InvalidInput):
        load_specimen("porous").render(shape, pixel)


def test_options_reach_the_drawing() -> None:
    dark, bright = (load_specimen(f"cells:contrast={word}").render(SHAPE, 6.0) for word in ("dark", "bright"))
    assert np.corrcoef(dark.ravel(), bright.ravel())[0, 1] < -0.95
    haadf, se = (load_specimen(f"nanoparticles:seed=2,shading={word}").render(SHAPE, 0.5) for word in ("haadf", "se"))
    assert np.abs(haadf - se).mean() > 0.03
