"""OpenVINO: on processors with bf16 arithmetic two to four times as fast as float32, behind the fidelity gate."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from typing import Any

import numpy as np

from scanmend.engine.runtimes.installation import require
from scanmend.engine.runtimes.seam import Candidate, Picture, Runtime, RuntimeInfo
from scanmend.errors import ModelError, RuntimeUnavailable
from scanmend.restoration import FloatPicture

NAME = "openvino"
DEVICE = "CPU"
_STATIC_SHAPES = 4
_INPUTS = ("values", "weight", "units_per_electron", "read_variance")


class OvFactory:
    """What OpenVINO can do on this machine."""

    def candidates(self, threads: int) -> list[Candidate]:
        """bf16 where the device says that it computes in it, then f32."""
        core = require("openvino", extra="openvino").Core()
        if DEVICE not in core.available_devices:
            return []
        count = threads or min(len(os.sched_getaffinity(0)), 8)
        able = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
        precisions = [name for name, needs in (("bf16", "BF16"), ("f32", "FP32")) if needs in able]
        return [Candidate(runtime=NAME, provider=DEVICE, precision=p, threads=count) for p in precisions]

    def load(self, onnx: bytes, candidate: Candidate) -> Runtime:
        """Load a model from memory and compile it for pictures of any shape."""
        ov = require("openvino", extra="openvino")
        core = ov.Core()
        config = {
            "INFERENCE_PRECISION_HINT": candidate.precision,
            "INFERENCE_NUM_THREADS": candidate.threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            return _OvRuntime(core, core.read_model(model=io.BytesIO(onnx)), config, candidate)
        except RuntimeError as error:
            raise RuntimeUnavailable(
                f"OpenVINO refuses the model: {_first_line(error)}.",
                mend="Use ONNX Runtime for it (`runtimes = onnxruntime`).",
            ) from error


class _OvRuntime:
    """A compiled model that takes any shape, and versions of it compiled for a few shapes.

    Compiling for one shape costs from 0.05 s to seconds and saves up to a third of the time of a run, so it is
    done in `warm_up` only, never between two frames.
    """

    def __init__(self, core: Any, model: Any, config: dict[str, Any], candidate: Candidate) -> None:
        self._core = core
        self._model = model
        self._config = config
        compiled = core.compile_model(model, DEVICE, config)
        self._any_shape = compiled.create_infer_request()
        self._fixed: OrderedDict[tuple[int, int], Any] = OrderedDict()
        real = {"<Type: 'bfloat16'>": "bf16", "<Type: 'float32'>": "f32"}
        told = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        self.info = RuntimeInfo(
            runtime=NAME,
            provider=f"OpenVINO {' '.join(compiled.get_property('EXECUTION_DEVICES'))}",
            precision=real.get(told, told),
            threads=int(compiled.get_property("INFERENCE_NUM_THREADS")),
        )
        if self.info.precision != candidate.precision:
            raise RuntimeUnavailable(f"OpenVINO computes in {self.info.precision}, not in {candidate.precision}.")

    def warm_up(self, shape: tuple[int, int]) -> None:
        """Compile for this shape, and run once."""
        if shape not in self._fixed:
            try:
                fixed = self._model.clone()
                maps = [1, 1, *shape]
                fixed.reshape({name: maps if name in _INPUTS[:2] else [1, 1, 1, 1] for name in _INPUTS})
                compiled = self._core.compile_model(fixed, DEVICE, self._config)
            except RuntimeError as error:
                raise ModelError(f"OpenVINO cannot prepare for {shape}: {_first_line(error)}.") from error
            self._fixed[shape] = compiled.create_infer_request()
            if len(self._fixed) > _STATIC_SHAPES:
                self._fixed.popitem(last=False)
        ones, out = np.ones(shape, np.float32), np.empty((2, *shape), np.float32)
        self.run(Picture(values=ones, weight=ones, units_per_electron=1.0, read_variance=0.0), out[0], out[1])

    def run(self, picture: Picture, estimate: FloatPicture, sigma: FloatPicture) -> None:
        """Execute on the caller's inputs in place; the outputs are copied."""
        shape = picture.values.shape
        request = self._fixed.get((shape[0], shape[1]), self._any_shape)
        inputs = {
            "values": picture.values[None, None],
            "weight": picture.weight[None, None],
            "units_per_electron": np.full((1, 1, 1, 1), picture.units_per_electron, np.float32),
            "read_variance": np.full((1, 1, 1, 1), picture.read_variance, np.float32),
        }
        try:
            results = request.infer(inputs, share_inputs=True, share_outputs=True)
            np.copyto(estimate, results["estimate"][0, 0])
            np.copyto(sigma, results["sigma"][0, 0])
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"OpenVINO could not execute the model: {_first_line(error)}.",
                mend="Use ONNX Runtime for it (`runtimes = onnxruntime`).",
            ) from error

    def close(self) -> None:
        """Drop everything compiled."""
        self._fixed.clear()
        self._any_shape = self._model = None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return (lines[0] if lines else type(error).__name__)[:300]
