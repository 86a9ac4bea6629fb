"""`scanmend models` as a user types it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanmend.engine.catalogue import Catalogue

SHIPPED = Catalogue().names()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "catalogue"
    shutil.copytree(Catalogue().folder, copy)
    return copy


def models(*words: str, catalogue: Path | None = None) -> subprocess.CompletedProcess[str]:
    where = ["--catalogue", str(catalogue)] if catalogue else []
    command = [sys.executable, "-m", "scanmend.cli", "models", *where, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def answer(*words: str, catalogue: Path | None = None) -> dict[str, Any]:
    done = models(*words, "--json", catalogue=catalogue)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_list_names_every_model_and_what_auto_likes_best_comes_first() -> None:
    rows = answer("list")["models"]
    assert sorted(row["name"] for row in rows) == SHIPPED
    measuring = [row for row in rows if row["purpose"] == "measuring"]
    assert measuring[-1]["name"] == "identity" and rows[: len(measuring)] == measuring
    assert [row["name"] for row in rows[len(measuring) :]] == ["realistic"]
    kinds = [row["kind"] for row in measuring]
    assert kinds == sorted(kinds, key=lambda kind: kind != "learned")
    assert all(line.split()[0] in SHIPPED for line in models("list").stdout.splitlines())


def test_a_damaged_model_is_listed_with_its_problem(folder: Path) -> None:
    with (folder / "pushpull.onnx").open("r+b") as file:
        file.seek(5000)
        file.write(b"?")
    (row,) = (row for row in answer("list", catalogue=folder)["models"] if row["name"] == "pushpull")
    assert "sha256" in row["problem"]
    done = models("verify", "pushpull", "identity", catalogue=folder)
    assert done.returncode == 1 and "NOT in order" in done.stderr and "identity" in done.stdout


def test_a_model_under_another_ones_name_is_not_in_order(folder: Path) -> None:
    shutil.copy(folder / "identity.onnx", folder / "pushpull.onnx")
    results = answer("verify", "pushpull", catalogue=folder)["models"]
    assert [result["ok"] for result in results] == [False] and "sha256" in results[0]["problem"]


def test_show_tells_where_a_model_fails_and_verify_that_it_is_whole() -> None:
    shown = models("show", "pushpull")
    assert shown.returncode == 0
    for word in ("Trained on", "Where it fails", "What it invents", "sha256"):
        assert word in shown.stdout
    unknown = models("show", "magic")
    assert unknown.returncode == 1 and "pushpull" in unknown.stderr
    (result,) = answer("verify", "pushpull")["models"]
    assert result["ok"] and result["provider"]


def test_bench_times_each_way_of_execution() -> None:
    results = answer("bench", "identity", "--sizes", "64", "96", "--seconds", "0.05")["results"]
    assert {result["size"] for result in results} == {64, 96}
    assert all(0 < result["p50_ms"] <= result["p95_ms"] and result["runs"] >= 5 for result in results)
    assert any(result["provider"] == "CPUExecutionProvider" for result in results)


def test_a_reader_that_has_seen_enough_is_no_failure_of_ours() -> None:
    command = [sys.executable, "-m", "scanmend.cli", "models", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=60) == 141 and "Traceback" not in said
