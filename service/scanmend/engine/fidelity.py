"""The fidelity gate: a faster arithmetic may run only where it costs next to nothing against float32.

Judged on three synthetic exposures with a known truth: a dense one of few counts, a dense one of many, and a sparse
one of noise-free samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scanmend.engine.catalogue import Gate
from scanmend.engine.runtimes import Picture, Runtime
from scanmend.errors import ModelError
from scanmend.restoration import FloatPicture

SIDE_PX = 192
_PATTERN_PX = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """A synthetic exposure and its truth."""

    name: str
    picture: Picture
    truth: FloatPicture


@dataclass(frozen=True, slots=True)
class Answer:
    """What a runtime made of a trial."""

    estimate: FloatPicture
    sigma: FloatPicture


def truth_picture(side_px: int = SIDE_PX, seed: int = 3) -> FloatPicture:
    """Discs, a ramp, a grating and a lattice between 0.1 and 1; float32 `(side, side)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    truth = 0.25 + 0.15 * x / side_px + 0.08 * np.sin(0.35 * x + 0.15 * y) * (y > side_px / 2)
    truth += 0.1 * (np.cos(0.8 * x) * np.cos(0.8 * y) > 0.6) * (x > side_px / 2)
    for row, column, radius, height in rng.random((14, 4)):
        inside = (y - row * side_px) ** 2 + (x - column * side_px) ** 2 < (3 + side_px / 9 * radius) ** 2
        truth += 0.4 * height * inside
    clipped: FloatPicture = np.clip(truth, 0.1, 1.0).astype(np.float32)
    return clipped


@cache
def trials() -> tuple[Trial, ...]:
    """The three exposures, always the same."""
    rng = np.random.default_rng(11)
    truth = truth_picture()
    everywhere = np.ones_like(truth)
    made = []
    for counts in (3.0, 30.0):
        values = (rng.poisson(truth * counts) / counts).astype(np.float32)
        noisy = Picture(values=values, weight=everywhere, units_per_electron=1 / counts, read_variance=0.0)
        made.append(Trial(f"{counts:g} counts", noisy, truth))
    seen = (rng.random(truth.shape) < 0.15).astype(np.float32)
    sparse = Picture(values=truth * seen, weight=seen, units_per_electron=0.0, read_variance=0.0)
    made.append(Trial("sparse", sparse, truth))
    return tuple(made)


def answers(runtime: Runtime) -> list[Answer]:
    """What a runtime makes of each trial.

    Raises:
        ModelError: It gives up.
    """
    found = []
    for trial in trials():
        out = np.full((2, *trial.truth.shape), np.nan, dtype=np.float32)
        runtime.run(trial.picture, out[0], out[1])
        found.append(Answer(out[0], out[1]))
    return found


def psnr_db(estimate: FloatPicture, truth: FloatPicture) -> float:
    """Peak signal-to-noise ratio for a range of 1, in dB; `-10 log10(mean squared error)`."""
    error = float(np.mean((estimate.astype(np.float64) - truth) ** 2))
    return math.inf if error == 0 else -10 * math.log10(error)


def _averaged(picture: FloatPicture) -> FloatPicture:
    """Means over 5 × 5 pixels, as sums of sums; float32, four pixels smaller."""
    rows = sliding_window_view(picture, _PATTERN_PX, axis=0).mean(axis=-1)
    means: FloatPicture = sliding_window_view(rows, _PATTERN_PX, axis=1).mean(axis=-1)
    return means


def gate_problem(runtime: Runtime, reference: list[Answer], gate: Gate) -> str:
    """Why a runtime may not be used instead of the reference; empty where it may."""
    try:
        got = answers(runtime)
    except ModelError as error:
        return error.message
    for trial, mine, theirs in zip(trials(), got, reference, strict=True):
        spread = float(np.ptp(trial.truth))
        for name, a, b in (("estimate", mine.estimate, theirs.estimate), ("sigma", mine.sigma, theirs.sigma)):
            worst = float(np.abs(a - b).max())  # NaN stays NaN
            if not worst <= gate.max_abs_error_rel * spread:
                return (
                    f"its {name} is off by up to {worst / spread:.3f} of the range ({trial.name}), "
                    f"{gate.max_abs_error_rel} is allowed"
                )
            pattern = float(np.abs(_averaged(a - b)).max())
            if not pattern <= gate.max_pattern_rel * spread:
                return (
                    f"its {name} shows a pattern of up to {pattern / spread:.3f} of the range ({trial.name}), "
                    f"{gate.max_pattern_rel} is allowed"
                )
        drop = psnr_db(theirs.estimate, trial.truth) - psnr_db(mine.estimate, trial.truth)
        if drop > gate.max_psnr_drop_db:
            return f"it loses {drop:.2f} dB ({trial.name}), {gate.max_psnr_drop_db} is allowed"
    return ""
