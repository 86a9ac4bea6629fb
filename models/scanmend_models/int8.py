"""Calibrated eight-bit arithmetic for the convolutions of a learned model; push-pull and fine paths stay in float32.

The scales of activations are measured on training exposures, those of weights are one an output channel. Whether the
file may be used is for the engine's fidelity gate to say, on the machine that runs it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from scanmend.errors import MissingExtra
from scanmend_models.arrays import INPUTS, Arrays
from scanmend_models.data.batches import DataConfig, Pictures, make_batch

SEED = 77
EXAMPLES = 32
SIDE_PX = 256
FULL_RESOLUTION = ("samples.weight", "join.weight", "out.weight")
"""What stays in float32 of a network with a path at full resolution."""


def examples(data: DataConfig) -> Iterator[Arrays]:
    """Draw training exposures on which activations are measured; the same every time."""
    shape = DataConfig(
        batch=4,
        patch_px=SIDE_PX,
        drawn_side_px=2 * SIDE_PX,
        pool=8,
        micrographs=data.micrographs,
        real_share=data.real_share,
        exposures=data.exposures,
    )
    pictures = Pictures(shape, SEED)
    for index in range(EXAMPLES // shape.batch):
        batch = make_batch(pictures, shape, SEED, index)
        for row in range(shape.batch):
            yield {name: getattr(batch, name)[row : row + 1].numpy() for name in INPUTS}


def write_int8(source: Path, target: Path, data: DataConfig) -> None:
    """Write a model's eight-bit twin beside it.

    Args:
        source: The float32 ONNX file.
        target: Where to write.
        data: What the model was trained on.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.calibrate import CalibrationDataReader
    except ImportError as missing:
        raise MissingExtra("onnxruntime is not installed.", mend="Install scanmend[cpu].") from missing

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = examples(data)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.left, None)

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises to preprocess, which would change the float32 part
    try:
        quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=_learned_convolutions(source),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"WeightSymmetric": True},
        )
    finally:
        logging.root.setLevel(level)


def _learned_convolutions(source: Path) -> list[str]:
    convolutions = {
        weight: node.name
        for node in onnx.load(str(source)).graph.node
        if node.op_type == "Conv"
        for weight in node.input
        if weight.endswith(".weight")
    }
    # A path at full resolution draws the last steps of brightness: in eight bits they showed as a pattern.
    fine = FULL_RESOLUTION if "join.weight" in convolutions else ()
    return [name for weight, name in convolutions.items() if weight not in fine]
