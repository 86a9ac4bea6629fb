"""The pictures that `scanmend plan` tries strategies on: drawn specimens, or parts of a picture of the user's.

The simulator is a package beside the service's; only commands load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanmend.advice.question import LEAST_SIDE_PX, Question
from scanmend.advice.stage import Sample
from scanmend.errors import InvalidInput
from scanmend_sim.specimens import KINDS, DrawnSpecimen, Specimen, load_specimen
from scanmend_sim.specimens.files import SUFFIXES, FileSpecimen, read_picture

DRAWS_A_KIND, DRAWS = 3, 8
"""Pictures of each kind where several are tried, and of a single one."""
FINER, COARSER = 20, 8
"""Pixels may be so much smaller or larger than those that show a kind best: beyond, there is one shape or mere dust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What stands in for the user's sample."""

    samples: list[Sample]
    drawn: bool
    about: str
    """One sentence."""


def drawn(specimen: str | None, question: Question, draws: int | None, seed: int) -> Pictures:
    """Draw specimens.

    Args:
        specimen: A kind with its options, which is drawn with the field's pixels. None draws one of each kind, with
            pixels that show its structure: what the user has is not known.
        question: What is planned.
        draws: Pictures of each kind.
        seed: Of the first one of a kind.

    Raises:
        InvalidInput: No such kind or option, or pixels that do not show it.
    """
    shape = question.crop().shape
    if specimen is None:
        places: list[tuple[str, Specimen, float]] = [
            (kind, DrawnSpecimen(kind, seed + draw), KINDS[kind].natural_pixel_size_nm)
            for kind in KINDS
            for draw in range(draws or DRAWS_A_KIND)
        ]
        about = "drawn specimens of several kinds, each with pixels that show its structure"
    else:
        kind, _, options = specimen.partition(":")
        if kind not in KINDS:
            raise InvalidInput(
                f"There is no specimen {kind!r}.", mend=f"Name one of {', '.join(KINDS)}, or give a picture as --image."
            )
        natural_nm, size_nm = KINDS[kind].natural_pixel_size_nm, question.field.pixel_size_nm
        finest_nm, coarsest_nm = natural_nm / FINER, natural_nm * COARSER
        if not finest_nm <= size_nm <= coarsest_nm:
            raise InvalidInput(
                f"Pixels of {size_nm:g} nm do not show {kind} as they are drawn here.",
                mend=f"Use {finest_nm:g} to {coarsest_nm:g} nm, leave out --specimen, or give --image.",
            )
        # With its options, so that a file of the kind's name is not taken for it.
        first = load_specimen(specimen if "seed=" in options else f"{specimen}{',' if options else ':'}seed={seed}")
        places = [(kind, first.variant(draw), size_nm) for draw in range(draws or DRAWS)]
        about = f"drawn specimens of the kind {specimen}, with pixels of {size_nm:g} nm"
    samples = []
    for kind, place, size_nm in places:
        truth = place.render(shape, size_nm)
        spread = float(truth.max() - truth.min())
        if not spread > 0:
            raise InvalidInput(f"{place.name} shows nothing in such a field.", mend="Name another specimen.")
        samples.append(Sample(name=place.name, group=kind, truth=truth, signal_range=spread))
    return Pictures(samples=samples, drawn=True, about=about)


def of_image(path: Path, question: Question, draws: int | None, seed: int) -> Pictures:
    """Take parts of a picture at random places.

    Args:
        path: A tif, png or npy file; one of its pixels is taken as one of the field's.
        question: What is planned.
        draws: How many parts.
        seed: Of the places.

    Raises:
        InvalidInput: It cannot be read, or is too small, or shows nothing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"{path.name} is no kind of picture that is read here.", mend="Give a tif, png or npy file.")
    whole_shape = read_picture(path).shape
    if min(whole_shape) < LEAST_SIDE_PX:
        raise InvalidInput(
            f"{path.name} has {whole_shape[1]} × {whole_shape[0]} pixels.",
            mend=f"Give a picture of at least {LEAST_SIDE_PX} pixels a side.",
        )
    whole = FileSpecimen(path).render((whole_shape[0], whole_shape[1]), question.field.pixel_size_nm)
    ny, nx = question.crop((whole_shape[0], whole_shape[1])).shape
    rng = np.random.default_rng(seed)
    samples = []
    for draw in range(draws or DRAWS):
        top, left = (int(rng.integers(have - need + 1)) for have, need in zip(whole_shape, (ny, nx), strict=True))
        truth = np.ascontiguousarray(whole[top : top + ny, left : left + nx])
        name = f"{path.name}, part {draw + 1}"
        samples.append(Sample(name=name, group=path.name, truth=truth, signal_range=float(whole.max() - whole.min())))
    return Pictures(samples=samples, drawn=False, about=f"parts of {path.name}")
