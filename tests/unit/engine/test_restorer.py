"""`Restorer` on exposures of every shape, with the models that ship."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from scanmend import Exposure, Restorer
from scanmend.engine.catalogue import Catalogue
from scanmend.engine.fidelity import psnr_db, truth_picture
from scanmend.engine.restorer import ranked
from scanmend.errors import ModelNotFound

TRUTH = truth_picture(256)


RESTORING = [name for name in Catalogue().names() if name != "identity"]


@pytest.fixture(scope="module", params=RESTORING)
def model(request: pytest.FixtureRequest) -> Restorer:
    return Restorer.load(request.param, threads=1)


def test_auto_takes_the_best_learned_model() -> None:
    best = ranked(Catalogue())[0]
    auto = Restorer.load("auto", threads=1)
    assert auto.info.name == best and auto.info.kind == "learned" and auto.info.live
    assert "identity" not in ranked(Catalogue())


def test_learned_models_come_first(tmp_path: Path) -> None:
    manifest = (Catalogue().folder / "pushpull.json").read_text()
    for name, kind in (("aaa", "classical"), ("zzz", "learned"), ("pushpull", "classical"), ("identity", "classical")):
        text = manifest.replace('"name": "pushpull"', f'"name": "{name}"').replace('"classical"', f'"{kind}"')
        (tmp_path / f"{name}.json").write_text(text)
    assert ranked(Catalogue(tmp_path)) == ["zzz", "pushpull", "aaa"]


def test_unknown_model_names_those_there_are() -> None:
    with pytest.raises(ModelNotFound, match=r"auto, .*identity, .*pushpull"):
        Restorer.load("nonsense")


def test_low_dose_and_sparse_pictures_get_better(model: Restorer) -> None:
    rng = np.random.default_rng(1)
    noisy = rng.poisson(TRUTH * 5) / 5
    low_dose = Exposure.from_samples(noisy, np.ones(TRUTH.shape, np.uint16), electrons_per_unit=5.0)
    assert psnr_db(model.restore(low_dose).image, TRUTH) > psnr_db(noisy.astype(np.float32), TRUTH) + 5
    seen = rng.random(TRUTH.shape) < 0.2
    sparse = Exposure.from_samples(np.where(seen, TRUTH, np.nan), seen, electrons_per_unit=math.inf)
    mended = model.restore(sparse)
    flat = np.full_like(TRUTH, TRUTH[seen].mean())
    assert psnr_db(mended.image, TRUTH) > psnr_db(flat, TRUTH) + 3
    np.testing.assert_array_equal(mended.image[seen], TRUTH[seen])


def test_result_says_what_made_it(model: Restorer) -> None:
    mended = model.restore(Exposure.from_samples(TRUTH, np.ones(TRUTH.shape, np.uint16)))
    manifest = Catalogue().manifest(model.info.name)
    assert (mended.model, mended.sha256, mended.model_version) == (model.info.name, manifest.sha256, manifest.version)
    assert mended.provider == model.info.provider
    assert mended.elapsed_ms > 0
    assert mended.image.dtype == mended.sigma.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "samples"), list(product([(1, 1), (16, 16), (2, 300), (300, 2)], ["none", "one", "all"]))
)
def test_any_size_and_any_number_of_samples(model: Restorer, shape: tuple[int, int], samples: str) -> None:
    visits = np.full(shape, 1 if samples == "all" else 0, np.uint16)
    if samples == "one":
        visits[shape[0] // 2, shape[1] // 2] = 1
    values = np.random.default_rng(0).poisson(9.0, shape)
    for electrons_per_unit in (1.0, math.inf, None):
        mended = model.restore(Exposure.from_samples(values, visits, electrons_per_unit=electrons_per_unit))
        assert mended.image.shape == mended.sigma.shape == shape
        assert np.isfinite(mended.image).all()
        assert np.isfinite(mended.sigma).all()
        assert (mended.sigma >= 0).all()


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 1e6])
def test_constant_fields_stay_constant(model: Restorer, value: float) -> None:
    field = np.full((64, 48), value)
    for electrons_per_unit in (1.0, math.inf, None):
        exposure = Exposure.from_samples(field, np.ones(field.shape, np.uint8), electrons_per_unit=electrons_per_unit)
        mended = model.restore(exposure)
        if model.info.kind == "classical" or electrons_per_unit != 1.0:
            np.testing.assert_allclose(mended.image, field, rtol=1e-3, atol=1e-3)
        assert (np.abs(mended.image - field) <= mended.sigma + 1e-6 * abs(value)).all()  # honest, if not exact


@pytest.mark.parametrize("value", [0.0, -5.0])
def test_no_field_is_known_better_than_its_electrons_tell(model: Restorer, value: float) -> None:
    field = np.full((40, 50), value)
    mended = model.restore(Exposure.from_samples(field, np.ones(field.shape, np.uint8), electrons_per_unit=1.0))
    assert mended.sigma.min() >= 1 / 2000 * 0.999


def test_a_sparse_field_of_zeros_is_restored_to_zeros(model: Restorer) -> None:
    seen = np.random.default_rng(2).random((80, 70)) < 0.1
    for electrons_per_unit in (math.inf, 1.0):
        mended = model.restore(Exposure.from_samples(np.zeros(seen.shape), seen, electrons_per_unit=electrons_per_unit))
        assert np.abs(mended.image).max() <= 1e-4


def test_a_saturated_field_keeps_its_range(model: Restorer) -> None:
    rng = np.random.default_rng(3)
    counts = np.minimum(rng.poisson(TRUTH * 90), 63)  # a counter that stops at 63
    mended = model.restore(Exposure.from_samples(counts, np.ones(TRUTH.shape, np.uint8), electrons_per_unit=1.0))
    assert counts.min() - 20 < mended.image.min() and mended.image.max() < 63 + 20


def test_long_thin_field_is_tiled(model: Restorer) -> None:
    values = np.random.default_rng(0).poisson(9.0, (8192, 3))
    mended = model.restore(Exposure.from_samples(values, np.ones(values.shape, np.uint8), electrons_per_unit=1.0))
    assert abs(float(mended.image.mean()) - 9) < 0.2
