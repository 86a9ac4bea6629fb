"""Push-pull against its baselines on drawn pictures; the margins lie under what was measured."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scanmend_models.execute import with_onnxruntime
from scanmend_models.export import CATALOGUE
from scanmend_models.masks import jittered_grid, random_pixels, spiral
from scanmend_models.networks.pushpull import noise_shares
from scanmend_models.quality import baselines
from scanmend_models.quality.scores import error_correlation, interval_coverage, psnr_db
from scanmend_models.quality.tasks import exposure

PUSHPULL = with_onnxruntime(CATALOGUE / "pushpull.onnx")


def scene(seed, size=192):
    """Overlapping discs, as particles on a film, with a soft background: 0 to 1, slightly blurred."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size]
    picture = 0.2 + 0.1 * gaussian_filter(rng.normal(size=(size, size)), 12) * 12
    for _ in range(60):
        row, column, radius = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(3, 18)
        inside = (y - row) ** 2 + (x - column) ** 2 < radius**2
        picture = np.where(inside, 0.3 * picture + 0.7 * rng.uniform(0.2, 1), picture)
    return gaussian_filter(picture, 1.2).clip(0.02, 1).astype(np.float32)


def lattice(size=192):
    y, x = np.mgrid[0:size, 0:size]
    waves = np.cos(0.75 * x + 0.2 * y) + np.cos(-0.2 * x + 0.75 * y)
    return (0.5 + 0.15 * waves).astype(np.float32)


def restore(values, weight, units_per_electron=0.0):
    answer = PUSHPULL(exposure(values, weight, units_per_electron))
    return answer["estimate"][0, 0], answer["sigma"][0, 0]


@pytest.mark.parametrize(
    ("draw", "coverage", "margin_db"),
    [(jittered_grid, 0.05, 0.9), (random_pixels, 0.25, 2.0), (spiral, 0.05, 0.0)],
)
def test_fills_better_than_linear_interpolation(draw, coverage, margin_db):
    gains, inside = [], []
    for seed in range(3):
        truth = scene(seed, 128)
        mask = draw(truth.shape, coverage, np.random.default_rng(seed))
        values = np.where(mask, truth, 0).astype(np.float32)
        estimate, sigma = restore(values, mask.astype(np.float32))
        gains.append(psnr_db(estimate, truth) - psnr_db(baselines.linear(values, mask), truth))
        inside.append(interval_coverage(estimate, sigma, truth)["90"])
        assert error_correlation(estimate, sigma, truth) > 0.3
    assert np.mean(gains) > margin_db
    assert 0.65 < np.mean(inside) < 0.999


@pytest.mark.parametrize(("counts", "margin_db"), [(2, -0.2), (5, 0.05), (20, 0.1)])
def test_smooths_as_well_as_the_best_gaussian(counts, margin_db):
    gains, inside = [], []
    for seed in range(3):
        truth = scene(seed)
        values = (np.random.default_rng(seed).poisson(truth * counts) / counts).astype(np.float32)
        estimate, sigma = restore(values, np.ones_like(values), 1 / counts)
        gains.append(psnr_db(estimate, truth) - psnr_db(baselines.best_gaussian(values, truth), truth))
        held = interval_coverage(estimate, sigma, truth)
        inside.append([held["68"], held["95"]])
    assert np.mean(gains) > margin_db
    assert 0.6 < np.mean(inside, axis=0)[0] < 0.9
    assert 0.87 < np.mean(inside, axis=0)[1] < 0.995


def test_a_lattice_is_not_smoothed_away():
    truth = lattice()
    values = (np.random.default_rng(0).poisson(truth * 5) / 5).astype(np.float32)
    estimate, _ = restore(values, np.ones_like(values), 0.2)
    assert psnr_db(estimate, truth) > psnr_db(baselines.best_gaussian(values, truth), truth) - 1.2


def test_a_picture_of_full_dose_is_not_blurred():
    truth = scene(4)
    counts = 100_000
    values = (np.random.default_rng(0).poisson(truth * counts) / counts).astype(np.float32)
    estimate, _ = restore(values, np.ones_like(values), 1 / counts)
    assert psnr_db(estimate, truth) > psnr_db(values, truth) - 0.1


def test_longer_dwell_leaves_less_doubt_and_less_error():
    truth = scene(5)
    weight = np.where(np.arange(192) < 96, 1, 16) * np.ones((192, 1))
    values = (np.random.default_rng(0).poisson(truth * 3 * weight) / (3 * weight)).astype(np.float32)
    estimate, sigma = restore(values, weight.astype(np.float32), 1 / 3)
    error = np.abs(estimate - truth)
    assert sigma[:, 100:].mean() < 0.7 * sigma[:, :92].mean()
    assert error[:, 100:].mean() < 0.7 * error[:, :92].mean()


def test_doubt_grows_with_the_distance_from_a_sample():
    truth = scene(6)
    mask = np.zeros(truth.shape, np.float32)
    mask[::8, ::8] = 1
    _, sigma = restore(truth * mask, mask)
    assert sigma[::8, ::8].max() == 0
    assert 0 < sigma[1::8, ::8].mean() < sigma[2::8, 2::8].mean() < sigma[4::8, 4::8].mean()


def test_tiles_agree_with_the_whole():
    overlap = json.loads((CATALOGUE / "pushpull.json").read_text(encoding="utf-8"))["receptive_field_px"]
    truth = np.tile(scene(7, 256), (2, 3))
    values = (np.random.default_rng(0).poisson(truth * 10) / 10).astype(np.float32)
    whole, _ = restore(values, np.ones_like(values), 0.1)
    end = 384 + overlap
    tile, _ = restore(values[:, :end].copy(), np.ones((512, end), np.float32), 0.1)
    assert np.abs(tile[:, :384] - whole[:, :384]).max() < 0.02


def test_noise_shares_are_those_of_the_windows():
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(1024, 1024))
    kernel = np.array([1, 3, 3, 1]) / 8
    for share in noise_shares(3)[1:]:
        rows = sum(k * picture[i : picture.shape[0] - 3 + i : 2] for i, k in enumerate(kernel))
        picture = sum(k * rows[:, i : rows.shape[1] - 3 + i : 2] for i, k in enumerate(kernel))
        assert share == pytest.approx(picture.var(), rel=0.1)


@pytest.mark.parametrize(("draw", "coverage"), [(jittered_grid, 0.05), (random_pixels, 0.25), (spiral, 0.05)])
def test_masks_sample_what_they_say(draw, coverage):
    mask = draw((200, 300), coverage, np.random.default_rng(0))
    assert mask.shape == (200, 300)
    assert mask.mean() == pytest.approx(coverage, rel=0.1)
