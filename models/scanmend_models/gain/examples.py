"""Examples for the network of `gain`: fields after some passes, the error that was left, and what more dwell took away.

A drawn or real picture is exposed by the simulator's physics, perhaps rescanned by a policy, and restored by one of the
shipped models; then it is scanned once more, by another map of dwell, and restored again. Example number `k` of a round
is the same on every machine, given the network that chose for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from scanmend_models.arrays import Arrays, Run
from scanmend_models.data import geometry
from scanmend_models.data.batches import DataConfig, Pictures, augmented
from scanmend_models.data.exposures import Camera, look
from scanmend_models.data.exposures import log_uniform as drawn_from
from scanmend_models.execute import with_onnxruntime
from scanmend_models.export import CATALOGUE
from scanmend_models.gain.network import BIN_PX, GainNet, see
from scanmend_sim.specimens.procedural.canvas import blur, coloured_noise

Picture = NDArray[np.float32]

THIN = 0.1
"""Least dwell of a square, over the field's mean, that counts as the dwell before: as the policy has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleConfig:
    """How examples are drawn; ranges are log-uniform, shares need not add up to 1."""

    data: DataConfig = field(default_factory=lambda: DataConfig(patch_px=192))
    restorers: tuple[tuple[str, float], ...] = (
        ("quality.int8", 0.4),
        ("quality", 0.1),
        ("balanced.int8", 0.2),
        ("live.int8", 0.2),
        ("pushpull", 0.1),
    )
    """Files of the catalogue, without `.onnx`, and their shares."""
    counts_per_px: tuple[float, float] = (0.5, 40.0)
    """Mean electrons of a pixel in the first pass."""
    read_noise: tuple[float, float] = (0.05, 1.0)
    """Standard deviation in electrons, where there is any (one exposure of six)."""
    sparse_noisy: float = 0.1
    sparse_exact: float = 0.06
    """Shares of sparse first passes with and without noise; the rest are full rasters."""
    coverage: tuple[float, float] = (0.03, 0.5)
    rescanned: float = 0.45
    """Share of fields that a policy has rescanned before, or that were scanned unevenly."""
    sigma_factor: tuple[float, float] = (0.7, 1.4)
    """The service calibrates sigma by a factor of the field, which the network must not depend on."""


class Gains(NamedTuple):
    """One example; float32 maps (., h, w), one number a square of pixels."""

    features: Picture
    sigma2: Picture
    before: Picture
    """Squared error, in the units of sigma2."""
    after: Picture
    """The same after the added dwell."""
    added: Picture
    """Dwell added, over the dwell before."""


