"""Runs a network, or a file made from it, on plain arrays: torch, ONNX Runtime, OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from scanmend.errors import MissingExtra
from scanmend_models.arrays import INPUTS, OUTPUTS, Arrays, Run


def with_torch(network: nn.Module) -> Run:
    """Run the network itself."""
    network.eval()

    def run(asked: Arrays) -> Arrays:
        with torch.inference_mode():
            answered = network(*(torch.from_numpy(np.ascontiguousarray(asked[name])) for name in INPUTS))
        return {name: tensor.numpy() for name, tensor in zip(OUTPUTS, answered, strict=True)}

    return run


def with_onnxruntime(path: Path, *, threads: int = 1) -> Run:
    """Run an ONNX file with ONNX Runtime on the CPU.

    Raises:
        MissingExtra: If onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as missing:
        raise MissingExtra("onnxruntime is not installed.", mend="Install scanmend[cpu].") from missing
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(asked: Arrays) -> Arrays:
        answered = session.run(list(OUTPUTS), {name: asked[name] for name in INPUTS})
        return dict(zip(OUTPUTS, answered, strict=True))

    return run


def with_openvino(path: Path, *, threads: int = 1, precision: str = "f32") -> Run:
    """Run an ONNX file with OpenVINO on the CPU.

    Raises:
        MissingExtra: If openvino is not installed.
    """
    try:
        import openvino
    except ImportError as missing:
        raise MissingExtra("openvino is not installed.", mend="Install scanmend[openvino].") from missing
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(asked: Arrays) -> Arrays:
        answered = compiled({name: asked[name] for name in INPUTS})
        return {name: np.array(answered[name]) for name in OUTPUTS}

    return run
