"""`scanmend simulate` and `scanmend watch` against a real service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from running import RunningService
from scanmend_sim.instrument import Instrument, RunOptions
from scanmend_sim.instrument_thread import InstrumentThread
from scanmend_sim.scenario import load_scenario

SPECIMEN = "nanoparticles:seed=1"


def url(service: RunningService) -> str:
    return service.page.split("/#")[0]


def watch(service: RunningService, scanmend: Callable[..., Any], *words: str) -> Any:
    token_file = service.data_dir / "access-token"
    return scanmend("watch", "--url", url(service), "--token-file", token_file, *words)


def test_a_receipt_in_plain_words(service: RunningService, scanmend: Callable[..., Any]) -> None:
    words = ["sparse", "--frames", "5", "--rate", "max", "--specimen", SPECIMEN, "--session", "plain-words"]
    done = scanmend("simulate", "--address", service.address, *words)
    assert done.returncode == 0, done.stderr
    assert "plain-words, finished" in done.stdout and "The account balances         yes" in done.stdout


def test_a_name_can_be_used_once(service: RunningService, scanmend: Callable[..., Any]) -> None:
    words = ["sparse", "--frames", "1", "--rate", "max", "--specimen", SPECIMEN, "--session", "only-once"]
    assert scanmend("simulate", "--address", service.address, *words).returncode == 0
    again = scanmend("simulate", "--address", service.address, *words)
    assert again.returncode == 1 and "name" in again.stderr and "Traceback" not in again.stderr


def test_several_sessions_give_a_line_each(service: RunningService, scanmend: Callable[..., Any]) -> None:
    words = ["sparse", "--frames", "2", "--rate", "max", "--specimen", SPECIMEN, "--sessions", "3", "--json"]
    done = scanmend("simulate", "--address", service.address, *words)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({report["session"] for report in reports}) == 3
    assert [report["specimens"] for report in reports] == [[f"nanoparticles:seed={n}"] for n in (1, 8, 15)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nonsense",), 1, "sparse"),
        (("sparse", "--address", "tcp://127.0.0.1:9", "--specimen", SPECIMEN), 1, "scanmend serve"),
        (("sparse", "--specimen", "unobtainium"), 1, "unobtainium"),
        (("sparse", "--sessions", "2", "--session", "one"), 1, "one name"),
        (("sparse", "--rate", "-3"), 2, "-3"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    words: tuple[str, ...], code: int, said: str, scanmend: Callable[..., Any]
) -> None:
    done = scanmend("simulate", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_ends_the_session_with_its_receipt(service: RunningService) -> None:
    words = ["sparse", "--frames", "0", "--specimen", SPECIMEN, "--address", service.address, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scanmend.cli", "simulate", *words, "--session", "interrupted"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(4.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["receipt"]["reason"] == "stopped" and report["balanced"] and report["frames_sent"] > 0


@pytest.mark.parametrize(("action", "reason"), [("stop", "stopped"), ("abort", "aborted")])
def test_an_operator_ends_a_session_from_the_page(service: RunningService, action: str, reason: str) -> None:
    token = (service.data_dir / "access-token").read_text().strip()
    options = RunOptions(frames=0, specimen=SPECIMEN, session=f"to-{action}")
    seen = []
    instrument = Instrument(load_scenario("sparse"), service.address, options, on_progress=seen.append)
    with InstrumentThread(instrument) as thread:
        while not any(progress.restored > 2 for progress in seen):
            assert thread.running
            time.sleep(0.05)
        ask = urllib.request.Request(
            f"{url(service)}/api/v1/sessions/to-{action}/{action}",
            method="POST",
            headers={"authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(ask, timeout=10) as answer:
            assert answer.status == 202
        report = thread.result(20)
    assert report.receipt.reason == reason and report.receipt.balanced


def test_watch(service: RunningService, scanmend: Callable[..., Any], one_object: Callable[[str], Any]) -> None:
    words = ["sparse", "--frames", "3", "--rate", "max", "--specimen", SPECIMEN, "--session", "watched"]
    assert scanmend("simulate", "--address", service.address, *words).returncode == 0
    status = one_object(watch(service, scanmend, "--json").stdout)
    assert status["engine"]["state"] == "ready" and "watched" in [s["name"] for s in status["sessions"]]
    once = watch(service, scanmend, "watched", "--once")
    assert once.returncode == 0, once.stderr
    head, *lines = once.stdout.strip().split("\n")
    (line,) = [line for line in lines if "watched" in line]
    assert "engine ready" in head
    assert "watched" in line and "ended" in line and "in 3 " in line and "restored 3 " in line and "e/nm²" in line


def test_watch_says_what_is_wrong(service: RunningService, scanmend: Callable[..., Any], tmp_path: Path) -> None:
    cases = {
        ("nobody", "--once"): (1, "no session nobody"),
        ("--once", "--token-file", str(tmp_path / "missing")): (3, "--token-file"),
        ("--once", "--url", "http://127.0.0.1:9"): (1, "scanmend serve"),
        ("--once", "--url", "nonsense"): (1, "http://127.0.0.1:7580"),
    }
    for words, (code, said) in cases.items():
        done = watch(service, scanmend, *words)
        assert (done.returncode, done.stdout) == (code, ""), words
        assert said in done.stderr and "Traceback" not in done.stderr
    strange = tmp_path / "strange"
    strange.write_text("x" * 43)
    done = watch(service, scanmend, "--once", "--token-file", str(strange))
    assert done.returncode == 3 and "does not take this token" in done.stderr


def test_a_service_that_is_killed_is_waited_for(service: RunningService) -> None:
    """The session goes on where it stopped: nothing is lost, and nothing is asked of the microscope."""
    options = RunOptions(frames=60, specimen=SPECIMEN)
    seen = []
    instrument = Instrument(load_scenario("sparse"), service.address, options, on_progress=seen.append)
    with InstrumentThread(instrument) as thread:
        while not any(progress.frames_sent > 10 for progress in seen):
            assert thread.running
            time.sleep(0.02)
        service.wait_restarted("acquire", service.kill("acquire"))
        report = thread.result(60)
    receipt = report.receipt
    assert (receipt.count, receipt.durable, receipt.gaps, receipt.conflicts) == (60, 60, 0, 0)
    assert receipt.balanced and receipt.checksum_matches and report.reconnects >= 1
