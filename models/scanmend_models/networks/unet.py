"""A U-Net that corrects push-pull: one network for every coverage and dose.

What was not sampled and what is noise push-pull has filled and smoothed already; the network sees that answer, its
standard deviation, and the samples with the trust that their noise leaves them. It answers how far the truth lies from
push-pull's estimate, in units of push-pull's standard deviation, and by what factor that standard deviation is wrong.
It therefore keeps push-pull's contract: any size, any units, samples free of noise as they came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanmend_models.networks.pushpull import PushPull, PushPullConfig

FEATURES = 5
"""Trusted samples, trust, fill, its standard deviation, whether there is a sample."""


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """The shape of a `RestoringUNet`."""

    unshuffle: int = 2
    """Pixels a side that become channels before the first convolution (Shi et al., CVPR 2016, the other way round)."""
    channels: int = 32
    """Of the finest level; they double with every halving."""
    levels: int = 4
    full_channels: int = 16
    """Of the path that sees the samples at full resolution; 0 for none."""
    fill: PushPullConfig = field(default_factory=lambda: PushPullConfig(levels=6))
    least_sigma: float = 0.03
    """Smallest standard deviation that push-pull is believed, over the spread of the picture."""
    most_doubt: float = 4.0
    """Bound on the logarithm of the factor between push-pull's standard deviation and the answer's."""


class Block(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to the same shape."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class RestoringUNet(nn.Module):
    """Restores an exposure, and says how sure it is; see the module's text."""

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        cfg = self.config = config or UNetConfig()
        widths = [cfg.channels * 2**level for level in range(cfg.levels)]
        square = cfg.unshuffle**2
        self.fill = PushPull(cfg.fill)
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

    def forward(
        self, values: Tensor, weight: Tensor, units_per_electron: Tensor, read_variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Restore one exposure, or a batch of them; arguments and results as in `PushPull.forward`."""
        with torch.no_grad(), torch.autocast(values.device.type, enabled=False):
            filled, spread = self.fill(values, weight, units_per_electron, read_variance)
        return self.correct(values, weight, units_per_electron, read_variance, filled, spread)

    def correct(
        self,
        values: Tensor,
        weight: Tensor,
        units_per_electron: Tensor,
        read_variance: Tensor,
        filled: Tensor,
        spread: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Correct push-pull's estimate and standard deviation, both (B, 1, H, W)."""
        cfg = self.config
        seen = (weight > 0) & (values.abs() < cfg.fill.largest)
        peak = torch.maximum(filled.abs(), spread).amax((2, 3), keepdim=True)
        peak = torch.where(peak > 0, peak, 1.0)
        mean = peak * (filled / peak).mean((2, 3), keepdim=True)
        varied = ((filled - mean) / peak).square().mean((2, 3), keepdim=True)
        scale = peak * (varied + (spread / peak).square().mean((2, 3), keepdim=True)).sqrt()
        scale = torch.maximum(scale, 1e-5 * peak)  # of the picture, without the noise of its samples

        fill = (filled - mean) / scale
        exact = seen & (units_per_electron <= 0) & (read_variance <= 0)
        doubt = (spread / scale).clamp(min=0.0)
        per_visit = (units_per_electron * filled.abs() + read_variance).clamp(min=0.0)
        dwell = torch.where(seen, weight, 1.0).clamp(min=1e-30)
        noise = (per_visit / dwell).sqrt() / scale
        trust = torch.where(seen, 1.0 / (1.0 + noise), 0.0)
        sample = torch.where(seen, (values - mean) / scale, 0.0).clamp(-1e4, 1e4)
        features = torch.cat(
            [
                (trust * sample).clamp(-20.0, 20.0),
                trust,
                fill.clamp(-20.0, 20.0),
                0.5 * torch.log(doubt + 0.01) + 1.0,
                seen.to(values.dtype),
            ],
            1,
        )
        answer = self.network(features).float()
        unit = torch.where(exact, 0.0, torch.sqrt(doubt.square() + cfg.least_sigma**2))
        estimate = filled + scale * unit * answer[:, :1]
        sigma = scale * unit * torch.exp(answer[:, 1:].clamp(-cfg.most_doubt, cfg.most_doubt))
        return torch.where(exact, values, estimate), sigma

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
