"""Two networks, one inside the other, that complete partial scans for looking at.

After Ede and Beanland, Sci. Rep. 10, 8332 (2020): the inner network works at half the resolution and below, on what is
large; a trainer output at half size teaches it directly; the outer network adds what is fine. Where the scan went is
among the inputs. Ours corrects push-pull, as all our networks do, and has a standard deviation.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanmend_models.networks.corrector import FEATURES, Corrector, CorrectorConfig
from scanmend_models.networks.unet import Block


class TwoStageConfig(CorrectorConfig, frozen=True, kw_only=True, tag="two_stage"):
    """The shape of a `TwoStage`."""

    outer_channels: int = 32
    """At half resolution; a half of them at full resolution."""
    inner_channels: int = 96
    """At an eighth of the resolution, where the inner network works."""
    inner_blocks: int = 6
    outer_blocks: int = 2


class TwoStage(Corrector):
    """Corrects push-pull by an inner network for large features and an outer one for fine ones."""

    TRAINING_ONLY = ("trainer",)
    """Parts that only training uses: an exported file has no weights of theirs."""

    def __init__(self, config: TwoStageConfig | None = None) -> None:
        cfg = config or TwoStageConfig()
        super().__init__(cfg)
        self.config = cfg
        half, between, deep = cfg.outer_channels, 2 * cfg.outer_channels, cfg.inner_channels
        self.into = nn.Conv2d(4 * FEATURES, half, 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(half, between, 2, 2), nn.Conv2d(between, deep, 2, 2)])
        self.inner = nn.ModuleList(Block(deep) for _ in range(cfg.inner_blocks))
        self.up = nn.ModuleList([nn.ConvTranspose2d(deep, between, 2, 2), nn.ConvTranspose2d(between, half, 2, 2)])
        self.trainer = nn.Conv2d(half, 1, 3, padding=1)
        self.outer = nn.ModuleList(Block(half) for _ in range(cfg.outer_blocks))
        self.back = nn.Conv2d(half, 2 * half, 1)
        self.samples = nn.Conv2d(FEATURES, half // 2, 3, padding=1)
        self.join = nn.Conv2d(half, half // 2, 3, padding=1)
        self.out = nn.Conv2d(half // 2, 2, 3, padding=1)
        for last in (self.out, self.trainer):
            nn.init.zeros_(last.weight)  # an untrained network is push-pull
            nn.init.zeros_(cast(Tensor, last.bias))

    def network(self, features: Tensor) -> Tensor:
        """The part that is learned: (B, FEATURES, H, W) to (B, 2, H, W)."""
        return self.both(features)[0]

    def both(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give the answer, (B, 2, H, W), and the trainer's, (B, 1, H / 2, W / 2), both up to the next even size."""
        height, width = features.shape[2], features.shape[3]
        padded = F.pad(features, [0, (-width) % 8, 0, (-height) % 8], mode="replicate")
        fine = torch.relu(self.into(F.pixel_unshuffle(padded, 2)))
        middle = torch.relu(self.down[0](fine))
        x = torch.relu(self.down[1](middle))
        for block in self.inner:
            x = block(x)
        x = torch.relu(self.up[0](x) + middle)
        x = torch.relu(self.up[1](x))
        large = self.trainer(x)
        x = x + fine
        for block in self.outer:
            x = block(x)
        joined = torch.cat([F.pixel_shuffle(self.back(x), 2), self.samples(padded)], 1)
        answer = self.out(torch.relu(self.join(torch.relu(joined))))
        return answer[:, :, :height, :width], large[:, :, : (height + 1) // 2, : (width + 1) // 2]
