"""Push-pull: a multi-resolution Kalman filter that fills and smooths an exposure.

Upwards, samples are averaged over ever larger B-spline windows (normalised convolution: Knutsson & Westin,
CVPR 1993). Downwards, each level predicts the next finer one, measures how far the data are from the
prediction, and corrects it by as much as the data deserve: gain = T / (T + R), where T is the variance of the
prediction, estimated from the data themselves in a small window (method of moments, as in Lee's local Wiener
filter, IEEE PAMI 1980), and R is the variance of the noise and of what a few samples say about a whole cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class PushPullConfig:
    """The constants of `PushPull`; none is learned."""

    levels: int = 8
    """Number of halvings; the coarsest cell is 2**levels pixels wide."""
    largest: float = 1e15
    """A sample whose magnitude reaches this (infinite and not-a-number included) counts as not sampled."""
    decay: float = 0.5
    """Expected variance of the detail of a level over that of the next coarser one."""
    prior_weight: float = 0.2
    """Weight of that expectation against the measured energy, in fully sampled cells."""
    floor: float = 0.1
    """Smallest measured variance, over the expected one."""
    sampling: float = 1.0
    """Variance, over that of the prediction, that one sample has as a witness for its whole cell."""
    dense_noise: float = 0.9
    """Share of a cell's noise that is seen in its difference from the prediction."""
    detail_share: float = 0.05
    """Share of the picture's variance beside which a sample's noise sets how far its dwell counts."""
    relaxations: int = 4
    """Smoothing steps over cells without data, at every level."""
    biharmonic: float = 0.5
    """Size of one such step."""


DOWN = (0.125, 0.375, 0.375, 0.125)  # quadratic B-spline, halving
CUBIC = (-0.0703125, 0.8671875, 0.2265625, -0.0234375)  # Keys' cubic (1981), a quarter of a cell off the centre


def noise_shares(levels: int) -> list[float]:
    """Noise variance left by the averaging window of each level, in a fully and evenly sampled field."""
    shares, window = [1.0], torch.ones(1, dtype=torch.float64)
    for level in range(levels):
        spaced = torch.zeros(3 * 2**level + 1, dtype=torch.float64)
        spaced[:: 2**level] = torch.tensor(DOWN, dtype=torch.float64)
        window = F.conv1d(window[None, None], spaced[None, None], padding=len(spaced) - 1)[0, 0]
        shares.append(float(window.square().sum()) ** 2)
    return shares


def upsampling_kernel(taps: tuple[float, ...]) -> Tensor:
    """Give the (4, 1, k, k) kernel of doubling by convolution and pixel shuffle, from the taps of its even phase."""
    half = len(taps) // 2
    even, odd = torch.zeros(2 * half + 1), torch.zeros(2 * half + 1)
    even[: len(taps)] = torch.tensor(taps).flip(0)  # a quarter of a cell before the centre
    odd[2 * half + 1 - len(taps) :] = torch.tensor(taps)
    return torch.stack([torch.outer(a, b) for a in (even, odd) for b in (even, odd)])[:, None]


