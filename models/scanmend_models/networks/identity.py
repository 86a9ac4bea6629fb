"""The model that changes nothing: samples as they came, the mean where there are none.

It costs little more than a copy. It is what a picture is compared with, and what the streaming path is timed with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """The constants of `Identity`."""

    largest: float = 1e15
    """A sample whose magnitude reaches this (infinite and not-a-number included) counts as not sampled."""
    empty_sigma: float = 1.0
    """Standard deviation for a field without a single sample, in the units of the values."""


class Identity(nn.Module):
    """Estimate = the sample where there is one, else the weighted mean of all samples."""

    def __init__(self, config: IdentityConfig | None = None) -> None:
        super().__init__()
        self.config = config or IdentityConfig()

    def forward(
        self, values: Tensor, weight: Tensor, units_per_electron: Tensor, read_variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the samples back.

        Args:
            values: (B, 1, H, W), mean signal per unit weight.
            weight: (B, 1, H, W), summed dwell over the reference dwell; 0 where not sampled.
            units_per_electron: (B, 1, 1, 1), 0 for noise-free samples.
            read_variance: (B, 1, 1, 1), units squared for a visit of weight 1.

        Returns:
            Estimate and standard deviation, both (B, 1, H, W), in the units of the values. Where a pixel was
            sampled, the deviation is the noise model's; elsewhere it is the spread of the samples.
        """
        seen = (weight > 0) & (values.abs() < self.config.largest)  # (B, 1, H, W); false for not-a-number
        dwell = torch.where(seen, weight, 0.0)
        signal = torch.where(seen, values, 0.0)
        time = dwell.sum((2, 3), keepdim=True)  # (B, 1, 1, 1)
        share = dwell / time.clamp(min=1e-30)  # sums to 1, or to 0 in an empty field
        weighted = share * signal
        mean = weighted.sum((2, 3), keepdim=True)
        spread = (weighted * (signal - mean)).sum((2, 3), keepdim=True).clamp(min=0.0).sqrt()
        spread = torch.where(time > 0, spread, self.config.empty_sigma)
        noise = ((units_per_electron * signal.relu() + read_variance) / weight).sqrt()  # unused where weight is 0
        return torch.where(seen, values, mean), torch.where(seen, noise, spread)
