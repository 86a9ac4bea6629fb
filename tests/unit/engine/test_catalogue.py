"""Models are believed only byte for byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from scanmend import Restorer
from scanmend.engine.catalogue import Catalogue
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
    learned = manifest.replace('"pushpull', '"clever').replace('"classical"', '"learned"')
    (folder / "clever.json").write_text(learned)
    (folder / "clever.onnx").write_bytes(b"not a model")
    assert Restorer.load("auto", catalogue=folder, threads=1).info.name == "pushpull"


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
