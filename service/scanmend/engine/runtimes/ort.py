"""ONNX Runtime: on the processor, or on a GPU through CUDA or TensorRT."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from typing import Any

import numpy as np

from scanmend.engine.runtimes.installation import require
from scanmend.engine.runtimes.seam import Candidate, Picture, Runtime, RuntimeInfo
from scanmend.errors import ModelError, RuntimeUnavailable
from scanmend.restoration import FloatPicture

log = logging.getLogger(__name__)

NAME = "onnxruntime"
TENSORRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
PREFERRED = (TENSORRT, CUDA, CPU)
"""Providers, in the order in which they are asked for."""

_ERRORS_ONLY = 3
_OUTPUTS = ("estimate", "sigma")


class OrtFactory:
    """What ONNX Runtime can do on this machine."""

    def candidates(self, threads: int) -> list[Candidate]:
        """GPUs in TensorFloat-32 and float32; the processor with all threads and with one, better when it is busy."""
        ort = require("onnxruntime", extra="cpu")
        cores = len(os.sched_getaffinity(0))
        counts = [threads] if threads else sorted({1, min(cores, 8)}, reverse=True)
        # The wheel's own list; it names providers of machines that have no such device: `load` finds out.
        listed = ort.get_available_providers()
        on_gpu = [
            Candidate(runtime=NAME, provider=provider, precision=precision, threads=counts[0])
            for provider, precision in ((TENSORRT, "tf32"), (CUDA, "tf32"), (CUDA, "f32"))
            if provider in listed
        ]
        return on_gpu + [Candidate(runtime=NAME, provider=CPU, threads=count) for count in counts]

    def load(self, onnx: bytes, candidate: Candidate) -> Runtime:
        """Load a model on one provider, with those behind it for what it cannot do."""
        ort = require("onnxruntime", extra="cpu")
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = candidate.threads
        options.inter_op_num_threads = 1
        # Waiting threads that spin cost up to half as much processor time again, for nothing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        behind = PREFERRED[PREFERRED.index(candidate.provider) :]
        cuda = {"use_tf32": "1" if candidate.precision == "tf32" else "0"}
        listed = ort.get_available_providers()
        providers = [(name, cuda if name == CUDA else {}) for name in behind if name in listed]
        if candidate.provider != CPU:
            _load_gpu_libraries(ort)
        try:
            session = ort.InferenceSession(onnx, options, providers=providers)
        except ort_errors() as error:
            raise RuntimeUnavailable(
                f"ONNX Runtime refuses the model: {_first_line(error)}.",
                mend="Run `scanmend check`; install Scanmend again if it names no other cause.",
            ) from error
        real = session.get_providers()[0]
        if real != candidate.provider:
            raise RuntimeUnavailable(
                f"{candidate.provider} is listed but does not run here; ONNX Runtime took {real} instead.",
                mend="Install the GPU's driver and the `gpu` extra, or use the processor.",
            )
        return _OrtRuntime(session, candidate, real)


def _load_gpu_libraries(ort: Any) -> None:
    """Have ONNX Runtime load CUDA and cuDNN from the packages of the `gpu` extra, where its own search does not look.

    It prints what it misses; standard output belongs to `--json`, so that goes to the log.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    if said.getvalue():
        log.info("%s", said.getvalue().strip())


class _OrtRuntime:
    """A session, with its outputs bound to the caller's memory."""

    def __init__(self, session: Any, candidate: Candidate, provider: str) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._scalars = (np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32))
        self._errors = ort_errors()
        self.info = RuntimeInfo(
            runtime=NAME, provider=provider, precision=candidate.precision, threads=candidate.threads
        )

    def warm_up(self, shape: tuple[int, int]) -> None:
        """Run once, so that memory for this shape is there."""
        ones, out = np.ones(shape, np.float32), np.empty((2, *shape), np.float32)
        self.run(Picture(values=ones, weight=ones, units_per_electron=1.0, read_variance=0.0), out[0], out[1])

    def run(self, picture: Picture, estimate: FloatPicture, sigma: FloatPicture) -> None:
        """Execute on buffers bound in place: nothing is copied on the processor."""
        shape = (1, 1, *picture.values.shape)
        binding, f32 = self._binding, np.float32
        per_electron, per_visit = self._scalars
        per_electron[:] = picture.units_per_electron
        per_visit[:] = picture.read_variance
        try:
            binding.bind_input("values", "cpu", 0, f32, shape, picture.values.ctypes.data)
            binding.bind_input("weight", "cpu", 0, f32, shape, picture.weight.ctypes.data)
            binding.bind_input("units_per_electron", "cpu", 0, f32, (1, 1, 1, 1), per_electron.ctypes.data)
            binding.bind_input("read_variance", "cpu", 0, f32, (1, 1, 1, 1), per_visit.ctypes.data)
            binding.bind_output("estimate", "cpu", 0, f32, shape, estimate.ctypes.data)
            binding.bind_output("sigma", "cpu", 0, f32, shape, sigma.ctypes.data)
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        except self._errors as error:
            raise ModelError(
                f"ONNX Runtime could not execute the model: {_first_line(error)}.",
                mend="Run `scanmend check`; if it comes again, use another model or runtime.",
            ) from error

    def close(self) -> None:
        """Drop the session."""
        self._binding = None
        self._session = None


def ort_errors() -> tuple[type[Exception], ...]:
    """The exceptions that ONNX Runtime raises; its own have no common ancestor."""
    states = require("onnxruntime.capi.onnxruntime_pybind11_state", extra="cpu")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    more = ("NoSuchFile", "NoModel", "EngineError", "EPFail", "ModelLoaded")
    own = (getattr(states, name) for name in (*names, *more) if hasattr(states, name))
    return (RuntimeError, ValueError, *own)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
