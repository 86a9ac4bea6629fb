"""Tiles: weights that add up, seams that do not show, cost that grows with the pixels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend import Restorer
from scanmend.engine.catalogue import Catalogue
from scanmend.engine.fidelity import truth_picture
from scanmend.engine.runtimes import Picture
from scanmend.engine.tiling import TILE_PX, needs_tiles, run_tiled, spans


def picture(values: np.ndarray, weight: np.ndarray | None = None, units_per_electron: float = 1.0) -> Picture:
    values = values.astype(np.float32)
    weight = np.ones_like(values) if weight is None else weight.astype(np.float32)
    return Picture(values=values, weight=weight, units_per_electron=units_per_electron, read_variance=0.0)


def copies(given: Picture, estimate: np.ndarray, sigma: np.ndarray) -> None:
    """A model that gives its values back."""
    estimate[:] = given.values
    sigma[:] = given.weight


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 9000), overlap=st.integers(0, 512), tile=st.integers(600, 1100))
def test_weights_add_up_to_one_everywhere(length: int, overlap: int, tile: int) -> None:
    overlap = min(overlap, tile // 2)
    total = np.zeros(length)
    found = spans(length, overlap, tile)
    for span in found:
        assert 0 <= span.first < span.last <= length
        assert span.last - span.first == found[0].last - found[0].first <= tile
        total[span.first : span.last] += span.weight
    np.testing.assert_allclose(total, 1, atol=1e-5)
    for one, next_one in zip(found[:-1], found[1:], strict=True):
        assert one.last - next_one.first >= overlap


@pytest.mark.parametrize("side", [1025, 1536, 2048, 3000, 4096, 9000])
def test_overlaps_do_not_double_the_work(side: int) -> None:
    found = spans(side, 128)
    assert sum(span.last - span.first for span in found) < 1.2 * side + 128


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (8192, 3), (1025, 1025), (700, 2311)])
def test_tiles_of_a_model_that_changes_nothing_make_the_picture(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape)
    estimate, sigma = np.full((2, *shape), np.nan, np.float32)
    run_tiled(copies, picture(values), estimate, sigma, overlap_px=64)
    np.testing.assert_allclose(estimate, values, rtol=1e-5)
    np.testing.assert_allclose(sigma, 1, rtol=1e-5)


RESTORING = [name for name in Catalogue().names() if name != "identity"]


@pytest.mark.parametrize("name", RESTORING)
@pytest.mark.parametrize("kind", ["low dose", "sparse"])
def test_seams_do_not_show(kind: str, name: str) -> None:
    """A tiled 1536² restoration differs from the whole one by far less than either is sure of."""
    rng = np.random.default_rng(0)
    truth = np.tile(truth_picture(512), (3, 3)) * 10
    if kind == "sparse":
        seen = rng.random(truth.shape) < 0.2
        given = picture(np.where(seen, truth, 0), seen, 0.0)
    else:
        given = picture(rng.poisson(truth))
    restorer = Restorer.load(name, threads=2)
    whole, sigma = np.empty((2, *truth.shape), np.float32)
    restorer._runtime.run(given, whole, sigma)
    tiled, tiled_sigma = np.empty((2, *truth.shape), np.float32)
    assert needs_tiles(truth.shape)
    restorer.restore_into(given, tiled, tiled_sigma)
    error = np.sqrt(np.mean((whole - truth) ** 2))
    difference = tiled - whole
    assert np.sqrt(np.mean(difference**2)) < 0.05 * error
    # A seam would be a line where tiles meet: look at the mean difference of each line and column there. (The truth's
    # own edges lie elsewhere.)
    first, second = spans(truth.shape[0], restorer.model.manifest.receptive_field_px)
    meet = np.s_[second.first - 4 : first.last + 4]
    for axis in (0, 1):
        assert np.abs(difference.mean(axis=axis))[meet].max() < 0.03 * error
    unsure = sigma > 0
    sigma *= np.median(tiled_sigma[unsure] / sigma[unsure])  # the calibration's factor
    assert np.sqrt(np.mean((tiled_sigma - sigma) ** 2)) < 0.1 * np.sqrt(np.mean(sigma**2))


def test_a_tile_without_samples_is_filled_from_the_others() -> None:
    """The upper half of the field was never visited: its estimate is what the lower half lets expect."""
    values = np.full((2600, 700), 50.0)
    weight = np.zeros_like(values)
    weight[1300::5, ::5] = 1
    restorer = Restorer.load("pushpull", threads=2)
    estimate, sigma = np.empty((2, *values.shape), np.float32)
    restorer.restore_into(picture(values * weight, weight), estimate, sigma)
    assert np.abs(estimate[:1000] - 50).max() < 10
    assert np.isfinite(sigma).all()


def test_memory_beyond_the_pictures_does_not_grow_with_the_field() -> None:
    peaks = []
    for side in (2048, 4096):
        given = picture(np.ones((side, side)))
        estimate, sigma = np.empty((2, side, side), np.float32)
        tracemalloc.start()
        run_tiled(copies, given, estimate, sigma, overlap_px=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 10 * 4 * TILE_PX**2


def test_a_watcher_sees_life_between_tiles() -> None:
    beats: list[int] = []
    estimate, sigma = np.empty((2, 2048, 1100), np.float32)
    run_tiled(copies, picture(np.ones((2048, 1100))), estimate, sigma, overlap_px=8, beat=lambda: beats.append(1))
    assert len(beats) == 6
