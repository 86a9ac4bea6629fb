"""The benchmark of rescan policies: same dose, same restorer, paired."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scanmend import Restorer
from scanmend.bench import rescan_key
from scanmend.bench.rescan import FAIR, ONE_SHOT, REPLANNED, TWICE, WATCHED, Bench, Exposed, empty_share
from scanmend.bench.rescan_document import tables, write
from scanmend.bench.rescan_results import results
from scanmend.rescan import POLICIES
from scanmend_models.quality.evaluation import Cache
from scanmend_models.quality.tasks import Truth


def particles(side: int = 96, seed: int = 0) -> np.ndarray:
    """A few bright discs on a dark, nearly empty field, from 0 to 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    picture = np.full((side, side), 0.03, np.float32)
    for row, column, radius in zip(*rng.uniform(0.15, 0.85, (2, 5)) * side, rng.uniform(4, 9, 5), strict=True):
        picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = 1.0
    return picture


@pytest.fixture(scope="module")
def judged() -> list:
    truths = [Truth(f"kind{seed % 2}__{seed}", f"source{seed}", particles(seed=seed)) for seed in range(2)]
    return Bench(Restorer.load("pushpull", threads=1)).run(truths, counts=(2.0,))


def test_every_policy_spends_the_same_dose() -> None:
    truth = particles()
    bench = Bench(Restorer.load("pushpull", threads=1))
    exposed = Exposed.once(truth, 2.0, np.random.default_rng(0))
    first = float(exposed.dwell_ns.sum())
    for policy in POLICIES.values():
        dwell = bench.planned(policy, exposed, bench.restore(exposed), 1)
        assert dwell.sum() == pytest.approx(first, rel=2e-3)
    assert exposed.electrons.mean() == pytest.approx(2.0, rel=0.1)  # counts a pixel, whatever the brightness
    assert exposed.picture().values.mean() == pytest.approx(truth.mean(), rel=0.1)


def test_all_are_judged_on_the_same_pictures(judged: list) -> None:
    names = {one.policy for one in judged}
    assert names == {*POLICIES, ONE_SHOT, REPLANNED, FAIR, TWICE}
    assert len(judged) == len(names) * 2 * 2  # pictures, passes
    assert {one.kind for one in judged} == {"kind0", "kind1"}


def test_on_sparse_particles_the_oracle_and_twice_the_dose_win(judged: list) -> None:
    found = {(row["policy"], row["passes"]): row for row in results(judged)}
    assert ("uniform", 1) not in found
    for passes in (1, 3):
        oracle, twice = found[ONE_SHOT, passes], found[TWICE, passes]
        assert oracle["gain_db_mean"] > 0.3 and oracle["of_oracle"] == 1
        assert twice["gain_db_mean"] > 0.3 and twice["dose_saving"] == pytest.approx(2, rel=1e-3)
        variance = found["variance", passes]
        assert variance["gain_db_mean"] > 0.2 and 0 < variance["of_oracle"] < 1.2 and variance["dose_saving"] > 1
        assert variance["gain_db_low"] <= variance["gain_db_mean"] <= variance["gain_db_high"]
        assert variance["worst_db"] <= min(variance["by_kind_db"].values())
        assert variance["rmse_ratio"] == pytest.approx(10 ** (-variance["gain_db_mean"] / 20), rel=0.01)
        assert -0.1 < variance["ssim_gain"] < 0.1 and sum(variance["by_emptiness_db"].values()) != 0


def test_a_fragile_specimen_gives_less_and_every_policy_meets_it() -> None:
    truth = [Truth("fragile__0", "source", particles())]
    model = Restorer.load("pushpull", threads=1)
    policies = {name: POLICIES[name] for name in ("uniform", "variance")}

    def of_uniform(critical_passes: float | None) -> float:
        judged = Bench(model, policies, critical_passes).run(truth, counts=(2.0,))
        (one,) = (o for o in judged if (o.policy, o.passes) == ("uniform", 3))
        return float(one.scores["psnr_db"])

    assert of_uniform(2.0) < of_uniform(None) - 1


