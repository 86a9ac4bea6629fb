"""Push-pull: a multi-resolution Kalman filter that fills and smooths an exposure.

Upwards, samples are averaged over ever larger B-spline windows (normalised convolution: Knutsson & Westin,
CVPR 1993). Downwards, each level predicts the next finer one, measures how far the data are from the
prediction, and corrects it by as much as the data deserve: gain = T / (T + R), where T is the variance of the
prediction, estimated from the data themselves in a small window (method of moments, as in Lee's local Wiener
filter, IEEE PAMI 1980), and R is the variance of the noise and of what a few samples say about a whole cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

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
    """Expected variance of a level's detail over that of the next coarser one, where there are no data to tell."""
    inherited: float = 0.9
    """Share of the expected variance that follows the coarser level from place to place; the rest is the same
    everywhere, so that a lattice, which shows nothing at coarse levels, is found at its own."""
    prior_weight: float = 0.2
    """Weight of the expected variance, against the energy measured in a fully sampled window."""
    floor: float = 0.1
    """Smallest measured variance, over the expected one."""
    sampling: float = 0.1
    """Variance, over that of the prediction, that one sample has as a witness for its whole cell."""
    dark: float = 0.1
    """How far the doubt of a prediction raises the brightness by which its shot noise is judged."""
    taken: tuple[float, ...] = (0.21, 0.41, 0.48, 0.49)
    """Share of a level's noise that a coarser level with full gain has taken over already, finest level first;
    1.2 times what one coarser level takes of white noise, since there are coarser ones yet."""
    detail_share: float = 0.05
    """Share of the picture's variance beside which a sample's noise sets how far its dwell counts."""
    steps: tuple[float, ...] = (4.7, 0.58, 1.53, 0.78)
    """Sizes of the thin-plate smoothing steps over cells without data, at every level: the four Chebyshev steps
    for the eigenvalues 0.15 to 1.78 of the squared difference from a 3x3 mean (1.78 is the largest)."""
    doubt: float = 2.2
    """Factor on the variance of the detail in the answer's standard deviation: detail is not Gaussian."""
    doubt_gap: float = 0.5
    """What `sampling` is for the answer's standard deviation."""


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


class State(NamedTuple):
    """What is known at one level; all maps (B, 1, h, w), in units of the picture's spread."""

    estimate: Tensor
    variance: Tensor
    """Of the estimate."""
    detail: Tensor
    """Variance that the data showed about the prediction of this level."""
    gain: Tensor


class NoiseModel(NamedTuple):
    """Noise in units of the picture's spread; all (B, 1, 1, 1)."""

    per_electron: Tensor
    per_visit: Tensor
    offset: Tensor
    """The picture's mean, which was taken off."""


