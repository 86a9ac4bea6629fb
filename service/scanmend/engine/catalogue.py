"""The models there are: one ONNX file, one manifest and one golden answer each, in one folder.

A model is believed only when its bytes are those that the manifest names (of 300 damaged copies of an ONNX file, 80
were loaded by a runtime without complaint), and it goes live only after its self-test.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from scanmend.errors import ModelCorrupt, ModelNotFound

MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
"""What a model may be called; the name is also a file's."""

MAX_MODEL_BYTES = 1 << 30
MAX_MANIFEST_BYTES = 1 << 20
MAX_GOLDEN_BYTES = 1 << 26

FALLBACK = "pushpull"
"""The model that steps in for another one that fails."""

PASS_THROUGH = "identity"
"""The model that restores nothing; it is used only where it is asked for by name."""

INPUTS = ("values", "weight", "units_per_electron", "read_variance")
OUTPUTS = ("estimate", "sigma")

Arrays = Mapping[str, npt.NDArray[np.float32]]


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """The file that holds a question and its answer, and how near an answer must come."""

    file: str
    sha256: str
    rtol: float = 1e-3
    atol: float = 1e-4


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """How much a faster arithmetic may cost, against float32."""

    max_psnr_drop_db: float = 0.1
    max_abs_error_rel: float = 0.02
    """Largest difference of a pixel, over the range of the picture."""
    max_pattern_rel: float = 0.02
    """Largest mean difference of 5 × 5 pixels, over the range of the picture: what an eye could see."""


class Int8(msgspec.Struct, frozen=True, kw_only=True):
    """The file of the same model with convolutions of eight bits."""

    file: str
    sha256: str


class NoiseFree(msgspec.Struct, frozen=True, kw_only=True):
    """Factors on sigma for samples without noise, one a coverage; coverages ascend."""

    coverage: tuple[float, ...]
    factor: tuple[float, ...]


