"""Measures how long a model takes, in every way that this machine has."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scanmend.engine.catalogue import Model
from scanmend.engine.runtimes import Candidate, Picture, Runtime, registry
from scanmend.engine.self_test import self_test
from scanmend.errors import ModelError

LEAST_RUNS = 5


def time_candidates(
    model: Model, runtimes: Sequence[str], threads: int, shape: tuple[int, int], seconds: float
) -> Iterator[dict[str, Any]]:
    """Time a model on a field of Poisson noise; ways that fail the self-test are left out.

    Args:
        model: The model.
        runtimes: Runtimes that may be used.
        threads: Of the processor.
        shape: (ny, nx) of the field, which is not cut into tiles.
        seconds: About how long each way is measured.

    Yields:
        label, provider, precision, runs, and median and 95th percentile of the runtime's own call in milliseconds.
    """
    values = np.random.default_rng(5).poisson(8.0, shape).astype(np.float32)
    picture = Picture(values=values, weight=np.ones_like(values), units_per_electron=1.0, read_variance=0.0)
    for candidate in registry.candidates(runtimes, threads, int8=model.int8 is not None):
        try:
            runtime = registry.load(model.file_for(candidate.precision), candidate)
            self_test(runtime, model)
            runtime.warm_up(shape)
        except ModelError:
            continue
        try:
            yield _timed(runtime, candidate, picture, seconds)
        finally:
            runtime.close()


def _timed(runtime: Runtime, candidate: Candidate, picture: Picture, seconds: float) -> dict[str, Any]:
    estimate, sigma = np.empty((2, *picture.values.shape), dtype=np.float32)
    taken: list[float] = []
    end = time.monotonic() + seconds
    while len(taken) < LEAST_RUNS or time.monotonic() < end:
        start = time.perf_counter()
        runtime.run(picture, estimate, sigma)
        taken.append(1e3 * (time.perf_counter() - start))
    return {
        "label": candidate.label,
        "provider": runtime.info.provider,
        "precision": runtime.info.precision,
        "runs": len(taken),
        "p50_ms": round(float(np.median(taken)), 2),
        "p95_ms": round(float(np.percentile(taken, 95)), 2),
    }
