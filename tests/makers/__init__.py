"""Makers' software as its documentation says, for the bridges of `docs/bridges/`: recorded fakes.

Each knows the documented calls and no others, checks what it is given as the documentation asks, and notes each call.
Nobody here has the software: what these say is what was read, and a bridge that passes here is still untried.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

BRIDGES = Path(__file__).resolve().parents[2] / "docs" / "bridges"


def script(name: str) -> ModuleType:
    """A script of `docs/bridges/`, loaded as it stands there."""
    known = f"bridges_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, BRIDGES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]


def specimen(shape: tuple[int, int]) -> np.ndarray:
    """What each pixel gives at each visit, uint16: two bright places on a faint ground, with noise drawn once."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    bright = sum(
        np.exp(-((y / shape[0] - v) ** 2 + (x / shape[1] - u) ** 2) / 0.005) for v, u in ((0.3, 0.25), (0.7, 0.7))
    )
    return np.random.default_rng(11).poisson(20 + 400 * bright).astype(np.uint16)