class Noisy(msgspec.Struct, frozen=True, kw_only=True):
    """Factors on sigma for samples with noise: a row a coverage, a column a mean number of electrons; both ascend."""

    coverage: tuple[float, ...]
    electrons: tuple[float, ...]
    factor: tuple[tuple[float, ...], ...]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """By what a model's standard deviation is to be multiplied, measured on pictures that it was not trained on."""

    pictures: int
    noise_free: NoiseFree
    noisy: Noisy

    def __post_init__(self) -> None:
        """Refuse tables that do not fit together; msgspec makes a validation error of it."""
        free, noisy = self.noise_free, self.noisy
        for axis in (free.coverage, noisy.coverage, noisy.electrons):
            if not axis or min(axis) <= 0 or list(axis) != sorted(set(axis)):
                raise ValueError("coverages and electrons of the calibration must be positive and ascend")
        shaped = len(free.factor) == len(free.coverage) and len(noisy.factor) == len(noisy.coverage)
        if not shaped or any(len(row) != len(noisy.electrons) for row in noisy.factor):
            raise ValueError("the factors of the calibration do not fit its coverages and electrons")
        if any(not 0.01 < factor < 100 for row in (free.factor, *noisy.factor) for factor in row):
            raise ValueError("a factor of the calibration is not between 0.01 and 100")

    def factor(self, coverage: float, electrons: float | None) -> float:
        """Give the factor of an exposure, between the table's points in the logarithm of both, clamped at its ends.

        Args:
            coverage: Share of sampled pixels.
            electrons: Mean electrons of a sample; None for samples without noise.
        """
        at = math.log(max(coverage, 1e-9))
        if electrons is None:
            return float(np.interp(at, np.log(self.noise_free.coverage), self.noise_free.factor))
        dose, axis = math.log(max(electrons, 1e-9)), np.log(self.noisy.electrons)
        along = [float(np.interp(dose, axis, row)) for row in self.noisy.factor]
        return float(np.interp(at, np.log(self.noisy.coverage), along))


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's JSON file says; what it says beyond this is for people."""

    name: str
    version: str
    kind: str
    """`classical`: an algorithm without weights; `learned`: a trained network."""
    summary: str
    file: str
    sha256: str
    opset: int
    receptive_field_px: int
    """How far tiles must overlap for a tiled restoration to agree with a whole one."""
    golden: Golden
    gate: Gate = Gate()
    int8: Int8 | None = None
    licence: str = ""
    card: str = ""
    trained_on: str = ""
    purpose: Literal["measuring", "looking"] = "measuring"
    """A model for looking may draw what was not there; it is used only where it is asked for by name."""
    rank: int = 0
    """Among learned models, the higher one makes the better picture and takes more time."""
    calibration: Calibration | None = None
    domain: dict[str, tuple[float, float]] = {}
    """Range of each of `scanmend.validity.statistics` in training; empty for a model that was not trained."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose files are the ones in its manifest, in memory."""

    manifest: Manifest
    onnx: bytes
    question: Arrays
    """Inputs of the self-test, by `INPUTS`."""
    answer: Arrays
    """Outputs that they must give, by `OUTPUTS`."""
    int8: bytes | None = None
    """Its eight-bit twin."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name

    def file_for(self, precision: str) -> bytes:
        """The ONNX file that is executed in a precision."""
        return self.int8 if precision == "int8" and self.int8 is not None else self.onnx


class Catalogue:
    """A folder of models.

    Args:
        folder: Where; the folder that ships with Scanmend where it is None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path(str(resources.files("scanmend_models") / "catalogue")) if folder is None else folder

    def names(self) -> list[str]:
        """The models that have a manifest, in alphabetical order."""
        return sorted(path.stem for path in self.folder.glob("*.json") if MODEL_NAME.match(path.stem))

    def manifest(self, name: str) -> Manifest:
        """Read a manifest.

        Raises:
            ModelNotFound: No such model; the text names those that there are.
            ModelCorrupt: The manifest cannot be believed.
        """
        if name not in self.names():
            raise ModelNotFound(
                f"There is no model called {name!r}.", mend=f"Use one of: auto, {', '.join(self.names()) or '(none)'}."
            )
        data = self._read(name, f"{name}.json", MAX_MANIFEST_BYTES)
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
        except msgspec.DecodeError as error:
            raise _corrupt(name, f"its manifest cannot be read: {error}") from error
        if any(not low <= high for low, high in manifest.domain.values()):
            raise _corrupt(name, "a range of its domain is upside down")
        if manifest.name != name or manifest.receptive_field_px < 0:
            raise _corrupt(name, "its manifest is another model's, or has a negative receptive field")
        return manifest

    def load(self, name: str) -> Model:
        """Read a model, and check that every byte is the one that its manifest names.

        Raises:
            ModelNotFound: No such model; the text names those that there are.
            ModelCorrupt: A file is missing, is a link, or is not the one in the manifest.
        """
        manifest = self.manifest(name)
        onnx = self._checked(manifest, manifest.file, manifest.sha256, MAX_MODEL_BYTES)
        twin = manifest.int8
        golden = self._checked(manifest, manifest.golden.file, manifest.golden.sha256, MAX_GOLDEN_BYTES)
        try:
            with np.load(io.BytesIO(golden), allow_pickle=False) as data:
                arrays = {key: np.ascontiguousarray(data[key], dtype=np.float32) for key in (*INPUTS, *OUTPUTS)}
        except (ValueError, KeyError, OSError) as error:
            raise _corrupt(name, f"its golden answer cannot be read: {error}") from error
        return Model(
            manifest,
            onnx,
            {key: arrays[key] for key in INPUTS},
            {key: arrays[key] for key in OUTPUTS},
            None if twin is None else self._checked(manifest, twin.file, twin.sha256, MAX_MODEL_BYTES),
        )

    def _checked(self, manifest: Manifest, file: str, sha256: str, limit: int) -> bytes:
        if Path(file).name != file or not file.startswith(f"{manifest.name}."):
            raise _corrupt(manifest.name, f"its manifest names the file {file!r}")
        data = self._read(manifest.name, file, limit)
        if hashlib.sha256(data).hexdigest() != sha256.lower():
            raise _corrupt(manifest.name, f"{file} is not the file that its manifest names (sha256 differs)")
        return data

    def _read(self, name: str, file: str, limit: int) -> bytes:
        try:
            descriptor = os.open(self.folder / file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as opened:
                found = os.fstat(opened.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
                    raise _corrupt(name, f"{file} is not a plain file of at most {limit} bytes")
                return opened.read()
        except OSError as error:
            raise _corrupt(name, f"{file} cannot be read: {error.strerror}") from error


def _corrupt(name: str, reason: str) -> ModelCorrupt:
    return ModelCorrupt(
        f"Model {name} is not used: {reason}.", mend="Install Scanmend again, or take the model out of the catalogue."
    )
