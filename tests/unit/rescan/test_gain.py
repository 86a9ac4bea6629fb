"""The learned policy `gain`: what it may be given, what it answers, and what happens when its network is not there."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_planning import state_after

from scanmend.errors import InvalidInput, MissingExtra, ModelCorrupt, ModelError, ModelNotFound
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.rescan import DoseLedger, RescanState, policy_named, registry
from scanmend.rescan.pictures import enlarged
from scanmend.rescan.policies import gain_network
from scanmend.rescan.policies.allotment import allotted
from scanmend.rescan.policies.gain import Gain
from scanmend.rescan.policies.gain_features import FEATURES, Seen
from scanmend.rescan.policies.gain_network import FOLDER, GainNetwork, Judged, shipped

SHAPE = (64, 48)


def state(shape: tuple[int, int] = SHAPE, **more: Any) -> RescanState:
    """A field after one pass of 4 electrons at brightness 1, restored with an error of a tenth."""
    rng = np.random.default_rng(3)
    truth = np.tile(np.linspace(0.1, 1.0, shape[1], dtype=np.float32), (shape[0], 1))
    ledger = DoseLedger(Field(shape=shape, pixel_size_nm=1.0, beam_current_pa=10.0))
    ledger.add(ScanPlan.raster(shape, 2000), 0, shape[0] * shape[1])
    given = {
        "estimate": truth,
        "values": (rng.poisson(4 * truth) / 4).astype(np.float32),
        "units_per_electron": 0.25,
        "sigma": np.full(shape, 0.1, np.float32),
        **more,
    }
    sigma = given.pop("sigma")
    given = {name: one.astype(np.float32) if isinstance(one, np.ndarray) else one for name, one in given.items()}
    return state_after(ledger, sigma, **{"weight": np.ones(shape, np.float32), **given})


def weight(given: RescanState) -> np.ndarray:
    return policy_named("gain").weight(given)


FLAT = np.ones(SHAPE, np.float32)
CASES: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "constant": {"estimate": FLAT, "values": FLAT},
    "nothing but zeros": {"estimate": 0 * FLAT, "values": 0 * FLAT, "sigma": 0 * FLAT},
    "no signal, some doubt": {"estimate": 0 * FLAT, "values": 0 * FLAT},
    "saturated": {"estimate": 65535 * FLAT, "values": 65535 * FLAT, "sigma": 0 * FLAT},
    "very large": {"estimate": 1e14 * FLAT, "values": 1e14 * FLAT, "sigma": 1e13 * FLAT},
    "very small": {"estimate": 1e-14 * FLAT, "values": 1e-14 * FLAT, "sigma": 1e-15 * FLAT},
    "no noise": {"units_per_electron": 0.0},
    "read noise only": {"units_per_electron": 0.0, "read_variance": 0.04},
    "nothing sampled": {"values": 0 * FLAT, "weight": 0 * FLAT},
    "values that are none": {"values": np.where(np.eye(*SHAPE) > 0, np.inf, 1.0)},
    "negative": {"estimate": -FLAT, "values": -FLAT},
    "sigma zero almost everywhere": {"sigma": np.eye(*SHAPE, dtype=np.float32)},
    "one pixel visited for long": {"weight": FLAT + 1e6 * np.eye(*SHAPE, dtype=np.float32)},
}


@pytest.mark.parametrize("given", CASES.values(), ids=CASES.keys())
def test_weights_are_finite_positive_and_bounded(given: dict[str, Any]) -> None:
    found = weight(state(**given))
    assert found.shape == SHAPE and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() > 0.05 and found.max() <= 12.001


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 3), (17, 16), (33, 90), (130, 66)])
def test_fields_of_any_shape(shape: tuple[int, int]) -> None:
    found = weight(state(shape))
    assert found.shape == shape and np.isfinite(found).all() and found.min() > 0


@pytest.mark.parametrize("factor", [1e-9, 0.037, 1.0, 4096.0, 1e12])
def test_units_do_not_matter(factor: float) -> None:
    given = state(sigma=np.random.default_rng(0).random(SHAPE).astype(np.float32))
    scaled = replace(
        given,
        **{name: getattr(given, name) * np.float32(factor) for name in ("estimate", "sigma", "values")},
        units_per_electron=given.units_per_electron * factor,
    )
    np.testing.assert_allclose(weight(scaled), weight(given), rtol=5e-3, atol=1e-3)


def test_the_reference_dwell_does_not_matter() -> None:
    given = state()  # eight visits of an eighth of the reference dwell
    other = replace(given, weight=given.weight * np.float32(8), units_per_electron=given.units_per_electron * 8)
    np.testing.assert_allclose(weight(other), weight(given), rtol=5e-3, atol=1e-3)


def test_dwell_goes_where_sigma_is_large_and_a_share_everywhere() -> None:
    sigma = np.full(SHAPE, 0.05, np.float32)
    sigma[16:32, 16:32] = 0.3
    found = weight(state(sigma=sigma))
    assert found[20:28, 20:28].mean() > 3 * found[:8].mean() > 0.3


def test_the_dwell_is_that_of_the_network_which_was_measured() -> None:
    """Means over 16 × 16 px as version 0.1.0 gave them, which measured its features inside the network's file."""
    y, x = np.mgrid[:64, :48]
    ring = np.abs((x - 20) ** 2 + (y - 30) ** 2 - 200) < 120
    truth = np.where((x - 20) ** 2 + (y - 30) ** 2 < 200, 1.0, 0.1).astype(np.float32)
    spread = (np.arange(64 * 48).reshape(SHAPE) * 0.7548776662) % 1 * 3.0 - 1.5
    found = weight(
        state(
            estimate=truth,
            values=truth + np.sqrt(truth / 4) * spread,
            sigma=np.where(ring, 0.13, 0.03),
            weight=np.where(x < 30, 1.0, 0.5),
            read_variance=0.001,
        )
    )
    expected = [[0.238, 0.563, 0.127], [2.283, 2.033, 0.932], [2.110, 2.481, 0.774], [0.133, 0.212, 0.114]]
    np.testing.assert_allclose(found.reshape(4, 16, 3, 16).mean((1, 3)), expected, rtol=5e-3)


