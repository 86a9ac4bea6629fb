"""Learned models of the catalogue as entries, built from their manifests and the weights in their own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from scanmend.errors import ModelCorrupt
from scanmend_models.entries import Entry
from scanmend_models.networks.choice import NetworkConfig, build, network_config


def entries(folder: Path) -> dict[str, Entry]:
    """Every learned model of a catalogue, by name."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        shipped = json.loads(path.read_text(encoding="utf-8"))
        if shipped.get("kind") == "learned":
            found[path.stem] = entry(shipped, folder)
    return found


def entry(shipped: dict[str, Any], folder: Path) -> Entry:
    """The entry of a learned model, from its manifest; its weights are read when it is built."""
    return make_entry(shipped, partial(_from_file, shipped["network"], folder / shipped["file"]))


def make_entry(shipped: dict[str, Any], build: Callable[[], nn.Module]) -> Entry:
    """An entry with the words of a manifest, and a way to build the network."""
    return Entry(
        name=shipped["name"],
        version=shipped["version"],
        kind="learned",
        summary=shipped["summary"],
        build=build,
        receptive_field_px=shipped["receptive_field_px"],
        max_psnr_drop_db=shipped["gate"]["max_psnr_drop_db"],
        max_abs_error_rel=shipped["gate"]["max_abs_error_rel"],
        trained_on=shipped["trained_on"],
        card=shipped["card"],
        licence=shipped["licence"],
        more={key: shipped[key] for key in MORE if key in shipped},
    )


MORE = ("rank", "purpose", "network", "training", "calibration", "domain", "int8")
"""Fields of the manifest that only learned models have."""


def with_weights(config: NetworkConfig, weights: dict[str, Tensor]) -> nn.Module:
    """Build a network and set its weights; those of parts that only training uses (`TRAINING_ONLY`) may be missing.

    Raises:
        ModelCorrupt: A weight is missing, or has another shape.
    """
    network = build(config)
    wanted = dict(network.named_parameters())
    for part in getattr(network, "TRAINING_ONLY", ()):  # an exported file does not have them
        for name in [name for name in wanted if name.startswith(f"{part}.") and name not in weights]:
            del wanted[name]
    wrong = [name for name, weight in wanted.items() if name not in weights or weights[name].shape != weight.shape]
    if wrong:
        raise ModelCorrupt(f"The weights {', '.join(wrong[:5])} do not fit.", mend="Train or export the model again.")
    with torch.no_grad():
        for name, weight in wanted.items():
            weight.copy_(weights[name])
    return network.eval()


def _from_file(network: dict[str, Any], path: Path) -> nn.Module:
    tensors = onnx.load(str(path)).graph.initializer
    weights = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in tensors}
    return with_weights(network_config(network), weights)
