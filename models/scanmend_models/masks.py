"""Where a sparse scan samples: the three masks of the evaluation, as boolean arrays (ny, nx)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def jittered_grid(shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> Mask:
    """One sample at a random place of every cell of a grid.

    Args:
        shape: (ny, nx).
        coverage: Share of the pixels to sample, 0 to 1.
        rng: Source of the places.
    """
    ny, nx = shape
    cells_y, cells_x = (max(1, round(size * coverage**0.5)) for size in shape)
    y = (np.arange(cells_y)[:, None] + rng.random((cells_y, cells_x))) * ny / cells_y
    x = (np.arange(cells_x)[None, :] + rng.random((cells_y, cells_x))) * nx / cells_x
    mask = np.zeros(shape, bool)
    mask[y.astype(int).clip(0, ny - 1), x.astype(int).clip(0, nx - 1)] = True
    return mask


def random_pixels(shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> Mask:
    """Every pixel by itself with the same chance."""
    return rng.random(shape) < coverage


def spiral(shape: tuple[int, int], coverage: float, rng: np.random.Generator) -> Mask:
    """An Archimedean spiral of touching pixels, with so many turns that it has the coverage; nothing random."""
    ny, nx = shape
    reach = np.hypot(ny, nx) / 2
    turns = reach * coverage * np.pi / 4  # a drawn line takes 4 / pi pixels a unit of length, over all directions
    along = np.sqrt(np.linspace(0.0, 1.0, int(12 * reach * turns) + 2))  # even steps along the line
    angle = 2 * np.pi * turns * along
    y = np.round((ny - 1) / 2 + reach * along * np.sin(angle)).astype(int)
    x = np.round((nx - 1) / 2 + reach * along * np.cos(angle)).astype(int)
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    mask = np.zeros(shape, bool)
    mask[y[inside], x[inside]] = True
    return mask
