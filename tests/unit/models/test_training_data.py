"""Training data: seeded, within bounds, and true to the noise model that the service uses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile

from scanmend.errors import InvalidInput
from scanmend_models.data import geometry
from scanmend_models.data.batches import Batches, DataConfig, Pictures, make_batch
from scanmend_models.data.exposures import Camera, ExposureConfig, expose
from scanmend_models.data.pictures import KINDS, Use, draw, read_micrographs, use_of

SMALL = DataConfig(batch=3, patch_px=32, drawn_side_px=64, pool=2, renew_every=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_decided_by_its_seed(kind):
    one, again, other = draw(3, (64, 48), kind), draw(3, (64, 48), kind), draw(4, (64, 48), kind)
    assert one.shape == (64, 48) and one.dtype == np.float32
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert (one.min(), one.max()) == (0.0, 1.0)


@pytest.mark.parametrize("kind", geometry.SPARSE)
@pytest.mark.parametrize("coverage", [0.02, 0.3])
def test_a_sparse_geometry_has_about_its_coverage(kind, coverage):
    rng = np.random.default_rng(5)
    share = np.mean([(geometry.SPARSE[kind][0](rng, (128, 128), coverage) > 0).mean() for _ in range(20)])
    assert 0.5 * coverage < share < 1.8 * coverage


def test_there_is_always_a_sample():
    rng = np.random.default_rng(1)
    assert all(geometry.sparse(rng, (16, 16), 1e-4).any() for _ in range(50))


@pytest.mark.parametrize("weight", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("read_electrons", [0.0, 2.0])
def test_samples_scatter_as_the_noise_model_says(weight, read_electrons):
    """var = (units_per_electron · value + read_variance) / weight, for whole visits; see docs/models.md."""
    truth = np.full((200, 200), 0.6, np.float32)
    camera = Camera(electrons=5.0, read_electrons=read_electrons)
    dwell = np.full_like(truth, weight)
    example = camera.example(camera.passes(np.random.default_rng(2), truth, dwell), dwell, truth)
    expected = (example.units_per_electron * 0.6 + example.read_variance) / weight
    if weight < 1:  # a short visit has the read noise of a whole one
        expected = (example.units_per_electron * 0.6 + example.read_variance / weight) / weight
    assert example.values.mean() == pytest.approx(0.6, rel=0.02)
    assert example.values.var() == pytest.approx(expected, rel=0.05)


def test_every_exposure_keeps_the_contract():
    rng = np.random.default_rng(8)
    picture = draw(1, (48, 48))
    kinds = set()
    for _ in range(60):
        example = expose(rng, picture, ExposureConfig(electrons=(1.0, 20.0)))
        unseen = example.weight == 0
        assert np.all(example.values[unseen] == 0) and not unseen.all()
        assert all(np.isfinite(one).all() for one in (example.values, example.weight, example.truth))
        if example.units_per_electron == 0:
            assert example.read_variance == 0 and unseen.any()
        kinds.add((example.units_per_electron > 0, bool(unseen.any()), example.read_variance > 0))
    assert {(False, True, False), (True, False, False), (True, True, False), (True, False, True)} <= kinds


def test_samples_free_of_noise_are_the_truth_where_the_scan_is_sound():
    sound = ExposureConfig(noise_free=1.0, dense=0.0, dwelt=0.0, sparse_noisy=0.0, flawed=0.0)
    example = expose(np.random.default_rng(3), draw(2, (48, 48)), sound)
    seen = example.weight > 0
    assert np.array_equal(example.values[seen], example.truth[seen])


def test_the_grain_of_a_specimen_is_part_of_the_truth_and_of_its_samples():
    picture = np.full((96, 96), 0.5, np.float32)
    grainy = ExposureConfig(
        noise_free=1.0, dense=0, dwelt=0, sparse_noisy=0, flawed=0, blurred=0, grainy=1.0, grain=(0.02, 0.02)
    )
    example = expose(np.random.default_rng(4), picture, grainy)
    seen = example.weight > 0
    assert np.array_equal(example.values[seen], example.truth[seen])
    assert example.truth.std() == pytest.approx(0.02, rel=0.05) and example.units_per_electron == 0


def test_a_batch_is_the_same_whoever_made_the_ones_before():
    fresh = make_batch(Pictures(SMALL, 7), SMALL, 7, 5)
    running = iter(Batches(SMALL, 7, start=4))
    next(running)
    later = next(running)
    assert all(bool((getattr(fresh, f.name) == getattr(later, f.name)).all()) for f in dataclasses.fields(fresh))
    assert tuple(fresh.values.shape) == (3, 1, 32, 32) and tuple(fresh.read_variance.shape) == (3, 1, 1, 1)


def test_the_split_of_micrographs_goes_by_group_and_noisy_ones_are_averaged(tmp_path):
    rows = ["file,group,noise_rel"]
    for number in range(24):
        picture = np.random.default_rng(number).random((400, 400)).astype(np.float32)
        tifffile.imwrite(tmp_path / f"{number}.tif", picture)
        rows.append(f"{number}.tif,group{number // 2},{0.01 if number % 2 else 0.039}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    kept, *others = (list(read_micrographs(tmp_path, use)) for use in Use)
    for use, pictures in zip((Use.CALIBRATION, Use.EVALUATION), others, strict=True):
        assert pictures and all(use_of(one.group) is use and one.image.shape == (400, 400) for one in pictures)
    assert {one.image.shape for one in kept} == {(400, 400), (200, 200)}
    assert all(use_of(one.group) is Use.TRAINING and one.noise <= 0.02 for one in kept)
    with pytest.raises(InvalidInput, match=r"manifest\.csv"):
        list(read_micrographs(tmp_path / "nothing", Use.TRAINING))


def test_batches_take_real_pictures_where_there_are_some(tmp_path):
    tifffile.imwrite(tmp_path / "0.tif", np.linspace(0, 1, 200 * 200, dtype=np.float32).reshape(200, 200))
    group = next(name for name in (f"g{n}" for n in range(9)) if use_of(name) is Use.TRAINING)
    (tmp_path / "manifest.csv").write_text(f"file,group,noise_rel\n0.tif,{group},0.001\n")
    config = dataclasses.replace(SMALL, micrographs=str(tmp_path), real_share=1.0)
    assert Pictures(config, 1).pick(np.random.default_rng(0), 0).shape == (200, 200)
