"""Makes a model of the catalogue from a training: `python -m scanmend_models.release CHECKPOINT --card FILE`.

Exports the averaged weights, compares the file with torch, calibrates the standard deviation on pictures that were not
trained on, measures the range of inputs that were, makes the eight-bit twin, and writes the manifest with the card.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from scanmend.errors import InvalidInput, ScanmendError
from scanmend.validity import statistics
from scanmend_models.arrays import Run
from scanmend_models.calibration import calibrate
from scanmend_models.data.batches import DataConfig, Pictures, make_batch
from scanmend_models.data.pictures import Use, draw, read_micrographs
from scanmend_models.execute import with_onnxruntime
from scanmend_models.export import CATALOGUE, compare, export, write_manifest
from scanmend_models.int8 import write_int8
from scanmend_models.learned import entry, make_entry, with_weights
from scanmend_models.onnx_files import sha256
from scanmend_models.training.checkpoint import Checkpoint, load
from scanmend_models.training.config import from_plain

log = logging.getLogger("scanmend_models.release")

SIDE_PX = 256
"""Pictures for calibration are cut to this size."""
DRAWN = 18
"""Drawn pictures among them; the seeds are beyond any that training reaches."""
DRAWN_SEED = 10**15
DOMAIN_BATCHES = 40
DOMAIN_SHARE = 0.5
"""Percentiles left out at each end of the training range."""

Picture = NDArray[np.float32]


def calibration_pictures(micrographs: Path | None) -> list[Picture]:
    """Give drawn pictures and, where there are some, real ones of the groups set apart for calibration."""
    pictures = [draw(DRAWN_SEED + number, (SIDE_PX, SIDE_PX)) for number in range(DRAWN)]
    for one in read_micrographs(micrographs, Use.CALIBRATION) if micrographs else ():
        top, left = ((side - SIDE_PX) // 2 for side in one.image.shape)
        pictures.append(np.ascontiguousarray(one.image[top : top + SIDE_PX, left : left + SIDE_PX]))
    return pictures


def training_range(run: Run, data: DataConfig) -> dict[str, tuple[float, float]]:
    """Measure `scanmend.validity.statistics` on fresh training examples; their range, but for outliers."""
    pictures = Pictures(data, DRAWN_SEED)
    gathered: dict[str, list[float]] = {}
    for index in range(DOMAIN_BATCHES):
        batch = make_batch(pictures, data, DRAWN_SEED, index)
        for row in range(len(batch.values)):
            asked = {
                name: getattr(batch, name)[row : row + 1].numpy()
                for name in ("values", "weight", "units_per_electron", "read_variance")
            }
            found = statistics(
                asked["values"][0, 0],
                asked["weight"][0, 0],
                run(asked)["estimate"][0, 0],
                units_per_electron=float(asked["units_per_electron"].item()),
                read_variance=float(asked["read_variance"].item()),
            )
            for name, value in found.items():
                gathered.setdefault(name, []).append(value)
    ends = (DOMAIN_SHARE, 100 - DOMAIN_SHARE)
    return {name: _rounded(np.percentile(values, ends)) for name, values in gathered.items()}


def _rounded(ends: NDArray[np.float64]) -> tuple[float, float]:
    low, high = (float(f"{end:.3g}") for end in ends)
    return low, high


def release(checkpoint: Checkpoint, words: dict[str, Any], folder: Path, micrographs: Path | None) -> None:
    """Write a model into a catalogue.

    Args:
        checkpoint: The end of a training.
        words: name, version, summary, rank, receptive_field_px, trained_on, card.
        folder: The catalogue.
        micrographs: Real pictures to calibrate on, or None.

    Raises:
        ModelFailedSelfTest: The file answers otherwise than the network.
    """
    config = from_plain(checkpoint.config, "the checkpoint")
    shipped = {
        "kind": "learned",
        "licence": "BSD-3-Clause",
        "gate": {"max_psnr_drop_db": 0.1, "max_abs_error_rel": 0.05},
        **words,
        "trained_on": f"{words['trained_on']} {_effort(checkpoint)}",
        "file": f"{words['name']}.onnx",
        "network": msgspec.to_builtins(config.network),
        "training": {"steps": checkpoint.step, "hours": round(checkpoint.elapsed_s / 3600, 2), "seed": config.seed},
    }
    new = make_entry(shipped, lambda: with_weights(config.network, checkpoint.average))
    export(new, folder)
    log.info("exported; differs from torch by %.1e of its range", compare(new, folder))
    run = with_onnxruntime(folder / shipped["file"], threads=2)
    shipped["calibration"] = calibrate(run, calibration_pictures(micrographs)).plain()
    log.info("calibrated: %s", shipped["calibration"])
    shipped["domain"] = training_range(run, config.data)
    log.info("trained on: %s", shipped["domain"])
    twin = folder / f"{words['name']}.int8.onnx"
    write_int8(folder / shipped["file"], twin, config.data)
    shipped["int8"] = {"file": twin.name, "sha256": sha256(twin)}
    write_manifest(entry(shipped, folder), folder)


def renew_words(words: dict[str, Any], folder: Path) -> None:
    """Put new words into the manifest of a shipped model: version, summary, rank and card; its files stay.

    Raises:
        InvalidInput: There is no such model.
    """
    path = folder / f"{words['name']}.json"
    if not path.is_file():
        raise InvalidInput(f"There is no {path}.", mend="Name a checkpoint too, to make the model.")
    shipped = json.loads(path.read_text(encoding="utf-8"))
    renewed = {name: words[name] for name in ("version", "summary", "rank", "card")}
    path.write_text(json.dumps({**shipped, **renewed}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _effort(checkpoint: Checkpoint) -> str:
    hours = checkpoint.elapsed_s / 3600
    return f"{checkpoint.step} steps, {hours:.1f} hours on {checkpoint.trained_on}."


def main(arguments: list[str] | None = None) -> int:
    """Release a model; 0 if it was written and checked."""
    parser = argparse.ArgumentParser(prog="python -m scanmend_models.release", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="without it, only the card of the model is renewed")
    parser.add_argument("--card", type=Path, required=True, help="TOML with name, version, summary, rank, card, …")
    parser.add_argument("--folder", type=Path, default=CATALOGUE, help="the catalogue's folder")
    parser.add_argument("--micrographs", type=Path, help="real pictures with a manifest, to calibrate on")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    try:
        try:
            words = tomllib.loads(asked.card.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InvalidInput(f"{asked.card} cannot be read: {error}.", mend="Name a TOML file.") from error
        asked.folder.mkdir(parents=True, exist_ok=True)
        if asked.checkpoint is None:
            renew_words(words, asked.folder)
        else:
            release(load(asked.checkpoint), words, asked.folder, asked.micrographs)
    except ScanmendError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
