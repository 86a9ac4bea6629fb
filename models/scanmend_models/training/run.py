"""The training loop: resumable, in any number of pieces, on a processor or an accelerator."""

from __future__ import annotations

import csv
import logging
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from scanmend.errors import InvalidInput
from scanmend_models.data.batches import Batch, Batches, Pictures, make_batch
from scanmend_models.networks.choice import build
from scanmend_models.networks.corrector import Corrector
from scanmend_models.training.checkpoint import Checkpoint, load, save
from scanmend_models.training.config import TrainConfig, to_plain
from scanmend_models.training.losses import OutlierClip, beta_nll, error_db

log = logging.getLogger(__name__)

LAST, FINISHING, FINAL = "last.pt", "finishing.pt", "final.pt"
"""Files of a run: where it goes on, where its end goes on, its end."""
CHECK_SEED = 987_654_321
"""Of the examples that are looked at and never trained on."""
CHECK_BATCHES = 8


def processor(device: torch.device) -> str:
    """Say what trains, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else platform.processor()


@dataclass(slots=True)
class Stop:
    """When to stop; `asked` is set by a signal."""

    at_step: int | None = None
    after_s: float | None = None
    asked: bool = False
    started: float = field(default_factory=time.monotonic)

    def now(self, step: int) -> bool:
        """Whether the run stops before this step."""
        late = self.after_s is not None and time.monotonic() - self.started > self.after_s
        return self.asked or late or (self.at_step is not None and step >= self.at_step)


class Trainer:
    """One run in one folder.

    Args:
        config: The run.
        folder: Its checkpoints and learning curve; what is there is taken up.
        device: What to train on.
        finish: Whether to let the learning rate fall to nothing and end, from where the run stands.
    """

    def __init__(self, config: TrainConfig, folder: Path, device: torch.device, *, finish: bool = False) -> None:
        self.config, self.folder, self.device = config, folder, device
        torch.manual_seed(config.seed)
        network = build(config.network).to(device)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = list(self.network.parameters())
        self.average = [weight.detach().clone() for weight in self.weights]
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
        )
        self.clip = OutlierClip()
        self.step, self.elapsed_s = 0, 0.0
        self.finish_from: int | None = None
        self._resume(finish)

    def _resume(self, finish: bool) -> None:
        last, finishing = self.folder / LAST, self.folder / FINISHING
        taken = load(last) if last.exists() else None
        if finish and finishing.exists():
            ending = load(finishing)
            if taken is None or ending.finish_from == taken.step:
                taken = ending
        if taken is not None:
            self.take_up(taken)
            log.info("goes on at step %d", self.step)
        if finish and self.finish_from is None:
            self.finish_from = self.step

    def take_up(self, taken: Checkpoint) -> None:
        """Go on from a checkpoint."""
        known = dict(self.network.named_parameters())
        if {name: kept.shape for name, kept in taken.network.items()} != {n: w.shape for n, w in known.items()}:
            raise InvalidInput(
                f"What is in {self.folder} is of another network.",
                mend="Train in another folder, or give the configuration the network that was trained there.",
            )
        self.network.load_state_dict(taken.network, strict=False)
        self.average = [taken.average[name].to(self.device) for name, _ in self.network.named_parameters()]
        self.optimizer.load_state_dict(taken.optimizer)
        self.clip.first, self.clip.second, self.clip.seen = taken.clip
        self.step, self.elapsed_s, self.finish_from = taken.step, taken.elapsed_s, taken.finish_from

    @property
    def last_step(self) -> int | None:
        """Where a run that finishes ends."""
        return None if self.finish_from is None else self.finish_from + self.config.decay_steps

    def rate(self) -> float:
        """The learning rate of the next step: up, level, and, in the end, down in a straight line."""
        factor = min(1.0, (self.step + 1) / self.config.warmup_steps)
        if self.finish_from is not None:
            factor *= max(0.0, 1.0 - (self.step - self.finish_from) / self.config.decay_steps)
        return self.config.learning_rate * factor

    def run(self, stop: Stop) -> bool:
        """Train until told to stop, or to the end of a run that finishes; give whether it has ended."""
        config = self.config
        batches = self._batches()
        began, saved, noted = time.monotonic(), time.monotonic(), time.monotonic()
        elapsed_before, sums, count = self.elapsed_s, [0.0, 0.0], 0
        while not stop.now(self.step) and (self.last_step is None or self.step < self.last_step):
            try:
                batch = next(batches)
            except RuntimeError:
                if stop.asked:  # Ctrl-C reaches the processes that make batches too
                    break
                raise
            error, surprise = self._train_on(batch)
            sums, count = [sums[0] + error, sums[1] + surprise], count + 1
            self.step += 1
            self.elapsed_s = elapsed_before + time.monotonic() - began
            if self.step % config.log_every == 0:
                pace = (time.monotonic() - noted) / count
                self._note(sums[0] / count, sums[1] / count, pace, stop)
                sums, count, noted = [0.0, 0.0], 0, time.monotonic()
            if self.step % config.check_every == 0:
                log.info("step %d: %s", self.step, self.check())
                noted = time.monotonic()
            if time.monotonic() - saved > config.save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()
        return self.last_step is not None and self.step >= self.last_step

    def _batches(self) -> Iterator[Batch]:
        data = Batches(self.config.data, self.config.seed, self.step)
        if self.config.workers == 0:
            return iter(data)
        loader: DataLoader[Batch] = DataLoader(
            data, batch_size=None, num_workers=self.config.workers, prefetch_factor=4, worker_init_fn=_one_thread
        )
        return iter(loader)

    def _train_on(self, batch: Batch) -> tuple[float, float]:
        config = self.config
        rate = self.rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, error, surprise = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.weights, config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        keep = min(config.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [w.detach() for w in self.weights], 1 - keep)  # noqa: SLF001
        return error, surprise

    def loss(self, batch: Batch) -> tuple[Tensor, float, float]:
        """Give what the network is to make small, and, for the curve, error and surprise."""
        config = self.config
        estimate, sigma, truth = self._answer(self.network, batch)
        error = error_db(estimate, truth, config.good_enough)
        loss = self.clip(error).mean()
        surprise = torch.zeros(())
        if self.step >= config.mean_only_steps:
            surprise = beta_nll(estimate, sigma, truth, config.beta).mean()
            loss = loss + config.nll_weight * surprise
        return loss, float(error.detach().mean()), float(surprise.detach())

    def on_device(self, batch: Batch) -> list[Tensor]:
        """Move the four inputs and the truth to where the network is."""
        return [
            tensor.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            for tensor in (batch.values, batch.weight, batch.units_per_electron, batch.read_variance, batch.truth)
        ]

    def _answer(self, network: Corrector, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        *asked, truth = self.on_device(batch)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            estimate, sigma = network(*asked)
        return estimate.float(), sigma.float(), truth

    def check(self) -> str:
        """Compare the averaged weights with push-pull on examples that are not trained on; a line for people."""
        network = build(self.config.network).to(self.device).eval()
        network.load_state_dict(self.averaged(), strict=False)
        pictures = Pictures(self.config.data, CHECK_SEED)
        gained: dict[str, list[float]] = {"sparse": [], "noisy": []}
        ratios = []
        with torch.inference_mode():
            for index in range(CHECK_BATCHES):
                batch = make_batch(pictures, self.config.data, CHECK_SEED, index)
                estimate, sigma, truth = self._answer(network, batch)
                noise = (batch.units_per_electron, batch.read_variance)
                fill, _ = network.fill(batch.values, batch.weight, *noise)
                new, old = (
                    -10 * torch.log10((picture - truth).square().mean((1, 2, 3)) + 1e-7)
                    for picture in (estimate, fill.to(self.device))
                )
                for one, better in zip(batch.units_per_electron.flatten(), (new - old).cpu(), strict=True):
                    gained["noisy" if one > 0 else "sparse"].append(float(better))
                unsure = sigma > 0
                ratios.append(((estimate - truth).abs()[unsure] / sigma[unsure]).cpu())
        inside = torch.cat(ratios)
        shares = ", ".join(f"{float((inside < width).float().mean()):.3f}" for width in (0.9945, 1.6449, 1.96))
        means = ", ".join(f"{name} {sum(all_) / len(all_):+.3f} dB" for name, all_ in gained.items() if all_)
        return f"over push-pull: {means}; within 68, 90, 95 %: {shares}"

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights by name."""
        names = [name for name, _ in self.network.named_parameters()]
        return dict(zip(names, self.average, strict=True))

    def _note(self, error: float, surprise: float, pace_s: float, stop: Stop) -> None:
        ends = [end for end in (self.last_step, stop.at_step) if end is not None]
        left = f", {(min(ends) - self.step) * pace_s / 60:.0f} min left" if ends else ""
        log.info("step %d: error %.4f, surprise %.3f, %.0f ms a step%s", self.step, error, surprise, 1e3 * pace_s, left)
        curve = self.folder / "curve.csv"
        self.folder.mkdir(parents=True, exist_ok=True)
        new = not curve.exists()
        with curve.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "elapsed_s", "learning_rate", "log_mse", "beta_nll"])
            writer.writerow([self.step, round(self.elapsed_s, 1), self.rate(), round(error, 5), round(surprise, 5)])

    def save(self) -> None:
        """Write the checkpoint."""
        done = self.last_step is not None and self.step >= self.last_step
        name = LAST if self.finish_from is None else FINAL if done else FINISHING
        save(self.checkpoint(), self.folder / name)
        log.info("step %d saved", self.step)

    def checkpoint(self) -> Checkpoint:
        """Give all that the run needs to go on."""
        return Checkpoint(
            step=self.step,
            elapsed_s=self.elapsed_s,
            trained_on=processor(self.device),
            config=to_plain(self.config),
            network={key: value.detach() for key, value in self.network.named_parameters()},
            average=self.averaged(),
            optimizer=self.optimizer.state_dict(),
            clip=(self.clip.first, self.clip.second, self.clip.seen),
            finish_from=self.finish_from,
        )


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
