"""What a microscope would have measured of a picture: the physics of the simulator, drawn at random.

Probe blur, drift, jitter and line noise come from `scanmend_sim.column` and `scanmend_sim.noise`; electrons and
read noise from `scanmend_sim.detector`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanmend.field import Channel
from scanmend_models.data import geometry
from scanmend_sim.column import Column, Scene
from scanmend_sim.detector import Detector
from scanmend_sim.noise import Jitter

Picture = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureConfig:
    """How exposures are drawn; ranges are log-uniform, shares need not add up to 1."""

    noise_free: float = 0.42
    """Share of sparse exposures without noise."""
    dense: float = 0.32
    """Share of full rasters with few electrons."""
    dwelt: float = 0.14
    """Share of full fields with uneven dwell, half of them made by a rescan policy."""
    sparse_noisy: float = 0.12
    """Share of sparse exposures with noise, a third of them rescanned by a policy."""
    coverage: tuple[float, float] = (0.01, 0.5)
    electrons: tuple[float, float] = (0.4, 150.0)
    """Electrons of a visit at brightness 1."""
    read_noise: tuple[float, float] = (0.05, 1.0)
    """Standard deviation of the read noise in electrons, where there is any (one exposure of four)."""
    flawed: float = 0.12
    """Share of exposures whose scan is distorted, or whose lines differ in brightness."""
    blurred: float = 0.25
    """Share of pictures seen by a wide probe."""
    grainy: float = 0.5
    """Share of sparse exposures without noise whose specimen has a grain of its own, as pictures of high dose have."""
    grain: tuple[float, float] = (0.003, 0.04)
    """Standard deviation of that grain, from pixel to pixel."""


@dataclass(frozen=True, slots=True)
class Example:
    """One exposure and its truth; maps are float32 (ny, nx), in units in which the truth's range is about 1."""

    values: Picture
    weight: Picture
    units_per_electron: float
    read_variance: float
    truth: Picture


def expose(rng: np.random.Generator, picture: Picture, config: ExposureConfig) -> Example:
    """Draw one exposure of a picture, (ny, nx) from 0 to 1."""
    tasks = (config.noise_free, config.dense, config.dwelt, config.sparse_noisy)
    task = int(rng.choice(4, p=np.array(tasks) / sum(tasks)))
    truth, seen = look(rng, picture, config)
    shape = truth.shape
    if task == 0:
        weight = geometry.sparse(rng, shape, log_uniform(rng, *config.coverage))
        if rng.random() < config.grainy:
            grain = (log_uniform(rng, *config.grain) * rng.standard_normal(shape)).astype(np.float32)
            truth, seen = truth + grain, seen + grain
        return Example(np.where(weight > 0, seen, 0.0).astype(np.float32), weight, 0.0, 0.0, truth)
    electrons = log_uniform(rng, *config.electrons)
    read_electrons = log_uniform(rng, *config.read_noise) if rng.random() < 0.25 else 0.0
    camera = Camera(electrons, read_electrons)
    if task == 1:
        weight = np.full(shape, float(rng.choice([1.0, 1.0, 2.0, 4.0])), np.float32)
        return camera.example(camera.passes(rng, seen, weight), weight, truth)
    sparse = task == 3
    first = geometry.sparse(rng, shape, log_uniform(rng, *config.coverage)) if sparse else np.ones(shape, np.float32)
    if rng.random() < (0.33 if sparse else 0.5):
        counted = camera.passes(rng, seen, first)
        values = np.where(first > 0, counted / np.maximum(first, 1e-6), 0.0)
        added = geometry.revisited(rng, first, values, sparse)
        total = first + added
        return camera.example(counted + camera.passes(rng, seen, added), total, truth)
    weight = first if sparse else geometry.uneven(rng, shape)
    return camera.example(camera.passes(rng, seen, weight), weight, truth)


def look(rng: np.random.Generator, picture: Picture, config: ExposureConfig) -> tuple[Picture, Picture]:
    """Give the picture as an endless dose would show it, and as this scan saw it; both (ny, nx)."""
    flawed = rng.random() < config.flawed
    probe_px = float(rng.uniform(0.8, 3.0)) if rng.random() < config.blurred else 0.0
    if not flawed and not probe_px:
        return picture, picture
    jitter_px = float(rng.uniform(0.05, 0.5)) if flawed else 0.0
    scene = Scene(picture, Column(probe_fwhm_nm=probe_px, jitter_nm=jitter_px), 1.0)
    if not flawed:
        return scene.blurred, scene.blurred
    ny, nx = picture.shape
    y, x = (places.ravel().astype(np.float64) for places in np.indices(picture.shape))
    times = np.arange(ny * nx, dtype=np.float64)
    lines = float(nx) if rng.random() < 0.5 else float(rng.uniform(4, 64))  # whole lines move, or pieces of them
    drift_y, drift_x = rng.uniform(-0.7, 0.7, 2) / (ny * nx)
    y += drift_y * (times - times.mean()) + Jitter(rng, 0.5 * jitter_px, lines).at(times)
    x += drift_x * (times - times.mean()) + Jitter(rng, jitter_px, lines).at(times)
    seen = scene.sample(y, x).reshape(ny, nx)
    if rng.random() < 0.5:
        seen *= (1.0 + float(rng.uniform(0.0, 0.03)) * rng.standard_normal((ny, 1))).astype(np.float32)
    return scene.blurred, np.clip(seen, 0.0, None)


class Camera:
    """A counting detector whose units make the truth's range 1.

    Args:
        electrons: Of a visit of weight 1 at brightness 1.
        read_electrons: Standard deviation of the read noise of a visit, in electrons.
    """

    def __init__(self, electrons: float, read_electrons: float) -> None:
        self._electrons = electrons
        self.units_per_electron = 1.0 / electrons
        self.read_variance = (read_electrons / electrons) ** 2
        self._detector = Detector(
            channel=Channel(
                name="training",
                dtype="float32",
                units_per_electron=self.units_per_electron,
                read_noise_units=read_electrons / electrons,
            )
        )

    def passes(self, rng: np.random.Generator, seen: Picture, weight: Picture) -> NDArray[np.float64]:
        """Sum of the signals of all visits, (ny, nx); a visit has weight 1 at most, and its own read noise."""
        summed = np.zeros(seen.shape)
        left = weight.astype(np.float64)
        while (here := left > 0).any():
            dwell = np.minimum(left[here], 1.0)
            if self.read_variance == 0:
                dwell = left[here]  # counts of several visits add up to counts
            mean = self._detector.mean_electrons(seen[here], self._electrons * dwell)
            summed[here] += self._detector.read(mean, 1, rng).astype(np.float64)
            left[here] -= dwell
        return summed

    def example(self, summed: NDArray[np.float64], weight: Picture, truth: Picture) -> Example:
        """Put an example together."""
        values = np.where(weight > 0, summed / np.where(weight > 0, weight, 1.0), 0.0).astype(np.float32)
        return Example(values, weight.astype(np.float32), self.units_per_electron, self.read_variance, truth)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
