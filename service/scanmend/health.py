"""When the service is ready, and which problems stand.

`scanmend.limits.LIMITS` is the one table of thresholds, warning and error. A limit's problem appears when it has held
for `Limit.after_s` and goes when it has not held for `Limit.clear_s`, so that nothing flickers. In the first `QUIET_S`
seconds of the service's life no limit speaks, nor one of time in those of a session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scanmend.ipc.console import ProblemInfo, SessionInfo, Status
from scanmend.limits import (
    CAUTION,
    CONFLICTS,
    DAMAGED,
    DISCARDED,
    DISK_FREE,
    DISK_FULL_SOON,
    DOSE_OVER,
    DOSE_SHARE,
    ENGINE_RESTARTS,
    LATENCY_P95,
    LIMITS,
    MISSING,
    ON_CPU,
    QUEUED,
    QUIET_S,
    REJECTED,
    STEPPED_IN,
    UNRESTORED,
    Limit,
)
from scanmend.recent import Lately, Recent

__all__ = [
    "DISK_FULL_SOON",
    "LIMITS",
    "QUIET_S",
    "Limit",
    "NotReady",
    "ProblemBook",
    "Reading",
    "Recent",
    "not_ready",
    "readings",
]

_MB = 1e6


class Reading(NamedTuple):
    """A number that is watched, now."""

    limit: Limit
    session: str
    """Empty where it concerns the service."""
    value: float
    detail: str = ""
    """What is to be said of it, for limits whose words ask for it."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """Why the service is not ready."""

    code: str
    text: str
    mend: str = ""


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


def readings(status: Status, recent: Recent) -> Iterator[Reading]:
    """Each limit's number now.

    Args:
        status: What acquire says now.
        recent: What it said before; it takes this status in.
    """
    recent.take(status)
    if status.recordings:
        yield Reading(DISK_FREE, "", status.disk_free_bytes / _MB)
    yield Reading(ENGINE_RESTARTS, "", float(recent.engine_starts))
    on_cpu = status.engine.state == "ready" and bool(recent.accelerators) and not recent.accelerated
    yield Reading(ON_CPU, "", float(on_cpu), ", ".join(sorted(recent.accelerators)))
    for info in status.sessions:
        if info.state != "ended":
            yield from _session_readings(info)
            yield from _lately(info, recent.of(info.hello.session), restoring=status.engine.state == "ready")


def _lately(info: SessionInfo, lately: Lately, *, restoring: bool) -> Iterator[Reading]:
    name = info.hello.session
    yield Reading(DISCARDED, name, float(lately.discarded))
    yield Reading(DAMAGED, name, float(lately.damaged))
    passed = sum(lately.passed_through.values())
    if restoring and lately.answered:
        yield Reading(UNRESTORED, name, 100.0 * passed / lately.answered, _counts(lately.passed_through))


def _counts(by_word: dict[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in by_word.items() if count)


def _session_readings(info: SessionInfo) -> Iterator[Reading]:
    name = info.hello.session
    account, asked = info.account, info.hello.model
    if "p95" in info.latency_ms:
        yield Reading(LATENCY_P95, name, info.latency_ms["p95"])
    yield Reading(QUEUED, name, float(info.queued))
    yield Reading(MISSING, name, float(account.gaps))
    yield Reading(CONFLICTS, name, float(account.conflicts))
    yield Reading(REJECTED, name, float(sum(account.rejected.values())), _counts(account.rejected))
    yield Reading(CAUTION, name, float(bool(info.caution)), info.caution or "")
    instead = asked != "auto" and info.model not in ("", asked)
    yield Reading(STEPPED_IN, name, float(instead), f"{info.model} restores in place of {asked}")
    budget, used = account.budget_e_per_nm2, account.dose_e_per_nm2
    if budget and used is not None:
        # Where the service proposes, a budget that is used up is the plan.
        yield Reading(DOSE_OVER if info.hello.rescan else DOSE_SHARE, name, 100.0 * used / budget)


@dataclass(slots=True)
class _Watch:
    born_s: float
    level: Literal["warning", "error"] = "warning"
    value: float = 0.0
    detail: str = ""
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

    def update(self, numbers: Iterable[Reading | tuple[Limit, str, float]]) -> list[ProblemInfo]:
        """Take the numbers of now; give the problems that stand."""
        now_s = self._monotonic_s()
        seen = {}
        for limit, session, value, detail in (Reading(*number) for number in numbers):
            watch = self._watches.get((limit.code, session)) or _Watch(now_s)
            seen[limit.code, session] = watch
            self._judge(limit, watch, value, detail, now_s)
            overdue = watch.bad_since_s is not None and now_s - watch.bad_since_s >= limit.after_s
            quiet = now_s - self._born_s < QUIET_S or now_s - watch.born_s < limit.quiet_s
            if overdue and not watch.shown_since_unix_ns and not quiet:
                watch.shown_since_unix_ns = self._unix_ns()
        self._watches = seen
        return [
            ProblemInfo(
                level=watch.level,
                code=code,
                text=_BY_CODE[code].text.format(value=watch.value, detail=watch.detail),
                mend=_BY_CODE[code].mend,
                since_unix_ns=watch.shown_since_unix_ns,
                session=session,
            )
            for (code, session), watch in seen.items()
            if watch.shown_since_unix_ns
        ]

    def _judge(self, limit: Limit, watch: _Watch, value: float, detail: str, now_s: float) -> None:
        def past(threshold: float) -> bool:
            return value >= threshold if limit.above else value <= threshold

        if past(limit.warning):
            watch.value, watch.detail = value, detail
            watch.level = "error" if past(limit.error) else "warning"
            watch.bad_since_s = now_s if watch.bad_since_s is None else watch.bad_since_s
            watch.good_since_s = None
            return
        watch.good_since_s = now_s if watch.good_since_s is None else watch.good_since_s
        if now_s - watch.good_since_s >= limit.clear_s or not watch.shown_since_unix_ns:
            watch.bad_since_s = None
            watch.shown_since_unix_ns = 0


_BY_CODE = {limit.code: limit for limit in LIMITS}
