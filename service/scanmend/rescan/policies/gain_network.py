"""The network of the policy `gain`: a file that is believed only when its hash is the one that was released with it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanmend.errors import MissingExtra, ModelCorrupt, ModelError, ModelNotFound, RuntimeUnavailable
from scanmend.rescan.pictures import BIN_PX
from scanmend.rescan.policies.gain_features import see
from scanmend.rescan.policy import RescanState
from scanmend.restoration import FloatPicture

FOLDER = Path(__file__).parent
NAME = "gain"
MAX_BYTES = 1 << 20
MOST_THREADS = 2
"""The network takes a few milliseconds; more threads only take them from the restorer."""

_AGAIN = "Install Scanmend again, or use the policy `variance`."


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `gain.json` says; what it says beyond this is for people."""

    file: str
    sha256: str
    version: str


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What the network says of a field: one number for each square of 4 × 4 pixels, `(⌈ny / 4⌉, ⌈nx / 4⌉)`."""

    error: FloatPicture
    """Expected squared error, on the field's own scale."""
    exponent: FloatPicture
    """α of its fall with dwell."""


class GainNetwork:
    """The network, read and checked at once, loaded into its runtime when it is first asked; any thread may ask.

    Args:
        folder: Holds `gain.json` and the ONNX file that it names.

    Raises:
        ModelNotFound: A file is missing.
        ModelCorrupt: The file is not the one that was released.
        MissingExtra: ONNX Runtime is not installed.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        try:
            self.facts = msgspec.json.decode((folder / f"{NAME}.json").read_bytes(), type=Facts)
            with (folder / f"{NAME}.onnx").open("rb") as file:
                self._onnx = file.read(MAX_BYTES)
        except OSError as error:
            raise ModelNotFound(f"The network of the policy gain is not there: {error}.", mend=_AGAIN) from error
        except msgspec.DecodeError as error:
            raise ModelCorrupt(f"{folder / NAME}.json is damaged: {error}.", mend=_AGAIN) from error
        if hashlib.sha256(self._onnx).hexdigest() != self.facts.sha256:
            raise ModelCorrupt(f"{folder / NAME}.onnx is not the file that {NAME}.json names.", mend=_AGAIN)
        if importlib.util.find_spec("onnxruntime") is None:
            raise MissingExtra(
                "The policy gain needs ONNX Runtime.", mend='Run: pip install "scanmend[cpu]", or use `variance`.'
            )
        self._lock = threading.Lock()
        self._session: Any = None

    def judge(self, state: RescanState) -> Judged:
        """Ask the network about a field of any size.

        Raises:
            ModelError: The runtime refuses the network or fails, or the answer is not one that can be used.
        """
        seen = see(state)
        rows, columns = (-(-extent // BIN_PX) for extent in state.sigma.shape)
        try:
            factor, exponent = self._loaded().run(["factor", "exponent"], {"features": seen.features[None]})
        except _errors() as problem:
            raise ModelError(
                f"ONNX Runtime could not execute the network of the policy gain: {_first_line(problem)}.",
                mend="Use the policy `variance`.",
            ) from problem
        error, exponent = (seen.sigma2 * factor[0, 0])[:rows, :columns], exponent[0, 0, :rows, :columns]
        if not (np.isfinite(error).all() and np.isfinite(exponent).all() and error.min() >= 0 and exponent.min() > 0):
            raise ModelError("The network of the policy gain gave no usable answer.", mend="Use the policy `variance`.")
        return Judged(error, exponent)

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                runtime = importlib.import_module("onnxruntime")
                options = runtime.SessionOptions()
                options.log_severity_level = 3  # errors only
                options.intra_op_num_threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
                options.inter_op_num_threads = 1
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                try:
                    self._session = runtime.InferenceSession(self._onnx, options, providers=["CPUExecutionProvider"])
                except _errors() as error:
                    raise RuntimeUnavailable(
                        f"ONNX Runtime refuses the network of the policy gain: {_first_line(error)}.", mend=_AGAIN
                    ) from error
            return self._session


@lru_cache(maxsize=1)
def shipped() -> GainNetwork:
    """The network that comes with the service; raises as `GainNetwork` does."""
    return GainNetwork()


def _errors() -> tuple[type[Exception], ...]:
    """The exceptions that ONNX Runtime raises; its own have no common ancestor."""
    states = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    return (RuntimeError, ValueError, *(getattr(states, name) for name in names if hasattr(states, name)))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
