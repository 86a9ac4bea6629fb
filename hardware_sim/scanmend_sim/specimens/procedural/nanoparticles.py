"""Metal nanoparticles on an oxide support, as HAADF-STEM or as a secondary-electron picture shows them.

HAADF signal grows with thickness and with atomic number, so each particle is a little convex crystal whose
thickness along the beam is computed exactly; overlaps add up and saturate softly.
Ground truth: `particles` (n, 3): y, x, diameter in pixels.
"""

from __future__ import annotations

import numpy as np

from scanmend_sim.specimens.base import Drawing, to_signal
from scanmend_sim.specimens.procedural.canvas import (
    Picture,
    Points,
    blur,
    coloured_noise,
    generator,
    secondary_electrons,
    smoothstep,
)

NATURAL_PIXEL_SIZE_NM = 0.5
MOST_PARTICLES = 1500

_CUBE = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float64)
_OCTA = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1]], dtype=np.float64) / np.sqrt(3.0)
FACETS = np.concatenate([_CUBE, -_CUBE, _OCTA, -_OCTA])
"""Unit normals of the {100} and {111} facets of an fcc crystal."""


def _rotation(rng: np.random.Generator) -> Points:
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def crystal_thickness(rng: np.random.Generator, dy: Picture, dx: Picture, radius_px: float) -> tuple[Picture, Picture]:
    """Draw a truncated octahedron (a Wulff shape of fcc metals) with a random attitude and rounded corners.

    Args:
        rng: Source of randomness.
        dy: Distances from the centre along y in pixels, broadcastable against `dx`.
        dx: The same along x.
        radius_px: Radius of the sphere of about equal size.

    Returns:
        Thickness along the beam and the height of the upper surface, both in pixels, 0 outside.
    """
    normals = FACETS @ _rotation(rng)
    reach = radius_px * np.concatenate([np.full(6, rng.uniform(1.0, 1.12)), np.full(8, rng.uniform(0.9, 1.0))])
    reach *= 1.0 + 0.06 * rng.standard_normal(14)
    sphere = np.sqrt(np.maximum((1.08 * radius_px) ** 2 - dy * dy - dx * dx, 0.0))
    top, bottom = sphere, -sphere
    for (ny, nx, nz), distance in zip(normals, reach, strict=True):
        if abs(nz) < 0.02:
            continue
        plane = (distance - ny * dy - nx * dx) / nz
        if nz > 0:
            top = np.minimum(top, plane)
        else:
            bottom = np.maximum(bottom, plane)
    thickness = np.maximum(top - bottom, 0.0)
    return thickness.astype(np.float32), np.where(thickness > 0, top, 0.0).astype(np.float32)


