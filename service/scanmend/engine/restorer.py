"""`Restorer`: a model, loaded, that restores exposures in any program."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from scanmend.engine import tune
from scanmend.engine.assess import Assessment, assess
from scanmend.engine.catalogue import FALLBACK, PASS_THROUGH, Catalogue, Model
from scanmend.engine.noise import Noise, estimate_noise
from scanmend.engine.runtimes import Picture, Runtime
from scanmend.engine.tiling import TILE_PX, needs_tiles, run_tiled
from scanmend.errors import ExposureError, ModelError, ModelNotFound
from scanmend.exposure import Exposure
from scanmend.ipc.engine_link import ModelInfo
from scanmend.restoration import FloatPicture, Restoration
from scanmend.validity import caution, statistics

log = logging.getLogger(__name__)

AUTO = "auto"
FOR_LOOKING = "a model for looking at pictures, which may draw what was not there: measure nothing in it"
RUNTIMES = ("onnxruntime", "openvino")
WARM_RUNS = 4
"""A model's own time at start is the least of so many runs: `auto` goes by it."""
WARM_MS = 600.0
"""No further run once they have taken this long together."""


class Restorer:
    """Restores exposures with one model; made by `load`, used by one thread.

    >>> restorer = Restorer.load("auto", threads=2)
    >>> mended = restorer.restore(exposure)
    """

    def __init__(self, model: Model, choice: tune.Choice) -> None:
        self.model = model
        self.chosen = tune.Remembered(choice.candidate, choice.tuned_ms)
        """How it is executed, to be given to `load` again."""
        self._runtime: Runtime = choice.runtime
        self.warm_ms = 0.0
        """Time of a run after `warm_up`, on a field of its shape: the least of a few, which others disturb least."""
        info, manifest = choice.runtime.info, model.manifest
        self.info = ModelInfo(
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            kind=manifest.kind,
            summary=manifest.summary,
            card=manifest.card,
            runtime=info.runtime,
            provider=info.provider,
            precision=info.precision,
            live=True,
            tuned_ms=choice.tuned_ms,
        )
        """The model, and what really executes it."""

    @classmethod
    def load(
        cls,
        name: str = AUTO,
        *,
        threads: int = 2,
        runtimes: Sequence[str] = RUNTIMES,
        tune_s: float = 0.0,
        catalogue: Path | None = None,
        remembered: tune.Remembered | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> Restorer:
        """Load a model that passes its self-test.

        Args:
            name: A name from the catalogue; `auto` takes the best model that works: learned ones before classical.
            threads: Threads on the processor; 0 for whatever is fastest.
            runtimes: Runtimes that may be used, the preferred one first.
            tune_s: About how long to look for the fastest runtime, in seconds; 0 takes the first that works.
            catalogue: Folder of models; None for those that ship with Scanmend.
            remembered: `chosen` of an earlier load of the same model, to save the search.
            beat: Called between the steps of a long load.

        Raises:
            ModelNotFound: No such name; the text lists those that there are.
            ModelCorrupt: The file is not the one in its manifest.
            ModelFailedSelfTest: The model does not give its golden answer.
            RuntimeUnavailable: No runtime here can execute it.
            MissingExtra: No runtime is installed.
        """
        found = Catalogue(catalogue)
        problem: ModelError | None = None
        for candidate in ranked(found) if name == AUTO else [name]:
            try:
                model = found.load(candidate)
                choice = tune.choose(
                    model, runtimes=runtimes, threads=threads, tune_s=tune_s, remembered=remembered, beat=beat
                )
                return cls(model, choice)
            except ModelError as error:
                log.warning("%s", error)
                problem = error
        raise problem or ModelNotFound("The catalogue holds no model.", mend="Install Scanmend again.")

    def restore(self, exposure: Exposure) -> Restoration:
        """Restore an exposure of any size.

        Raises:
            ExposureError: Values beyond the range of float32.
            ModelError: The model failed, or gave something that no picture can be.
        """
        start = time.perf_counter()
        picture = picture_of(exposure)
        estimate, sigma = np.empty((2, *exposure.shape), dtype=np.float32)
        assessment = self.restore_into(picture, estimate, sigma)
        manifest = self.model.manifest
        return Restoration(
            image=estimate,
            sigma=sigma,
            model=manifest.name,
            model_version=manifest.version,
            sha256=manifest.sha256,
            provider=self.info.provider,
            elapsed_ms=1e3 * (time.perf_counter() - start),
            caution=assessment.caution,
        )

    def restore_into(
        self,
        picture: Picture,
        estimate: FloatPicture,
        sigma: FloatPicture,
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> Assessment:
        """Restore into memory of the caller's.

        Args:
            picture: The inputs.
            estimate: `(ny, nx)`, contiguous; filled, also where an error is raised.
            sigma: `(ny, nx)`, contiguous; filled, also where an error is raised.
            beat: Called between tiles.

        Raises:
            ModelError: The model failed, or gave something that no picture can be.
        """
        if needs_tiles(picture.values.shape):
            overlap = self.model.manifest.receptive_field_px
            run_tiled(self._runtime.run, picture, estimate, sigma, overlap_px=overlap, beat=beat)
        else:
            self._runtime.run(picture, estimate, sigma)
        return self._judge(picture, estimate, sigma)

    def _judge(self, picture: Picture, estimate: FloatPicture, sigma: FloatPicture) -> Assessment:
        """Check the answer, put its sigma right, and say where the input is unlike what the model was made for."""
        manifest = self.model.manifest
        assessment = assess(picture, estimate, sigma)
        floor = least_sigma(picture)
        if sigma.min() < floor:
            np.maximum(sigma, np.float32(floor), out=sigma)
            assessment = Assessment(sigma_mean=float(sigma.mean(dtype=np.float64)))
        if manifest.calibration is None and not manifest.domain and manifest.purpose == "measuring":
            return assessment
        found = statistics(
            picture.values,
            picture.weight,
            estimate,
            units_per_electron=picture.units_per_electron,
            read_variance=picture.read_variance,
        )
        reasons = caution(found, manifest.domain) if manifest.domain else None
        if manifest.purpose == "looking":
            reasons = "; ".join(filter(None, (FOR_LOOKING, reasons)))
        factor = 1.0
        if manifest.calibration is not None:
            factor = manifest.calibration.factor(found["coverage"], electrons_of(picture, found))
            np.multiply(sigma, np.float32(factor), out=sigma)
        return Assessment(assessment.sigma_mean * factor, reasons)

    def warm_up(self, shape: tuple[int, int]) -> None:
        """Prepare for fields of this shape, so that the first frame is not slower than the second.

        Raises:
            ModelError: The runtime gave up.
        """
        shape = (min(shape[0], TILE_PX), min(shape[1], TILE_PX))
        self._runtime.warm_up(shape)
        flat = np.ones((3, *shape), dtype=np.float32)
        picture = Picture(values=flat[0], weight=flat[0], units_per_electron=0.1, read_variance=0.0)
        times: list[float] = []
        while len(times) < WARM_RUNS and sum(times) < WARM_MS:
            start = time.perf_counter()
            self._runtime.run(picture, flat[1], flat[2])
            times.append(1e3 * (time.perf_counter() - start))
        self.warm_ms = min(times)

    def close(self) -> None:
        """Let go of the model's memory."""
        self._runtime.close()


def ranked(catalogue: Catalogue) -> list[str]:
    """The models that `auto` tries, the best first: learned, then classical.

    Never the one that restores nothing, nor one that is for looking at.
    """

    def rank(name: str) -> tuple[bool, int, bool, str]:
        try:
            manifest = catalogue.manifest(name)
        except ModelError:
            return (True, 0, name != FALLBACK, name)
        return (manifest.kind != "learned", -manifest.rank, name != FALLBACK, name)

    def for_measuring(name: str) -> bool:
        try:
            return catalogue.manifest(name).purpose == "measuring"
        except ModelError:
            return True  # what is wrong with it is said where it is loaded

    return sorted((name for name in catalogue.names() if name != PASS_THROUGH and for_measuring(name)), key=rank)


def least_sigma(picture: Picture) -> float:
    """What counting every electron of the field leaves open of its mean brightness; no pixel is known better.

    It matters in the dark only: where no electron came at all, the rate may still be one in the whole field.
    0 for samples without noise.
    """
    if picture.units_per_electron <= 0 and picture.read_variance <= 0:
        return 0.0
    dwell = float(picture.weight.sum(dtype=np.float64))
    if dwell <= 0:
        return 0.0
    total = float(np.vdot(picture.values, picture.weight))
    shot = picture.units_per_electron * max(total, picture.units_per_electron)
    return math.sqrt(shot + picture.read_variance * dwell) / dwell


def electrons_of(picture: Picture, found: Mapping[str, float]) -> float | None:
    """Mean electrons of a sample, as far as its noise tells; None for samples without noise."""
    if picture.units_per_electron <= 0 and picture.read_variance <= 0:
        return None
    return found.get("electrons", math.inf)


def picture_of(exposure: Exposure) -> Picture:
    """The inputs of a model: what an exposure holds, and its noise, estimated where it is not known.

    Raises:
        ExposureError: Values beyond the range of float32.
    """
    with np.errstate(over="ignore"):
        values, weight = exposure.values, exposure.weight
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise ExposureError("The exposure holds values beyond the range of float32.", mend="Scale them down.")
    noise = noise_of(exposure, values, weight)
    return Picture(
        values=values,
        weight=weight,
        units_per_electron=noise.units_per_electron,
        read_variance=noise.read_variance,
    )


def noise_of(exposure: Exposure, values: FloatPicture, weight: FloatPicture) -> Noise:
    """What the instrument says of its noise, or what the data say."""
    known = exposure.units_per_electron
    read_variance = exposure.read_noise**2
    if known is not None:
        return Noise(known, read_variance)
    found = estimate_noise(values, weight)
    return Noise(found.units_per_electron, max(found.read_variance, read_variance))
