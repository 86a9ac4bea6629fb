"""Critics of restored pictures, for training only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Critic(nn.Module):
    """Says how true a crop looks: 1 for a true picture, 0 for a restored one, a verdict for every 8 × 8 pixels.

    Spectral normalisation (Miyato et al., ICLR 2018) keeps it from becoming arbitrarily sure.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (1, channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, crop: Tensor) -> Tensor:
        """Judge crops, (B, 1, H, W), H and W multiples of 8."""
        x = crop
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        verdict: Tensor = self.verdict(x)
        return verdict


class Critics(nn.Module):
    """One critic for each size of crop, all of which it sees at the smallest one's resolution.

    Args:
        channels: Of the first layer of each.
        crops_px: Sides, each a multiple of the smallest, which is a multiple of 8.
    """

    def __init__(self, channels: int, crops_px: Sequence[int]) -> None:
        super().__init__()
        self.crops_px = tuple(crops_px)
        self.critics = nn.ModuleList(Critic(channels) for _ in self.crops_px)

    def forward(self, pictures: Tensor, corners: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Judge one crop of every size.

        Args:
            pictures: (B, 1, H, W).
            corners: Of the crop of each size, (row, column).
        """
        small = min(self.crops_px)
        verdicts = []
        for critic, side, (top, left) in zip(self.critics, self.crops_px, corners, strict=True):
            crop = pictures[:, :, top : top + side, left : left + side]
            verdicts.append(critic(F.avg_pool2d(crop, side // small) if side > small else crop))
        return verdicts

    def corners(self, height: int, width: int, generator: torch.Generator) -> list[tuple[int, int]]:
        """Draw where the crops lie in a picture of this size."""
        return [
            (
                int(torch.randint(height - side + 1, (), generator=generator)),
                int(torch.randint(width - side + 1, (), generator=generator)),
            )
            for side in self.crops_px
        ]
