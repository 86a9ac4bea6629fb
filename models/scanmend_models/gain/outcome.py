"""Trains the network further by what counts in the end: the error of the picture that is restored after the pass.

A patch is scanned and restored; the network's answer is shared out as the policy does it, the patch is scanned by that
dwell and restored by the torch networks of the catalogue, which can say how the error depends on every nanosecond.
This teaches what no map of the present error knows: where dwell lowers the error next door, where a restorer makes
nothing of more counts, and that a pixel whose counts were far off is not by that a better place to look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanmend_models.data.batches import DataConfig, Pictures, augmented
from scanmend_models.data.exposures import log_uniform
from scanmend_models.export import CATALOGUE
from scanmend_models.gain.network import BIN_PX, GainNet
from scanmend_models.learned import entries
from scanmend_models.networks.corrector import Corrector


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeConfig:
    """How patches are scanned; ranges are log-uniform."""

    steps: int = 0
    batch: int = 8
    patch_px: int = 128
    learning_rate: float = 1e-3
    """The highest; it rises over `warmup_steps` and falls to nothing in a straight line."""
    warmup_steps: int = 20
    average: float = 0.97
    """Decay of the moving average of the weights."""
    counts_per_px: tuple[float, float] = (0.7, 30.0)
    restorers: tuple[tuple[str, float], ...] = (("quality", 0.5), ("balanced", 0.2), ("live", 0.3))
    """Models of the catalogue, and their shares of the batches."""
    later: float = 0.4
    """Share of batches that judge the pass after next, not the next."""
    least: float = 0.1
    most: float = 12.0
    """Of the policy: dwell of a pixel, over that of a uniform pass."""


class Scanned(NamedTuple):
    """Patches as they stand; maps (B, 1, H, W)."""

    truth: Tensor
    electrons_per_unit: Tensor
    """Mean electrons of a visit at brightness 1, (B, 1, 1, 1)."""
    electrons: Tensor
    weight: Tensor


class _Given(nn.Module):
    """Push-pull's answer, computed outside, where gradients are kept."""

    def __init__(self, filled: Tensor, spread: Tensor) -> None:
        super().__init__()
        self._answer = filled, spread

    def forward(self, *_asked: Tensor) -> tuple[Tensor, Tensor]:
        return self._answer


class Outcome:
    """Scans, restores, and says how good the network's choice was.

    Args:
        config: What is scanned.
        data: Where the pictures come from.
        seed: Of everything.
    """

    def __init__(self, config: OutcomeConfig, data: DataConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._data = replace(data, patch_px=config.patch_px)
        self._pictures = Pictures(self._data, seed + 1)
        shipped = entries(CATALOGUE)
        self._restorers = {name: cast(Corrector, shipped[name].build()) for name, _ in config.restorers}
        for restorer in self._restorers.values():
            restorer.eval().requires_grad_(False)

    def loss(self, network: GainNet, step: int) -> Tensor:
        """Mean logarithm of the patches' squared error after one more pass, for the batch of a step."""
        config = self.config
        rng = np.random.default_rng([self.seed, 77, step])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        shares = np.array([share for _, share in config.restorers])
        restorer = self._restorers[config.restorers[int(rng.choice(len(shares), p=shares / shares.sum()))][0]]
        state = self._first(rng, step, generator)
        passes = 1
        with torch.no_grad():
            answer = self._restored(restorer, state)
            if rng.random() < config.later:
                state = self._scan(state, self._dwell(network, state, answer, passes), generator)
                answer, passes = self._restored(restorer, state), 2
        after = self._scan(state, self._dwell(network, state, answer, passes), generator)
        estimate, _ = self._restored(restorer, after)
        return torch.log((estimate - after.truth).square().mean((1, 2, 3)) + 1e-7).mean()

    def _first(self, rng: np.random.Generator, step: int, generator: torch.Generator) -> Scanned:
        config = self.config
        patches = [augmented(rng, self._pictures.pick(rng, step), self._data) for _ in range(config.batch)]
        truth = torch.from_numpy(np.stack(patches)[:, None])
        counts = torch.tensor([log_uniform(rng, *config.counts_per_px) for _ in patches], dtype=torch.float32)
        per_unit = counts[:, None, None, None] / truth.mean((1, 2, 3), keepdim=True).clamp(min=0.02)
        return Scanned(truth, per_unit, torch.poisson(truth * per_unit, generator), torch.ones_like(truth))

    @staticmethod
    def _scan(state: Scanned, dwell: Tensor, generator: torch.Generator) -> Scanned:
        """Count, keeping how the counts depend on the dwell: their mean grows with it, their scatter as its root."""
        mean = state.truth * state.electrons_per_unit
        fixed = dwell.detach()
        counted = torch.poisson(mean * fixed, generator)
        slope = mean + 0.5 * (counted - mean * fixed) / fixed
        electrons = state.electrons + counted + (dwell - fixed) * slope
        return state._replace(electrons=electrons, weight=state.weight + dwell)

    @staticmethod
    def _restored(restorer: Corrector, state: Scanned) -> tuple[Tensor, Tensor]:
        asked = _asked(state)
        kept = restorer.fill
        restorer.fill = _Given(*kept(*asked))  # type: ignore[assignment]
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                estimate, sigma = restorer(*asked)
        finally:
            restorer.fill = kept
        return estimate.float(), sigma.float()

    def _dwell(self, network: GainNet, state: Scanned, answer: tuple[Tensor, Tensor], passes: int) -> Tensor:
        error, exponent = network(*answer, *_asked(state))
        usual = state.weight.mean((1, 2, 3), keepdim=True) / passes
        had = F.avg_pool2d(state.weight, BIN_PX) / usual
        added = allotted(error, exponent, had, least=self.config.least, most=self.config.most)
        return usual * F.interpolate(added, scale_factor=BIN_PX, mode="bilinear")


def _asked(state: Scanned) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    values = state.electrons / state.weight / state.electrons_per_unit
    per_electron = 1.0 / state.electrons_per_unit
    return values, state.weight, per_electron, torch.zeros_like(per_electron)


def allotted(error: Tensor, exponent: Tensor, dwell: Tensor, *, least: float, most: float) -> Tensor:
    """Share out a pass as `scanmend.rescan.policies.allotment` does; all (B, 1, h, w), the answer has a mean of 1.

    Gradients pass through every square's own dwell; the common level is held, and the mean set to 1 afterwards.
    """
    worth = torch.log((exponent * error / dwell).clamp(min=1e-30))
    share = 1.0 / (1.0 + exponent)

    def at(level: Tensor) -> Tensor:
        return (dwell * torch.expm1((share * (worth - level)).clamp(0.0, 60.0))).clamp(least, most)

    with torch.no_grad():
        reach = (torch.log1p(most / dwell) * (1.0 + exponent)).amax((1, 2, 3), keepdim=True)
        low, high = worth.amin((1, 2, 3), keepdim=True) - reach, worth.amax((1, 2, 3), keepdim=True)
        for _ in range(20):
            level = 0.5 * (low + high)
            over = at(level).mean((1, 2, 3), keepdim=True) > 1.0
            low, high = torch.where(over, level, low), torch.where(over, high, level)
    added = at(0.5 * (low + high))
    return added / added.mean((1, 2, 3), keepdim=True)
