"""When the service is ready, and which numbers an operator must hear about.

`LIMITS` is the one table of thresholds, warning and error. A limit's problem appears when it has held for
`Limit.after_s` and goes when it has not held for `Limit.clear_s`, so that nothing flickers. In the first
`QUIET_S` seconds of the service's life no limit speaks, nor one of time in those of a session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from scanmend.ipc.console import ProblemInfo, SessionInfo, Status

QUIET_S = 5.0
"""After the start everything warms up; nothing measured is reported."""

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that is watched."""

    code: str
    text: str
    """For people; `{value}` is the number in the unit shown."""
    mend: str
    warning: float
    error: float
    above: bool = True
    """Whether high is bad; else low is."""
    after_s: float = 2.0
    clear_s: float = 5.0
    quiet_s: float = 0.0
    """So long nothing is said after the number is first seen: a session's first frames wait for what warms up."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """Why the service is not ready."""

    code: str
    text: str
    mend: str = ""


DISK_FREE = Limit(
    "disk_low",
    "{value:.0f} MB are free for recordings.",
    "Move recordings away, or serve with another data_dir.",
    warning=4000,
    error=500,
    above=False,
    after_s=0.0,
)
LATENCY_P95 = Limit(
    "latency_high",
    "One frame in twenty waits longer than {value:.0f} ms for its restoration.",
    "Choose a faster model, scan fewer points a second, or give the service more threads.",
    warning=1000,
    error=5000,
    quiet_s=QUIET_S,
)
QUEUED = Limit(
    "queue_long",
    "{value:.0f} frames wait for their restoration.",
    "The microscope is faster than the model: choose a faster model.",
    warning=48,
    error=200,
    quiet_s=QUIET_S,
)
MISSING = Limit(
    "frames_missing",
    "{value:.0f} frames of the sequence have not come.",
    "Look at the link to the microscope; a client that reconnects sends them again.",
    warning=1,
    error=100,
    after_s=3.0,
)
CONFLICTS = Limit(
    "nack_conflict",  # acquire's own word for the moment of it
    "{value:.0f} frames came twice with different samples; the first of each is kept.",
    "Two programs may be sending under one session's name.",
    warning=1,
    error=1,
    after_s=0.0,
)
DOSE_SHARE = Limit(
    "dose_budget",
    "{value:.0f} % of the dose budget are used.",
    "Raise the budget, or stop the scan.",
    warning=90,
    error=100,
    after_s=0.0,
)
DOSE_OVER = Limit(
    "dose_over_budget",
    "{value:.1f} % of the dose budget are used: more than proposals may.",
    "Something was scanned that was not proposed. Stop the scan, or raise the budget.",
    warning=100.1,
    error=100.1,
    after_s=0.0,
)
LIMITS = (DISK_FREE, LATENCY_P95, QUEUED, MISSING, CONFLICTS, DOSE_SHARE, DOSE_OVER)
"""All limits."""


def not_ready(status: Status | None, *, reachable: bool, recording_allowed: bool) -> list[NotReady]:
    """Everything that keeps the service from recording and restoring a frame that comes now.

    Args:
        status: What acquire said last; None where it never did.
        reachable: Whether acquire answers.
        recording_allowed: Whether the settings let sessions record.
    """
    if status is None or not reachable:
        return [
            NotReady(
                "acquire_unreachable",
                "The acquire process does not answer: no frames are taken at the moment.",
                "It is started again within seconds; if not, read the service's log. Clients resend what was not safe.",
            )
        ]
    reasons = []
    engine = status.engine
    if engine.state == "starting":
        reasons.append(NotReady("engine_starting", "The engine is loading its models; frames are recorded meanwhile."))
    elif engine.state in ("down", "stuck"):
        reasons.append(
            NotReady(
                f"engine_{engine.state}",
                f"The engine is {engine.state}: frames are recorded and passed through unrestored.",
                "The supervisor starts it again; if it does not come back, read the service's log.",
            )
        )
    elif not any(model.live for model in engine.models):
        reasons.append(
            NotReady("no_model", "No model is live.", "Look at the models' problems: `scanmend check` lists them.")
        )
    if recording_allowed and not status.recordings:
        reasons.append(
            NotReady(
                "recordings_not_writable",
                "Recordings cannot be written.",
                "Let the service's user write to data_dir, or choose another.",
            )
        )
    return reasons


def readings(status: Status) -> Iterator[tuple[Limit, str, float]]:
    """Each limit's number now, as (limit, session or empty, number)."""
    if status.recordings:
        yield DISK_FREE, "", status.disk_free_bytes / _MB
    for info in status.sessions:
        if info.state != "ended":
            yield from _session_readings(info)


