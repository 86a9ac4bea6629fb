"""Batches of training examples: batch number `k` of a seed is the same on every machine, after any restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from scanmend_models.data.exposures import Example, ExposureConfig, expose, log_uniform
from scanmend_models.data.pictures import Use, draw, read_micrographs

Picture = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is trained on."""

    batch: int = 12
    patch_px: int = 128
    drawn_side_px: int = 384
    """Side of a drawn picture, from which patches are cut."""
    pool: int = 192
    """Drawn pictures at hand at a time."""
    renew_every: int = 4
    """Batches after which the oldest drawn picture gives way to a new one."""
    micrographs: str = ""
    """Folder of real micrographs with a manifest; empty for none."""
    real_share: float = 0.4
    """Share of patches from real micrographs, where there are some."""
    zoom: tuple[float, float] = (0.75, 2.0)
    """How many pixels of a picture become one of a patch."""
    exposures: ExposureConfig = field(default_factory=ExposureConfig)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of B examples: maps (B, 1, H, W), numbers (B, 1, 1, 1), all float32."""

    values: Tensor
    weight: Tensor
    units_per_electron: Tensor
    read_variance: Tensor
    truth: Tensor


class Pictures:
    """The pictures that patches are cut from: drawn ones, which are renewed bit by bit, and real ones."""

    def __init__(self, config: DataConfig, seed: int) -> None:
        self._config, self._seed = config, seed
        self._drawn: dict[int, NDArray[np.float16]] = {}
        real = read_micrographs(Path(config.micrographs), Use.TRAINING) if config.micrographs else ()
        by_group: dict[str, list[Picture]] = {}
        for one in real:
            by_group.setdefault(one.group, []).append(one.image)
        self._real = list(by_group.values())

    def pick(self, rng: np.random.Generator, batch_index: int) -> Picture:
        """Draw a picture, float32 (ny, nx) from 0 to 1; a group of real ones counts as the root of its size."""
        config = self._config
        if self._real and rng.random() < config.real_share:
            sizes = np.sqrt([len(group) for group in self._real])
            group = self._real[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
            return group[int(rng.integers(len(group)))]
        first = batch_index // config.renew_every
        number = first + int(rng.integers(config.pool))
        for old in [key for key in self._drawn if key < first]:
            del self._drawn[old]
        if number not in self._drawn:
            side = config.drawn_side_px
            self._drawn[number] = draw(self._seed * 1_000_003 + number, (side, side)).astype(np.float16)
        return self._drawn[number].astype(np.float32)


def augmented(rng: np.random.Generator, picture: Picture, config: DataConfig) -> Picture:
    """Cut a patch: zoomed, turned, mirrored, with another contrast; float32 (patch, patch) from 0 to 1."""
    side = config.patch_px
    zoom = min(log_uniform(rng, *config.zoom), min(picture.shape) / side)
    cut = max(16, min(round(side * zoom), *picture.shape))
    top, left = (int(rng.integers(extent - cut + 1)) for extent in picture.shape)
    patch = picture[top : top + cut, left : left + cut]
    if cut != side:
        whole = torch.from_numpy(patch.copy())[None, None]
        resized = F.interpolate(whole, (side, side), mode="bicubic", antialias=True)
        patch = resized[0, 0].clamp(0.0, 1.0).numpy()
    patch = np.rot90(patch, int(rng.integers(4)))
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    if rng.random() < 0.15:
        patch = 1.0 - patch
    if rng.random() < 0.3:
        patch = patch ** float(rng.uniform(0.6, 1.7))
    if rng.random() < 0.4:  # a pedestal, or less contrast
        low = float(rng.uniform(0.0, 0.5))
        patch = low + (float(rng.uniform(low + 0.2, 1.0)) - low) * patch
    return np.ascontiguousarray(patch, dtype=np.float32)


def make_batch(pictures: Pictures, config: DataConfig, seed: int, index: int) -> Batch:
    """Make batch number `index`."""
    rng = np.random.default_rng([seed, index])
    examples = [
        expose(rng, augmented(rng, pictures.pick(rng, index), config), config.exposures) for _ in range(config.batch)
    ]
    return _stacked(examples)


def _stacked(examples: list[Example]) -> Batch:
    def maps(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in examples])[:, None])

    def numbers(name: str) -> Tensor:
        return torch.tensor([getattr(one, name) for one in examples], dtype=torch.float32)[:, None, None, None]

    return Batch(maps("values"), maps("weight"), numbers("units_per_electron"), numbers("read_variance"), maps("truth"))


class Batches(IterableDataset[Batch]):
    """Endless batches from `start` on; worker `w` of `n` of a data loader makes every n-th."""

    def __init__(self, config: DataConfig, seed: int, start: int = 0) -> None:
        self._config, self._seed, self._start = config, seed, start

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        pictures = Pictures(self._config, self._seed)
        index = self._start + offset
        while True:
            yield make_batch(pictures, self._config, self._seed, index)
            index += stride