def test_what_had_much_dwell_gets_less() -> None:
    even = Judged(np.ones((16, 12), np.float32), np.full((16, 12), 0.7, np.float32))
    weight = np.ones(SHAPE, np.float32)
    weight[:, :24] = 4
    found = Gain(judge=lambda _state: even).weight(state(weight=weight, passes=2))
    assert found[:, 28:].mean() > 2 * found[:, :20].mean() > 0.1
    assert Gain(judge=lambda _state: even).weight(state()) == pytest.approx(1, rel=2e-3)


def test_threads_may_ask_at_once() -> None:
    network, given = GainNetwork(), state()
    answers: list[Judged] = []
    threads = [threading.Thread(target=lambda: answers.append(network.judge(given))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(np.array_equal(answers[0].error, other.error) for other in answers[1:])


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (3, 20)])
def test_allotted_dwell_makes_the_sum_of_errors_least(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(8)
    error, had = (rng.lognormal(0, 1, shape).astype(np.float32) for _ in range(2))
    exponent = rng.uniform(0.2, 1.1, shape).astype(np.float32)

    def left(added: np.ndarray) -> float:
        return float((error * (1 + added / had) ** -exponent).sum())

    best = allotted(error, exponent, had, least=0.05, most=20.0)
    assert best.mean() == pytest.approx(1, rel=2e-3) and best.min() > 0.0499 and best.max() < 20.001
    for _ in range(20):
        other = np.clip(best * rng.lognormal(0, 0.2, shape), 0.05, 20.0)
        assert left(best) <= left(other / other.mean()) * (1 + 2e-3)


def test_allotted_dwell_keeps_its_bounds() -> None:
    error = np.full((8, 8), 1e-9, np.float32)
    error[3, 3] = 1.0
    ones = np.ones_like(error)
    found = allotted(error, ones, ones, least=0.1, most=12.0)
    assert found[3, 3] == pytest.approx(12) and found.min() >= 0.1
    zero = allotted(0 * error, ones, ones, least=0.1, most=12.0)
    assert np.isfinite(zero).all() and np.ptp(zero) == 0


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 9), (16, 13)])
def test_squares_are_enlarged_smoothly(shape: tuple[int, int]) -> None:
    squares = np.add.outer(np.arange(-(-shape[0] // 4)), 10 * np.arange(-(-shape[1] // 4))).astype(np.float32)
    found = enlarged(squares, shape)
    assert found.shape == shape and found.flags["C_CONTIGUOUS"]
    assert squares.min() <= found.min() and found.max() <= squares.max()
    if shape == (16, 13):
        np.testing.assert_allclose(found[2:14, 1], np.linspace(0.125, 2.875, 12), rtol=1e-5)


def copied(folder: Path) -> Path:
    for name in ("gain.onnx", "gain.json"):
        shutil.copy(FOLDER / name, folder / name)
    return folder


def test_the_network_is_small_and_says_what_made_it() -> None:
    facts = json.loads((FOLDER / "gain.json").read_text())
    assert (FOLDER / "gain.onnx").stat().st_size < 300_000
    assert {"sha256", "version", "trained_on", "training", "licence"} <= set(facts)
    assert shipped().facts.sha256 == facts["sha256"]


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path) / "gain.onnx"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ModelCorrupt, match=r"not the file that gain\.json names.*variance"):
        GainNetwork(tmp_path)


def test_missing_and_damaged_facts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="variance"):
        GainNetwork(tmp_path)
    (copied(tmp_path) / "gain.json").write_text("{")
    with pytest.raises(ModelCorrupt, match="damaged"):
        GainNetwork(tmp_path)


def test_without_the_runtime_it_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gain_network.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match="ONNX Runtime"):
        GainNetwork()


def test_a_policy_that_is_not_offered_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ModelCorrupt("The file is another one.", mend="Install Scanmend again.")
    monkeypatch.setattr(registry, "shipped", lambda: (_ for _ in ()).throw(problem))
    missing = registry.missing()
    assert missing == {"gain": problem}
    monkeypatch.setattr(registry, "MISSING", missing)
    monkeypatch.delitem(registry.POLICIES, "gain")
    assert "gain" not in registry.policy_names()
    with pytest.raises(InvalidInput, match="not offered here: The file is another one. Install"):
        policy_named("gain")


def test_what_the_runtime_refuses_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = GainNetwork(copied(tmp_path))
    fewer = Seen(np.zeros((FEATURES - 1, 16, 12), np.float32), np.ones((16, 12), np.float32))
    with monkeypatch.context() as patched, pytest.raises(ModelError, match="could not execute"):
        patched.setattr(gain_network, "see", lambda _state: fewer)
        network.judge(state())
    other = GainNetwork(tmp_path)
    other._onnx = b"no network"
    with pytest.raises(ModelError, match="refuses"):
        other.judge(state())


def test_an_answer_that_no_error_can_be_is_refused() -> None:
    network = GainNetwork()
    with pytest.raises(ModelError, match="no usable answer"):
        network.judge(replace(state(), sigma=np.full(SHAPE, np.nan, np.float32)))


def test_where_no_error_is_expected_it_dwells_evenly() -> None:
    nothing = Judged(np.zeros((16, 12), np.float32), np.ones((16, 12), np.float32))
    assert (Gain(judge=lambda _state: nothing).weight(state()) == 1).all()
