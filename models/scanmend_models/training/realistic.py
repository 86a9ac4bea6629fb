"""Training of a model for looking at: critics have a say beside the error."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from scanmend_models.data.batches import Batch
from scanmend_models.networks.critic import Critics
from scanmend_models.networks.two_stage import TwoStage
from scanmend_models.training.checkpoint import Checkpoint
from scanmend_models.training.config import TrainConfig
from scanmend_models.training.losses import beta_nll, error_db
from scanmend_models.training.run import Trainer


class RealisticTrainer(Trainer):
    """Trains a `TwoStage` with a half-size trainer output and critics at several scales (Ede & Beanland, 2020).

    Critics and network are judged by squared distance from the verdict they want (Mao et al., ICCV 2017).
    """

    def __init__(self, config: TrainConfig, folder: Path, device: torch.device, *, finish: bool = False) -> None:
        if config.adversarial is None:
            raise ValueError("the configuration has no critics")
        self.settings = config.adversarial
        torch.manual_seed(config.seed + 1)
        self.critics = Critics(self.settings.channels, self.settings.crops_px).to(device)
        self.critics_optimizer = torch.optim.Adam(
            self.critics.parameters(), lr=self.settings.learning_rate, betas=(0.5, 0.99)
        )
        super().__init__(config, folder, device, finish=finish)

    def take_up(self, taken: Checkpoint) -> None:
        """Go on from a checkpoint, critics included."""
        super().take_up(taken)
        if taken.critics is not None:
            self.critics.load_state_dict(taken.critics["network"])
            self.critics_optimizer.load_state_dict(taken.critics["optimizer"])

    def checkpoint(self) -> Checkpoint:
        """Give all that the run needs to go on, critics included."""
        whole = super().checkpoint()
        whole.critics = {"network": self.critics.state_dict(), "optimizer": self.critics_optimizer.state_dict()}
        return whole

    def loss(self, batch: Batch) -> tuple[Tensor, float, float]:
        """Give the loss of the network, after the critics have learned from the same batch."""
        settings, network = self.settings, cast(TwoStage, self.network)
        *asked, truth = self.on_device(batch)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            prepared = network.prepare(*asked)
            answer, large = network.both(prepared.features)
        estimate, sigma = network.finish(prepared, answer)
        error = error_db(estimate, truth, self.config.good_enough)
        halved = F.avg_pool2d(prepared.filled, 2) + prepared.scale * F.avg_pool2d(prepared.step, 2) * large.float()
        loss = self.clip(error).mean()
        loss = loss + settings.trainer_weight * error_db(halved, F.avg_pool2d(truth, 2), self.config.good_enough).mean()
        surprise = torch.zeros(())
        if self.step >= self.config.mean_only_steps:
            surprise = beta_nll(estimate, sigma, truth, self.config.beta).mean()
            loss = loss + self.config.nll_weight * surprise
        if self.step >= settings.from_step:
            loss = loss + settings.weight * self._opinion(estimate, truth)
        return loss, float(error.detach().mean()), float(surprise.detach())

    def _opinion(self, estimate: Tensor, truth: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        corners = self.critics.corners(estimate.shape[2], estimate.shape[3], generator)
        real = self._verdicts(truth, corners)
        fake = self._verdicts(estimate.detach(), corners)
        theirs = sum((r - 1).square().mean() + f.square().mean() for r, f in zip(real, fake, strict=True))
        self.critics_optimizer.zero_grad(set_to_none=True)
        cast(Tensor, theirs).backward()  # type: ignore[no-untyped-call]
        self.critics_optimizer.step()
        self.critics.requires_grad_(False)
        verdicts = self._verdicts(estimate, corners)
        self.critics.requires_grad_(True)
        return torch.stack([(verdict - 1).square().mean() for verdict in verdicts]).mean()

    def _verdicts(self, pictures: Tensor, corners: list[tuple[int, int]]) -> list[Tensor]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            verdicts = self.critics(pictures, corners)
        return [verdict.float() for verdict in verdicts]
