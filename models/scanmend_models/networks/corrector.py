"""What every learned network of ours is: a correction of push-pull.

What was not sampled and what is noise push-pull has filled and smoothed already; the network sees that answer, its
standard deviation, and the samples with the trust that their noise leaves them. It answers how far the truth lies from
push-pull's estimate, in units of push-pull's standard deviation, and by what factor that standard deviation is wrong.
It therefore keeps push-pull's contract: any size, any units, samples free of noise as they came.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from scanmend_models.networks.pushpull import PushPull, PushPullConfig

FEATURES = 5
"""Trusted samples, trust, fill, its standard deviation, whether there is a sample."""


class CorrectorConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What all of them have; `kind` in plain tables names the network."""

    fill: PushPullConfig = msgspec.field(default_factory=lambda: PushPullConfig(levels=6))
    least_sigma: float = 0.03
    """Smallest standard deviation that push-pull is believed, over the spread of the picture."""
    most_doubt: float = 4.0
    """Bound on the logarithm of the factor between push-pull's standard deviation and the answer's."""


class Prepared(NamedTuple):
    """An exposure as the network sees it, and what its answer is measured in; maps (B, ., H, W)."""

    features: Tensor
    values: Tensor
    exact: Tensor
    """Where a sample is free of noise."""
    filled: Tensor
    scale: Tensor
    """Spread of the picture, (B, 1, 1, 1); 0 for a field of zeros."""
    step: Tensor
    """Push-pull's standard deviation over that spread, not below `least_sigma`; 0 where a sample is exact."""


class Corrector(nn.Module):
    """Restores an exposure, and says how sure it is; see the module's text."""

    def __init__(self, config: CorrectorConfig) -> None:
        super().__init__()
        self.common = config
        self.fill = PushPull(config.fill)

    @abstractmethod
    def network(self, features: Tensor) -> Tensor:
        """The part that is learned: (B, FEATURES, H, W) to (B, 2, H, W), of any H and W."""

    def forward(
        self, values: Tensor, weight: Tensor, units_per_electron: Tensor, read_variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Restore one exposure, or a batch of them; arguments and results as in `PushPull.forward`."""
        prepared = self.prepare(values, weight, units_per_electron, read_variance)
        return self.finish(prepared, self.network(prepared.features))

    def prepare(self, values: Tensor, weight: Tensor, units_per_electron: Tensor, read_variance: Tensor) -> Prepared:
        """Fill by push-pull, and bring everything to the scale of the picture."""
        cfg = self.common
        with torch.no_grad(), torch.autocast(values.device.type, enabled=False):
            filled, spread = self.fill(values, weight, units_per_electron, read_variance)
        seen = (weight > 0) & (values.abs() < cfg.fill.largest)
        largest = torch.maximum(filled.abs(), spread).amax((2, 3), keepdim=True)
        peak = torch.where(largest > 0, largest, 1.0)
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
        step = torch.where(exact, 0.0, torch.sqrt(doubt.square() + cfg.least_sigma**2))
        step = step * seen.to(values.dtype).amax((2, 3), keepdim=True)  # nothing sampled, nothing to correct
        return Prepared(features, values, exact, filled, torch.where(largest > 0, scale, 0.0), step)

    def finish(self, prepared: Prepared, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the network's answer, (B, 2, H, W), into an estimate and a standard deviation, both (B, 1, H, W)."""
        answer, limit = answer.float(), self.common.most_doubt
        estimate = prepared.filled + prepared.scale * prepared.step * answer[:, :1]
        sigma = prepared.scale * prepared.step * torch.exp(answer[:, 1:].clamp(-limit, limit))
        return torch.where(prepared.exact, prepared.values, estimate), sigma