def _session_readings(info: SessionInfo) -> Iterator[tuple[Limit, str, float]]:
    name = info.hello.session
    account = info.account
    if "p95" in info.latency_ms:
        yield LATENCY_P95, name, info.latency_ms["p95"]
    yield QUEUED, name, float(info.queued)
    yield MISSING, name, float(account.gaps)
    yield CONFLICTS, name, float(account.conflicts)
    budget, used = account.budget_e_per_nm2, account.dose_e_per_nm2
    if budget and used is not None:
        # Where the service proposes, a budget that is used up is the plan.
        yield DOSE_OVER if info.hello.rescan else DOSE_SHARE, name, 100.0 * used / budget


@dataclass(slots=True)
class _Watch:
    born_s: float
    level: Literal["warning", "error"] = "warning"
    value: float = 0.0
    bad_since_s: float | None = None
    good_since_s: float | None = None
    shown_since_unix_ns: int = 0


class ProblemBook:
    """Turns numbers into problems with hysteresis.

    Args:
        monotonic_s: A clock that never goes back.
        unix_ns: The time of day, for people.
    """

    def __init__(self, monotonic_s: Callable[[], float], unix_ns: Callable[[], int]) -> None:
        self._monotonic_s = monotonic_s
        self._unix_ns = unix_ns
        self._born_s = monotonic_s()
        self._watches: dict[tuple[str, str], _Watch] = {}

    def update(self, numbers: Iterable[tuple[Limit, str, float]]) -> list[ProblemInfo]:
        """Take the numbers of now; give the problems that stand."""
        now_s = self._monotonic_s()
        seen = {}
        for limit, session, value in numbers:
            watch = self._watches.get((limit.code, session)) or _Watch(now_s)
            seen[limit.code, session] = watch
            self._judge(limit, watch, value, now_s)
            overdue = watch.bad_since_s is not None and now_s - watch.bad_since_s >= limit.after_s
            quiet = now_s - self._born_s < QUIET_S or now_s - watch.born_s < limit.quiet_s
            if overdue and not watch.shown_since_unix_ns and not quiet:
                watch.shown_since_unix_ns = self._unix_ns()
        self._watches = seen
        return [
            ProblemInfo(
                level=watch.level,
                code=code,
                text=_BY_CODE[code].text.format(value=watch.value),
                mend=_BY_CODE[code].mend,
                since_unix_ns=watch.shown_since_unix_ns,
                session=session,
            )
            for (code, session), watch in seen.items()
            if watch.shown_since_unix_ns
        ]

    def _judge(self, limit: Limit, watch: _Watch, value: float, now_s: float) -> None:
        def past(threshold: float) -> bool:
            return value >= threshold if limit.above else value <= threshold

        if past(limit.warning):
            watch.value = value
            watch.level = "error" if past(limit.error) else "warning"
            watch.bad_since_s = now_s if watch.bad_since_s is None else watch.bad_since_s
            watch.good_since_s = None
            return
        watch.good_since_s = now_s if watch.good_since_s is None else watch.good_since_s
        if now_s - watch.good_since_s >= limit.clear_s or not watch.shown_since_unix_ns:
            watch.bad_since_s = None
            watch.shown_since_unix_ns = 0


_BY_CODE = {limit.code: limit for limit in LIMITS}
