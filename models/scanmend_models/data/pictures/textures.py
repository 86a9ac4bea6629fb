"""Rough and layered surfaces without objects: fractal noise, lamellae, steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scanmend_sim.specimens.procedural.canvas import blur, coloured_noise, ring_noise, secondary_electrons, smoothstep

Picture = NDArray[np.float32]


def fractal(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """Draw fractal noise, plain or shaded as a rough surface, in float32 (ny, nx)."""
    hills = coloured_noise(
        rng,
        shape,
        longest_px=float(rng.uniform(30, 2 * max(shape))),
        shortest_px=float(rng.uniform(0.8, 4.0)),
        slope=float(rng.uniform(0.8, 2.0)),
    )
    if rng.random() < 0.5:
        return secondary_electrons(hills * float(rng.uniform(2.0, 12.0)), reach_px=float(rng.uniform(4, 20)))
    return np.asarray(np.abs(hills) if rng.random() < 0.3 else hills, dtype=np.float32)


def layers(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """Draw lamellae, stripes with bends, or a two-phase pattern, in float32 (ny, nx)."""
    wavelength = float(np.exp(rng.uniform(np.log(5.0), np.log(80.0))))
    if rng.random() < 0.35:
        pattern = ring_noise(rng, shape, wavelength_px=wavelength, spread=float(rng.uniform(0.1, 0.4)))
    else:
        y, x = np.indices(shape, dtype=np.float32)
        angle = float(rng.uniform(0, np.pi))
        bend = coloured_noise(rng, shape, longest_px=max(shape), shortest_px=60.0, slope=2.0)
        along = x * np.cos(angle) + y * np.sin(angle) + float(rng.uniform(0, 3)) * wavelength * bend
        phase = along * (2 * np.pi / wavelength)
        pattern = np.sin(phase) + 0.4 * np.sin(phase / 3.3 + 1.0)
    width = float(rng.uniform(0.05, 1.5))
    phases = smoothstep(np.asarray(pattern, dtype=np.float32), -width, width)
    rough = coloured_noise(rng, shape, longest_px=60.0, shortest_px=1.5, slope=1.0)
    grey = phases + float(rng.uniform(0.0, 0.12)) * rough
    if rng.random() < 0.4:
        grey = secondary_electrons(np.asarray(grey * float(rng.uniform(2.0, 10.0)), dtype=np.float32))
    return blur(np.asarray(grey, dtype=np.float32), float(rng.uniform(0.0, 1.0)))
