"""Real micrographs that are quiet enough to be a truth, and which of them training never sees.

A folder of pictures with a `manifest.csv` of the columns `file`, `group` and `noise_rel` (noise over the range).
Pictures of one source look alike, so the split goes by group, never by file.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanmend.errors import InvalidInput
from scanmend_models.data.pictures.drawn import stretched
from scanmend_sim.specimens.files import read_picture

Picture = NDArray[np.float32]

QUIET = 0.02
"""Most noise over the range that a truth may have."""
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


def is_held_out(group: str) -> bool:
    """Whether the pictures of a group are for evaluation only: half of the groups, by a hash of the name."""
    return zlib.crc32(group.encode()) % 2 == 0


def read_micrographs(folder: Path, *, held_out: bool) -> Iterator[Micrograph]:
    """Read the quiet pictures of one side of the split; those for evaluation are never averaged.

    Args:
        folder: Pictures and their `manifest.csv`.
        held_out: Which side.

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
        if is_held_out(row["group"]) != held_out or not row["noise_rel"]:
            continue
        noise = float(row["noise_rel"])
        factor = 1 if held_out else max(1, int(np.ceil(noise / QUIET)))
        if noise / factor > QUIET * (1.5 if held_out else 1.0) or factor > MOST_REDUCED:
            continue
        image = reduced(stretched(read_picture(folder / row["file"])), factor)
        if min(image.shape) >= LEAST_SIDE_PX or held_out:
            yield Micrograph(Path(row["file"]).stem, row["group"], stretched(image), noise / factor)


def reduced(picture: Picture, factor: int) -> Picture:
    """Average blocks of `factor` × `factor` pixels; a rest at the edges is cut off."""
    ny, nx = (side // factor for side in picture.shape)
    blocks = picture[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    return np.asarray(blocks.mean((1, 3)), dtype=np.float32)
