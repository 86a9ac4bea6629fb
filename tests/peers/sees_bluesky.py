"""Runs a plan of Bluesky with a session as its detector: `sees_bluesky.py URL TOKEN SESSION EVENTS`, then stops it."""

from __future__ import annotations

import json
import sys
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from bluesky import RunEngine
from ophyd_async.core import init_devices

from scanmend.client.ophyd import ScanmendSession

url, token, name, events = sys.argv[1:5]
documents: list[tuple[str, Any]] = []
run = RunEngine({})
with init_devices():
    mended = ScanmendSession(url, name, token=token, timeout_s=20)


def plan() -> Any:
    yield from bp.count([mended], num=int(events))
    yield from bps.stop(mended)
    yield from bp.count([mended], num=100)  # the session ends before


error = ""
try:
    run(plan(), lambda kind, document: documents.append((kind, document)))
except Exception as problem:  # whatever it is, the test reads it
    error = f"{type(problem).__name__}: {problem}"
descriptors = [document["data_keys"] for kind, document in documents if kind == "descriptor"]
print(
    json.dumps(
        {
            "kinds": [kind for kind, _ in documents],
            "events": [document["data"] for kind, document in documents if kind == "event"],
            "units": {key: about.get("units") for keys in descriptors for key, about in keys.items()},
            "error": error,
        }
    )
)
