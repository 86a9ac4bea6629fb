"""Real micrographs that are quiet enough to be a truth, and which of them training never sees.

A folder of pictures with a `manifest.csv` of the columns `file`, `group` and `noise_rel` (noise over the range).
Pictures of one source look alike, so the split goes by group, never by file. A model is trained on some groups, its
standard deviation is calibrated on others, and all its figures come from the rest.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanmend.errors import InvalidInput
from scanmend_models.data.pictures.drawn import stretched
from scanmend_sim.specimens.files import read_picture

Picture = NDArray[np.float32]

QUIET = 0.02
"""Most noise over the range that a truth for training may have."""
QUIET_ENOUGH = 0.03
"""The same for calibration and evaluation."""
MOST_REDUCED = 4
"""Noisier pictures are averaged over up to so many pixels a side."""
LEAST_SIDE_PX = 192
"""Smallest side of a picture that is left of it."""


@dataclass(frozen=True, slots=True)
class Micrograph:
    """A picture taken as the truth."""

    name: str
    group: str
    image: Picture
    """float32 (ny, nx), from 0 to 1."""
    noise: float
    """Noise over the range, after averaging."""


class Use(StrEnum):
    """What the pictures of a group are for."""

    TRAINING = "training"
    CALIBRATION = "calibration"
    EVALUATION = "evaluation"


def use_of(group: str) -> Use:
    """What a group is for, by a hash of its name: half of the groups for training, a quarter each for the rest."""
    number = zlib.crc32(group.encode()) % 4
    return Use.TRAINING if number % 2 else Use.CALIBRATION if number == 0 else Use.EVALUATION


def read_micrographs(folder: Path, use: Use) -> Iterator[Micrograph]:
    """Read the quiet pictures for one use; only those for training are averaged to make them quiet.

    Args:
        folder: Pictures and their `manifest.csv`.
        use: Which side of the split.

    Raises:
        InvalidInput: There is no manifest in the folder.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise InvalidInput(
            f"There is no manifest.csv in {folder}.",
            mend="Give a folder of micrographs with a manifest of file, group and noise_rel, or none.",
        )
    with manifest.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        if use_of(row["group"]) is not use or not row["noise_rel"]:
            continue
        noise = float(row["noise_rel"])
        if use is Use.TRAINING:
            factor, most = max(1, int(np.ceil(noise / QUIET))), QUIET
        else:
            factor, most = 1, QUIET_ENOUGH
        if noise / factor > most or factor > MOST_REDUCED:
            continue
        image = reduced(stretched(read_picture(folder / row["file"])), factor)
        if min(image.shape) >= LEAST_SIDE_PX:
            yield Micrograph(Path(row["file"]).stem, row["group"], stretched(image), noise / factor)


def reduced(picture: Picture, factor: int) -> Picture:
    """Average blocks of `factor` × `factor` pixels; a rest at the edges is cut off."""
    ny, nx = (side // factor for side in picture.shape)
    blocks = picture[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    return np.asarray(blocks.mean((1, 3)), dtype=np.float32)