def test_a_session_that_is_watched_leaves_the_better_picture_of_a_fragile_specimen() -> None:
    truth = [Truth("fragile__0", "source", particles())]
    policies = {name: POLICIES[name] for name in ("uniform", "gain")}
    judged = Bench(Restorer.load("pushpull", threads=1), policies, 4.0, oracles=False).run(truth, counts=(10.0,))
    found = {(one.policy, one.passes): one.scores["psnr_db"] for one in judged}
    assert set(found) == {
        (n, k) for n in ("uniform", "gain", TWICE, "uniform, watched", "gain, watched") for k in (1, 3)
    }
    for policy in policies:
        assert found[policy + WATCHED, 1] == found[policy, 1]  # nothing to compare with before the second pass
        assert found[policy + WATCHED, 3] > found[policy, 3] + 1
        assert found[policy + WATCHED, 3] == found[policy + WATCHED, 1]


def test_results_are_kept_by_what_can_change_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(name: str) -> str:
        rescan_key.code.cache_clear()
        return rescan_key.code(type(POLICIES[name]).__module__, Bench.__module__)

    before = {name: of(name) for name in POLICIES}
    assert len(set(before.values())) == len(POLICIES)
    changed = {"edge.py": ("edge",), "gain_features.py": ("gain",), "dwells.py": tuple(POLICIES), "nothing.py": ()}
    for file, of_these in changed.items():
        real = rescan_key._meaning
        with monkeypatch.context() as patched:
            patched.setattr(rescan_key, "_meaning", lambda path: b"other" if path.name == file else real(path))  # noqa: B023
            assert {name for name in POLICIES if of(name) != before[name]} == set(of_these), file
    said, other = tmp_path / "said.py", tmp_path / "other.py"
    said.write_text('"""What it is."""\ndef f(x):\n    """Why."""\n    return x + 1  # so\n')
    other.write_text("def f(x):\n    return x + 1\n")
    assert rescan_key._meaning(said) == rescan_key._meaning(other)
    third = tmp_path / "third.py"
    third.write_text("def f(x):\n    return x + 2\n")
    assert rescan_key._meaning(said) != rescan_key._meaning(third)


def test_the_document_keeps_what_people_wrote(judged: list, tmp_path: Path) -> None:
    text = tables(results(judged), model="pushpull", pictures=2, seeds=1)
    path = tmp_path / "rescan.md"
    path.write_text("# Rescans\n\nOurs.\n")
    for _ in range(2):
        write(path, text)
    whole = path.read_text()
    assert whole.startswith("# Rescans\n\nOurs.\n") and whole.count("| variance |") == 4
    assert "| policy | kind0 | kind1 |" in whole


def test_the_loop_is_timed_through_the_running_service() -> None:
    command = [sys.executable, "-m", "scanmend.cli", "bench", "loop", "--models", "pushpull", "--size", "64"]
    words = ["--turns", "4", "--threads", "1", "--policies", "variance", "uniform", "--json"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["results"]
    assert [one["policy"] for one in found] == ["variance", "uniform"]
    for one in found:
        assert 0 < one["restore_ms"]["p50"] < one["loop_ms"]["p50"] <= one["loop_ms"]["p99"]


def test_the_command_prints_one_document(tmp_path: Path) -> None:
    Image.fromarray((255 * particles(64)).astype(np.uint8)).save(tmp_path / "one.png")
    command = [sys.executable, "-m", "scanmend.cli", "bench", "rescan", "--images", str(tmp_path), "--count", "1"]
    done = subprocess.run([*command, "--model", "pushpull", "--json"], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    keys = "policy counts_per_px passes gain_db_mean gain_db_low gain_db_high worst_db of_oracle dose_saving"
    assert set(keys.split()) <= set(said["results"][0]) and said["pictures"] == 1


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    truth = [Truth("kind__0", "source", particles(64))]
    policies = {name: POLICIES[name] for name in ("uniform", "variance")}
    bench = Bench(Restorer.load("pushpull", threads=1), policies, oracles=False)
    first = bench.run(truth, counts=(2.0,), cache=Cache(tmp_path / "scores.jsonl"))
    lines = (tmp_path / "scores.jsonl").read_text()
    assert bench.run(truth, counts=(2.0,), cache=Cache(tmp_path / "scores.jsonl")) == first
    assert (tmp_path / "scores.jsonl").read_text() == lines and lines.count("\n") == 3  # and the twice as large dose
    bench.run(truth, counts=(3.0,), cache=Cache(tmp_path / "scores.jsonl"))
    assert (tmp_path / "scores.jsonl").read_text().count("\n") == 6


def test_empty_is_what_shows_nothing() -> None:
    ramp = np.tile(np.linspace(0, 1, 200, dtype=np.float32), (200, 1))
    assert empty_share(ramp) == pytest.approx(0.15, abs=0.03)
    assert empty_share(particles()) > 0.7
