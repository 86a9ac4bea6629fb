"""A U-Net that corrects push-pull: one network for every coverage and dose."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanmend_models.networks.corrector import FEATURES, Corrector, CorrectorConfig


class UNetConfig(CorrectorConfig, frozen=True, kw_only=True, tag="unet"):
    """The shape of a `RestoringUNet`."""

    unshuffle: int = 2
    """Pixels a side that become channels before the first convolution (Shi et al., CVPR 2016, the other way round)."""
    channels: int = 32
    """Of the finest level; they double with every halving."""
    levels: int = 4
    full_channels: int = 16
    """Of the path that sees the samples at full resolution; 0 for none."""


class Block(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to the same shape."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class RestoringUNet(Corrector):
    """Corrects push-pull by a U-Net on unshuffled pixels, with a path at full resolution beside it."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        cfg = config or UNetConfig()
        super().__init__(cfg)
        self.config = cfg
        widths = [cfg.channels * 2**level for level in range(cfg.levels)]
        square = cfg.unshuffle**2
        self.into = nn.Conv2d(FEATURES * square, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Block(width) for width in widths)
        self.halving = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.doubling = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(Block(width) for width in widths[:-1])
        if cfg.full_channels:
            self.back = nn.Conv2d(widths[0], cfg.full_channels * square, 1)
            self.samples = nn.Conv2d(FEATURES, cfg.full_channels, 3, padding=1)
            self.join = nn.Conv2d(2 * cfg.full_channels, cfg.full_channels, 3, padding=1)
            self.out = nn.Conv2d(cfg.full_channels, 2, 3, padding=1)
        else:
            self.out = nn.Conv2d(widths[0], 2 * square, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # an untrained network is push-pull
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def network(self, features: Tensor) -> Tensor:
        """The part that is learned: (B, FEATURES, H, W) to (B, 2, H, W)."""
        cfg = self.config
        height, width = features.shape[2], features.shape[3]
        cell = cfg.unshuffle * 2 ** (cfg.levels - 1)
        padded = F.pad(features, [0, (-width) % cell, 0, (-height) % cell], mode="replicate")
        x = torch.relu(self.into(F.pixel_unshuffle(padded, cfg.unshuffle)))
        skipped = []
        for level, block in enumerate(self.down):
            x = block(x)
            if level < cfg.levels - 1:
                skipped.append(x)
                x = self.halving[level](x)
        for level in range(cfg.levels - 2, -1, -1):
            x = cast(Tensor, self.up[level](self.doubling[level](x) + skipped[level]))
        if cfg.full_channels:
            fine = torch.cat([F.pixel_shuffle(self.back(x), cfg.unshuffle), self.samples(padded)], 1)
            answer = self.out(torch.relu(self.join(torch.relu(fine))))
        else:
            answer = F.pixel_shuffle(self.out(x), cfg.unshuffle)
        return cast(Tensor, answer[:, :, :height, :width])
