"""`scanmend restore`: a file in, a picture out that says what made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from scanmend_sim.specimens import load_specimen

Command = Callable[..., Any]
SHAPE = (96, 128)
TRUTH = 5 + 200 * load_specimen("nanoparticles:seed=1").render(SHAPE, 1.0)


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """One pixel in five, without noise."""
    visits = (np.random.default_rng(1).random(SHAPE) < 0.2).astype(np.uint16)
    np.savez(tmp_path / "in.npz", values=TRUTH * visits, visits=visits, electrons_per_unit=np.inf)
    return tmp_path / "in.npz"


def test_a_sparse_scan_is_restored_and_the_file_says_by_what(
    scanmend: Command, one_object: Callable[[str], Any], sparse: Path, tmp_path: Path
) -> None:
    done = scanmend("restore", sparse, "-o", tmp_path / "out.npz", "--json")
    assert done.returncode == 0, done.stderr
    about = one_object(done.stdout)
    with np.load(tmp_path / "out.npz") as found, np.load(sparse) as given:
        image, sigma, sampled = found["image"], found["sigma"], given["visits"] > 0
        assert image.shape == SHAPE and np.allclose(image[sampled], TRUTH[sampled], rtol=1e-5)
        assert not sigma[sampled].any() and (sigma[~sampled] > 0).all()
        error = float(np.sqrt(np.mean((image - TRUTH)[~sampled] ** 2)))
        assert error < 0.5 * TRUTH.std()
        assert str(found["model"]) == about["model"] and str(found["sha256"]) == about["sha256"]
        assert "an estimate, not data" in str(found["note"]) and about["model"] in str(found["note"])
    assert about["coverage"] == pytest.approx(sampled.mean())


def test_a_noisy_tif_becomes_a_tif_whose_description_is_honest(scanmend: Command, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.random.default_rng(2).poisson(TRUTH / 40).astype(np.uint16))
    done = scanmend("restore", tmp_path / "in.tif", "-o", tmp_path / "out.tif", "--electrons-per-unit", "1")
    assert done.returncode == 0 and "restored by" in done.stderr, done.stderr
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        words = file.pages[0].description
        assert np.abs(file.asarray() - TRUTH / 40).mean() < 0.5 * np.sqrt(TRUTH / 40).mean()
    assert words.startswith("Restored by ") and "an estimate, not data" in words
    assert ("Take care" in words) == ("Take care" in done.stderr)


@pytest.mark.parametrize(
    ("arrays", "output", "says"),
    [
        ({"values": TRUTH}, "out.npy", "Name an npz or a tif file"),
        ({"values": TRUTH}, "missing/out.npz", "cannot be written"),
        ({"picture": TRUTH}, "out.npz", "holds picture, and no values"),
        ({"values": TRUTH, "visits": np.ones((3, 3), np.uint16)}, "out.npz", "visits"),
        ({"values": np.full(SHAPE, np.nan)}, "out.npz", "NaN"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_mend(
    scanmend: Command, tmp_path: Path, arrays: dict[str, np.ndarray], output: str, says: str
) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    done = scanmend("restore", tmp_path / "in.npz", "-o", tmp_path / output)
    assert done.returncode != 0 and says in done.stderr and "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz"]
