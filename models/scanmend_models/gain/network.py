"""From what is known of a field after a pass to the squared error that is left, and how it falls with more dwell.

The network works on squares of `BIN_PX` × `BIN_PX` pixels. All that it sees is measured in the field's own units: the
restorer's standard deviation, the noise of a visit, the spread of the picture. It answers by what factor the expected
squared error of a square differs from the mean of sigma², and the exponent α with which that error falls as dwell t
grows by a: error · (1 + a / t)^-α.

It begins with just that. In the end it is trained by the outcome of sharing dwell out by these two maps, and they drift
from the error that is left towards what makes the next picture best: they are not to be read as a standard deviation.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanmend_models.networks.unet import Block

BIN_PX = 4
"""Side of a square of pixels that share what is learned."""
FEATURES = 13

_TINY = 1e-12
"""Kept by clamping: the exporter takes additions of so little for additions of nothing."""
_LARGEST = 1e15
"""What is larger counts as not sampled, as it does for every model."""
_REACH = 6.0
"""Bound of every feature: nothing that a network sees may be far outside of what it was trained on."""


class GainConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a `GainNet`."""

    widths: tuple[int, int, int] = (16, 24, 32)
    """Channels at squares of 4, 8 and 16 pixels."""
    most_factor: float = 4.0
    """Bound on the logarithm of expected error over sigma²."""
    most_exponent: float = 1.2
    """Error falls as one over the dwell where noise is all there is, more slowly where detail is missing."""


class Seen(NamedTuple):
    """A field as the network sees it; maps (B, ., h, w), one number a square."""

    features: Tensor
    sigma2: Tensor
    """Mean of sigma², in squared units over `scale`²."""
    scale: Tensor
    """Largest number of the field, (B, 1, 1, 1)."""


