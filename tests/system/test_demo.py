"""`scanmend demo`: service and simulated microscope end to end, in processes of their own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanmend.engine.catalogue import Catalogue
from scanmend.engine.restorer import ranked

SCENARIOS = {
    "sparse": {"psnr_gain_db": 1.0},
    "quiet": {"psnr_gain_db": 1.0},
    "low_dose": {"psnr_gain_db": 5.0},
    "adaptive": {"psnr_gain_db": 5.0},
    "fading": {"psnr_gain_db": 3.0},
    "flaky": {"psnr_gain_db": 1.0},
}
"""The least that the restoration must gain over the nearest sample, so that a broken one is noticed."""

PROMISED = {
    "frames_sent", "frames_durable", "frames_restored", "frames_passed_through", "gaps", "duplicates", "latency_ms",
    "psnr_input", "psnr_restored", "proposals", "executed", "dose_e_per_nm2", "restored_by", "providers", "model",
}  # fmt: skip
SPECIMEN = "nanoparticles:seed=1"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_headless(
    scenario: str, tmp_path: Path, scanmend: Callable[..., Any], one_object: Callable[[str], Any]
) -> None:
    kept = tmp_path / "kept"
    words = ["--scenario", scenario, "--frames", "20", "--specimen", SPECIMEN, "--tune-s", "0", "--threads", "1"]
    rate = ["--rate", "max"] if scenario in ("quiet", "flaky") else []
    done = scanmend("demo", "--headless", "--json", "--data-dir", kept, *words, *rate)
    assert done.returncode == 0, done.stderr
    found = one_object(done.stdout)
    assert set(found) >= PROMISED
    assert (kept / "sessions" / found["session"]).is_dir(), "recordings are kept where they were asked for"
    assert set(found["latency_ms"]) == {"p50", "p95", "p99"}
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    receipt = found["receipt"]
    assert receipt["balanced"] and found["gaps"] == 0 and receipt["conflicts"] == 0
    assert found["frames_sent"] == found["frames_durable"] + found["frames_rejected"]
    superseded = receipt["dropped"].get("superseded", 0)
    assert found["frames_durable"] == found["frames_restored"] + found["frames_passed_through"] + superseded
    assert found["frames_passed_through"] == 0, receipt["passed_through"]
    assert found["psnr_restored"] - found["psnr_input"] > SCENARIOS[scenario]["psnr_gain_db"]
    assert found["model"] in ranked(Catalogue()) and found["providers"]  # which one follows from the machine's speed
    assert sum(by["frames"] for by in found["restored_by"]) == found["frames_restored"]
    if scenario == "flaky":
        faults = found["faults"]
        assert sum(faults.values()) > 0 and found["duplicates"] >= faults["duplicate"]
        assert found["frames_rejected"] == receipt["rejected"].get("dtype", 0) <= faults["wrong_dtype"]
    else:
        assert found["dose_e_per_nm2"] == pytest.approx(found["true_dose_e_per_nm2"])
    if scenario == "adaptive":
        assert found["proposals"] >= 1 and found["executed"] >= 1
        assert found["dose_e_per_nm2"] <= receipt["budget_e_per_nm2"]
    elif scenario == "fading":
        # Which of the two comes first depends on the model, which follows from the machine's speed.
        assert receipt["enough"] in ("fading", "target") and found["frames_sent"] < 20
        assert found["dose_e_per_nm2"] < receipt["budget_e_per_nm2"]
    else:
        assert found["passes"] == found["frames_sent"] == 20


@pytest.mark.parametrize("option", ["--port", "--http-port"])
def test_a_port_that_is_taken(option: str, scanmend: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = scanmend("demo", "--headless", "--json", option, port)
    assert done.returncode == 3 and done.stdout == ""
    assert port in done.stderr and option in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_everything_and_prints_the_receipt(tmp_path: Path) -> None:
    """With the page, as `make demo` runs it."""
    words = ["--port", "0", "--http-port", "0", "--specimen", SPECIMEN, "--tune-s", "0", "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scanmend.cli", "demo", *words],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=30)
    assert process.returncode == 0, said + rest
    assert "#token=" in said and "http://127.0.0.1:" in said
    assert "stopped" in out and "The account balances         yes" in out
    folder = Path(said.split("--token-file ")[1].split("\n")[0]).parent
    assert not folder.exists(), "the temporary recordings were left behind"
    assert list(tmp_path.iterdir()) == []
