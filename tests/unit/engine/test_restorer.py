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


@pytest.fixture(scope="module")
def pushpull() -> Restorer:
    return Restorer.load("auto", threads=1)


def test_auto_never_takes_the_model_that_restores_nothing(pushpull: Restorer) -> None:
    assert pushpull.info.name == "pushpull"
    assert pushpull.info.live
    assert "identity" not in ranked(Catalogue())


def test_learned_models_come_first(tmp_path: Path) -> None:
    manifest = (Catalogue().folder / "pushpull.json").read_text()
    for name, kind in (("aaa", "classical"), ("zzz", "learned"), ("pushpull", "classical"), ("identity", "classical")):
        text = manifest.replace('"name": "pushpull"', f'"name": "{name}"').replace('"classical"', f'"{kind}"')
        (tmp_path / f"{name}.json").write_text(text)
    assert ranked(Catalogue(tmp_path)) == ["zzz", "pushpull", "aaa"]


def test_unknown_model_names_those_there_are() -> None:
    with pytest.raises(ModelNotFound, match=r"auto, identity, pushpull"):
        Restorer.load("nonsense")


def test_low_dose_and_sparse_pictures_get_better(pushpull: Restorer) -> None:
    rng = np.random.default_rng(1)
    noisy = rng.poisson(TRUTH * 5) / 5
    low_dose = Exposure.from_samples(noisy, np.ones(TRUTH.shape, np.uint16), electrons_per_unit=5.0)
    assert psnr_db(pushpull.restore(low_dose).image, TRUTH) > psnr_db(noisy.astype(np.float32), TRUTH) + 5
    seen = rng.random(TRUTH.shape) < 0.2
    sparse = Exposure.from_samples(np.where(seen, TRUTH, np.nan), seen, electrons_per_unit=math.inf)
    mended = pushpull.restore(sparse)
    flat = np.full_like(TRUTH, TRUTH[seen].mean())
    assert psnr_db(mended.image, TRUTH) > psnr_db(flat, TRUTH) + 3
    np.testing.assert_array_equal(mended.image[seen], TRUTH[seen])


def test_result_says_what_made_it(pushpull: Restorer) -> None:
    mended = pushpull.restore(Exposure.from_samples(TRUTH, np.ones(TRUTH.shape, np.uint16)))
    manifest = Catalogue().manifest("pushpull")
    assert (mended.model, mended.sha256, mended.model_version) == ("pushpull", manifest.sha256, manifest.version)
    assert mended.provider == pushpull.info.provider
    assert mended.elapsed_ms > 0
    assert mended.image.dtype == mended.sigma.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "samples"), list(product([(1, 1), (16, 16), (2, 300), (300, 2)], ["none", "one", "all"]))
)
def test_any_size_and_any_number_of_samples(pushpull: Restorer, shape: tuple[int, int], samples: str) -> None:
    visits = np.full(shape, 1 if samples == "all" else 0, np.uint16)
    if samples == "one":
        visits[shape[0] // 2, shape[1] // 2] = 1
    values = np.random.default_rng(0).poisson(9.0, shape)
    for electrons_per_unit in (1.0, math.inf, None):
        mended = pushpull.restore(Exposure.from_samples(values, visits, electrons_per_unit=electrons_per_unit))
        assert mended.image.shape == mended.sigma.shape == shape
        assert np.isfinite(mended.image).all()
        assert np.isfinite(mended.sigma).all()
        assert (mended.sigma >= 0).all()


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 1e6])
def test_constant_fields_stay_constant(pushpull: Restorer, value: float) -> None:
    field = np.full((64, 48), value)
    for electrons_per_unit in (1.0, math.inf, None):
        exposure = Exposure.from_samples(field, np.ones(field.shape, np.uint8), electrons_per_unit=electrons_per_unit)
        np.testing.assert_allclose(pushpull.restore(exposure).image, field, rtol=1e-3, atol=1e-3)


def test_long_thin_field_is_tiled(pushpull: Restorer) -> None:
    values = np.random.default_rng(0).poisson(9.0, (8192, 3))
    mended = pushpull.restore(Exposure.from_samples(values, np.ones(values.shape, np.uint8), electrons_per_unit=1.0))
    assert abs(float(mended.image.mean()) - 9) < 0.2
