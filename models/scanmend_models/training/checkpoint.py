"""Checkpoints: all that a run needs to go on after any kill, in one file that is replaced as a whole."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scanmend.errors import ModelCorrupt

Tensors = dict[str, Tensor]


@dataclass(slots=True)
class Checkpoint:
    """A run as it stood after `step` steps."""

    step: int
    elapsed_s: float
    """Time spent training, all runs together."""
    trained_on: str
    """The processors, for the card."""
    config: dict[str, Any]
    network: Tensors
    average: Tensors
    """Moving average of the weights."""
    optimizer: dict[str, Any]
    clip: tuple[float, float, int]
    """Moments of the outlier clip."""
    finish_from: int | None = None
    """Step at which the learning rate began to fall."""
    critics: dict[str, Any] | None = None
    """What judges the pictures of a run with critics, and its optimiser."""


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint aside and rename it: a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    with aside.open("wb") as file:
        torch.save({name: getattr(checkpoint, name) for name in Checkpoint.__slots__}, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; tensors and plain values only, never code.

    Raises:
        ModelCorrupt: The file is damaged, or no checkpoint.
    """
    try:
        return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise ModelCorrupt(f"{path} is not a checkpoint.", mend="Remove it to begin anew.") from error
