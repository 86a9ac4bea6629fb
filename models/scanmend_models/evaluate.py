"""Measures a model of the catalogue: `python -m scanmend_models.evaluate --images DIR [--model NAME] [--json]`.

Runs the exported file on pictures that are taken as the truth, sampled sparsely without noise and fully with
few electrons, beside the baselines on the same samples.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from scanmend.errors import InvalidInput, ScanmendError
from scanmend_models import baselines
from scanmend_models.execute import Run, with_onnxruntime
from scanmend_models.export import CATALOGUE
from scanmend_models.golden import Arrays
from scanmend_models.masks import jittered_grid, random_pixels, spiral
from scanmend_models.metrics import Picture, error_correlation, interval_coverage, psnr_db

SPARSE = {
    "jittered grid 1/20": (jittered_grid, 0.05),
    "random 25 %": (random_pixels, 0.25),
    "spiral 1/20": (spiral, 0.05),
}
COUNTS_PER_PIXEL = (2, 5, 20)
"""Electrons in a pixel of brightness 1."""

log = logging.getLogger("scanmend_models.evaluate")


@dataclass(frozen=True, slots=True)
class Task:
    """A truth, the samples of it, and the baselines' scores in dB."""

    name: str
    truth: Picture
    asked: Arrays
    baselines_db: dict[str, float]


def exposure(values: Picture, weight: Picture, units_per_electron: float) -> Arrays:
    """Shape samples (ny, nx) as a model's inputs."""
    return {
        "values": values[None, None].astype(np.float32),
        "weight": weight[None, None].astype(np.float32),
        "units_per_electron": np.full((1, 1, 1, 1), units_per_electron, np.float32),
        "read_variance": np.zeros((1, 1, 1, 1), np.float32),
    }


def tasks(truth: Picture, seed: int) -> Iterator[Task]:
    """Sample one truth, (ny, nx) from 0 to 1, in every way that is evaluated."""
    rng = np.random.default_rng(seed)
    for name, (draw, coverage) in SPARSE.items():
        mask = draw(truth.shape, coverage, rng)
        values = np.where(mask, truth, 0).astype(np.float32)
        scores = {
            "nearest": psnr_db(baselines.nearest(values, mask), truth),
            "linear": psnr_db(baselines.linear(values, mask), truth),
        }
        yield Task(name, truth, exposure(values, mask.astype(np.float32), 0.0), scores)
    for counts in COUNTS_PER_PIXEL:
        values = (rng.poisson(truth * counts) / counts).astype(np.float32)
        scores = {
            "none": psnr_db(values, truth),
            "best Gaussian": psnr_db(baselines.best_gaussian(values, truth), truth),
        }
        name = f"{counts} counts a pixel"
        yield Task(name, truth, exposure(values, np.ones_like(values), 1 / counts), scores)


def score(task: Task, run: Run) -> dict[str, float]:
    """Run a model on a task; give PSNR, coverage of intervals and time, with the baselines."""
    started = time.perf_counter()
    answer = run(task.asked)
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    estimate, sigma = answer["estimate"][0, 0], answer["sigma"][0, 0]
    held = interval_coverage(estimate, sigma, task.truth)
    return {
        "psnr_db": psnr_db(estimate, task.truth),
        **{f"{name}_db": value for name, value in task.baselines_db.items()},
        **{f"within_{name}": value for name, value in held.items()},
        "sigma_error_correlation": error_correlation(estimate, sigma, task.truth),
        "elapsed_ms": elapsed_ms,
    }


def read_picture(path: Path, largest_px: int = 512) -> Picture:
    """Read a grey picture, cut to at most `largest_px` a side, and stretch it to 0…1.

    Raises:
        InvalidInput: If the file is no picture, or is flat.
    """
    try:
        with Image.open(path) as image:
            grey = np.asarray(image if image.mode in ("F", "I", "I;16", "L") else image.convert("L"), np.float32)
    except OSError as problem:
        raise InvalidInput(f"{path.name} is not a picture.", mend="Give tif, png or jpg files.") from problem
    grey = grey[:largest_px, :largest_px]
    low, high = float(grey.min()), float(grey.max())
    if not high > low:
        raise InvalidInput(f"{path.name} is flat.", mend="Leave it out.")
    return ((grey - low) / (high - low)).astype(np.float32)


def evaluate(paths: list[Path], run: Run, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Give the mean of every score over the pictures, for every task; `elapsed_ms` is a median."""
    gathered: dict[str, list[dict[str, float]]] = {}
    for number, path in enumerate(paths):
        for task in tasks(read_picture(path), seed + number):
            gathered.setdefault(task.name, []).append(score(task, run))
    return {
        name: {
            key: float((np.median if key == "elapsed_ms" else np.mean)([one[key] for one in scores if key in one]))
            for key in scores[0]
        }
        for name, scores in gathered.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Evaluate a model on a folder of pictures; 0 if it could be done."""
    parser = argparse.ArgumentParser(prog="python -m scanmend_models.evaluate", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of pictures, or one picture")
    parser.add_argument("--only", default="*", help="pattern of the file names, such as 'stem_*'")
    parser.add_argument("--model", default="pushpull", help="its name in the catalogue")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    asked = parser.parse_args(arguments)
    out = logging.StreamHandler(sys.stdout)
    log.setLevel(logging.INFO)
    log.addHandler(out)
    try:
        folder: Path = asked.images
        paths = [folder] if folder.is_file() else sorted(folder.glob(asked.only))
        paths = [path for path in paths if path.suffix.lower() in (".tif", ".tiff", ".png", ".jpg", ".jpeg")]
        if not paths:
            raise InvalidInput(f"There is no picture in {folder}.", mend="Give a folder with tif, png or jpg files.")
        result = evaluate(
            paths, with_onnxruntime(CATALOGUE / f"{asked.model}.onnx", threads=asked.threads), seed=asked.seed
        )
        if asked.json:
            log.info(json.dumps({"model": asked.model, "pictures": len(paths), "tasks": result}))
        else:
            for name, scores in result.items():
                log.info("%s: %s", name, "  ".join(f"{key} {value:.2f}" for key, value in scores.items()))
    except ScanmendError as error:
        log.error("%s", error)
        return 1
    finally:
        log.removeHandler(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
