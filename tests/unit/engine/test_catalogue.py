"""Models are believed only byte for byte."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from scanmend import Exposure, Restorer
from scanmend.engine.catalogue import Catalogue
from scanmend.engine.restorer import FOR_LOOKING, ranked
from scanmend.engine.runtimes import Picture
from scanmend.errors import ModelCorrupt, ModelError, ModelNotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped catalogue."""
    copy = tmp_path / "catalogue"
    shutil.copytree(Catalogue().folder, copy)
    return copy


def test_shipped_models_are_whole() -> None:
    catalogue = Catalogue()
    assert {"identity", "pushpull"} <= set(catalogue.names())
    for name in catalogue.names():
        model = catalogue.load(name)
        assert model.question["values"].shape == model.answer["estimate"].shape


def test_300_mutated_copies_never_go_live(folder: Path) -> None:
    rng = np.random.default_rng(0)
    whole = (folder / "pushpull.onnx").read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        match rng.integers(3):
            case 0:
                damaged = damaged[: rng.integers(len(whole))]
            case 1:
                damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
            case _:
                at = int(rng.integers(len(whole)))
                damaged[at : at + 64] = rng.bytes(64)
        (folder / "pushpull.onnx").write_bytes(bytes(damaged))
        with pytest.raises(ModelCorrupt, match="sha256|plain file"):
            Restorer.load("pushpull", catalogue=folder)


def test_auto_falls_back_when_the_better_model_is_damaged(folder: Path) -> None:
    manifest = (folder / "pushpull.json").read_text()
    best = ranked(Catalogue(folder))[0]
    learned = manifest.replace('"pushpull', '"clever').replace('"classical"', '"learned", "rank": 99')
    (folder / "clever.json").write_text(learned)
    (folder / "clever.onnx").write_bytes(b"not a model")
    assert ranked(Catalogue(folder))[:2] == ["clever", best]
    assert Restorer.load("auto", catalogue=folder, threads=1).info.name == best


@pytest.mark.parametrize("victim", ["pushpull.onnx", "pushpull.golden.npz", "pushpull.json"])
def test_links_and_missing_files_are_refused(folder: Path, victim: str) -> None:
    path = folder / victim
    path.rename(folder / "elsewhere.bin")
    os.symlink(folder / "elsewhere.bin", path)
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        Catalogue(folder).load("pushpull")
    path.unlink()
    with pytest.raises(ModelNotFound if victim.endswith("json") else ModelCorrupt):
        Catalogue(folder).load("pushpull")


@pytest.mark.parametrize("name", ["../pushpull", "/etc/passwd", "", "PUSHPULL", "a.json", "a" * 40, "push\0pull"])
def test_names_cannot_leave_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(ModelNotFound):
        Catalogue(folder).load(name)


@pytest.mark.parametrize("file", ["../pushpull.onnx", "/etc/passwd", "identity.onnx", "sub/pushpull.onnx"])
def test_manifests_cannot_name_other_files(folder: Path, file: str) -> None:
    manifest = (folder / "pushpull.json").read_text().replace("pushpull.onnx", file)
    (folder / "pushpull.json").write_text(manifest)
    with pytest.raises(ModelCorrupt, match="names the file"):
        Catalogue(folder).load("pushpull")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": 3}', "\x00"])
def test_unreadable_manifest(folder: Path, text: str) -> None:
    (folder / "pushpull.json").write_text(text)
    with pytest.raises(ModelError):
        Catalogue(folder).load("pushpull")


CALIBRATION = {
    "pictures": 12,
    "noise_free": {"coverage": [0.01, 1.0], "factor": [2.0, 1.0]},
    "noisy": {"coverage": [0.1, 1.0], "electrons": [1.0, 100.0], "factor": [[3.0, 1.0], [1.0, 0.5]]},
}


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "pushpull.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("coverage", "electrons", "factor"),
    [
        (0.01, None, 2.0),
        (0.1, None, 1.5),
        (0.001, None, 2.0),
        (1.0, None, 1.0),
        (0.1, 1.0, 3.0),
        (0.1, 10.0, 2.0),
        (1.0, 1e9, 0.5),
        (10**-0.5, 10.0, 1.375),
        (1.0, 0.0, 1.0),
    ],
)
def test_sigma_is_multiplied_by_what_the_table_says(
    folder: Path, coverage: float, electrons: float | None, factor: float
) -> None:
    rewrite(folder, calibration=CALIBRATION)
    calibration = Catalogue(folder).manifest("pushpull").calibration
    assert calibration is not None and calibration.factor(coverage, electrons) == pytest.approx(factor)


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": {**CALIBRATION, "noise_free": {"coverage": [1.0, 0.1], "factor": [1.0, 1.0]}}},
        {"calibration": {**CALIBRATION, "noise_free": {"coverage": [0.1], "factor": [1.0, 1.0]}}},
        {"calibration": {**CALIBRATION, "noise_free": {"coverage": [0.1], "factor": [0.0]}}},
        {"calibration": {**CALIBRATION, "noisy": {"coverage": [1.0], "electrons": [], "factor": [[]]}}},
        {"domain": {"coverage": [1.0, 0.1]}},
    ],
    ids=["descending", "another length", "zero", "no electrons", "upside down"],
)
def test_a_calibration_or_domain_that_makes_no_sense_is_not_believed(folder: Path, changes: dict[str, object]) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ModelCorrupt):
        Catalogue(folder).load("pushpull")


def test_a_model_for_looking_is_never_chosen_and_says_so_of_every_picture(folder: Path) -> None:
    rewrite(folder, kind="learned", rank=99, purpose="looking")
    assert "pushpull" not in ranked(Catalogue(folder))
    values = np.ones((32, 32), dtype=np.float32)
    mended = Restorer.load("pushpull", threads=1, catalogue=folder).restore(Exposure.from_samples(values, values > 0))
    assert mended.caution == FOR_LOOKING
    rewrite(folder, purpose="selling")
    with pytest.raises(ModelCorrupt, match="selling"):
        Catalogue(folder).load("pushpull")


def test_a_calibrated_model_answers_with_its_factor_and_its_caution(folder: Path) -> None:
    plain = Restorer.load("pushpull", threads=1)
    rewrite(folder, calibration=CALIBRATION, domain={"coverage": [0.5, 1.0], "misfit": [0.5, 2.0]})
    calibrated = Restorer.load("pushpull", threads=1, catalogue=folder)
    values = np.random.default_rng(0).poisson(5.0, (48, 64)).astype(np.float32)
    for weight, caution in ((np.ones_like(values), ""), ((np.indices(values.shape)[1] % 4 == 0), "25 % of the pixels")):
        picture = Picture(
            values=values * weight, weight=weight.astype(np.float32), units_per_electron=1.0, read_variance=0.0
        )
        (one, sigma), (other, scaled) = np.empty((2, 2, *values.shape), dtype=np.float32)
        said, nothing = calibrated.restore_into(picture, other, scaled), plain.restore_into(picture, one, sigma)
        factor = scaled.mean() / sigma.mean()
        assert np.array_equal(one, other) and np.allclose(scaled, factor * sigma, rtol=1e-5)
        assert factor != pytest.approx(1.0, abs=0.05)
        assert said.sigma_mean == pytest.approx(float(scaled.mean()), rel=1e-4)
        assert nothing.caution is None and said.caution is not None and said.caution.startswith(caution[:4])
        assert bool(said.caution) == bool(caution)