class PushPull(nn.Module):
    """Fills what was not sampled, smooths what is noise, and says how sure it is."""

    def __init__(self, config: PushPullConfig | None = None) -> None:
        super().__init__()
        self.config = config or PushPullConfig()
        self.shares = noise_shares(self.config.levels)
        down = torch.tensor(DOWN)
        place = torch.tensor([-1.5, -0.5, 0.5, 1.5])  # of a child, from its parent's centre, in child cells
        kernel = torch.zeros(6, 6, 4, 4)
        for channel in range(6):
            kernel[channel, channel] = torch.outer(down, down) * (0.5 if channel > 3 else 1.0)
        kernel[4, 1] = 0.5 * torch.outer(down, down * place)  # centroids are in cells of their own level
        kernel[5, 1] = 0.5 * torch.outer(down * place, down)
        self.register_buffer("down", kernel)
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

        state = State(
            estimate=torch.zeros_like(pyramid[-1][:, :1]),
            variance=torch.ones_like(pyramid[-1][:, :1]),
            detail=torch.ones_like(pyramid[-1][:, :1]),
            gain=torch.zeros_like(pyramid[-1][:, :1]),
        )
        noise_model = NoiseModel(per_electron, per_visit, offset)
        for level in range(cfg.levels, -1, -1):
            if level < cfg.levels:
                state = self.finer(state)
            state = self.correct(level, pyramid[level], state, noise_model)
        estimate = (state.estimate * scale + mean)[:, :, :height, :width]
        sigma = (state.variance.clamp(min=0.0).sqrt() * scale)[:, :, :height, :width]
        exact = seen & (units_per_electron <= 0) & (read_variance <= 0)
        return torch.where(exact, values, estimate), torch.where(exact, 0.0, sigma)

    def coarser(self, fine: Tensor) -> Tensor:
        """Average windows of four by four cells into one; keep the centroid of what was averaged."""
        return F.conv2d(fine, cast(Tensor, self.down), stride=2, padding=1)

    def finer(self, coarse: State) -> State:
        """Interpolate to twice the size: the estimate by cubics, the rest linearly."""
        padded = F.pad(coarse.estimate, [2, 2, 2, 2], mode="replicate")
        estimate = F.pixel_shuffle(F.conv2d(padded, cast(Tensor, self.up)), 2)
        rest = torch.cat([coarse.variance, coarse.detail, coarse.gain], 1)
        rest = F.interpolate(rest, scale_factor=2.0, mode="bilinear")
        return State(estimate, rest[:, :1], rest[:, 1:2], rest[:, 2:])

    def correct(self, level: int, data: Tensor, predicted: State, model: NoiseModel) -> State:
        """Correct a prediction by the data of its level, (B, 6, h, w)."""
        cfg = self.config
        weighted, trust, doubt, coverage = data[:, :1], data[:, 1:2], data[:, 2:3], data[:, 3:4]
        held = (trust > 1e-12).to(data.dtype)
        safe = trust.clamp(min=1e-12)
        difference = (weighted / safe - predicted.estimate) * held
        if level > 0:  # samples off the cell's centre are compared with the prediction where they are
            around = F.pad(predicted.estimate, [1, 1, 1, 1], mode="replicate")
            slope_x = 0.5 * (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2])
            slope_y = 0.5 * (around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1])
            difference = difference - (slope_x * data[:, 4:5] + slope_y * data[:, 5:6]) / safe

        share = self.shares[level]
        brightness = predicted.estimate + model.offset
        unsure = cfg.dark * (predicted.variance + predicted.detail)
        brightness = 0.5 * (brightness + (brightness.square() + unsure).sqrt())  # never quite dark
        noise = share * doubt / safe.square() * (model.per_electron * brightness + model.per_visit)
        noise = noise * (1.0 - cfg.taken[min(level, len(cfg.taken) - 1)] * predicted.gain)

        energy = (difference.square() - noise) * coverage
        known = coverage.mean((2, 3), keepdim=True) + 1e-4
        parent = ((coverage * predicted.detail).mean((2, 3), keepdim=True) + 1e-4) / known
        typical = (energy.mean((2, 3), keepdim=True) + 1e-4 * cfg.decay * parent) / known
        typical = torch.maximum(typical, 0.01 * parent)  # (B, 1, 1, 1)
        expected = typical * (1.0 - cfg.inherited + cfg.inherited * predicted.detail / parent)
        cover = blur(coverage)
        local = blur(noise * coverage) / cover.clamp(min=1e-12)
        prior = cfg.prior_weight * ((local / expected).clamp(max=1e6) + 1.0).square()
        detail = (blur(energy) + prior * expected) / (cover + prior)
        detail = torch.maximum(detail, cfg.floor * expected)

        gap = (1.0 - coverage).clamp(min=0.0) * share / coverage.clamp(min=1e-12)  # 0 in fully sampled cells
        gain = held * detail / (detail * (1.0 + cfg.sampling * gap) + noise)
        sure = held * detail / (detail * (1.0 + cfg.doubt_gap * gap) + noise)
        variance = (1.0 - sure) * (cfg.doubt * detail + predicted.variance)
        estimate = predicted.estimate + gain * difference
        free = 1.0 - held / (1.0 + cfg.sampling * gap)
        for step in cfg.steps:
            bend = mean3(estimate) - estimate
            bend = mean3(bend) - bend
            estimate = estimate - step * free * bend
        return State(estimate, variance, detail, gain)


def mean3(x: Tensor) -> Tensor:
    """Average over three by three cells, fewer at the borders."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def blur(x: Tensor) -> Tensor:
    """Average over a small window that falls off from its centre."""
    return mean3(mean3(x))
