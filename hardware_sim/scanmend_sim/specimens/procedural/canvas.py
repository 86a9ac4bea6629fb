"""Brushes that the procedural specimens share: coloured noise, blur, stamps, and secondary-electron shading."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]


def generator(name: str, seed: int, shape: tuple[int, int]) -> np.random.Generator:
    """Give the random generator of one drawing, the same for the same name, seed and shape."""
    return np.random.default_rng([zlib.crc32(name.encode()), seed & 0xFFFFFFFF, shape[0], shape[1]])


def _frequencies(shape: tuple[int, int]) -> Picture:
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    return np.asarray(np.hypot(fy, fx), dtype=np.float32)


def _unit(picture: Picture) -> Picture:
    spread = float(picture.std())
    return np.asarray((picture - picture.mean()) / max(spread, 1e-12), dtype=np.float32)


def coloured_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, longest_px: float, shortest_px: float, slope: float = 1.0
) -> Picture:
    """Draw noise whose amplitude falls with spatial frequency as f^-slope between two wavelengths.

    Args:
        rng: Source of randomness.
        shape: Grid `(ny, nx)`.
        longest_px: Wavelength in pixels above which the noise is flat.
        shortest_px: Wavelength in pixels below which it dies away (Gaussian).
        slope: 0 white, 1 pink, 2 smooth hills.

    Returns:
        float32 (ny, nx), mean 0, standard deviation 1.
    """
    frequency = _frequencies(shape)
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    shape_of_f = np.maximum(frequency, 1.0 / max(longest_px, 2.0)) ** -slope
    shape_of_f *= np.exp(-0.5 * (frequency * max(shortest_px, 1e-3)) ** 2)
    return _unit(np.fft.irfft2(spectrum * shape_of_f, s=shape).astype(np.float32))


def ring_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, wavelength_px: float, spread: float = 0.2
) -> Picture:
    """Draw noise of about one wavelength in all directions, as spinodal decomposition leaves it.

    Args:
        rng: Source of randomness.
        shape: Grid `(ny, nx)`.
        wavelength_px: Middle wavelength in pixels.
        spread: Relative width of the ring of frequencies.

    Returns:
        float32 (ny, nx), mean 0, standard deviation 1.
    """
    middle = 1.0 / max(wavelength_px, 2.0)
    frequency = _frequencies(shape)
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    ring = np.exp(-0.5 * ((frequency - middle) / (spread * middle)) ** 2)
    return _unit(np.fft.irfft2(spectrum * ring, s=shape).astype(np.float32))


def blur(picture: Picture, sigma_px: float) -> Picture:
    """Blur with a Gaussian; the picture is mirrored at its edges.

    Args:
        picture: float32 (ny, nx).
        sigma_px: Standard deviation in pixels; 0 gives a copy.

    Returns:
        float32 (ny, nx).
    """
    if sigma_px <= 0:
        return picture.copy()
    ny, nx = picture.shape
    pad_y, pad_x = (min(int(np.ceil(4 * sigma_px)), side - 1) for side in (ny, nx))
    padded = np.pad(picture, ((pad_y, pad_y), (pad_x, pad_x)), mode="reflect")
    damp = np.exp(-2.0 * (np.pi * sigma_px * _frequencies(padded.shape)) ** 2)
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * damp, s=padded.shape)
    return np.asarray(blurred[pad_y : pad_y + ny, pad_x : pad_x + nx], dtype=np.float32)


def smoothstep(value: Picture, low: float, high: float) -> Picture:
    """Rise smoothly from 0 at `low` to 1 at `high` (also falls, where `low` is above `high`)."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def scattered(rng: np.random.Generator, shape: tuple[int, int], distance_px: float, jitter: float = 0.8) -> Points:
    """Give points on a jittered grid that covers the field and a rim around it.

    Args:
        rng: Source of randomness.
        shape: Grid `(ny, nx)`.
        distance_px: Mean distance of neighbours in pixels.
        jitter: Share of a grid cell in which a point may lie.

    Returns:
        float64 (n, 2) of (y, x) in pixels; some lie outside the field.
    """
    ys = np.arange(-1, int(shape[0] / distance_px) + 3)
    xs = np.arange(-1, int(shape[1] / distance_px) + 3)
    cells = np.stack(np.meshgrid(ys, xs, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray((cells - 0.5 + jitter * (rng.random(cells.shape) - 0.5)) * distance_px, dtype=np.float64)


def add_spots(picture: Picture, centres: Points, heights: Points, sigma_px: float, *, ring_px: float = 0.0) -> None:
    """Add Gaussian spots, or rings, at positions between pixels, in place.

    Args:
        picture: float32 (ny, nx), changed.
        centres: (n, 2) of (y, x) in pixels; those outside are clipped at the edge.
        heights: (n,) peak heights.
        sigma_px: Width of the spot, or of the ring's line, in pixels.
        ring_px: Radius of the ring in pixels; 0 draws spots.
    """
    if len(centres) == 0:
        return
    ny, nx = picture.shape
    reach = int(np.ceil(ring_px + 3.5 * sigma_px))
    offsets = np.arange(-reach, reach + 1)
    middle = np.rint(centres).astype(np.int64)
    for block in range(0, len(centres), 4096):
        here = slice(block, block + 4096)
        dy = (offsets[None, :] + middle[here, :1] - centres[here, :1]).astype(np.float32)
        dx = (offsets[None, :] + middle[here, 1:] - centres[here, 1:]).astype(np.float32)
        if ring_px > 0:
            away = np.hypot(dy[:, :, None], dx[:, None, :]) - ring_px
            stamps = np.exp(-0.5 * (away / sigma_px) ** 2)
        else:
            along_y, along_x = (np.exp(-0.5 * (d / sigma_px) ** 2) for d in (dy, dx))
            stamps = along_y[:, :, None] * along_x[:, None, :]
        stamps *= heights[here].astype(np.float32)[:, None, None]
        rows = np.broadcast_to((middle[here, 0, None] + offsets)[:, :, None], stamps.shape)
        columns = np.broadcast_to((middle[here, 1, None] + offsets)[:, None, :], stamps.shape)
        inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
        flat = rows[inside] * nx + columns[inside]
        picture += np.bincount(flat, weights=stamps[inside], minlength=ny * nx).reshape(ny, nx).astype(np.float32)


def secondary_electrons(
    height_px: Picture, *, edge: float = 0.55, light: float = 0.35, occlusion: float = 0.6, reach_px: float = 12.0
) -> Picture:
    """Shade a landscape as an Everhart-Thornley detector sees it.

    The yield rises with the tilt of the surface as about (1/cos θ)^n (Reimer, Scanning Electron Microscopy,
    section 4.2), so rims and edges glow; the side that faces the detector is a little brighter; electrons from
    hollows are caught by their walls.

    Args:
        height_px: float32 (ny, nx), height in units of the pixel size.
        edge: The exponent n: how strongly tilted places glow.
        light: How much brighter the side that faces the detector is (0 to 1).
        occlusion: How dark hollows are (0 none).
        reach_px: Width in pixels over which a wall shades a hollow.

    Returns:
        float32 (ny, nx), about 1 on flat open ground.
    """
    gy, gx = np.gradient(height_px)
    steep = np.sqrt(1.0 + gx * gx + gy * gy)
    tilt_yield = np.minimum(steep, 5.0) ** edge
    facing = 1.0 + light * (-0.8 * gx - 0.6 * gy) / steep
    hollow = height_px - blur(height_px, reach_px)
    shade = np.exp(np.clip(occlusion * hollow / reach_px, -1.6, 0.35))
    return np.asarray(tilt_yield * facing * shade, dtype=np.float32)
