"""The learned networks by the kind that their configuration names."""

from __future__ import annotations

from typing import Any

import msgspec

from scanmend_models.networks.corrector import Corrector
from scanmend_models.networks.two_stage import TwoStage, TwoStageConfig
from scanmend_models.networks.unet import RestoringUNet, UNetConfig

NetworkConfig = UNetConfig | TwoStageConfig


def network_config(plain: dict[str, Any]) -> NetworkConfig:
    """Make a network's configuration from plain tables, as a manifest has them.

    Raises:
        msgspec.ValidationError: An unknown kind, or a field of the wrong type.
    """
    config: NetworkConfig = msgspec.convert(plain, NetworkConfig)
    return config


def build(config: NetworkConfig) -> Corrector:
    """Make an untrained network."""
    return TwoStage(config) if isinstance(config, TwoStageConfig) else RestoringUNet(config)
