"""The contract of a runtime, kept by each of them for each shipped model."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from scanmend import Restorer
from scanmend.engine import tune
from scanmend.engine.catalogue import Catalogue, Gate, Model
from scanmend.engine.fidelity import answers, gate_problem, trials
from scanmend.engine.models import LiveModels
from scanmend.engine.runtimes import Candidate, Picture, Runtime, RuntimeInfo, installation, registry
from scanmend.engine.self_test import golden_picture, self_test
from scanmend.errors import (
    ConfigurationError,
    MissingExtra,
    ModelError,
    ModelFailedSelfTest,
    RuntimeUnavailable,
)

CANDIDATES = {c.label: c for name in registry.RUNTIMES for c in registry.candidates([name], 1)}


MODELS = {name: Catalogue().load(name) for name in Catalogue().names()}
WAYS = [
    (name, candidate)
    for name, model in MODELS.items()
    for candidate in registry.candidates(list(registry.RUNTIMES), 1, int8=model.int8 is not None)
]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: f"{way[0]}-{way[1].label}")
def way(request: pytest.FixtureRequest) -> tuple[str, Candidate]:
    found: tuple[str, Candidate] = request.param
    return found


@pytest.fixture(scope="module")
def model(way: tuple[str, Candidate]) -> Model:
    return MODELS[way[0]]


@pytest.fixture(scope="module")
def runtime(way: tuple[str, Candidate], model: Model) -> Iterator[Runtime]:
    loaded = registry.load(model.file_for(way[1].precision), way[1])
    yield loaded
    loaded.close()


def test_learned_models_have_an_eight_bit_twin_that_passes_the_gate() -> None:
    learned = [model for model in MODELS.values() if model.manifest.kind == "learned"]
    assert learned and all(model.int8 is not None for model in learned)
    twin = dataclasses.replace(PLAIN, precision="int8")
    for model in learned:
        assert model.int8 is not None and len(model.int8) < len(model.onnx) / 2
        plain, coarse = registry.load(model.onnx, PLAIN), registry.load(model.file_for("int8"), twin)
        assert coarse.info.precision == "int8"
        reference = answers(plain)
        assert gate_problem(coarse, reference, model.manifest.gate) == ""
        assert "pattern" in gate_problem(coarse, reference, Gate(max_abs_error_rel=1.0, max_pattern_rel=1e-4))


def test_every_runtime_of_the_development_setup_is_there() -> None:
    assert {c.runtime for c in CANDIDATES.values()} == set(registry.RUNTIMES)


def test_golden_answer(runtime: Runtime, model: Model) -> None:
    self_test(runtime, model)


def test_it_says_what_really_runs(runtime: Runtime) -> None:
    assert runtime.info.runtime in registry.RUNTIMES
    assert "CPU" in runtime.info.provider
    assert runtime.info.precision in ("f32", "bf16", "int8")
    assert runtime.info.threads == 1


def _counts(shape: tuple[int, int]) -> Picture:
    values = np.random.default_rng(0).poisson(7, shape).astype(np.float32)
    return Picture(values=values, weight=np.ones_like(values), units_per_electron=1.0, read_variance=0.0)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (33, 70), (1, 400), (64, 96)])
def test_any_shape_without_a_warm_up(runtime: Runtime, shape: tuple[int, int]) -> None:
    given = _counts(shape)
    kept = given.values.copy()
    out = np.full((2, *shape), np.nan, np.float32)
    runtime.run(given, out[0], out[1])
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(given.values, kept)


def test_a_warm_up_changes_no_answer(runtime: Runtime) -> None:
    shape = (33, 70)
    cold, warm = np.full((2, 2, *shape), np.nan, np.float32)
    runtime.run(_counts(shape), cold[0], cold[1])
    runtime.warm_up(shape)
    runtime.run(_counts(shape), warm[0], warm[1])
    np.testing.assert_allclose(warm, cold, rtol=1e-3 if runtime.info.precision == "f32" else 0.02, atol=1e-3)


def test_it_passes_its_own_gate(runtime: Runtime, model: Model) -> None:
    assert gate_problem(runtime, answers(runtime), model.manifest.gate) == ""


@pytest.mark.parametrize("label", CANDIDATES)
@pytest.mark.parametrize("junk", [b"", b"junk", bytes(4096)])
def test_what_is_not_a_model_is_refused(label: str, junk: bytes) -> None:
    with pytest.raises(ModelError):
        runtime = registry.load(junk, CANDIDATES[label])
        self_test(runtime, Catalogue().load("identity"))


PLAIN = CANDIDATES["onnxruntime/CPUExecutionProvider/f32/1"]


@cache
def _pushpull() -> Runtime:
    return registry.load(Catalogue().load("pushpull").onnx, PLAIN)


class Wrong:
    """A runtime that gives an answer off by a share of it."""

    info = RuntimeInfo(runtime="wrong", provider="CPU", precision="f32", threads=1)

    def __init__(self, factor: float, noise: float = 0.0) -> None:
        self.factor, self.noise = factor, noise
        self.real = _pushpull()

    def warm_up(self, shape: tuple[int, int]) -> None: ...

    def run(self, picture: Picture, estimate: np.ndarray, sigma: np.ndarray) -> None:
        self.real.run(picture, estimate, sigma)
        estimate *= self.factor
        estimate += self.noise * np.random.default_rng(0).normal(size=estimate.shape)

    def close(self) -> None: ...


@pytest.mark.parametrize("factor", [1.01, np.nan, np.inf, 0.0])
def test_a_wrong_answer_fails_the_self_test(factor: float) -> None:
    with pytest.raises(ModelFailedSelfTest, match="not the golden ones"):
        self_test(Wrong(factor), Catalogue().load("pushpull"))


@pytest.mark.parametrize(
    ("factor", "noise", "words"), [(1.0, 0.0, ""), (1.1, 0.0, "off by"), (np.nan, 0.0, "off by"), (1.0, 0.004, "loses")]
)
def test_gate(factor: float, noise: float, words: str) -> None:
    reference = answers(Wrong(1.0))
    problem = gate_problem(Wrong(factor, noise), reference, Gate(max_psnr_drop_db=0.02, max_abs_error_rel=0.05))
    assert (words in problem) and bool(words) == bool(problem)


def test_trials_have_a_truth_between_nought_and_one() -> None:
    for trial in trials():
        assert 0 < trial.truth.min() < trial.truth.max() <= 1


def test_golden_question_is_one_picture() -> None:
    assert golden_picture(Catalogue().load("pushpull")).values.shape == (64, 96)


# The choice ---------------------------------------------------------------------------------------------------------


def test_tune_takes_the_fastest_and_tells_all_times() -> None:
    restorer = Restorer.load("identity", threads=1, tune_s=0.3)
    times = restorer.info.tuned_ms
    assert len(times) >= 2
    chosen = [c for c in CANDIDATES.values() if c.runtime == restorer.info.runtime]
    assert min(times[c.label] for c in chosen if c.label in times) <= min(times.values()) / 0.9


def test_each_runtime_is_tried_however_short_the_time() -> None:
    times = Restorer.load("identity", threads=0, tune_s=1e-9).info.tuned_ms
    assert {label.split("/")[0] for label in times} == set(registry.RUNTIMES)


def test_without_a_tune_onnxruntime_runs() -> None:
    info = Restorer.load("identity", threads=1).info
    assert (info.runtime, info.provider, info.tuned_ms) == ("onnxruntime", "CPUExecutionProvider", {})


def test_what_fails_the_gate_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "gate_problem", lambda *_: "it is off")
    model = Catalogue().load("identity")
    choice = tune.choose(model, runtimes=["onnxruntime", "openvino"], threads=1, tune_s=0.1)
    assert choice.runtime.info.runtime == "onnxruntime"
    assert len(choice.problems) >= 1


def test_what_was_chosen_before_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "chosen.json"
    folder = tmp_path / "catalogue"
    folder.mkdir()
    for path in Catalogue().folder.glob("identity.*"):
        shutil.copy(path, folder)
    first = LiveModels.load(threads=1, runtimes=["openvino"], tune_s=0, memory=memory, catalogue=folder)
    assert memory.exists()
    monkeypatch.setattr(registry, "candidates", lambda *_: pytest.fail("it searched again"))
    again = LiveModels.load(threads=1, runtimes=["onnxruntime"], tune_s=9, memory=memory, catalogue=folder)
    assert [info.provider for info in again.infos] == [info.provider for info in first.infos]
    monkeypatch.undo()
    memory.write_bytes(b"{junk")
    third = LiveModels.load(threads=1, runtimes=["onnxruntime"], tune_s=0, memory=memory, catalogue=folder)
    assert {info.runtime for info in third.infos} == {"onnxruntime"}


def test_openvino_alone_runs_in_float32_only() -> None:
    assert Restorer.load("identity", runtimes=["openvino"], threads=1, tune_s=0.1).info.precision == "f32"


def test_a_runtime_that_is_not_installed_is_no_error_if_another_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        def candidates(self, threads: int) -> list[Candidate]:
            return list(installation.require("no_such_package", extra="openvino"))

        def load(self, onnx: bytes, candidate: Candidate) -> Runtime:
            raise RuntimeUnavailable("never")

    monkeypatch.setitem(registry.RUNTIMES, "openvino", Absent())
    assert Restorer.load("identity", threads=1, tune_s=0.1).info.runtime == "onnxruntime"
    with pytest.raises(MissingExtra, match=r"no_such_package.*scanmend\[openvino\]"):
        Restorer.load("identity", runtimes=["openvino"])


def test_unknown_runtime() -> None:
    with pytest.raises(ConfigurationError, match="onnxruntime, openvino"):
        registry.candidates(["tflite"], 1)


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ({"onnxruntime"}, []),
        ({"onnxruntime-gpu", "openvino"}, []),
        ({"onnxruntime", "onnxruntime-gpu"}, ["pip uninstall"]),
        ({"openvino"}, ["Without ONNX Runtime"]),
        (set(), ["No runtime"]),
    ],
)
def test_installation_problems_name_the_command(installed: set[str], words: list[str]) -> None:
    found = installation.problems(installed)
    assert len(found) == len(words)
    for text, word in zip(found, words, strict=True):
        assert word in text
        assert "pip install" in text


def test_this_installation_is_sound() -> None:
    assert installation.problems(installation.installed()) == []
