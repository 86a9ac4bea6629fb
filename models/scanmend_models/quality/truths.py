"""The pictures that are taken as the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scanmend.errors import InvalidInput
from scanmend_models.data.pictures import Use, read_micrographs
from scanmend_models.data.pictures.drawn import stretched
from scanmend_models.quality.tasks import Picture, Truth
from scanmend_sim.specimens.files import SUFFIXES, read_picture

SIDE_PX = 512
"""Larger pictures are cut to this size, from their middle."""


def read_truths(folder: Path, most: int | None = None) -> list[Truth]:
    """Read the pictures of a folder.

    Args:
        folder: With a `manifest.csv`: the quiet pictures of the groups that are kept for evaluation. Without: all.
        most: At most so many, spread over the list.

    Raises:
        InvalidInput: There is no picture, or one is flat.
    """
    if (folder / "manifest.csv").is_file():
        found = [Truth(one.name, one.group, _cut(one.image)) for one in read_micrographs(folder, Use.EVALUATION)]
    else:
        paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
        found = [Truth(path.stem, path.stem, _cut(read_picture(path))) for path in paths]
    if not found:
        raise InvalidInput(f"There is no picture in {folder}.", mend=f"Name a folder with {', '.join(SUFFIXES)} files.")
    flat = [one.name for one in found if one.image.min() == one.image.max()]
    if flat:
        raise InvalidInput(f"{', '.join(flat)} is flat.", mend="Leave it out.")
    if most is not None and most < len(found):
        found = [found[int(place)] for place in np.linspace(0, len(found) - 1, most)]
    return found


def _cut(image: Picture) -> Picture:
    top, left = (max(0, (side - SIDE_PX) // 2) for side in image.shape)
    return stretched(np.ascontiguousarray(image[top : top + SIDE_PX, left : left + SIDE_PX]))
