"""The one table of numbers that an operator must hear about: warning, error, words, and the mend.

`scanmend.health` finds the numbers and says when a limit speaks.
"""

from __future__ import annotations

from dataclasses import dataclass

QUIET_S = 5.0
"""After the start everything warms up; nothing measured is reported."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that is watched."""

    code: str
    text: str
    """For people; `{value}` is the number in the unit shown, `{detail}` what is to be said of it."""
    mend: str
    warning: float
    error: float
    above: bool = True
    """Whether high is bad; else low is."""
    after_s: float = 2.0
    clear_s: float = 5.0
    quiet_s: float = 0.0
    """So long nothing is said after the number is first seen: a session's first frames wait for what warms up."""


DISK_FREE = Limit(
    "disk_low",
    "{value:.0f} MB are free for recordings.",
    "Move recordings away, or serve with another data_dir.",
    warning=4000,
    error=500,
    above=False,
    after_s=0.0,
)
DISK_FULL_SOON = Limit(
    "disk_full_soon",
    "At the rate of the last minutes the disk of the recordings is full in {value:.0f} minutes.",
    "Move recordings or exports away, set a limit of retention, or end what fills the disk.",
    warning=60,
    error=10,
    above=False,
    after_s=10.0,
    clear_s=30.0,
)
"""Told by the keeper, which watches the disk."""
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
REJECTED = Limit(
    "frames_rejected",
    "{value:.0f} frames were refused for good: {detail}.",
    "The client sends what does not fit its session; its own log names each frame and the mend.",
    warning=1,
    error=1,
    after_s=0.0,
)
UNRESTORED = Limit(
    "frames_unrestored",
    "{value:.0f} % of the frames of the last half minute were passed through unrestored: {detail}.",
    "Choose a faster model, or a longer deadline; where the model fails, read the service's log.",
    warning=1,
    error=50,
    quiet_s=QUIET_S,
)
"""Only while the engine runs: without it, all are, and that is said already."""
DISCARDED = Limit(
    "frames_discarded",
    "The client had to discard {value:.0f} frames in the last half minute.",
    "It has no room left for frames that the service has not taken: look at the link, and at what holds back credit.",
    warning=1,
    error=100,
    after_s=0.0,
)
DAMAGED = Limit(
    "frames_damaged",
    "{value:.0f} messages of the last half minute failed a check.",
    "They are sent again. Look at the link to the microscope, and at its memory.",
    warning=1,
    error=100,
    after_s=0.0,
)
CAUTION = Limit(
    "caution",
    "The picture is unlike those that its model was made for: {detail}.",
    "Compare it with what was measured before you trust it, or choose another model.",
    warning=1,
    error=2,
    after_s=1.0,
)
STEPPED_IN = Limit(
    "model_stepped_in",
    "{detail}.",
    "The model that was asked for failed. Look at `scanmend check`, and at the service's log.",
    warning=1,
    error=2,
    after_s=1.0,
)
ON_CPU = Limit(
    "engine_on_cpu",
    "The models run on the processor now, and ran on {detail} before.",
    "Look at the accelerator and its driver; the service's log says why it was left. Start the service again then.",
    warning=1,
    error=2,
)
ENGINE_RESTARTS = Limit(
    "engine_restarted",
    "The engine was started again, {value:.0f} times in the last ten minutes.",
    "A model or its runtime fails. Frames are recorded meanwhile; choose another model, and read the service's log.",
    warning=1,
    error=3,
    after_s=0.0,
)
LIMITS = (
    DISK_FREE,
    DISK_FULL_SOON,
    LATENCY_P95,
    QUEUED,
    MISSING,
    CONFLICTS,
    REJECTED,
    UNRESTORED,
    DISCARDED,
    DAMAGED,
    CAUTION,
    STEPPED_IN,
    ON_CPU,
    ENGINE_RESTARTS,
    DOSE_SHARE,
    DOSE_OVER,
)
"""All limits."""
