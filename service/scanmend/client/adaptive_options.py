"""What an adaptive scan can be asked for, in one place for both clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from scanmend.client.options import SessionOptions
from scanmend.plan import ScanPlan
from scanmend.target import Target

MIN_GAIN = 0.02
"""Least share by which a pass must be expected to lower sigma, where the caller does not say: without some such rule
a scan with neither budget nor target would never end."""


class AdaptiveOptions(SessionOptions, total=False):
    """Options of `Client.adaptive`, all with a default, beside those of a session."""

    name: str
    """Name of the session; default: made from the time."""
    budget_e_per_nm2: float | None
    """Largest dose, averaged over the field, of all passes together; default: none."""
    target_sigma: float | None
    """Standard deviation to reach, as a share of the picture's range; default: none. See `scanmend.target.Target`."""
    quantile: float | None
    """Share of the pixels that must reach it; default None: their root mean square."""
    region: tuple[int, int, int, int] | None
    """`(top, left, height, width)` in pixels that the target is about; default: the whole field."""
    min_gain: float
    """Least share by which a pass must be expected to lower sigma; default 0.02."""
    max_passes: int | None
    """Most passes, the first included; default: no limit."""
    policy: str
    """Rescan policy; default `auto`: the service's best."""
    first: ScanPlan | None
    """The first pass; default: every pixel with a quarter of the budget, or a jittered grid where that is too much."""
    decision_timeout_s: float
    """Longest wait for the service's choice of the next plan after a restoration; default 60 s. Where the plan then
    needs an operator's approval, that is waited for without a limit of its own: the service gives it one."""
    stopping: Callable[[], bool] | None
    """Asked between passes and while the service is waited for; when it says True the scan ends as stopped."""


_OWN = set(AdaptiveOptions.__annotations__) - set(SessionOptions.__annotations__)


def session_options(options: AdaptiveOptions) -> SessionOptions:
    """The options of the session that an adaptive scan opens."""
    passed = {key: value for key, value in options.items() if key not in _OWN}
    target = Target(
        sigma_of_range=options.get("target_sigma"),
        quantile=options.get("quantile"),
        region=options.get("region"),
        min_gain=options.get("min_gain", MIN_GAIN),
        max_passes=options.get("max_passes"),
    )
    passed |= {
        "mode": "exposure",
        "rescan": options.get("policy", "auto"),
        "target": target,
        "dose_budget_e_per_nm2": options.get("budget_e_per_nm2"),
    }
    return cast(SessionOptions, passed)
