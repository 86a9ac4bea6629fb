"""What is measured of an exposure, and what is said of it."""

import numpy as np
import pytest

from scanmend.validity import caution, statistics


def measured(gain_error=1.0, electrons=10.0, coverage=1.0, shape=(128, 160), read_variance=0.0):
    rng = np.random.default_rng(4)
    y, x = np.indices(shape)
    truth = (0.5 + 0.3 * np.sin(x / 6.0) * np.cos(y / 9.0)).astype(np.float32)
    weight = (rng.random(shape) < coverage).astype(np.float32)
    counts = rng.poisson(truth * electrons) / electrons + np.sqrt(read_variance) * rng.standard_normal(shape)
    values = np.where(weight > 0, counts, 0).astype(np.float32)
    return statistics(values, weight, truth, units_per_electron=gain_error / electrons, read_variance=read_variance)


@pytest.mark.parametrize("read_variance", [0.0, 0.04])
@pytest.mark.parametrize("coverage", [1.0, 0.3])
def test_noise_that_is_as_announced_gives_a_misfit_of_one(coverage, read_variance):
    found = measured(coverage=coverage, read_variance=read_variance)
    assert found["misfit"] == pytest.approx(1.0, abs=0.05)
    assert found["coverage"] == pytest.approx(coverage, abs=0.02)
    assert found["electrons"] == pytest.approx(5.0, rel=0.05)


def test_a_gain_that_is_wrong_by_nine_shows_as_scatter_three_times_too_large():
    found = measured(gain_error=1 / 9)
    assert found["misfit"] == pytest.approx(9.0, rel=0.05)
    assert "3.0 times" in caution(found, {"misfit": (0.5, 2.0)})


def test_contrast_and_roughness_do_not_depend_on_units():
    picture = np.random.default_rng(1).random((64, 64)).astype(np.float32) + 1
    ones = np.ones_like(picture)
    one, other = (
        statistics(k * picture, ones, k * picture, units_per_electron=0.0, read_variance=0.0) for k in (1.0, 1e6)
    )
    assert one == pytest.approx(other, rel=1e-4)
    assert one["contrast"] == pytest.approx(picture.std() / picture.mean(), rel=1e-4)


def test_a_large_field_is_judged_by_some_of_its_lines():
    picture = np.tile(np.linspace(0, 1, 1024, dtype=np.float32), (2048, 1))
    found = statistics(picture, np.ones_like(picture), picture, units_per_electron=0.0, read_variance=0.0)
    assert found["coverage"] == 1.0 and found["roughness"] == pytest.approx(1 / 1023 / picture.std(), rel=1e-3)


@pytest.mark.parametrize(
    ("picture", "weight"),
    [(np.zeros((8, 8)), np.zeros((8, 8))), (np.full((8, 8), 3.0), np.ones((8, 8))), (np.ones((4, 1)), np.ones((4, 1)))],
    ids=["nothing", "flat", "one column"],
)
def test_what_cannot_be_measured_is_left_out(picture, weight):
    picture, weight = picture.astype(np.float32), weight.astype(np.float32)
    found = statistics(picture, weight, picture, units_per_electron=0.1, read_variance=0.0)
    assert "contrast" not in found and all(np.isfinite(list(found.values())))


def test_the_reasons_are_said_in_words_and_an_unknown_range_says_nothing():
    found = {"coverage": 0.004, "electrons": 5.0, "roughness": 0.9, "contrast": 0.4, "misfit": 1.0}
    domain = {"coverage": (0.01, 1.0), "electrons": (0.5, 100.0), "roughness": (0.01, 0.5)}
    said = caution(found, domain)
    assert "0.4 % of the pixels" in said and "1 % to 1e+02 %" not in said and "rougher" in said
    assert "electrons" not in said and "contrast" not in said
    assert caution(found, {}) == "" and caution({"coverage": float("nan")}, domain) == ""