def _support(rng: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> tuple[Picture, Picture]:
    """Draw a support of rough oxide globules in a few clumps, vacuum between.

    Returns:
        Thickness along the beam in nm (overlaps add) and the height of the upper surface in nm.
    """
    ny, nx = shape
    warp = [
        coloured_noise(rng, shape, longest_px=45 / pixel_size_nm, shortest_px=1.5 / pixel_size_nm, slope=1.7)
        for _ in range(2)
    ]
    yy = np.arange(ny, dtype=np.float32)[:, None] + warp[0] * np.float32(3.2 / pixel_size_nm)
    xx = np.arange(nx, dtype=np.float32)[None, :] + warp[1] * np.float32(3.2 / pixel_size_nm)
    thickness, surface = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    span = float(np.hypot(ny, nx))
    for _ in range(int(rng.integers(2, 5))):
        clump = rng.uniform(0.05, 0.95, 2) * (ny, nx)
        for _ in range(int(rng.integers(8, 16))):
            radius = float(np.clip(rng.lognormal(np.log(19.0), 0.4) / pixel_size_nm, 3.0, 0.25 * span))
            y, x = clump + rng.standard_normal(2) * min(1.7 * radius, 0.16 * span)
            squeeze, turn = rng.uniform(0.85, 1.18), rng.uniform(0, np.pi)
            cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            u = (yy - np.float32(y)) * cos + (xx - np.float32(x)) * sin
            v = (xx - np.float32(x)) * cos - (yy - np.float32(y)) * sin
            inside = np.maximum(radius**2 - (u * squeeze) ** 2 - (v / squeeze) ** 2, 0.0)
            cap = np.sqrt(inside).astype(np.float32) * pixel_size_nm
            thickness += 1.2 * cap
            surface = np.maximum(surface, cap * rng.uniform(0.7, 1.3))
    return blur(thickness, 1.0 / pixel_size_nm), surface


def _places(
    rng: np.random.Generator, support: Picture, pixel_size_nm: float, density_per_nm2: float
) -> tuple[Points, Points]:
    """Choose where particles sit (mostly on the support, some in clusters) and their radii in nm."""
    ny, nx = support.shape
    wanted = int(np.clip(density_per_nm2 * ny * nx * pixel_size_nm**2, 3, MOST_PARTICLES))
    weight = 0.05 + np.minimum(support / 30.0, 1.0)
    tries = rng.random((8 * wanted, 2)) * (ny, nx)
    taken = rng.random(len(tries)) < weight[tries[:, 0].astype(int), tries[:, 1].astype(int)] / weight.max()
    centres = tries[taken][:wanted]
    radii = np.clip(rng.lognormal(np.log(2.3), 0.38, len(centres)), 0.6, 12.0)
    children = rng.random(len(centres)) < 0.25
    parents = rng.integers(0, len(centres), len(centres))
    aside = (radii + radii[parents])[:, None] * rng.standard_normal((len(centres), 2)) * 0.8 / pixel_size_nm
    centres = np.where(children[:, None], centres[parents] + aside, centres)
    return centres, radii


def draw(
    seed: int,
    shape: tuple[int, int],
    pixel_size_nm: float,
    *,
    shading: str = "haadf",
    density_per_nm2: float = 0.006,
) -> Drawing:
    """Draw the specimen.

    Args:
        seed: Which one.
        shape: Grid `(ny, nx)`.
        pixel_size_nm: Pixel size in nm; 0.5 shows particles of 3 to 20 pixels.
        shading: `haadf` (thickness and atomic number) or `se` (topography).
        density_per_nm2: Particles per nm² of the field.

    Returns:
        The picture and `particles` (y, x, diameter) in pixels.
    """
    rng = generator("nanoparticles", seed, shape)
    ny, nx = shape
    support, support_top = _support(rng, shape, pixel_size_nm)
    centres, radii_nm = _places(rng, support, pixel_size_nm, density_per_nm2)
    metal = np.zeros(shape, dtype=np.float32)
    surface = support_top / np.float32(pixel_size_nm)
    for (y, x), radius in zip(centres, radii_nm / pixel_size_nm, strict=True):
        reach = int(np.ceil(1.15 * radius)) + 1
        top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
        bottom, right = min(int(y) + reach + 2, ny), min(int(x) + reach + 2, nx)
        if top >= bottom or left >= right:
            continue
        dy = (np.arange(top, bottom) - y)[:, None].astype(np.float32)
        dx = (np.arange(left, right) - x)[None, :].astype(np.float32)
        thickness, height = crystal_thickness(rng, dy, dx, radius)
        if rng.random() < 0.25:  # a twin: the two halves diffract differently
            turn = rng.uniform(0, 2 * np.pi)
            side = dy * np.sin(turn) + dx * np.cos(turn) > rng.uniform(-0.3, 0.3) * radius
            thickness = np.where(side, thickness * rng.uniform(0.78, 0.95), thickness)
        patch = (slice(top, bottom), slice(left, right))
        metal[patch] += thickness * np.float32(rng.uniform(0.85, 1.15))
        base = float(surface[min(max(int(y), 0), ny - 1), min(max(int(x), 0), nx - 1)])
        surface[patch] = np.where(
            thickness > 0, np.maximum(surface[patch], base + radius * 0.5 + height), surface[patch]
        )

    fine = coloured_noise(rng, shape, longest_px=4.0 / pixel_size_nm, shortest_px=0.9 / pixel_size_nm, slope=0.6)
    hills = coloured_noise(rng, shape, longest_px=120.0 / pixel_size_nm, shortest_px=12.0 / pixel_size_nm, slope=1.6)
    features = {"particles": np.column_stack([centres, 2 * radii_nm / pixel_size_nm])}
    if shading == "se":
        ground = surface + 0.5 * fine + 1.2 * hills
        lit = secondary_electrons(blur(ground, 0.6), reach_px=max(9.0 / pixel_size_nm, 2.0))
        picture = lit * (1.0 + 0.9 * smoothstep(blur(metal, 0.7), 0.0, 2.0 / pixel_size_nm)) * (1.0 + 0.03 * hills)
        return Drawing(
            to_signal(picture, float(np.percentile(picture, 0.2)) * 0.8, float(np.percentile(picture, 99.8))), features
        )
    film_nm = np.maximum(6.0 + 0.9 * hills + 0.9 * fine, 0.5)
    oxide_nm = support * (1.0 + 0.05 * fine + 0.06 * hills)
    matter = film_nm * 0.35 + oxide_nm * 0.55 + blur(metal, 0.45) * pixel_size_nm * 7.0
    picture = 1.0 - np.exp(-matter / 55.0)  # multiple scattering bends the curve of signal over thickness
    return Drawing(to_signal(picture, -0.02, max(float(np.percentile(picture, 99.95)), 0.2)), features)
