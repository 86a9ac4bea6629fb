"""Every Prometheus metric of the service, made from acquire's status when somebody scrapes.

Naming rule: `scanmend_<what>_<unit>`, base units (`_seconds`, `_bytes`, `_ratio`), `_total` for what only grows,
no unit for plain numbers of things now. Labels come from closed sets: `session` (at most `max_sessions` at a
time), `level`, `state`, `reason`, `percentile`. There is no series per frame, and none whose label a stranger
can choose: rendering takes the interpreter's lock, and a hundred histograms would take it for 11 ms.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scanmend.ipc.console import SessionInfo, Status
from scanmend.ipc.keeper_status import KeeperStatus
from scanmend.wire.messages import Receipt

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

RefusedReason = Literal["host", "origin", "token", "role", "body", "flood"]
_SESSION_STATES = ("waiting", "open", "detached", "ending", "ended")
_LEVELS = ("warning", "error")

_COUNTS: tuple[tuple[str, str, Callable[[Receipt], int]], ...] = (
    ("scanmend_frames_received", "Frames received", lambda a: a.received),
    ("scanmend_frames_durable", "Frames safe on the disk", lambda a: a.durable),
    ("scanmend_frames_restored", "Frames restored and answered", lambda a: a.restored_out),
    ("scanmend_frames_passed_through", "Frames answered unrestored", lambda a: sum(a.passed_through.values())),
    ("scanmend_frames_rejected", "Frames refused for good", lambda a: sum(a.rejected.values())),
    ("scanmend_frames_superseded", "Frames not restored by themselves, by policy", lambda a: sum(a.dropped.values())),
    ("scanmend_frames_dropped_by_client", "Frames that the client discarded itself", lambda a: a.dropped_by_client),
    ("scanmend_frames_duplicate", "Frames that came again", lambda a: a.duplicates),
    ("scanmend_frames_conflict", "Frames that came again with other samples", lambda a: a.conflicts),
    ("scanmend_frames_damaged", "Messages that failed a check and could be resent", lambda a: a.damaged),
    ("scanmend_live_pictures_dropped", "Live pictures overwritten by a newer one", lambda a: a.live_dropped),
    ("scanmend_proposals", "Rescan proposals made", lambda a: a.proposals),
)
"""What grows in a session."""

_NOWS: tuple[tuple[str, str, Callable[[SessionInfo], float | None]], ...] = (
    ("scanmend_frames_missing", "Sequence numbers that have not come", lambda s: s.account.gaps),
    ("scanmend_frames_queued", "Frames received and not yet answered", lambda s: s.queued),
    ("scanmend_received_bytes_per_second", "Sample bytes coming in", lambda s: s.bytes_per_s_in),
    ("scanmend_coverage_ratio", "Share of the field that was sampled", lambda s: s.coverage),
    (
        "scanmend_dose_electrons_per_square_nanometre",
        "Dose averaged over the field",
        lambda s: s.account.dose_e_per_nm2,
    ),
    (
        "scanmend_dose_budget_electrons_per_square_nanometre",
        "Dose that proposals may bring the session to",
        lambda s: s.account.budget_e_per_nm2,
    ),
    ("scanmend_credit_paused", "1 while the client is held back", lambda s: float(bool(s.paused))),
)
"""What a session is at now."""


class WebCounters:
    """What the web process counts itself."""

    def __init__(self) -> None:
        self.browsers = 0
        self.pictures_sent = 0
        self.picture_bytes_sent = 0
        self.commands_sent = 0
        self.exports_made = 0
        self.replays_started = 0
        self.snapshots_taken = 0
        self._refused: Counter[str] = Counter()

    def refuse(self, reason: str) -> None:
        """Count a request that was refused before it reached its route."""
        self._refused[reason] += 1

    def refused(self, reason: str) -> int:
        """How many were refused for this reason."""
        return self._refused[reason]


class StatusCollector(Collector):
    """Makes the metrics when asked.

    Args:
        snapshot: Gives the newest status (None before the first) and whether acquire answers.
        levels: Gives the level of each problem that stands.
        counters: What web counts itself.
        keeper: Gives what the keeper said last; None where it never did.
        version: The service's version.
        max_sessions: Sessions shown at most.
    """

    def __init__(
        self,
        snapshot: Callable[[], tuple[Status | None, bool]],
        levels: Callable[[], list[str]],
        counters: WebCounters,
        keeper: Callable[[], KeeperStatus | None] = lambda: None,
        *,
        version: str,
        max_sessions: int,
    ) -> None:
        self._snapshot = snapshot
        self._levels = levels
        self._counters = counters
        self._keeper = keeper
        self._version = version
        self._max_sessions = max_sessions

    def collect(self) -> Iterator[Metric]:
        """All metrics of now."""
        status, reachable = self._snapshot()
        info = GaugeMetricFamily("scanmend_build_info", "Version of the service; always 1", labels=["version"])
        info.add_metric([self._version], 1)
        yield info
        yield GaugeMetricFamily("scanmend_acquire_up", "1 while the acquire process answers", value=float(reachable))
        problems = GaugeMetricFamily("scanmend_problems", "Problems that stand, by level", labels=["level"])
        levels = self._levels()
        for level in _LEVELS:
            problems.add_metric([level], levels.count(level))
        yield problems
        yield from self._web()
        keeper = self._keeper()
        if keeper is not None:
            yield from _keeper(keeper)
        if status is not None:
            yield from _service(status, reachable)
            yield from _sessions(_chosen(status.sessions, self._max_sessions))

    def _web(self) -> Iterator[Metric]:
        counters = self._counters
        yield GaugeMetricFamily("scanmend_web_browsers", "Live sockets open", value=counters.browsers)
        yield CounterMetricFamily("scanmend_web_pictures_sent", "Pictures sent to pages", value=counters.pictures_sent)
        yield CounterMetricFamily(
            "scanmend_web_picture_bytes_sent", "Bytes of pictures sent to pages", value=counters.picture_bytes_sent
        )
        for name, about, value in (
            ("scanmend_web_commands_sent", "Operators' commands", counters.commands_sent),
            ("scanmend_web_exports_made", "Recordings made into files for a download", counters.exports_made),
            ("scanmend_web_replays_started", "Recordings sent through the service again", counters.replays_started),
            ("scanmend_web_snapshots_taken", "Pictures kept for operators", counters.snapshots_taken),
        ):
            yield CounterMetricFamily(name, about, value=value)
        refused = CounterMetricFamily(
            "scanmend_web_requests_refused", "Requests refused at the door", labels=["reason"]
        )
        for reason in get_args(RefusedReason):
            refused.add_metric([reason], counters.refused(reason))
        yield refused


def _service(status: Status, reachable: bool) -> Iterator[Metric]:
    ready = reachable and status.engine.state == "ready"
    yield GaugeMetricFamily("scanmend_engine_ready", "1 while the engine restores frames", value=float(ready))
    yield CounterMetricFamily("scanmend_engine_starts", "Engines that have connected", value=status.engine.generation)
    live = sum(model.live for model in status.engine.models)
    yield GaugeMetricFamily("scanmend_models_live", "Models that passed their self-test", value=live)
    started_s = status.started_unix_ns / 1e9
    yield GaugeMetricFamily("scanmend_start_time_seconds", "When acquire started, since 1970", value=started_s)
    yield GaugeMetricFamily("scanmend_disk_free_bytes", "Room for recordings", value=status.disk_free_bytes)
    hellos = sum(status.refused.values())
    yield CounterMetricFamily("scanmend_sessions_refused", "HELLOs refused", value=hellos)
    yield CounterMetricFamily("scanmend_junk_messages", "Messages of no session", value=sum(status.junk.values()))
    sessions = GaugeMetricFamily("scanmend_sessions", "Sessions by state", labels=["state"])
    for state in _SESSION_STATES:
        sessions.add_metric([state], sum(s.state == state for s in status.sessions))
    yield sessions


def _keeper(status: KeeperStatus) -> Iterator[Metric]:
    for name, about, value in (
        ("scanmend_keeper_sessions_exported", "Sessions exported by themselves", status.exported),
        ("scanmend_keeper_sessions_closed", "Sessions closed that were cut off", status.closed),
        ("scanmend_keeper_sessions_removed", "Recordings removed to make room", status.removed),
    ):
        yield CounterMetricFamily(name, about, value=value)
    for name, about, number in (
        ("scanmend_keeper_last_seen_timestamp_seconds", "When the keeper spoke, since 1970", status.at_unix_ns / 1e9),
        ("scanmend_keeper_sessions_queued", "Sessions that wait for their export", status.queued),
        ("scanmend_keeper_problems", "Problems of the keeper that stand", len(status.problems)),
        ("scanmend_recordings_bytes", "Room that all recordings take", status.recordings_bytes),
        ("scanmend_recordings_quota_bytes", "Room that they may take", status.quota_bytes),
        ("scanmend_recording_bytes_per_second", "Written to the disk of the recordings", status.recording_bytes_per_s),
        ("scanmend_disk_full_in_seconds", "Until that disk is full at this rate; absent if never", status.full_in_s),
    ):
        if number is not None:
            yield GaugeMetricFamily(name, about, value=number)


def _chosen(sessions: list[SessionInfo], most: int) -> list[SessionInfo]:
    return sorted(sessions, key=lambda s: (s.state == "ended", -s.opened_unix_ns))[:most]


def _sessions(sessions: list[SessionInfo]) -> Iterator[Metric]:
    for name, about, count in _COUNTS:
        family = CounterMetricFamily(name, about, labels=["session"])
        for info in sessions:
            family.add_metric([info.hello.session], count(info.account))
        yield family
    for name, about, value_of in _NOWS:
        gauge = GaugeMetricFamily(name, about, labels=["session"])
        for info in sessions:
            value = value_of(info)
            if value is not None and math.isfinite(value):
                gauge.add_metric([info.hello.session], value)
        yield gauge
    latency = GaugeMetricFamily(
        "scanmend_latency_seconds",
        "From a frame's arrival to its answer, over the last 512 frames",
        labels=["session", "percentile"],
    )
    for info in sessions:
        for percentile in ("p50", "p95", "p99"):
            milliseconds = info.latency_ms.get(percentile)
            if milliseconds is not None and math.isfinite(milliseconds):
                latency.add_metric([info.hello.session, percentile[1:]], milliseconds / 1e3)
    yield latency


class MetricsPage:
    """The text that Prometheus reads, made at most once a second however often it is asked for.

    Args:
        collector: What it shows.
        monotonic_s: A clock that never goes back.
    """

    def __init__(self, collector: Collector, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        self._monotonic_s = monotonic_s
        self._made_s = -math.inf
        self._text = b""

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        now_s = self._monotonic_s()
        if now_s - self._made_s >= 1.0:
            self._text = generate_latest(self._registry)
            self._made_s = now_s
        return self._text