class GainNet(nn.Module):
    """A small U-Net over squares of pixels; see the module's text."""

    def __init__(self, config: GainConfig | None = None) -> None:
        super().__init__()
        self.config = cfg = config or GainConfig()
        a, b, c = cfg.widths
        self.into = nn.Conv2d(FEATURES, a, 3, padding=1)
        self.down = nn.ModuleList([Block(a), Block(b), Block(c)])
        self.halving = nn.ModuleList([nn.Conv2d(a, b, 2, stride=2), nn.Conv2d(b, c, 2, stride=2)])
        self.doubling = nn.ModuleList([nn.ConvTranspose2d(b, a, 2, stride=2), nn.ConvTranspose2d(c, b, 2, stride=2)])
        self.up = nn.ModuleList([Block(a), Block(b)])
        self.out = nn.Conv2d(a, 2, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # an untrained network believes sigma
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(
        self,
        estimate: Tensor,
        sigma: Tensor,
        values: Tensor,
        weight: Tensor,
        units_per_electron: Tensor,
        read_variance: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Judge one field, or a batch of them.

        Args:
            estimate: (B, 1, H, W), the restoration.
            sigma: (B, 1, H, W), its standard deviation.
            values: (B, 1, H, W), mean signal per unit weight.
            weight: (B, 1, H, W), summed dwell over the reference dwell; 0 where not sampled.
            units_per_electron: (B, 1, 1, 1), 0 for noise-free samples.
            read_variance: (B, 1, 1, 1), units squared for a visit of weight 1.

        Returns:
            Expected squared error over the square of the field's largest number, and the exponent with which it falls
            as dwell grows; both (B, 1, ⌈H/4⌉, ⌈W/4⌉), positive and finite.
        """
        rows, columns = (sigma.shape[2] + BIN_PX - 1) // BIN_PX, (sigma.shape[3] + BIN_PX - 1) // BIN_PX
        seen = see(estimate, sigma, values, weight, units_per_electron, read_variance)
        factor, exponent = self.answer(seen.features)
        return (seen.sigma2 * factor)[:, :, :rows, :columns], exponent[:, :, :rows, :columns]

    def answer(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (B, FEATURES, h, w), h and w multiples of 4, to factor and exponent, both (B, 1, h, w)."""
        fine = self.down[0](torch.relu(self.into(features)))
        middle = self.down[1](torch.relu(self.halving[0](fine)))
        coarse = self.down[2](torch.relu(self.halving[1](middle)))
        middle = self.up[1](self.doubling[1](coarse) + middle)
        fine = self.up[0](self.doubling[0](middle) + fine)
        raw = self.out(fine)
        limit = self.config.most_factor
        factor = torch.exp(raw[:, :1].clamp(-limit, limit))
        exponent = 0.02 + (self.config.most_exponent - 0.02) * torch.sigmoid(raw[:, 1:] + 0.6)
        return factor, exponent


def see(
    estimate: Tensor, sigma: Tensor, values: Tensor, weight: Tensor, units_per_electron: Tensor, read_variance: Tensor
) -> Seen:
    """Measure a field in its own units; arguments as in `GainNet.forward`, maps padded to multiples of 16 pixels."""
    pad = [0, (-sigma.shape[3]) % (4 * BIN_PX), 0, (-sigma.shape[2]) % (4 * BIN_PX)]
    estimate, sigma, values, weight = (F.pad(one, pad, mode="replicate") for one in (estimate, sigma, values, weight))
    seen = (weight > 0) & (values.abs() < _LARGEST)
    values, weight = torch.where(seen, values, estimate), torch.where(seen, weight, 0.0)
    peak = torch.maximum(estimate.abs(), sigma).amax((2, 3), keepdim=True)
    scale = torch.where(peak > 0, peak, 1.0)
    estimate, sigma, values = estimate / scale, sigma / scale, values / scale
    usual = _field(weight)
    usual = torch.where(usual > 0, usual, 1.0)
    weight = weight / usual
    # Noise of a visit of the mean dwell: what counts is dwell within this field.
    visit = units_per_electron / scale / usual * estimate.clamp(min=0.0) + read_variance / (scale * scale) / usual
    visit = torch.maximum(visit, 0.05 * _field(visit)).clamp(min=_TINY)

    sampled = seen.to(estimate.dtype)
    square = sigma * sigma
    field2 = _field(square).clamp(min=_TINY)
    sigma2 = bins(square) + 1e-6 * field2
    noise2 = bins(visit)
    mean = _field(estimate)
    spread2 = _field(_squared(estimate - mean)).clamp(min=_TINY)
    slope_x, slope_y = _step(estimate, 3), _step(estimate, 2)
    bend = _step(slope_x, 3).abs() + _step(slope_y, 2).abs()
    miss = (sampled * (values - estimate) * (weight / visit).sqrt()).clamp(-_REACH, _REACH)
    alike = miss * (miss - _step(miss, 3) + miss - _step(miss, 2))  # with the neighbours above and to the left
    doubt = sigma2.sqrt()
    features = [
        0.5 * torch.log(sigma2 / field2),
        0.5 * torch.log(sigma2) - bins(0.5 * torch.log(square + 1e-6 * field2)),  # how uneven sigma is within
        0.5 * torch.log(sigma2 / noise2),
        0.5 * torch.log(1.0 + _squared(bins(estimate.clamp(min=0.0))) / noise2),
        (bins(estimate) - mean) / spread2.sqrt(),
        torch.log(1.0 + bins((_squared(slope_x) + _squared(slope_y)).sqrt()) / doubt),
        torch.log(1.0 + bins(bend) / doubt),
        4.0 * bins(miss),
        bins(_squared(miss)) - bins(sampled),
        3.0 * bins(alike),
        torch.log(bins(weight) + 1e-3),
        2.0 * bins(sampled) - 1.0,
        (0.5 * torch.log(field2 / spread2)).expand_as(sigma2),
    ]
    return Seen(torch.cat([one.clamp(-_REACH, _REACH) for one in features], 1), sigma2, scale)


def bins(picture: Tensor) -> Tensor:
    """Mean over squares of pixels."""
    return F.avg_pool2d(picture, BIN_PX)


def _field(picture: Tensor) -> Tensor:
    return picture.mean((2, 3), keepdim=True)


def _squared(picture: Tensor) -> Tensor:
    return picture * picture  # runtimes execute a power several times as slowly


def _step(picture: Tensor, axis: int) -> Tensor:
    """Difference to the neighbour before along an axis, 2 or 3; 0 at the edge."""
    pad = [1, 0, 0, 0] if axis == 3 else [0, 0, 1, 0]
    padded = F.pad(picture, pad, mode="replicate")
    return picture - (padded[:, :, :, :-1] if axis == 3 else padded[:, :, :-1])
