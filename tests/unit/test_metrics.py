"""The metrics: names, closed labels, few series, and what Prometheus' own parser makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fake_acquire import FakeAcquire
from scanmend.ipc import console
from scanmend.ipc.keeper_status import KeeperStatus
from scanmend.metrics import MetricsPage, StatusCollector, WebCounters

UNITS = ("_seconds", "_bytes", "_ratio", "_bytes_per_second", "_per_square_nanometre")
PLAIN = re.compile(
    r"scanmend_(build_info|acquire_up|engine_ready|models_live|problems|sessions|web_browsers|frames_missing|frames_queued"
    r"|credit_paused|keeper_sessions_queued|keeper_problems)\Z"
)


def _families(text: str) -> dict[str, object]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def _page(status: object, reachable: bool = True, max_sessions: int = 8) -> str:
    keeper = KeeperStatus(pid=1, at_unix_ns=10**18, exported=3, recordings_bytes=5, quota_bytes=9, full_in_s=7200.0)
    collector = StatusCollector(
        lambda: (status, reachable),
        lambda: ["warning"],
        WebCounters(),
        lambda: keeper,
        version="1",
        max_sessions=max_sessions,
    )
    return MetricsPage(collector).text().decode()


@pytest.fixture
def status() -> object:
    fake = FakeAcquire(Path("/nowhere"), ("a", "b", "c"), size=8)
    return console.decode_from_acquire(fake._answer(console.AskStatus(ask=1))[0])


def test_names_follow_the_rule(status: object) -> None:
    families = _families(_page(status))
    assert len(families) > 25
    for name, family in families.items():
        assert re.fullmatch(r"scanmend_[a-z][a-z0-9_]*", name), name
        assert family.documentation and not family.documentation.endswith("."), name
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples), name
        else:
            assert family.type == "gauge" and not name.endswith(("_total", "_count", "_sum", "_bucket")), name
            assert name.endswith(UNITS) or PLAIN.match(name), name


def test_labels_are_closed_and_series_are_few(status: object) -> None:
    families = _families(_page(status))
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels == {"version", "level", "state", "reason", "session", "percentile"}
    series = [s for f in families.values() for s in f.samples]
    own = [s for s in series if "session" not in s.labels]
    per_session = [s for s in series if s.labels.get("session") == "a"]
    assert len(own) <= 50 and len(per_session) <= 24
    assert len(series) == len(own) + 3 * len(per_session)


def test_no_more_sessions_than_allowed_are_shown(status: object) -> None:
    families = _families(_page(status, max_sessions=2))
    shown = {s.labels["session"] for f in families.values() for s in f.samples if "session" in s.labels}
    assert len(shown) == 2


def test_values_are_those_of_the_status(status: object) -> None:
    def value(name: str, **labels: str) -> float:
        return next(s.value for f in families.values() for s in f.samples if s.name == name and s.labels == labels)

    families = _families(_page(status))
    assert value("scanmend_latency_seconds", session="a", percentile="95") == pytest.approx(0.0184)
    assert value("scanmend_dose_electrons_per_square_nanometre", session="b") == 12.5
    assert value("scanmend_sessions", state="open") == 3
    assert value("scanmend_junk_messages_total") == 3
    assert value("scanmend_problems", level="warning") == 1
    assert value("scanmend_acquire_up") == 1
    assert value("scanmend_keeper_sessions_exported_total") == 3 and value("scanmend_recordings_quota_bytes") == 9


def test_before_acquire_answers_the_page_still_says_so() -> None:
    families = _families(_page(None, reachable=False))
    assert families["scanmend_acquire_up"].samples[0].value == 0
    assert "scanmend_engine_ready" not in families


def test_an_unreachable_acquire_has_no_ready_engine(status: object) -> None:
    assert _families(_page(status, reachable=False))["scanmend_engine_ready"].samples[0].value == 0


def test_the_page_is_made_at_most_once_a_second(status: object) -> None:
    asked, now = [], [0.0]

    def snapshot() -> tuple[object, bool]:
        asked.append(1)
        return status, True

    collector = StatusCollector(snapshot, lambda: [], WebCounters(), version="1", max_sessions=8)
    page = MetricsPage(collector, lambda: now[0])
    for _ in range(50):
        page.text()
    assert len(asked) == 1
    now[0] = 1.0
    page.text()
    assert len(asked) == 2


def test_alert_rules_and_dashboard_name_only_metrics_that_exist(status: object) -> None:
    known = {s.name for f in _families(_page(status)).values() for s in f.samples} | {"scanmend_build_info"}
    docker = Path(__file__).parents[2] / "docker"
    for path in (docker / "prometheus" / "alerts.yml", docker / "grafana" / "dashboards" / "scanmend.json"):
        named = set(re.findall(r"\bscanmend_[a-z_]+\b", path.read_text()))
        assert named and named <= known, (path.name, named - known)
