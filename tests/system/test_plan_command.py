"""`scanmend plan` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FIELD = ("--field", "96x64", "--pixel-size-nm", "0.5", "--current-pa", "20")
QUICK = (*FIELD, "--budget-e-per-nm2", "200", "--model", "pushpull", "--draws", "2")


def plan(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scanmend.cli", "plan", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def answer(*words: str) -> dict[str, Any]:
    done = plan(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(advice: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row["figures"] for row in advice["strategies"]}


def test_the_verdict_and_its_table() -> None:
    done = plan(*QUICK)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "50 electrons a pixel, of which 15 are counted" in done.stdout
    assert "pictures of 96 × 64 pixels" in done.stdout and "restored by pushpull" in done.stdout
    for name in ("dense", "sparse 1/4", "sparse 1/20", "adaptive", "adaptive, sparse first"):
        assert f"\n{name} " in done.stdout
    assert "buys neither dose nor dose rate" in done.stdout
    assert "for drawn specimens (nanoparticles, lattice, cells, porous, fibres), not for your sample" in done.stdout


def test_at_equal_dose_a_sparse_scan_is_behind_an_even_raster() -> None:
    advice = answer(*QUICK, "--specimen", "nanoparticles")
    assert advice["question"]["shape"] == [64, 96] and advice["tried_on"]["kinds"] == ["nanoparticles"]
    found = figures(advice)
    for name, each in found.items():
        assert 195 < each["dose_e_per_nm2"] <= 200 and each["whole_budget"], name
        assert 0 < each["rmse_share"]["low"] <= each["rmse_share"]["mean"] < 0.5 and each["sigma_share"] > 0
    assert found["sparse 1/20"]["standing"] == "worse" and found["sparse 1/20"]["gain_db"]["high"] < -0.5
    assert found["dense"]["time_s"] == pytest.approx(96 * 64 * 400e-9)
    assert figures(answer(*QUICK, "--specimen", "nanoparticles")) == found


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_a_picture_of_a_similar_area_is_the_truth(tmp_path: Path, suffix: str) -> None:
    y, x = np.mgrid[:80, :120]
    picture = (120 + 100 * np.sin(x / 5) * np.cos(y / 7)).astype(np.uint8)
    path = tmp_path / f"area{suffix}"
    if suffix == ".npy":
        np.save(path, picture)
    else:
        Image.fromarray(picture).save(path)
    advice = answer(*QUICK, "--image", str(path))
    assert advice["tried_on"]["drawn"] is False and path.name in advice["tried_on"]["about"]
    assert advice["tried_on"]["shape"] == [64, 96] and advice["tried_on"]["pictures"] == 2
    assert any("taken as the truth" in line for line in advice["verdict"])


def test_in_a_short_time_only_what_fits_is_compared() -> None:
    advice = answer(*QUICK, "--specimen", "porous:seed=4", "--pixel-size-nm", "1", "--time-s", "0.0004")
    rows = {row["name"]: row for row in advice["strategies"]}
    assert not rows["dense"]["feasible"] and "s even with the shortest dwell" in rows["dense"]["reason"]
    assert rows["sparse 1/20"]["feasible"]
    for row in rows.values():
        if row["feasible"]:
            assert row["figures"]["time_s"] <= 0.0004 and row["figures"]["dose_e_per_nm2"] <= 200
    assert advice["verdict"][0].startswith("In 0.0004 s")


@pytest.mark.parametrize(
    ("words", "says", "mend"),
    [
        (("--budget-e-per-nm2", "2"), "less than one", "Raise the budget to 4 e/nm²"),
        (("--field", "8x8"), "too small", "32 pixels"),
        (("--field", "65536x65536"), "outside", "split"),
        (("--specimen", "unicorns"), "no specimen 'unicorns'", "nanoparticles, lattice"),
        (("--specimen", "lattice"), "do not show lattice", "0.2 nm"),
        (("--specimen", "cells", "--image", "a.tif"), "Both", "Leave out"),
        (("--image", "nowhere.png"), "cannot be read", "Check that the file is whole"),
        (("--image", "picture.doc"), "no kind of picture", "tif, png or npy"),
        (("--time-s", "1e-7"), "no scan of this field fits", "Give more time"),
        (("--model", "magic"), "magic", "pushpull"),
        (("--draws", "0"), "0 draws", "1 to 32"),
        (("--yield", "2"), "yield of 2", "at most 1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_mend(words: tuple[str, ...], says: str, mend: str) -> None:
    done = plan(*QUICK, *words, "--json")
    assert done.returncode == 1
    problem = json.loads(done.stdout)["problem"]
    assert problem["code"] == "impossible" and says in problem["detail"] and mend in problem["mend"], problem
    assert problem["detail"] in done.stderr and "Traceback" not in done.stderr


def test_a_broken_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\0" + bytes(40))
    done = plan(*QUICK, "--image", str(path))
    assert done.returncode == 1 and "broken.tif cannot be read" in done.stderr and done.stdout == ""
    Image.new("L", (20, 300)).save(tmp_path / "thin.png")
    assert "at least 32 pixels a side" in plan(*QUICK, "--image", str(tmp_path / "thin.png")).stderr
    Image.new("L", (100, 100)).save(tmp_path / "flat.png")
    assert "no contrast" in plan(*QUICK, "--image", str(tmp_path / "flat.png")).stderr


def test_a_field_that_is_none_is_a_fault_of_the_command_line() -> None:
    done = plan(*QUICK, "--field", "large")
    assert done.returncode == 2 and "WIDTHxHEIGHT" in done.stderr
