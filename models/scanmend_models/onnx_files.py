"""Writes a network as one ONNX file, byte for byte the same every time."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.export import Dim

from scanmend_models.arrays import INPUTS, OUTPUTS

OPSET = 18
IR_VERSION = 10  # read by every ONNX Runtime from 1.18 on


def write_onnx(network: nn.Module, path: Path) -> None:
    """Export a network that keeps the model contract, with batch, height and width left open.

    Args:
        network: Maps four tensors (B, 1, H, W), (B, 1, H, W), (B, 1, 1, 1), (B, 1, 1, 1) to two (B, 1, H, W).
        path: Where to write; an existing file is replaced.
    """
    maps = torch.ones(2, 1, 64, 96)
    numbers = torch.ones(2, 1, 1, 1)
    model = exported(network, (maps, maps.clone(), numbers, numbers.clone()), INPUTS, OUTPUTS)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def exported(
    network: nn.Module, examples: tuple[torch.Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """A network as ONNX, stripped, with the batch left open, and the height and width of inputs that are maps.

    Args:
        network: Maps tensors like the examples to tensors.
        examples: (B, 1, H, W) for a map, (B, 1, 1, 1) for a number.
        inputs: Their names.
        outputs: Names of what it gives.
    """
    shapes = tuple(
        {0: Dim.DYNAMIC} if one.shape[2:] == (1, 1) else {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
        for one in examples
    )
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports optional packages that are not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own use of its own deprecated names
            warnings.simplefilter("ignore", DeprecationWarning)
            program = torch.onnx.export(
                network.eval(),
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                verbose=False,
            )
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program.")
    model: onnx.ModelProto = program.model_proto
    strip(model)
    return model


def strip(model: onnx.ModelProto) -> None:
    """Take out what differs from one export to the next and serves no runtime: traces, names of files, versions."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "scanmend_models", "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    graph.name = "scanmend"
    del graph.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    del graph.value_info[:]
    names = ("batch", "height", "width")
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        sized = value.name not in INPUTS[2:]
        for name, axis in zip(names, (0, 2, 3), strict=True):
            if axis == 0 or sized:
                dims[axis].dim_param = name


def sha256(path: Path) -> str:
    """Give the hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
