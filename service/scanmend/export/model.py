"""Restorers for exports, from the catalogue of models."""

from __future__ import annotations

import msgspec

from scanmend.engine.restorer import Restorer, picture_of
from scanmend.export.options import Loader, Mender, Restored
from scanmend.exposure import Exposure


def model_loader(threads: int = 2) -> Loader:
    """A loader that takes models from the catalogue and runs them in this process.

    Args:
        threads: Threads of the runtime.
    """

    def load(name: str) -> Mender:
        restorer = Restorer.load(name, threads=threads)

        def mend(exposure: Exposure) -> Restored:
            return _restored(restorer, exposure, threads)

        return mend

    return load


def _restored(restorer: Restorer, exposure: Exposure, threads: int) -> Restored:
    manifest, info = restorer.model.manifest, restorer.info
    noise = picture_of(exposure)
    settings: dict[str, str | float] = {
        "kind": manifest.kind,
        "summary": manifest.summary,
        "runtime": info.runtime,
        "precision": info.precision,
        "threads": threads,
        "units_per_electron": noise.units_per_electron,
        "read_variance": noise.read_variance,
    }
    del noise
    if manifest.calibration is not None:
        settings["calibration"] = msgspec.json.encode(manifest.calibration).decode()
    return Restored(restorer.restore(exposure), settings)
