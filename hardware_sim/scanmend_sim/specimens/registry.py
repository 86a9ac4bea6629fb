"""Specimens by name: `nanoparticles:seed=3`, a file, a folder, or `auto`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend_sim.specimens.base import Drawing, Specimen, check_grid
from scanmend_sim.specimens.files import default_folder, open_path
from scanmend_sim.specimens.procedural import cells, fibres, lattice, nanoparticles, porous

Option = str | float | bool
Draw = Callable[..., Drawing]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to draw a specimen.

    Attributes:
        draw: `draw(seed, shape, pixel_size_nm, **options) -> Drawing`.
        natural_pixel_size_nm: A pixel size that shows its features.
        options: The options that `draw` takes, with their defaults.
        about: One line for the command line's list.
    """

    draw: Draw
    natural_pixel_size_nm: float
    options: Mapping[str, Option]
    about: str


KINDS: dict[str, Kind] = {
    "nanoparticles": Kind(
        nanoparticles.draw,
        nanoparticles.NATURAL_PIXEL_SIZE_NM,
        {"shading": "haadf", "density_per_nm2": 0.006},
        "metal particles on an oxide support (shading=haadf or se)",
    ),
    "lattice": Kind(
        lattice.draw,
        lattice.NATURAL_PIXEL_SIZE_NM,
        {"vacancy_share": 0.012, "dopant_share": 0.01, "boundary": True},
        "an oxide crystal with vacancies, dopants, strain and a grain boundary",
    ),
    "cells": Kind(
        cells.draw, cells.NATURAL_PIXEL_SIZE_NM, {"contrast": "dark"}, "stained tissue (contrast=dark or bright)"
    ),
    "porous": Kind(porous.draw, porous.NATURAL_PIXEL_SIZE_NM, {"solid": 0.55}, "a sponge of ligaments and pores"),
    "fibres": Kind(fibres.draw, fibres.NATURAL_PIXEL_SIZE_NM, {"count": 34.0}, "a mat of bent fibres"),
}
"""Every procedural specimen by name."""

LEAST_SIDE_PX = 16
"""Smaller fields are corners of one of this size."""

CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("nanoparticles", "shading"): ("haadf", "se"),
    ("cells", "contrast"): ("dark", "bright"),
}
"""The words that a wordy option may be."""


@dataclass(frozen=True, slots=True)
class DrawnSpecimen:
    """A procedural specimen."""

    kind: str
    """Its name in `KINDS`."""
    seed: int = 0
    """Which one of its kind."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Options other than the defaults."""

    @property
    def name(self) -> str:
        """Kind and seed."""
        return f"{self.kind}:seed={self.seed}"

    @property
    def natural_pixel_size_nm(self) -> float | None:
        """A pixel size that shows the features."""
        return KINDS[self.kind].natural_pixel_size_nm

    def draw(self, shape: tuple[int, int], pixel_size_nm: float) -> Drawing:
        """Draw the picture with its ground truth; see `Specimen.render` for the arguments and errors."""
        check_grid(shape, pixel_size_nm)
        room = (max(shape[0], LEAST_SIDE_PX), max(shape[1], LEAST_SIDE_PX))
        drawing = KINDS[self.kind].draw(self.seed, room, pixel_size_nm, **self.options)
        return drawing if room == shape else replace(drawing, image=drawing.image[: shape[0], : shape[1]].copy())

    def render(self, shape: tuple[int, int], pixel_size_nm: float) -> npt.NDArray[np.float32]:
        """Draw the picture; see `Specimen.render`."""
        return self.draw(shape, pixel_size_nm).image

    def variant(self, index: int) -> DrawnSpecimen:
        """Give another of the same kind, with the seed moved on by `index`."""
        return replace(self, seed=self.seed + index)


def load_specimen(text: str) -> Specimen:
    """Find a specimen.

    Args:
        text: `NAME`, `NAME:seed=3,option=value`, the path of a micrograph or of a folder of them (also with
            `:seed=3`, which shuffles a folder), or `auto`: the folder of real micrographs beside the project
            where there is one, else `nanoparticles`.

    Returns:
        The specimen; nothing is drawn yet.

    Raises:
        InvalidInput: No such name, option, file or folder.
    """
    if Path(text).exists():
        return open_path(Path(text))
    head, _, tail = text.partition(":")
    if head == "auto":
        folder = default_folder()
        head = "nanoparticles" if folder is None else str(folder)
    given = _options(text, tail)
    seed = given.pop("seed", 0.0)
    if not isinstance(seed, float) or seed != int(seed):
        raise InvalidInput(f"The seed in {text!r} is not a whole number.", mend="Write for example seed=3.")
    if head in KINDS:
        return DrawnSpecimen(head, int(seed), _checked(head, given))
    if Path(head).exists():
        if given:
            raise InvalidInput(f"A picture has no option {sorted(given)[0]!r}.", mend="Only seed may follow a path.")
        return open_path(Path(head), seed=int(seed))
    raise InvalidInput(
        f"There is no specimen or file {head!r}.",
        mend=f"Use auto, the path of a micrograph or folder, or one of: {', '.join(KINDS)}.",
    )


def _options(text: str, tail: str) -> dict[str, Option]:
    given: dict[str, Option] = {}
    for part in filter(None, tail.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key or key in given:
            raise InvalidInput(f"{part!r} in {text!r} is not an option.", mend="Write NAME:key=value,key=value.")
        try:
            given[key] = {"true": True, "false": False}[value] if value in ("true", "false") else float(value)
        except ValueError:
            given[key] = value
    return given


def _checked(kind: str, given: Mapping[str, Option]) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for key, value in given.items():
        if key not in KINDS[kind].options:
            known = ", ".join(["seed", *KINDS[kind].options])
            raise InvalidInput(f"{kind} has no option {key!r}.", mend=f"It takes {known}.")
        default = KINDS[kind].options[key]
        choices = CHOICES.get((kind, key), ())
        if type(value) is not type(default) or (choices and value not in choices):
            wanted = " or ".join(choices) or ("true or false" if isinstance(default, bool) else "a number")
            raise InvalidInput(f"{key} of {kind} cannot be {value!r}.", mend=f"Give {wanted}.")
        if isinstance(value, float) and not 0 <= value <= 1000:
            raise InvalidInput(f"{key} of {kind} cannot be {value}.", mend="Give a number from 0 to 1000.")
        options[key] = value
    return options
