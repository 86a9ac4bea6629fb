"""The detector of the simulator, and a quick restorer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from scanmend.advice.stage import Tools
from scanmend.engine.restorer import Restorer
from scanmend.field import Channel
from scanmend_sim.detector import Detector


@pytest.fixture(scope="session")
def tools() -> Iterator[Tools]:
    detector = Detector(channel=Channel(name="counts", dtype="uint32"), efficiency=0.3)

    def detect(signal: np.ndarray, beam: np.ndarray, dwell_ns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return detector.read(detector.mean_electrons(signal, beam), dwell_ns, rng)

    restorer = Restorer.load("pushpull", threads=1)
    yield Tools(detect=detect, restorer=restorer)
    restorer.close()
