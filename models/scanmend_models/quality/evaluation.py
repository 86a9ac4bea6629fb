"""Runs models and baselines on every task of every picture, and keeps what it has measured before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scanmend_models.arrays import Run
from scanmend_models.quality import baselines
from scanmend_models.quality.scores import Picture, ause, interval_coverage, picture_scores
from scanmend_models.quality.tasks import Table, Task, Truth, tasks

Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class Contender:
    """A model as a user runs it: with its calibration."""

    name: str
    sha256: str
    """Of its weights: what its estimates depend on."""
    learned: bool
    run: Run
    calibration: str = ""
    """What its sigma depends on beside them, in any short form."""

    @property
    def key(self) -> str:
        """What the cache knows it by."""
        return f"{self.name}@{self.sha256[:12]}{self.calibration}"


@dataclass(frozen=True, slots=True)
class Row:
    """Scores of one method on one exposure."""

    picture: str
    group: str
    seed: int
    task: str
    table: Table
    method: str
    scores: Scores


@dataclass(slots=True)
class Cache:
    """Scores that were measured before, a line each; a method that changes has another name in it."""

    path: Path | None = None
    _known: dict[str, Scores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self._known[entry["key"]] = entry["scores"]

    def get(self, key: str, measure: Callable[[], Scores]) -> Scores:
        """Give what is known under a key, or measure it."""
        if key not in self._known:
            self._known[key] = measure()
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, "scores": self._known[key]}) + "\n")
        return self._known[key]


VERSION = "1"
"""Of the tasks and baselines; another one forgets what was measured."""


def evaluate(
    truths: Iterable[Truth],
    contenders: Sequence[Contender],
    *,
    seeds: int = 1,
    cache: Cache | None = None,
    denoiser: Contender | None = None,
    classical: Contender | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> list[Row]:
    """Score every contender and baseline on every task.

    Args:
        truths: The pictures.
        contenders: The models.
        seeds: How often masks and noise are drawn.
        cache: Of an earlier run, or None.
        denoiser: The model that plug-and-play uses; None leaves that out.
        classical: The model by whose sigma the errors of the learned ones are ranked, too; None leaves that out.
        report: Called with a line now and then.
    """
    cache = cache or Cache()
    rows = []
    for number, truth in enumerate(truths):
        for seed in range(seeds):
            for task in tasks(truth.image, 1000 * seed + number):
                base = f"{VERSION}/{truth.key}/{1000 * seed + number}/{task.name}"
                for method, measure in _methods(task, contenders, denoiser, classical):
                    scores = cache.get(f"{base}/{method}", measure)
                    name = method.split("@")[0]
                    rows.append(Row(truth.name, truth.group, seed, task.name, task.table, name, scores))
        report(f"{number + 1} pictures: {truth.name}")
    return rows


def _methods(
    task: Task, contenders: Sequence[Contender], denoiser: Contender | None, classical: Contender | None
) -> Iterable[tuple[str, Callable[[], Scores]]]:
    """Every method of a task by the name that the cache knows, and how to score it."""
    values = task.asked["values"][0, 0]
    if task.table is Table.SPARSE:
        for name, fill in baselines.FILLS.items():
            yield name, lambda fill=fill: _timed(lambda: fill(values, task.sampled), task)  # type: ignore[misc]
        if denoiser is not None:
            play = baselines.plug_and_play(denoiser.run)
            yield (
                f"plug-and-play@{denoiser.sha256[:12]}",
                lambda: _timed(lambda: play(values, task.sampled), task),
            )
    elif task.table is Table.DOSE:
        yield "none", lambda: picture_scores(values, task.truth)
        yield "best Gaussian", lambda: _timed(lambda: baselines.best_gaussian(values, task.truth), task)
        for name, filter_ in baselines.FILTERS.items():
            yield (
                name,
                lambda filter_=filter_: _timed(lambda: filter_(values, task.counts_per_unit), task),  # type: ignore[misc]
            )
    for one in contenders:
        ranked_by = classical if one.learned else None
        key = f"{one.key} by {ranked_by.key}" if ranked_by is not None else one.key
        yield key, lambda one=one, ranked_by=ranked_by: _score_model(one, task, ranked_by)  # type: ignore[misc]


def _timed(restore: Callable[[], Picture], task: Task) -> Scores:
    start = time.perf_counter()
    restored = restore()
    elapsed_ms = 1e3 * (time.perf_counter() - start)
    return {**picture_scores(restored, task.truth), "elapsed_ms": elapsed_ms}


def _score_model(contender: Contender, task: Task, classical: Contender | None) -> Scores:
    start = time.perf_counter()
    answer = contender.run(task.asked)
    elapsed_ms = 1e3 * (time.perf_counter() - start)
    estimate, sigma = answer["estimate"][0, 0], answer["sigma"][0, 0]
    unsure = sigma > 0
    error = (estimate - task.truth)[unsure]
    inside = {f"within_{name}": share for name, share in interval_coverage(estimate, sigma, task.truth).items()}
    found = {
        **picture_scores(estimate, task.truth),
        **inside,
        "ause": ause(error, sigma[unsure]),
        "elapsed_ms": elapsed_ms,
        "coverage": float(task.sampled.mean()),
    }
    if task.table is Table.SPARSE:
        found["ause_distance"] = ause(error, baselines.distance_px(task.sampled)[unsure])
    if classical is not None:
        found["ause_classical"] = ause(error, classical.run(task.asked)["sigma"][0, 0][unsure])
    return found


def means(rows: Sequence[Row]) -> dict[str, dict[str, Scores]]:
    """Mean scores by task and method; times are medians."""
    gathered: dict[str, dict[str, list[Scores]]] = {}
    for row in rows:
        gathered.setdefault(row.task, {}).setdefault(row.method, []).append(row.scores)
    return {
        task: {method: _middles(scores) for method, scores in methods.items()} for task, methods in gathered.items()
    }


def _middles(scores: Sequence[Scores]) -> Scores:
    names = dict.fromkeys(name for one in scores for name in one)
    known = {name: [one[name] for one in scores if name in one] for name in names}
    return {name: float(np.median(all_) if name == "elapsed_ms" else np.mean(all_)) for name, all_ in known.items()}


def differences(rows: Sequence[Row], task: str, method: str, bars: Sequence[str]) -> tuple[list[float], list[str]]:
    """PSNR of a method above the best of some bars, picture by picture (seeds averaged), and the pictures' groups.

    The best bar is the one with the highest mean over all pictures, not picture by picture.
    """
    by_method: dict[str, dict[str, list[float]]] = {}
    groups: dict[str, str] = {}
    for row in rows:
        if row.task == task and row.method in (method, *bars):
            by_method.setdefault(row.method, {}).setdefault(row.picture, []).append(row.scores["psnr_db"])
            groups[row.picture] = row.group
    if method not in by_method or not any(bar in by_method for bar in bars):
        return [], []
    mean = {name: {key: float(np.mean(all_)) for key, all_ in found.items()} for name, found in by_method.items()}
    best = max((bar for bar in bars if bar in mean), key=lambda bar: float(np.mean(list(mean[bar].values()))))
    pictures = sorted(mean[method])
    return [mean[method][name] - mean[best][name] for name in pictures], [groups[name] for name in pictures]