class Maker:
    """Makes examples.

    Args:
        config: What to draw.
        seed: Of everything.
        network: Chooses for a part of the rescans; None for sigma² in its place.
    """

    def __init__(self, config: ExampleConfig, seed: int, network: GainNet | None = None) -> None:
        self.config, self.seed, self._network = config, seed, network
        self._pictures = Pictures(config.data, seed)
        self._runs: dict[str, Run] = {}

    def make(self, round_: int, number: int) -> Gains:
        """Make example `number` of a round."""
        config = self.config
        rng = np.random.default_rng([self.seed, round_, number])
        batch = (round_ * 1_000_003 + number) // config.data.batch
        truth, seen = look(rng, augmented(rng, self._pictures.pick(rng, batch), config.data), config.data.exposures)
        run = self._restorer(rng)
        kind = rng.random()
        sparse = kind < config.sparse_noisy + config.sparse_exact
        exact = config.sparse_noisy <= kind < config.sparse_noisy + config.sparse_exact
        electrons = drawn_from(rng, *config.counts_per_px) / max(float(truth.mean()), 0.02)
        read = drawn_from(rng, *config.read_noise) if rng.random() < 1 / 6 else 0.0
        camera = Camera(electrons, read)
        shape = truth.shape
        weight = geometry.sparse(rng, shape, drawn_from(rng, *config.coverage)) if sparse else np.ones(shape, "f4")

        def measured(dwell: Picture) -> NDArray[np.float64]:
            return np.asarray(seen * dwell, np.float64) if exact else camera.passes(rng, seen, dwell)

        def asked(summed: NDArray[np.float64], dwell: Picture) -> Arrays:
            values = np.where(dwell > 0, summed / np.where(dwell > 0, dwell, 1.0), 0.0)
            noise = (0.0, 0.0) if exact else (camera.units_per_electron, camera.read_variance)
            maps = {"values": values.astype(np.float32)[None, None], "weight": dwell[None, None]}
            return {**maps, **_numbers(*noise)}

        summed = measured(weight)
        if rng.random() < config.rescanned:
            if not sparse and rng.random() < 0.3:
                dwell = geometry.uneven(rng, shape)
            else:
                question = asked(summed, weight)
                dwell = self._chosen(rng, question, run(question), weight, sparse)
            summed, weight = summed + measured(dwell), weight + dwell
        question = asked(summed, weight)
        answer = run(question)
        factor = np.float32(drawn_from(rng, *config.sigma_factor))
        state = {**question, "estimate": answer["estimate"], "sigma": answer["sigma"] * factor}
        found = see(*(torch.from_numpy(state[name]) for name in _STATE))
        scale2 = float(found.scale.item()) ** 2

        dwell = self._chosen(rng, question, answer, weight, sparse)
        later = run(asked(summed + measured(dwell), weight + dwell))
        before, after = (_bins(np.square(one["estimate"][0, 0] - truth)) / scale2 for one in (answer, later))
        had = _bins(weight)
        added = _bins(dwell) / np.maximum(had, THIN * had.mean())
        return Gains(found.features[0].numpy(), found.sigma2[0].numpy(), before[None], after[None], added[None])

    def _restorer(self, rng: np.random.Generator) -> Run:
        names = [name for name, _ in self.config.restorers]
        shares = np.array([share for _, share in self.config.restorers])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        if name not in self._runs:
            self._runs[name] = with_onnxruntime(CATALOGUE / f"{name}.onnx", threads=1)
        return self._runs[name]

    def _chosen(
        self, rng: np.random.Generator, question: Arrays, answer: Arrays, weight: Picture, sparse: bool
    ) -> Picture:
        """Dwell to add: evenly, in hills, where sigma² is large, or where the network promises most."""
        shape, rule = weight.shape, rng.random()
        if rule < 0.2:
            wish = np.ones(shape, np.float32)
        elif rule < 0.45:
            hills = coloured_noise(rng, shape, longest_px=max(shape), shortest_px=12.0, slope=2.0)
            wish = np.exp(float(rng.uniform(0.3, 1.3)) * hills).astype(np.float32)
        else:
            wish = self._promised(question, answer, weight) if rule > 0.6 else np.square(answer["sigma"][0, 0])
            wish = np.maximum(blur(wish, float(rng.uniform(1.5, 3.0))), 0.0) ** np.float32(rng.uniform(0.4, 1.1))
        wish = np.minimum(wish, 8.0 * wish.mean())
        even = float(rng.uniform(0.0, 0.4))
        share = even + (1 - even) * wish / max(float(wish.mean()), 1e-30)
        amount = drawn_from(rng, 0.3, 4.0)
        if not sparse:
            return np.asarray(amount * float(weight.mean()) * share, dtype=np.float32)
        chance = np.clip(amount * float((weight > 0).mean()) * share, 0.0, 1.0)
        return np.asarray(rng.random(shape) < chance, dtype=np.float32)

    def _promised(self, question: Arrays, answer: Arrays, weight: Picture) -> Picture:
        if self._network is None:
            return np.asarray(np.square(answer["sigma"][0, 0]), dtype=np.float32)
        state = {**question, **answer}
        with torch.inference_mode():
            error, exponent = self._network(*(torch.from_numpy(state[name]) for name in _STATE))
        promised = (error * exponent).numpy()[0, 0] / np.maximum(_bins(weight), THIN * weight.mean())
        return np.asarray(np.repeat(np.repeat(promised, BIN_PX, 0), BIN_PX, 1), dtype=np.float32)


_STATE = ("estimate", "sigma", "values", "weight", "units_per_electron", "read_variance")


def _numbers(units_per_electron: float, read_variance: float) -> Arrays:
    both = {"units_per_electron": units_per_electron, "read_variance": read_variance}
    return {name: np.full((1, 1, 1, 1), number, np.float32) for name, number in both.items()}


def _bins(picture: Picture) -> Picture:
    ny, nx = picture.shape
    squares = picture.reshape(ny // BIN_PX, BIN_PX, nx // BIN_PX, BIN_PX)
    return np.asarray(squares.mean((1, 3)), dtype=np.float32)


def write_shard(path: Path, examples: Sequence[Gains]) -> None:
    """Keep examples in a file that is there as a whole or not at all."""
    aside = path.with_suffix(".part")
    names = Gains._fields
    stacked = {name: np.stack([getattr(one, name) for one in examples]) for name in names}
    stacked["features"] = stacked["features"].astype(np.float16)
    with aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **stacked)
    aside.replace(path)


def read_shard(path: Path) -> Gains:
    """Read what `write_shard` wrote, stacked along a first axis; the features are float16."""
    with np.load(path, allow_pickle=False) as kept:
        return Gains(*(kept[name] for name in Gains._fields))
