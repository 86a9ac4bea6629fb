"""A sponge of ligaments and pores, as nanoporous gold or a sintered ceramic looks in secondary electrons.

The solid is where ring-shaped noise is above a level, which is how spinodal decomposition leaves it
(J. W. Cahn, J. Chem. Phys. 42 (1965) 93). Deeper layers show through the pores, darker.
Ground truth: none by position.
"""

from __future__ import annotations

import numpy as np

from scanmend_sim.specimens.base import Drawing, to_signal
from scanmend_sim.specimens.procedural.canvas import (
    blur,
    coloured_noise,
    generator,
    ring_noise,
    secondary_electrons,
    smoothstep,
)

NATURAL_PIXEL_SIZE_NM = 2.0
LIGAMENT_NM = 75.0
"""Distance of neighbouring ligaments."""


def draw(seed: int, shape: tuple[int, int], pixel_size_nm: float, *, solid: float = 0.55) -> Drawing:
    """Draw the specimen.

    Args:
        seed: Which one.
        shape: Grid `(ny, nx)`.
        pixel_size_nm: Pixel size in nm; 1 to 6 show ligaments.
        solid: Share of the top layer that is solid (0 to 1).

    Returns:
        The picture.
    """
    rng = generator("porous", seed, shape)
    px = pixel_size_nm
    wavelength = LIGAMENT_NM / px * float(rng.uniform(0.85, 1.3))
    coarse = coloured_noise(rng, shape, longest_px=10 * wavelength, shortest_px=3 * wavelength, slope=1.5)
    height = np.full(shape, -3.2 * wavelength, dtype=np.float32)
    for layer in range(4):  # from the deepest up
        depth = (3 - layer) * 0.62 * wavelength
        wall = ring_noise(rng, shape, wavelength_px=wavelength * (0.8 + 0.07 * layer), spread=0.22)
        wall += 0.12 * coloured_noise(rng, shape, longest_px=0.4 * wavelength, shortest_px=0.1 * wavelength, slope=1.5)
        wall += 0.25 * coarse
        level = np.quantile(wall, 1.0 - solid + 0.06 * (3 - layer))
        inside = np.maximum(wall - level, 0.0)
        bulge = np.sqrt(np.minimum(inside, 1.1) / 1.1) * 0.42 * wavelength
        height = np.where(inside > 0, np.maximum(height, bulge - depth), height)
    rough = coloured_noise(rng, shape, longest_px=14.0 / px, shortest_px=2.5 / px, slope=1.0)
    ground = blur(height, 0.6) + 0.22 * rough
    lit = secondary_electrons(ground, edge=0.42, light=0.28, occlusion=0.75, reach_px=0.6 * wavelength)
    deep = smoothstep(height, -3.0 * wavelength, 0.45 * wavelength)
    tint = coloured_noise(rng, shape, longest_px=0.8 * max(shape), shortest_px=3 * wavelength, slope=1.5)
    picture = lit * (0.12 + 0.88 * deep**1.3) * (1.0 + 0.05 * tint + 0.03 * rough)
    picture = blur(np.maximum(picture, 0.0) ** 0.85, 0.55)
    low, high = (float(np.percentile(picture, q)) for q in (0.2, 99.8))
    return Drawing(to_signal(picture, low, high))
