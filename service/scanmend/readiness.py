"""Whether a service that somebody started would restore frames by now: until then they are recorded, and wait."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from scanmend.errors import NotConnected
from scanmend.supervisor import ServiceState, Supervisor

READY_S = 120.0
"""A service has this long to be ready: the engine loads, tests and tunes its models."""


def wait_ready(supervisor: Supervisor, turn: Callable[[], None]) -> bool:
    """Wait until frames would be restored.

    Args:
        supervisor: Of the service, started.
        turn: What is done between two looks: a turn of the supervisor, or a nap where a thread gives it its turns.

    Returns:
        False where the service failed (`supervisor.failure` says how) or somebody asked it to stop.

    Raises:
        NotConnected: It is not ready within `READY_S`; the text says why.
    """
    deadline_s = time.monotonic() + READY_S
    why = "Its processes have not started."
    while supervisor.state in (ServiceState.STARTING, ServiceState.RUNNING) and not supervisor.stop_asked:
        turn()
        if supervisor.state is ServiceState.RUNNING:
            why = _why_not_ready(supervisor.http_port)
            if not why:
                return True
        if time.monotonic() > deadline_s:
            raise NotConnected(f"The service is not ready after {READY_S:.0f} s. {why}", mend="Run `scanmend check`.")
    return False


def _why_not_ready(http_port: int | None) -> str:
    """What the service says is amiss; empty where nothing is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz", timeout=5):  # noqa: S310 - this machine
            return ""
    except urllib.error.HTTPError as error:
        with error:
            reasons = json.load(error).get("reasons", [])
        return " ".join(f"{reason['text']} {reason['mend']}".strip() for reason in reasons) or str(error)
    except (urllib.error.URLError, TimeoutError) as error:
        return f"The page does not answer: {error}."
