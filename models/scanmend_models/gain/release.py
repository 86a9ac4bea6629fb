"""Writes the network of the policy `gain` into the service: the ONNX file and the facts about it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import torch

from scanmend.errors import ModelFailedSelfTest
from scanmend_models.gain.network import INPUTS, OUTPUTS, GainNet
from scanmend_models.onnx_files import exported, sha256
from scanmend_models.training.checkpoint import Checkpoint

log = logging.getLogger("scanmend_models.gain")

POLICIES = Path(__file__).parents[3] / "service" / "scanmend" / "rescan" / "policies"
"""Where the service has it."""
NAME = "gain"
CLOSE = 1e-3
"""Most by which the file may differ from the network, relative."""


def write_onnx(network: GainNet, path: Path) -> None:
    """Export the network for any height and width, byte for byte the same every time."""
    maps, number = torch.ones(2, 1, 64, 96), torch.ones(2, 1, 1, 1)
    examples = (*(maps.clone() for _ in range(4)), number, number.clone())
    model = exported(network, examples, INPUTS, OUTPUTS)
    for value in (*model.graph.input, *model.graph.output):
        small = value.name in OUTPUTS
        names = {0: "batch", 2: "rows" if small else "height", 3: "columns" if small else "width"}
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if axis in names and (axis == 0 or value.name not in INPUTS[4:]):
                dim.dim_param = names[axis]
            else:
                dim.dim_value = 1
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def differs(network: GainNet, path: Path) -> float:
    """Largest relative difference between the network and its file, over fields of several shapes."""
    import onnxruntime  # an extra that only this needs here

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(0), 0.0
    for shape in ((64, 64), (37, 90), (5, 3)):
        truth = rng.random(shape)
        maps = (truth, 0.1 + truth, rng.poisson(9 * truth) / 9, rng.random(shape) < 0.8)
        numbers = (1 / 9, 0.01)
        asked = [np.asarray(one, np.float32)[None, None] for one in maps]
        asked += [np.full((1, 1, 1, 1), one, np.float32) for one in numbers]
        with torch.inference_mode():
            expected = network(*(torch.from_numpy(one) for one in asked))
        for one, other in zip(session.run(OUTPUTS, dict(zip(INPUTS, asked, strict=True))), expected, strict=True):
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
        "version": "0.1.0",
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
