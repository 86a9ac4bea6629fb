"""Models as a user runs them, for the comparison with classical methods: tuned, calibrated, in tiles where need be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from scanmend.engine.catalogue import PASS_THROUGH, Catalogue
from scanmend.engine.restorer import Restorer, ranked
from scanmend.engine.runtimes import Picture
from scanmend_models.arrays import Arrays, Run
from scanmend_models.quality.evaluation import Contender


def contenders(names: Sequence[str] | None, threads: int) -> list[Contender]:
    """Load models, the one that `auto` likes best first.

    Args:
        names: Which; None for all but the one that restores nothing.
        threads: Threads of the runtime.

    Raises:
        ModelError: One of them cannot be used.
    """
    catalogue = Catalogue()
    wanted = [name for name in ranked(catalogue) if names is None or name in names]
    wanted += [name for name in names or () if name not in wanted]
    return [_contender(catalogue, name, threads) for name in wanted if names or name != PASS_THROUGH]


def _contender(catalogue: Catalogue, name: str, threads: int) -> Contender:
    manifest = catalogue.manifest(name)
    restorer = Restorer.load(name, threads=threads, runtimes=("onnxruntime",))
    table = msgspec.json.encode(manifest.calibration)
    calibration = hashlib.sha256(table).hexdigest()[:6] if manifest.calibration is not None else ""
    return Contender(name, manifest.sha256, manifest.kind == "learned", _runner(restorer), calibration)


def _runner(restorer: Restorer) -> Run:
    def run(asked: Arrays) -> Arrays:
        values, weight = asked["values"][0, 0], asked["weight"][0, 0]
        picture = Picture(
            values=values,
            weight=weight,
            units_per_electron=float(asked["units_per_electron"].item()),
            read_variance=float(asked["read_variance"].item()),
        )
        estimate, sigma = np.empty((2, *values.shape), dtype=np.float32)
        restorer.restore_into(picture, estimate, sigma)
        return {"estimate": estimate[None, None], "sigma": sigma[None, None]}

    return run
