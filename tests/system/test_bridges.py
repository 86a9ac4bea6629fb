"""Bridges through a running service: proposals come back as rectangles that a maker's software scanned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import script, specimen
from makers.digitalmicrograph import DigitalMicrograph
from makers.pyjem import PyJem
from operating import AtApi
from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.client.bridge import Bridge, BridgeOptions
from scanmend.export.session import RecordedSession
from scanmend.plan.patterns import Raster

SHAPE = (96, 128)


def jeol(jem: PyJem, **more: Any) -> Any:
    return script("jeol").JeolMicroscope(jem.detector, jem.tem, "ADF1", SHAPE, 0.25, 5.0, **more)


def gatan(dm: DigitalMicrograph, signals: tuple[int, ...]) -> Any:
    return script("gatan").GatanMicroscope(dm, SHAPE, signals, 0.25, 5.0)


@pytest.mark.parametrize("maker", ["jeol", "gatan"])
def test_proposals_are_scanned_as_rectangles_of_the_right_pixels(service: RunningService, maker: str) -> None:
    jem, dm = PyJem(), DigitalMicrograph(SHAPE)
    microscope = jeol(jem) if maker == "jeol" else gatan(dm, (0,))
    with Client(service.address) as client:
        bridge = Bridge(microscope, client, BridgeOptions(dwell_ns=2000, passes=4))
        receipt = bridge.run(f"rescans-{maker}")
    assert jem.blanked == 1 or dm.blanked
    assert receipt is not None and receipt.balanced and receipt.executed == {"accepted": 3}
    with RecordedSession(service.data_dir / "sessions" / f"rescans-{maker}") as recorded:
        plans = [recorded.plan(executed.plan_id or 0) for executed in recorded.executed]
        frames = list(recorded.frames())
        truth = specimen(SHAPE).reshape(-1)
        parts = 0
        for frame in frames:
            plan = recorded.plan(frame.header.plan_id)
            assert plan is not None
            first = frame.header.first_point
            np.testing.assert_array_equal(frame.samples[0], truth[plan.pixels[first : first + frame.header.points]])
    for plan in plans:
        assert plan is not None and isinstance(plan.pattern, Raster) and plan.dwell_list is None
        parts += plan.points < truth.size
    assert parts, "every proposal was the whole field"
    total_ns = 2000 * truth.size + sum(plan.total_dwell_ns for plan in plans if plan is not None)
    assert receipt.dose_e_per_nm2 == pytest.approx(bridge.described.field.dose_e_per_nm2(total_ns))


def test_where_only_whole_fields_can_be_scanned_proposals_are_whole_fields(service: RunningService) -> None:
    dm = DigitalMicrograph(SHAPE)
    with Client(service.address) as client:
        receipt = Bridge(gatan(dm, (0, 1)), client, BridgeOptions(dwell_ns=2000, passes=2)).run("fields")
    assert receipt is not None and receipt.executed == {"accepted": 1}
    assert not [call for call in dm.calls if call[0] == "DSScanSubRegion"]
    assert len([call for call in dm.calls if call[0] == "DSStartAcquisition"]) == 2


def test_a_plan_that_the_microscope_cannot_scan_is_declined(service: RunningService) -> None:
    class Stubborn:
        """Says that it scans points, and does not."""

        def __init__(self) -> None:
            self._jeol = jeol(PyJem())

        def __getattr__(self, name: str) -> Any:
            return getattr(self._jeol, name)

        def describe(self) -> dict[str, Any]:
            return {**self._jeol.describe(), "capabilities": {"points": True, "min_dwell_ns": 1000}}

    with Client(service.address) as client:
        bridge = Bridge(Stubborn(), client, BridgeOptions(dwell_ns=2000, passes=3))
        receipt = bridge.run("declined")
    assert receipt is not None and receipt.executed == {"declined": 1} and "declined" in bridge.why


def test_lost_samples_are_in_the_dose_and_an_adaptive_scan_goes_on(service: RunningService) -> None:
    microscope = jeol(PyJem(), longest_block_s=0.01)
    read, strips = microscope.read, []

    def loses_the_second(timeout_s: float) -> Any:
        first, points, samples = read(timeout_s)
        strips.append(points)
        return first, points, None if len(strips) == 2 else samples

    microscope.read = loses_the_second
    with Client(service.address) as client:
        bridge = Bridge(microscope, client, BridgeOptions(dwell_ns=2000, passes=2))
        receipt = bridge.run("lost")
    assert receipt is not None and receipt.balanced and receipt.reason == "finished"
    assert receipt.dropped_by_client == strips[1] and receipt.problems == {"bad_samples": 1}
    assert receipt.executed == {"accepted": 1}
    with RecordedSession(service.data_dir / "sessions" / "lost") as recorded:
        rescan = recorded.plan(recorded.executed[0].plan_id or 0)
    assert rescan is not None and sum(strips) == SHAPE[0] * SHAPE[1] + rescan.points
    total_ns = 2000 * SHAPE[0] * SHAPE[1] + rescan.total_dwell_ns
    assert receipt.dose_e_per_nm2 == pytest.approx(bridge.described.field.dose_e_per_nm2(total_ns))


def test_an_operators_abort_in_the_middle_of_an_adaptive_pass(service: RunningService) -> None:
    jem = PyJem()
    microscope = jeol(jem, longest_block_s=0.05)
    api, name = AtApi(service), "aborted-in-a-pass"
    scanned = threading.Event()
    read = microscope.read

    def slowly(timeout_s: float) -> Any:
        scanned.wait(0.05)
        return read(timeout_s)

    microscope.read = slowly

    def abort() -> None:
        wait_for(lambda: bool([call for call in jem.calls if call[0] == "snapshot_rawdata"]), 20, "nothing scanned")
        api.command(name, "abort")

    operator = threading.Thread(target=abort)
    operator.start()
    with Client(service.address) as client:
        bridge = Bridge(microscope, client, BridgeOptions(dwell_ns=500_000, passes=1))
        receipt = bridge.run(name)
    operator.join(timeout=20)
    assert receipt is not None and receipt.reason == "aborted" and receipt.balanced and jem.blanked == 1
    assert "abort" in bridge.why


def test_a_service_that_dies_under_a_bridge_gets_all_of_it(service: RunningService) -> None:
    jem = PyJem()
    microscope = jeol(jem)
    read, killed = microscope.read, []

    def kills(timeout_s: float) -> Any:
        taken = read(timeout_s)
        if taken is not None and len([call for call in jem.calls if call[0] == "snapshot_rawdata"]) == 5:
            killed.append(service.kill("acquire"))
        return taken

    microscope.read = kills
    with Client(service.address) as client:
        receipt = Bridge(microscope, client, BridgeOptions(mode="frames", dwell_ns=2000, passes=10)).run("killed")
    assert killed and receipt is not None and receipt.balanced
    assert (receipt.durable, receipt.gaps, receipt.rejected) == (10, 0, {})


SERVES = """
import sys
sys.path[:0] = {paths!r}
import threading
from makers import script
from makers.pyjem import PyJem
jem = PyJem()
microscope = script("jeol").JeolMicroscope(jem.detector, jem.tem, "ADF1", {shape!r}, 0.25, 5.0)
script("far_end").serve(microscope, 0, once=True)
assert jem.blanked == 1
"""


def test_the_command_scans_with_a_far_end_until_it_is_stopped(service: RunningService, tmp_path: Path) -> None:
    paths = [str(Path(__file__).resolve().parents[1])]
    far = subprocess.Popen(
        [sys.executable, "-c", SERVES.format(paths=paths, shape=SHAPE)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert far.stdout is not None
        words = far.stdout.readline().split()
        assert words[:2] == ["scanmend", "bridge"]
        place, token = words[2], words[4]
        command = [
            sys.executable,
            "-m",
            "scanmend.cli",
            "bridge",
            place,
            "--address",
            service.address,
            "--mode",
            "frames",
        ]
        near = subprocess.Popen(
            [*command, "--dwell-us", "2", "--name", "far", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"SCANMEND_FAR_TOKEN": token},
        )
        assert near.stderr is not None
        told = near.stderr.readline() + near.stderr.readline()
        assert "PyJEM: 96 × 128 pixels of 0.25 nm, beam current 5 pA" in told and "not been tried" in told
        sessions = service.data_dir / "sessions"
        wait_for(lambda: any(path.name.startswith("far-") for path in sessions.iterdir()), 20, "no session")
        near.send_signal(signal.SIGINT)
        said, errors = near.communicate(timeout=30)
        assert near.returncode == 0, errors
        assert '"reason":"stopped"' in said.replace(" ", "") and '"balanced":true' in said.replace(" ", "")
        assert far.wait(timeout=10) == 0
    finally:
        far.kill()
        far.communicate()