class PushPull(nn.Module):
    """Fills what was not sampled, smooths what is noise, and says how sure it is."""

    def __init__(self, config: PushPullConfig | None = None) -> None:
        super().__init__()
        self.config = config or PushPullConfig()
        self.shares = noise_shares(self.config.levels)
        down = torch.tensor(DOWN)
        place = torch.tensor([-1.5, -0.5, 0.5, 1.5])  # of a child, from its parent's centre, in child cells
        self.register_buffer("down", torch.outer(down, down))
        self.register_buffer("place_x", torch.outer(down, down * place))
        self.register_buffer("place_y", torch.outer(down * place, down))
        self.register_buffer("up", upsampling_kernel(CUBIC))

    def forward(
        self, values: Tensor, weight: Tensor, units_per_electron: Tensor, read_variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Restore one exposure, or a batch of them.

        Args:
            values: (B, 1, H, W), mean signal per unit weight.
            weight: (B, 1, H, W), summed dwell over the reference dwell; 0 where not sampled.
            units_per_electron: (B, 1, 1, 1), 0 for noise-free samples.
            read_variance: (B, 1, 1, 1), units squared for a visit of weight 1.

        Returns:
            Estimate and standard deviation, both (B, 1, H, W), in the units of the values.
        """
        cfg = self.config
        height, width = values.shape[2], values.shape[3]
        cell = 2**cfg.levels
        pad = [0, (-width) % cell, 0, (-height) % cell]
        seen = (weight > 0) & (values.abs() < cfg.largest)
        dwell = F.pad(torch.where(seen, weight, 0.0).clamp(max=cfg.largest), pad)  # (B, 1, H', W')
        signal = F.pad(torch.where(seen, values, 0.0), pad)
        sampled = (dwell > 0).to(values.dtype)

        count = sampled.sum((2, 3), keepdim=True).clamp(min=1.0)
        peak = signal.abs().amax((2, 3), keepdim=True)
        peak = torch.where(peak > 0, peak, 1.0)
        mean = peak * ((signal / peak).sum((2, 3), keepdim=True) / count)
        spread = peak * (((signal - mean) / peak * sampled).square().sum((2, 3), keepdim=True) / count).sqrt()
        visit = (units_per_electron * mean.abs() + read_variance).clamp(min=0.0).sqrt()  # noise of weight 1
        scale = torch.maximum(torch.maximum(spread, 1e-5 * peak), visit)
        x = (signal - mean) / scale * sampled  # zero mean, unit variance
        per_electron = units_per_electron / scale
        per_visit = read_variance / scale.square()
        offset = mean / scale

        knee = (per_electron * offset.clamp(min=0.0) + per_visit) / cfg.detail_share
        trust = dwell / (dwell + knee).clamp(min=1e-30)
        trust = trust / trust.amax((2, 3), keepdim=True).clamp(min=1e-30)  # 0 to 1
        doubt = trust.square() / dwell.clamp(min=1e-30)
        nothing = torch.zeros_like(x)
        pyramid = [torch.cat([trust * x, trust, doubt, sampled, nothing, nothing], 1)]
        for _ in range(cfg.levels):
            pyramid.append(self.coarser(pyramid[-1]))

        estimate = torch.zeros_like(pyramid[-1][:, :1])
        variance = torch.ones_like(estimate)
        total = torch.ones_like(estimate)
        for level in range(cfg.levels, -1, -1):
            if level < cfg.levels:
                estimate = self.finer(estimate)
                spreads = F.interpolate(torch.cat([variance, total], 1), scale_factor=2.0, mode="bilinear")
                variance, total = spreads[:, :1], spreads[:, 1:]
            estimate, variance, total = self.correct(
                level, pyramid[level], estimate, variance, total, per_electron, per_visit, offset
            )
        sigma = variance.clamp(min=0.0).sqrt() * scale
        estimate = estimate * scale + mean
        estimate, sigma = estimate[:, :, :height, :width], sigma[:, :, :height, :width]
        exact = seen & (units_per_electron <= 0) & (read_variance <= 0)
        return torch.where(exact, values, estimate), torch.where(exact, 0.0, sigma)

    def coarser(self, fine: Tensor) -> Tensor:
        """Average windows of four by four cells into one; keep the centroid of what was averaged."""
        kernel = fine.new_zeros(6, 6, 4, 4)
        for i in range(6):
            kernel[i, i] = cast(Tensor, self.down) * (0.5 if i > 3 else 1.0)
        kernel[4, 1] = cast(Tensor, self.place_x) * 0.5
        kernel[5, 1] = cast(Tensor, self.place_y) * 0.5
        return F.conv2d(fine, kernel, stride=2, padding=1)

    def finer(self, coarse: Tensor) -> Tensor:
        """Interpolate to twice the size."""
        padded = F.pad(coarse, [2, 2, 2, 2], mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, cast(Tensor, self.up)), 2)

    def correct(
        self,
        level: int,
        data: Tensor,
        predicted: Tensor,
        variance: Tensor,
        total: Tensor,
        per_electron: Tensor,
        per_visit: Tensor,
        offset: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Correct a prediction by the data of its level; all maps (B, 1, h, w)."""
        cfg = self.config
        weighted, trust, doubt, coverage = data[:, :1], data[:, 1:2], data[:, 2:3], data[:, 3:4]
        held = (trust > 1e-12).to(predicted.dtype)
        safe = trust.clamp(min=1e-12)
        difference = (weighted / safe - predicted) * held
        if level > 0:
            around = F.pad(predicted, [1, 1, 1, 1], mode="replicate")
            slope_x = 0.5 * (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2])
            slope_y = 0.5 * (around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1])
            difference = difference - (slope_x * data[:, 4:5] + slope_y * data[:, 5:6]) / safe
        share = self.shares[level]
        brightness = (predicted + offset).clamp(min=0.0)
        noise = share * doubt / safe.square() * (per_electron * brightness + per_visit)
        witnesses = coverage / share
        energy = (difference.square() - cfg.dense_noise * noise) * coverage
        seen_total = (coverage * total).sum((2, 3), keepdim=True)
        decay = (energy.sum((2, 3), keepdim=True) + 0.1 * cfg.decay) / (seen_total + 0.1)
        expected = decay.clamp(0.01, 1.0) * total
        prior = cfg.prior_weight * ((noise * held + expected) / expected).square()
        total = (blur(energy) + prior * expected) / (blur(coverage) + prior)
        total = torch.maximum(total, cfg.floor * expected)
        sampling = cfg.sampling * total * (1.0 - coverage).clamp(min=0.0) / witnesses.clamp(min=1e-12)
        gain = held * total / (total + noise + sampling)
        estimate = predicted + gain * difference
        variance = (1.0 - gain) * total
        certain = held / (1.0 + cfg.sampling * (1.0 - coverage).clamp(min=0.0) / witnesses.clamp(min=1e-12))
        for _ in range(cfg.relaxations):
            bend = mean3(estimate) - estimate
            bend = mean3(bend) - bend
            estimate = estimate - cfg.biharmonic * (1.0 - certain) * bend
        return estimate, variance, total


def mean3(x: Tensor) -> Tensor:
    """Average over three by three cells, fewer at the borders."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def blur(x: Tensor) -> Tensor:
    """Average over a small window that falls off from its centre."""
    return mean3(mean3(x))
