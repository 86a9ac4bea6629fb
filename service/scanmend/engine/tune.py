"""Chooses, at start, what executes a model: the fastest of those that pass the self-test and the fidelity gate."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scanmend.engine.catalogue import Model
from scanmend.engine.fidelity import Answer, answers, gate_problem
from scanmend.engine.runtimes import Candidate, Picture, Runtime, registry
from scanmend.engine.self_test import self_test
from scanmend.errors import ModelError, ModelFailedSelfTest, RuntimeUnavailable

log = logging.getLogger(__name__)

TUNE_SHAPE = (512, 512)
REFERENCE = "CPUExecutionProvider"
_ROUNDS = 15
_LEAST_ROUNDS = 3
_MARGIN = 0.95
"""A candidate must be this much faster than the one before it: a tie goes to the plainer one."""
_MARGIN_FOR_THREADS = 0.85
"""The same for one with more threads: at start nobody else works, in a stream acquire and the page do."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A choice that was made before, on this machine and for the same file."""

    candidate: Candidate
    tuned_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """What executes a model."""

    runtime: Runtime
    candidate: Candidate
    """What was asked for; what really runs is in `runtime.info`."""
    tuned_ms: dict[str, float] = field(default_factory=dict)
    """Median time on a 512² frame of each candidate that passed, by `Candidate.label`."""
    problems: tuple[str, ...] = ()
    """Why other candidates were not taken."""


def choose(
    model: Model,
    *,
    runtimes: Sequence[str],
    threads: int,
    tune_s: float,
    remembered: Remembered | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Choice:
    """Load a model in the best way that this machine has.

    Args:
        model: The model.
        runtimes: Runtimes that may be used, the preferred one first.
        threads: Threads on the processor; 0 for whatever is fastest.
        tune_s: About how long the choice may take; 0 takes the first candidate that works.
        remembered: What an earlier call chose; taken again if it still gives the golden answer.
        beat: Called between steps, so that a watcher sees life.

    Raises:
        MissingExtra: No runtime is installed.
        ModelFailedSelfTest: The model loads, but gives another answer than its golden one.
        RuntimeUnavailable: Nothing here can execute it.
    """
    if remembered is not None:
        try:
            runtime = registry.load(model.file_for(remembered.candidate.precision), remembered.candidate)
            self_test(runtime, model)
            return Choice(runtime, remembered.candidate, remembered.tuned_ms)
        except ModelError as error:
            log.warning("model %s: what was chosen before does not work any more: %s", model.name, error)
    end = time.monotonic() + tune_s
    problems: list[str] = []
    failures: list[ModelError] = []
    passed: dict[Candidate, Runtime] = {}
    tried: set[tuple[str, str]] = set()
    reference: list[Answer] | None = None
    listed = registry.candidates(runtimes, threads, int8=model.int8 is not None)
    if tune_s > 0:  # float32 on the processor first: it is what the others are compared with
        listed.sort(key=lambda candidate: (candidate.provider != REFERENCE, candidate.threads))
    for candidate in listed:
        beat()
        known = (candidate.runtime, candidate.provider) in tried
        if passed and tune_s == 0:
            break
        if passed and known and time.monotonic() > end:
            continue
        tried.add((candidate.runtime, candidate.provider))
        try:
            runtime = registry.load(model.file_for(candidate.precision), candidate)
            self_test(runtime, model)
            if tune_s > 0:
                beat()
                runtime.warm_up(TUNE_SHAPE)
        except ModelError as error:
            problems.append(f"{candidate.label}: {error.message}")
            failures.append(error)
            continue
        if tune_s == 0 and candidate.precision == "f32":
            pass  # its golden answer is all that float32 has to show
        elif reference is None and candidate.provider == REFERENCE:
            reference = answers(runtime)
        else:
            problem = gate_problem(runtime, reference, model.manifest.gate) if reference else _no_reference(candidate)
            if problem:
                problems.append(f"{candidate.label}: {problem}")
                runtime.close()
                continue
        passed[candidate] = runtime
    for problem in problems:
        log.info("model %s: not used: %s", model.name, problem)
    if not passed:
        raise _nothing_works(model, failures, problems)
    tuned = _measure(passed, end, beat) if tune_s > 0 and len(passed) > 1 else {}
    best = _fastest(list(passed), tuned)
    for candidate, runtime in passed.items():
        if candidate is not best:
            runtime.close()
    return Choice(passed[best], best, tuned, tuple(problems))


def _no_reference(candidate: Candidate) -> str:
    return "" if candidate.precision == "f32" else "without ONNX Runtime there is nothing to compare it with"


def _nothing_works(model: Model, failures: list[ModelError], problems: list[str]) -> ModelError:
    wrong = [error for error in failures if isinstance(error, ModelFailedSelfTest)]
    if wrong:
        return wrong[0]
    return RuntimeUnavailable(
        f"Nothing here can execute model {model.name}: " + "; ".join(problems or ["no runtime offers a way"]),
        mend="Run `scanmend check`.",
    )


def _measure(passed: dict[Candidate, Runtime], end: float, beat: Callable[[], None]) -> dict[str, float]:
    """Median milliseconds of each candidate, taken in turn so that a busy moment hits all alike."""
    rng = np.random.default_rng(5)
    values = rng.poisson(8.0, TUNE_SHAPE).astype(np.float32)
    picture = Picture(values=values, weight=np.ones_like(values), units_per_electron=1.0, read_variance=0.0)
    estimate, sigma = np.empty((2, *TUNE_SHAPE), dtype=np.float32)
    times: dict[str, list[float]] = {candidate.label: [] for candidate in passed}
    for done in range(_ROUNDS):
        if done >= _LEAST_ROUNDS and time.monotonic() > end:
            break
        for candidate, runtime in passed.items():
            start = time.perf_counter()
            runtime.run(picture, estimate, sigma)
            times[candidate.label].append(1e3 * (time.perf_counter() - start))
            beat()
    return {label: round(statistics.median(taken), 3) for label, taken in times.items()}


def _fastest(passed: list[Candidate], tuned_ms: dict[str, float]) -> Candidate:
    best = passed[0]
    for candidate in passed[1:]:
        margin = _MARGIN_FOR_THREADS if candidate.threads > best.threads else _MARGIN
        if tuned_ms and tuned_ms[candidate.label] < margin * tuned_ms[best.label]:
            best = candidate
    return best
