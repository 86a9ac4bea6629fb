"""Writes the network of the policy `gain` into the service: the ONNX file and the facts about it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from scanmend.errors import ModelFailedSelfTest
from scanmend_models.gain.network import FEATURES, GainNet
from scanmend_models.onnx_files import exported, sha256
from scanmend_models.training.checkpoint import Checkpoint

log = logging.getLogger("scanmend_models.gain")

POLICIES = Path(__file__).parents[3] / "service" / "scanmend" / "rescan" / "policies"
"""Where the service has it."""
NAME = "gain"
INPUTS = ("features",)
OUTPUTS = ("factor", "exponent")
CLOSE = 1e-3
"""Most by which the file may differ from the network, relative."""


class Answering(nn.Module):
    """The part of the network that is exported: the service measures the features itself, in less time."""

    def __init__(self, network: GainNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """As `GainNet.answer`."""
        return self.network.answer(features)


def write_onnx(network: GainNet, path: Path) -> None:
    """Export the network for any height and width, byte for byte the same every time."""
    model = exported(Answering(network), (torch.ones(2, FEATURES, 16, 24),), INPUTS, OUTPUTS)
    for value in (*model.graph.input, *model.graph.output):
        batch, channels, rows, columns = value.type.tensor_type.shape.dim
        batch.dim_param, rows.dim_param, columns.dim_param = "batch", "rows", "columns"
        channels.dim_value = FEATURES if value.name in INPUTS else 1
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def differs(network: GainNet, path: Path) -> float:
    """Largest relative difference between the network and its file, over fields of several shapes."""
    import onnxruntime  # an extra that only this needs here

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), 0.0
    for shape in ((16, 16), (12, 24), (4, 4)):
        features = rng.normal(0.0, 2.0, (1, FEATURES, *shape)).clip(-6.0, 6.0).astype(np.float32)
        with torch.inference_mode():
            expected = network.answer(torch.from_numpy(features))
        for one, other in zip(session.run(OUTPUTS, {INPUTS[0]: features}), expected, strict=True):
            worst = max(worst, float(np.abs(one / other.numpy() - 1).max()))
    return worst


def release(network: GainNet, run: Checkpoint, score: str, folder: Path) -> None:
    """Write `gain.onnx` and `gain.json`.

    Args:
        network: With the averaged weights.
        run: The end of its training.
        score: What it was measured to gain, for people.
        folder: Where to.

    Raises:
        ModelFailedSelfTest: The file answers otherwise than the network.
    """
    path = folder / f"{NAME}.onnx"
    write_onnx(network, path)
    off = differs(network, path)
    if not off < CLOSE:
        raise ModelFailedSelfTest(f"{path} differs from the network by {off:.1e}.", mend="Export it again.")
    rounds, outcome = run.config["rounds"], run.config["outcome"]
    examples, passes = sum(one["examples"] for one in rounds), outcome["steps"] * outcome["batch"]
    facts = {
        "file": path.name,
        "sha256": sha256(path),
        "version": "0.2.0",
        "licence": "BSD-3-Clause",
        "trained_on": f"The error that was left in {examples} exposures before and after more dwell, then the error "
        f"after {passes} passes of its own choice; drawn pictures and quiet real micrographs, scanned by the "
        "simulator's physics, restored by the models of the catalogue.",
        "score": score,
        "training": {
            "steps": run.step,
            "minutes": round(run.elapsed_s / 60, 1),
            "processor": run.trained_on,
            "seed": run.config["seed"],
            "rounds": rounds,
            "outcome": {"steps": outcome["steps"], "batch": outcome["batch"], "patch_px": outcome["patch_px"]},
        },
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    log.info("%s: %d bytes, differs from torch by %.1e", path, path.stat().st_size, off)
