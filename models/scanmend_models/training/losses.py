"""What training makes small: the error in dB, and the surprise at it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_SIGMA = 1e-4
"""Standard deviations are not asked to be smaller, over the range of the picture."""
MOST_SURPRISE = 50.0
"""Bound on squared error over variance: one wrong pixel does not set the scale of a patch."""


def error_db(estimate: Tensor, truth: Tensor, good_enough: float) -> Tensor:
    """Mean squared error of every patch, on a logarithmic scale: what PSNR averages over pictures, up to a factor.

    Args:
        estimate: (B, 1, H, W).
        truth: The same.
        good_enough: Mean squared error that is added to every patch's, so that flat patches do not outweigh others.

    Returns:
        (B,).
    """
    return torch.log((estimate - truth).square().mean((1, 2, 3)) + good_enough)


def beta_nll(estimate: Tensor, sigma: Tensor, truth: Tensor, beta: float) -> Tensor:
    """β-NLL (Seitzer et al., ICLR 2022) of every patch, over the pixels that are in doubt.

    A Gaussian's negative log-likelihood with each pixel weighted by sigma^(2β), which keeps badly predicted pixels
    from being given up. The estimate gets no gradient: `error_db` trains it.

    Args:
        estimate: (B, 1, H, W).
        sigma: The same; 0 where there is no doubt.
        truth: The same.
        beta: 0 is the plain likelihood, 1 weighs all pixels like squared error.

    Returns:
        (B,).
    """
    unsure = sigma > 0
    safe = torch.where(unsure, sigma, 1.0).clamp(min=LEAST_SIGMA)
    surprise = ((estimate.detach() - truth) / safe).square()
    flat = MOST_SURPRISE * (1 + torch.log(surprise.clamp(min=MOST_SURPRISE) / MOST_SURPRISE))
    surprise = torch.where(surprise < MOST_SURPRISE, surprise, flat)
    likelihood = 0.5 * surprise + torch.log(safe)
    weight = torch.where(unsure, safe.detach() ** (2 * beta), 0.0)
    return (weight * likelihood).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-12)


@dataclass(slots=True)
class OutlierClip:
    """Adaptive learning rate clipping (Ede & Beanland, Mach. Learn.: Sci. Technol. 1, 015011, 2020).

    A loss more than `spread` standard deviations above the running mean of losses counts as much as one at that
    bound: its gradient is scaled down. It steadies training with small batches.
    """

    first: float = 0.0
    """Running mean of the losses."""
    second: float = 0.0
    """Running mean of their squares."""
    seen: int = 0
    decay: float = 0.999
    spread: float = 3.0

    def __call__(self, losses: Tensor) -> Tensor:
        """Scale the outliers among losses, (B,), and take all of them into the moments."""
        values = losses.detach().double()
        if self.seen >= 100:
            bound = self.first + self.spread * max(self.second - self.first**2, 1e-12) ** 0.5
            shift = bound - self.first
            scale = torch.where(values > bound, shift / (values - self.first).clamp(min=1e-12), 1.0)
            losses = losses * scale.to(losses.dtype)
        keep = min(self.decay, self.seen / (self.seen + 1.0))
        self.first = keep * self.first + (1 - keep) * float(values.mean())
        self.second = keep * self.second + (1 - keep) * float(values.square().mean())
        self.seen += 1
        return losses
