"""Every kind of drawn picture, by name; the seed decides everything about one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scanmend_models.data.pictures import crystals, leaves, textures
from scanmend_sim.specimens.registry import KINDS as SPECIMENS

Picture = NDArray[np.float32]
Draw = Callable[[np.random.Generator, tuple[int, int]], Picture]


def _specimen(name: str, **choices: tuple[float | str, ...]) -> Draw:
    """A specimen of the simulator, at a pixel size and with options that differ from picture to picture."""

    def draw_one(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
        kind = SPECIMENS[name]
        pixel_size_nm = kind.natural_pixel_size_nm * float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))))
        options = {key: values[int(rng.integers(len(values)))] for key, values in choices.items()}
        return kind.draw(int(rng.integers(1 << 31)), shape, pixel_size_nm, **options).image

    return draw_one


KINDS: dict[str, tuple[Draw, float]] = {
    "leaves": (leaves.draw, 0.24),
    "crystals": (crystals.draw, 0.14),
    "fractal": (textures.fractal, 0.06),
    "layers": (textures.layers, 0.08),
    "nanoparticles": (
        _specimen("nanoparticles", shading=("haadf", "se"), density_per_nm2=(0.0005, 0.002, 0.006, 0.015)),
        0.16,
    ),
    "lattice": (_specimen("lattice", vacancy_share=(0.0, 0.012, 0.05), dopant_share=(0.0, 0.01, 0.05)), 0.06),
    "cells": (_specimen("cells", contrast=("dark", "bright")), 0.1),
    "porous": (_specimen("porous", solid=(0.35, 0.55, 0.75)), 0.08),
    "fibres": (_specimen("fibres", count=(12.0, 34.0, 70.0)), 0.08),
}
"""How to draw a kind, and its share of the drawn pictures."""


def draw(seed: int, shape: tuple[int, int], kind: str | None = None) -> Picture:
    """Draw one picture.

    Args:
        seed: Which one; equal seeds give equal pictures.
        shape: (ny, nx) in pixels, 16 or more a side.
        kind: One of `KINDS`, or None to draw that too.

    Returns:
        float32 (ny, nx), from 0 to 1.
    """
    rng = np.random.default_rng([seed, 4711])
    names = list(KINDS)
    shares = np.array([share for _, share in KINDS.values()])
    chosen = kind or names[int(rng.choice(len(names), p=shares / shares.sum()))]
    return stretched(KINDS[chosen][0](rng, shape))


def stretched(picture: Picture) -> Picture:
    """Scale a picture to 0…1; a flat one becomes 0.5."""
    low, high = float(picture.min()), float(picture.max())
    if not high > low:
        return np.full_like(picture, 0.5)
    return np.asarray((picture - low) / (high - low), dtype=np.float32)
