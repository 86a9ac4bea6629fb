"""A session as a device of ophyd-async, in a plan that Bluesky's own run engine runs."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from running import RunningService
from scanmend.client import Client
from scanmend.field import Channel, Field

FIELD = Field(shape=(64, 64), pixel_size_nm=1.0, beam_current_pa=20.0)
ROOT = Path(__file__).resolve().parents[2]


def push(service: RunningService, over: threading.Event) -> None:
    """A microscope's software: it waits for its start, and scans until it is told to stop."""
    picture = np.full(FIELD.shape, 5, np.uint16)
    with Client(service.address) as client:
        channels = [Channel(name="HAADF")]
        with client.session("run", FIELD, channels=channels, model="pushpull", start="operator") as session:
            while not session.wait_for_start(0.1) and not over.is_set():
                pass
            while session.command is None and not over.is_set():
                session.send(picture, dwell_ns=1000)
                session.receive(20)
            session.end()


def test_a_plan_starts_a_session_reads_it_and_lets_it_end(tmp_path: Path) -> None:
    python = Path(os.environ["SCANMEND_PEERS"]).absolute() / "bluesky" / "bin" / "python"
    script = Path(__file__).with_name("sees_bluesky.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "service"), "HOME": str(tmp_path)}
    with RunningService(tmp_path / "data") as service:
        url, token = service.page.split("/#token=")
        over = threading.Event()
        microscope = threading.Thread(target=push, args=(service, over))
        microscope.start()
        try:
            done = subprocess.run(
                [python, script, url, token, "run", "4"], capture_output=True, text=True, timeout=100, env=environment
            )
            microscope.join(20)
            assert not microscope.is_alive(), "the plan did not stop it"
        finally:
            over.set()
            microscope.join(20)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["kinds"][:7] == ["start", "descriptor", *["event"] * 4, "stop"]
    assert "Session run has ended" in seen["error"]
    readings = seen["events"][:4]
    received = [event["mended-received"] for event in readings]
    assert received == sorted(set(received)), "each event has seen another frame"
    one = FIELD.dose_e_per_nm2(64 * 64 * 1000)
    assert one is not None
    for event in readings:
        frames = event["mended-dose"] / one
        assert frames == pytest.approx(round(frames), abs=1e-6) and frames >= 1
        assert event["mended-model"] == "pushpull" and event["mended-sigma_mean"] > 0
        assert event["mended-missing"] == 0 and event["mended-state"] == "open"
    assert seen["units"]["mended-dose"] == "1/nm^2"
