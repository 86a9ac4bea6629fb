"""What a training run is: one TOML file, kept in its checkpoint."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from scanmend.errors import InvalidInput
from scanmend_models.data.batches import DataConfig
from scanmend_models.networks.choice import NetworkConfig
from scanmend_models.networks.two_stage import TwoStageConfig
from scanmend_models.networks.unet import UNetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialConfig:
    """Critics that learn to tell restored pictures from true ones, and what the network owes them."""

    from_step: int = 3000
    """Before, the network learns from the error alone."""
    weight: float = 0.05
    """Of the critics' opinion in the loss."""
    trainer_weight: float = 0.5
    """Of the error of the half-size output."""
    channels: int = 24
    crops_px: tuple[int, ...] = (32, 64, 128)
    """One critic each; larger crops are reduced to the size of the smallest."""
    learning_rate: float = 2e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """A training run; every field may stand in the TOML file, tables for the nested ones."""

    name: str
    """Of the model, and of the folder of its checkpoints."""
    seed: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 500
    """The learning rate rises over so many steps."""
    mean_only_steps: int = 1000
    """Before the standard deviation is trained too."""
    decay_steps: int = 4000
    """A `--finish` run lets the learning rate fall to nothing over so many steps."""
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    average: float = 0.999
    """Decay of the moving average of the weights, which is what is exported."""
    good_enough: float = 1e-4
    """Mean squared error (40 dB) below which little is gained by a patch's getting better."""
    beta: float = 0.5
    """Of the β-NLL."""
    nll_weight: float = 0.1
    save_every_s: float = 240.0
    log_every: int = 100
    check_every: int = 2000
    """Steps between looks at pictures that are not trained on."""
    workers: int = 1
    """Processes that make batches; 0 makes them in the training process."""
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=UNetConfig)
    adversarial: AdversarialConfig | None = None
    """For a model for looking at, not for measuring; the network must be of the kind `two_stage`."""


def read_config(path: Path, changes: dict[str, Any] | None = None) -> TrainConfig:
    """Read a configuration.

    Args:
        path: A TOML file with the fields of `TrainConfig`.
        changes: Fields that the command line sets; a dot reaches into a table (`data.micrographs`).

    Raises:
        InvalidInput: No such file, not TOML, an unknown field or a value of the wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", mend="Name a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not TOML: {error}.", mend="Mend the line that the message names.") from error
    for name, value in (changes or {}).items():
        *tables, last = name.split(".")
        place = raw
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    return from_plain(raw, str(path))


def from_plain(raw: dict[str, Any], source: str) -> TrainConfig:
    """Make a configuration from plain tables.

    Raises:
        InvalidInput: An unknown field or a value of the wrong type; the message names it.
    """
    raw = {**raw, "network": {"kind": "unet", **raw.get("network", {})}}
    try:
        config = msgspec.convert(raw, TrainConfig)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{source}: {error}.", mend="Look the field up in docs/models.md.") from error
    _refuse_unknown(raw, to_plain(config), source)
    if config.adversarial is not None and not isinstance(config.network, TwoStageConfig):
        raise InvalidInput(
            f"{source}: critics need a network with a half-size output.", mend='Set kind = "two_stage" in [network].'
        )
    return config


def to_plain(config: TrainConfig) -> dict[str, Any]:
    """Give a configuration as plain tables, as a checkpoint keeps it."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


def _refuse_unknown(given: dict[str, Any], known: dict[str, Any], source: str) -> None:
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(
                f"{source}: there is no field called {name}.", mend=f"Use one of {', '.join(sorted(known))}."
            )
        if isinstance(value, dict) and isinstance(known[name], dict):
            _refuse_unknown(value, known[name], source)
