"""Trains the network of the policy `gain`: `python -m scanmend_models.gain.train --micrographs DIR`.

A run begins with rounds, in which the network learns what error is left and how it falls: the first makes examples
that were rescanned by sigma², the next ones by the network as it then stands, and each trains on all examples so far.
Then it is trained by the outcome of its own choices (see `outcome`). It may be stopped at any time; the same command
goes on. `--release` writes the network into the service when it has ended.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from scanmend.errors import InvalidInput, ScanmendError
from scanmend_models.gain.examples import ExampleConfig, Gains, Maker, read_shard, write_shard
from scanmend_models.gain.network import GainConfig, GainNet
from scanmend_models.gain.outcome import Outcome, OutcomeConfig
from scanmend_models.gain.release import POLICIES, release
from scanmend_models.training.checkpoint import Checkpoint, load, save
from scanmend_models.training.run import processor

log = logging.getLogger("scanmend_models.gain")

LAST, FINAL = "last.pt", "final.pt"
SHARD = 100
"""Examples of a file."""
OUTCOMES = 50
"""Steps of training by the outcome between two checkpoints."""
CHECK_SEED, CHECK_BATCHES = 987_654_321, 24
"""Of the scans that are looked at and never trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A part of a run."""

    examples: int
    """A multiple of 100."""
    epochs: int
    """How often every example so far is trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainTraining:
    """A training run; every field may stand in the TOML file."""

    rounds: tuple[Round, ...]
    seed: int = 1
    batch: int = 16
    learning_rate: float = 3e-3
    """The highest of a round; it rises over `warmup_steps` and falls by a cosine to the round's end."""
    warmup_steps: int = 50
    weight_decay: float = 1e-4
    average: float = 0.99
    """Decay of the moving average of the weights, which is what is exported."""
    clip_norm: float = 1.0
    examples: ExampleConfig = field(default_factory=ExampleConfig)
    network: GainConfig = field(default_factory=GainConfig)
    outcome: OutcomeConfig = field(default_factory=OutcomeConfig)

    def steps(self, rounds: int) -> int:
        """Steps of the first so many rounds together."""
        total, examples = 0, 0
        for one in self.rounds[:rounds]:
            examples += one.examples
            total += one.epochs * (examples // self.batch)
        return total


def read_config(path: Path, micrographs: str) -> GainTraining:
    """Read a configuration.

    Raises:
        InvalidInput: No such file, not TOML, an unknown field or a value of the wrong type.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        raw.setdefault("examples", {}).setdefault("data", {})["micrographs"] = micrographs
        return msgspec.convert(raw, GainTraining)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(f"{path}: {error}.", mend="Mend the field or line that the message names.") from error


def loss(answer: tuple[Tensor, Tensor], batch: Gains) -> Tensor:
    """Half the deviance of a Tweedie distribution of power 1.5, up to a constant; its least is at the expected error.

    Between Poisson's, which hears the largest errors, and the gamma's, for which every square counts the same. Errors
    count over the mean error of their field: dark and bright fields, and all doses, weigh the same.

    Args:
        answer: Factor and exponent, (B, 1, h, w).
        batch: Tensors in place of arrays.
    """
    factor, exponent = answer
    sigma2, before, after, added = (torch.as_tensor(one) for one in batch[1:])
    unit = before.mean((1, 2, 3), keepdim=True) + 1e-3 * sigma2.mean((1, 2, 3), keepdim=True) + 1e-20
    now = sigma2 * factor / unit + 1e-4
    then = now * (1.0 + added) ** -exponent
    both = [expected.sqrt() + error / unit / expected.sqrt() for expected, error in ((now, before), (then, after))]
    return torch.stack(both).mean()


class Run:
    """One run in one folder.

    Args:
        config: The run.
        folder: Its examples and checkpoints; what is there is taken up.
    """

    def __init__(self, config: GainTraining, folder: Path) -> None:
        self.config, self.folder = config, folder
        torch.manual_seed(config.seed)
        self.network = GainNet(config.network)
        self.weights = list(self.network.parameters())
        self.average = [weight.detach().clone() for weight in self.weights]
        self.optimizer = self._optimizer()
        self.step, self.elapsed_s = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / LAST).exists():
            taken = load(folder / LAST)
            self.network.load_state_dict(taken.network)
            self.average = [taken.average[name] for name, _ in self.network.named_parameters()]
            self.optimizer.load_state_dict(taken.optimizer)
            self.step, self.elapsed_s = taken.step, taken.elapsed_s

    def _optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.weights, lr=1.0, betas=(0.9, 0.99), weight_decay=self.config.weight_decay)

    def run(self) -> Checkpoint:
        """Make examples and train, to the end."""
        for number in range(len(self.config.rounds)):
            if self.step < self.config.steps(number + 1):
                self._train(number, self._examples(number))
        self._train_by_outcome()
        log.info("a pass gains %+.3f dB over one that is shared out by sigma²", self.check())
        done = self.checkpoint()
        save(done, self.folder / FINAL)
        return done

    def averaged(self) -> GainNet:
        """The network with the averaged weights."""
        network = GainNet(self.config.network).eval()
        with torch.no_grad():
            for weight, average in zip(network.parameters(), self.average, strict=True):
                weight.copy_(average)
        return network

    def _examples(self, number: int) -> Gains:
        kept = []
        for round_ in range(number + 1):
            maker: Maker | None = None
            for first in range(0, self.config.rounds[round_].examples, SHARD):
                path = self.folder / f"round{round_}-{first:06d}.npz"
                if not path.exists():
                    began = time.monotonic()
                    network = self.averaged() if round_ else None
                    maker = maker or Maker(self.config.examples, self.config.seed, network)
                    write_shard(path, [maker.make(round_, first + place) for place in range(SHARD)])
                    self.elapsed_s += time.monotonic() - began
                    log.info("%s: %.0f ms an example", path.name, 1e3 * (time.monotonic() - began) / SHARD)
                kept.append(read_shard(path))
        return Gains(*(np.concatenate(maps) for maps in zip(*kept, strict=True)))

    def _train(self, number: int, examples: Gains) -> None:
        config = self.config
        start, end, count = config.steps(number), config.steps(number + 1), len(examples.features)
        epoch = count // config.batch
        began, summed, elapsed = time.monotonic(), 0.0, self.elapsed_s
        while self.step < end:
            place = self.step - start
            order = np.random.default_rng([config.seed, number, place // epoch]).permutation(count)
            rows = np.sort(order[place % epoch * config.batch :][: config.batch])
            summed += self._train_on(_turned(Gains(*(maps[rows] for maps in examples)), self.step), place, end - start)
            self.step += 1
            if (place + 1) % epoch == 0:
                self.elapsed_s = elapsed + time.monotonic() - began
                log.info("round %d, step %d of %d: loss %.4f", number, self.step, end, summed / epoch)
                summed = 0.0
                save(self.checkpoint(), self.folder / LAST)

    def _train_on(self, batch: Gains, place: int, steps: int) -> float:
        config = self.config
        found = loss(self.network.answer(torch.from_numpy(batch.features.astype(np.float32))), batch)
        rate = config.learning_rate * min(1.0, (place + 1) / config.warmup_steps)
        return self._descend(found, 0.5 * rate * (1.0 + math.cos(math.pi * place / steps)), config.average)

    def _train_by_outcome(self) -> None:
        config, start = self.config.outcome, self.config.steps(len(self.config.rounds))
        if self.step >= start + config.steps:
            return
        outcome = Outcome(config, self.config.examples.data, self.config.seed)
        if self.step == start:
            self.network.load_state_dict(self.averaged().state_dict())
            self.optimizer = self._optimizer()
        began, summed, elapsed = time.monotonic(), 0.0, self.elapsed_s
        while self.step < start + config.steps:
            place = self.step - start
            rate = config.learning_rate * min(1.0, (place + 1) / config.warmup_steps) * (1.0 - place / config.steps)
            summed += self._descend(outcome.loss(self.network, place), rate, config.average)
            self.step += 1
            if (place + 1) % OUTCOMES == 0 or place + 1 == config.steps:
                self.elapsed_s = elapsed + time.monotonic() - began
                log.info("outcome, step %d of %d: log error %.4f", place + 1, config.steps, summed / OUTCOMES)
                summed = 0.0
                save(self.checkpoint(), self.folder / LAST)

    def _descend(self, found: Tensor, rate: float, average: float) -> float:
        """Take one step; a gradient that is not finite is passed over."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(self.weights, self.config.clip_norm)):
            self.optimizer.step()
        keep = min(average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for kept, weight in zip(self.average, self.weights, strict=True):
                kept.lerp_(weight.detach(), 1 - keep)
        return float(found.detach())

    def check(self) -> float:
        """Decibels by which the network's pass gains over one shared out by sigma², on scans not trained on."""
        outcome = Outcome(self.config.outcome, self.config.examples.data, CHECK_SEED)
        network, plain = self.averaged(), GainNet(self.config.network).eval()
        with torch.no_grad():
            steps = range(CHECK_BATCHES)
            fall = [float(outcome.loss(plain, step) - outcome.loss(network, step)) for step in steps]
        return 10.0 / math.log(10.0) * float(np.mean(fall))

    def checkpoint(self) -> Checkpoint:
        """Give all that the run needs to go on."""
        names = [name for name, _ in self.network.named_parameters()]
        return Checkpoint(
            step=self.step,
            elapsed_s=self.elapsed_s,
            trained_on=processor(torch.device("cpu")),
            config=msgspec.to_builtins(self.config),
            network={name: weight.detach() for name, weight in zip(names, self.weights, strict=True)},
            average=dict(zip(names, self.average, strict=True)),
            optimizer=self.optimizer.state_dict(),
            clip=(0.0, 0.0, 0),
        )


def _turned(batch: Gains, step: int) -> Gains:
    """Turn and mirror all examples of a batch alike: nothing that the network sees has a direction."""
    turns, mirrored = step % 4, step // 4 % 2
    maps = [np.rot90(one, turns, (2, 3)) for one in batch]
    return Gains(*(np.ascontiguousarray(one[..., ::-1] if mirrored else one) for one in maps))


def main(arguments: list[str] | None = None) -> int:
    """Train; 0 where the run has ended, 1 where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m scanmend_models.gain.train", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"), help="a TOML file")
    parser.add_argument("--folder", type=Path, default=Path("checkpoints/gain"), help="where the run is kept")
    parser.add_argument("--micrographs", default="", help="real pictures with a manifest, to be trained on too")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--release", action="store_true", help="write the network into the service")
    parser.add_argument("--score", default="", help="a sentence on what it was measured to gain, for its facts")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    torch.set_num_threads(asked.threads)
    try:
        run = Run(read_config(asked.config, asked.micrographs), asked.folder)
        done = run.run()
        if asked.release:
            release(run.averaged(), done, asked.score, POLICIES)
    except ScanmendError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
