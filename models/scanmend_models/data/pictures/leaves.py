"""Dead leaves: opaque shapes of all sizes that cover each other (Lee, Mumford & Huang, IJCV 41, 2001).

Their edges, occlusions and scale invariance are those of natural pictures, which is why networks that were trained
on nothing else denoise real ones (Achddou, Gousseau & Ladjal, CVIU 2021).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanmend_sim.specimens.procedural.canvas import blur, coloured_noise

Picture = NDArray[np.float32]

MOST_SHAPES = 1200
"""Shapes of a picture; later ones lie on top."""


def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """Draw discs, ellipses, polygons and stripes, plain, shaded or textured, in float32 (ny, nx)."""
    ny, nx = shape
    smallest, largest = float(rng.uniform(1.5, 5.0)), 0.5 * min(ny, nx) * float(rng.uniform(0.3, 1.0))
    slope = float(rng.uniform(2.5, 3.5))  # density of radii r^-slope; 3 is scale invariant
    textures = [_texture(rng, shape) for _ in range(3)]
    picture = np.full(shape, rng.random(), np.float32) + 0.2 * textures[0]
    count = int(rng.integers(100, MOST_SHAPES))
    low, high = smallest ** (1 - slope), largest ** (1 - slope)
    radii = (low + rng.random(count) * (high - low)) ** (1 / (1 - slope))
    palette = rng.random(int(rng.integers(2, 40)))
    textured = float(rng.choice([0.0, 0.3, 0.8]))
    for radius in np.sort(radii)[::-1] if rng.random() < 0.5 else radii:
        _lay(rng, picture, float(radius), float(palette[rng.integers(len(palette))]), textures, textured)
    if rng.random() < 0.6:
        picture = blur(picture, float(rng.uniform(0.3, 1.5)))
    return picture


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    if rng.random() < 0.4:
        y, x = np.indices(shape, dtype=np.float32)
        angle, wavelength = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(3.0), np.log(40.0))))
        phase = (2 * np.pi / wavelength) * (x * np.cos(angle) + y * np.sin(angle))
        return np.asarray(np.sin(phase), dtype=np.float32)
    return coloured_noise(
        rng,
        shape,
        longest_px=float(rng.uniform(8, 200)),
        shortest_px=float(rng.uniform(1.0, 3.0)),
        slope=float(rng.uniform(0.5, 1.6)),
    )


def _lay(
    rng: np.random.Generator, picture: Picture, radius: float, grey: float, textures: list[Picture], textured: float
) -> None:
    """Lay one shape over the picture, in place."""
    ny, nx = picture.shape
    cy, cx = float(rng.uniform(-radius, ny + radius)), float(rng.uniform(-radius, nx + radius))
    stretch, angle = float(np.exp(rng.uniform(-1.0, 1.0))), float(rng.uniform(0, np.pi))
    reach = radius * max(stretch, 1 / stretch)
    top, bottom = max(0, int(cy - reach)), min(ny, int(cy + reach) + 2)
    left, right = max(0, int(cx - reach)), min(nx, int(cx + reach) + 2)
    if top >= bottom or left >= right:
        return
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - cy
    x = np.arange(left, right, dtype=np.float32)[None, :] - cx
    along = (x * np.cos(angle) + y * np.sin(angle)) / stretch
    across = (-x * np.sin(angle) + y * np.cos(angle)) * stretch
    kind = int(rng.integers(4))
    if kind == 0:  # a polygon: a disc with three to eight sides
        sides = int(rng.integers(3, 9))
        turn = np.arctan2(across, along)
        edge = np.cos(np.pi / sides) / np.cos(np.mod(turn, 2 * np.pi / sides) - np.pi / sides)
        away = np.hypot(along, across) / edge
    elif kind == 1:  # a rectangle
        away = np.maximum(np.abs(along), np.abs(across)) * 1.3
    else:
        away = np.hypot(along, across)
    cover = np.clip(radius - away + 0.5, 0.0, 1.0)  # a soft edge of one pixel
    tone: Picture | float = grey
    if rng.random() < textured:
        part = textures[int(rng.integers(len(textures)))][top:bottom, left:right]
        tone = grey + float(rng.uniform(0.02, 0.25)) * part
    if rng.random() < 0.3:  # shaded like a ball, or towards one side
        lit = np.sqrt(np.maximum(1.0 - (away / radius) ** 2, 0.0)) if rng.random() < 0.5 else along / radius
        tone = tone + float(rng.uniform(-0.4, 0.4)) * lit
    spot = picture[top:bottom, left:right]
    spot += cover * (tone - spot)
