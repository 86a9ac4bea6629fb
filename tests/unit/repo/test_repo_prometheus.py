"""The metrics, the alert rules and the configuration of Prometheus, by its own tool where it is installed.

`promtool` comes with Prometheus (Debian: the package `prometheus`). Without it the rules are checked for what can be
checked without an expression's parser: every alert has a cause, words and a severity, and names metrics that exist
(`tests/unit/test_metrics.py`, which also has our rules for names and labels).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fake_acquire import FakeAcquire
from scanmend.ipc import console
from scanmend.ipc.keeper_status import KeeperStatus
from scanmend.metrics import MetricsPage, StatusCollector, WebCounters

FOLDER = Path(__file__).resolve().parents[3] / "docker" / "prometheus"
PROMTOOL = shutil.which("promtool")


def _promtool(*words: str | Path, text: bytes = b"") -> None:
    """Run promtool, if there is one; it must find nothing."""
    if PROMTOOL is None:
        return
    done = subprocess.run([PROMTOOL, *map(str, words)], input=text, capture_output=True, timeout=60, cwd=FOLDER)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_metrics_pass_the_lint() -> None:
    status = console.decode_from_acquire(FakeAcquire(Path("/nowhere"), ("a", "b"))._answer(console.AskStatus(ask=1))[0])
    keeper = KeeperStatus(pid=1, at_unix_ns=1, recordings_bytes=1, quota_bytes=2)
    assert isinstance(status, console.Status)
    collector = StatusCollector(
        lambda: (status, True), lambda: [], WebCounters(), lambda: keeper, version="1", max_sessions=8
    )
    text = MetricsPage(collector).text()
    assert text.count(b"# HELP") == text.count(b"# TYPE") > 40
    _promtool("check", "metrics", text=text)


def test_every_alert_says_what_is_wrong_and_the_mend(rules: list[dict[str, Any]]) -> None:
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 12
    for rule in rules:
        assert rule["alert"].startswith("Scanmend") and rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")") and rule["expr"].count("{") == rule["expr"].count("}")
    _promtool("check", "rules", "alerts.yml")


def test_the_alerts_speak_when_they_should(rules: list[dict[str, Any]]) -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    tried = {case["alertname"] for test in tests for case in test["alert_rule_test"]}
    assert tried <= {rule["alert"] for rule in rules} and len(tried) >= 8
    _promtool("test", "rules", "alerts_test.yml")


def test_the_configuration_is_one(tmp_path: Path) -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    assert config["rule_files"] == ["/etc/prometheus/alerts.yml"]
    (job,) = config["scrape_configs"]
    assert job["authorization"] == {"type": "Bearer", "credentials_file": "/run/scanmend/read-token"}
    for there, here in (("/etc/prometheus", FOLDER), ("/run/scanmend", tmp_path)):
        text = text.replace(there, str(here))
    (tmp_path / "read-token").touch()
    (tmp_path / "prometheus.yml").write_text(text)
    _promtool("check", "config", tmp_path / "prometheus.yml")
