"""The bridge to Nion microscopes against nionswift-usim: its transport, its geometry, its partial frames.

Nothing here says anything of dose: the noise of this simulator grows with the dwell exactly as its signal does.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from in_thread import AcquireInThread
from operating import AtConsole
from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.client.bridge import Bridge, BridgeOptions, FarMicroscope
from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.plan.patterns import Raster, Segments

Look = Callable[..., dict[str, Any]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def acquire(tmp_path: Path) -> Iterator[AcquireInThread]:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def frames_of(data_dir: Path, name: str) -> list[RecordedFrame]:
    with RecordedSession(data_dir / "sessions" / name) as session:
        return list(session.frames())


def pictures(frames: list[RecordedFrame], channels: int, shape: tuple[int, int]) -> dict[int, np.ndarray]:
    """Each pass put together from its frames; NaN where nothing came."""
    found: dict[int, np.ndarray] = {}
    for frame in frames:
        table = found.setdefault(
            frame.header.pass_index, np.full((channels, shape[0] * shape[1]), np.nan, dtype=np.float32)
        )
        table[:, frame.header.first_point : frame.header.first_point + frame.header.points] = frame.samples
    return {index: table.reshape(channels, *shape) for index, table in found.items()}


def test_partial_frames_of_four_channels_are_the_frames_of_the_device(
    acquire: AcquireInThread, tmp_path: Path, look: Look
) -> None:
    seen = look("nion", acquire.address, "whole", "--dwell-ns", 20_000, "--channels", 0, 1, 2, 3, "--passes", 2)
    assert seen["foreign"] == [], "the client must do with numpy, pyzmq, msgspec and xxhash"
    assert seen["balanced"] and seen["reason"] == "finished" and seen["blanked"] == 1.0
    frames = frames_of(tmp_path / "data", "whole")
    sent = pictures(frames, 4, (96, 96))
    assert len(frames) > 2 * len(sent), "each pass came in parts"
    # The device keeps the frames since the last start: the second pass.
    np.testing.assert_array_equal(sent[1], seen["arrays"]["frames"][-1])
    assert not np.isnan(sent[0]).any() and not np.array_equal(sent[0], sent[1])
    assert [frame.header.end_of_pass for frame in frames].count(True) == 2


def test_lines_that_the_device_calls_bad_are_lost_and_neither_zero_nor_sent(
    acquire: AcquireInThread, tmp_path: Path, look: Look
) -> None:
    seen = look("nion", acquire.address, "bad", "--dwell-ns", 10_000, "--bad", 40, 44)
    frames = frames_of(tmp_path / "data", "bad")
    (picture,) = pictures(frames, 1, (96, 96)).values()
    lost = np.isnan(picture[0])
    assert lost[40:44].all() and not lost[:30].any() and not lost[60:].any()
    assert seen["balanced"] and seen["dropped"] == lost.sum() == sum(frame.header.dropped_before for frame in frames)
    np.testing.assert_array_equal(picture[0][~lost], seen["arrays"]["frames"][-1][0][~lost])


def test_an_abort_in_the_middle_blanks_and_what_was_not_scanned_is_not_sent(
    acquire: AcquireInThread, tmp_path: Path, look: Look
) -> None:
    def abort() -> None:
        with AtConsole(acquire.acquire.run_dir) as console:
            wait_for(lambda: any(s.hello.session == "abort" for s in acquire.status().sessions), 60, "no session")
            wait_for(lambda: console.session("abort").account.received >= 2, 60, "no frames")
            assert console.command("abort", "abort") == "sent"

    operator = threading.Thread(target=abort)
    operator.start()
    seen = look("nion", acquire.address, "abort", "--dwell-ns", 2_000_000)  # 18 s for the whole pass
    operator.join(timeout=10)
    assert not operator.is_alive()
    assert seen["reason"] == "aborted" and seen["blanked"] == 1.0 and not seen["scanning"] and seen["balanced"]
    (picture,) = pictures(frames_of(tmp_path / "data", "abort"), 1, (96, 96)).values()
    lines = np.flatnonzero(~np.isnan(picture[0]).any(axis=1))
    assert 0 < lines.size < 96 and lines[-1] == lines.size - 1
    assert np.isnan(picture[0][lines.size :]).all(), "a cancelled frame's rest is zeros at the device"


def far_end(script: Path, *words: str) -> Iterator[tuple[FarMicroscope, subprocess.Popen[str]]]:
    """A far end in the peer's environment, without a line of Scanmend."""
    python = Path(os.environ["SCANMEND_PEERS"]) / "nion" / "bin" / "python"
    process = subprocess.Popen([python.absolute(), "-E", script, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        while line and not line.startswith("scanmend bridge"):
            line = process.stdout.readline()
        place, token = line.split()[2::2]
        host, port = place.split(":")
        microscope = FarMicroscope(host, int(port), token)
        yield microscope, process
        microscope.close()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def far_nion() -> Iterator[FarMicroscope]:
    words = ["--usim", "--serve", "0", "--pixels", "128", "--field-nm", "100"]
    for microscope, _ in far_end(ROOT / "docs" / "bridges" / "nion_swift.py", *words):
        yield microscope


def test_a_script_of_nion_swift_scans_with_the_hardware_that_is_registered_there(acquire: AcquireInThread) -> None:
    for microscope, process in far_end(ROOT / "tests" / "peers" / "swift_nion.py"):
        with Client(acquire.address) as client:
            bridge = Bridge(microscope, client, BridgeOptions(mode="frames", dwell_ns=2000, passes=2))
            receipt = bridge.run("swift")
        microscope.close()
        assert process.stdout is not None and process.stdout.read().split()[-1] == "blanked"
        assert receipt is not None and receipt.balanced and receipt.reason == "finished"
        assert [channel.name for channel in bridge.described.channels] == ["MAADF"]
        assert bridge.described.field.beam_current_pa == pytest.approx(200.0)


def test_proposals_become_subscans_at_exactly_their_positions(far_nion: FarMicroscope, tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        options = BridgeOptions(dwell_ns=2000, passes=4)
        receipt = Bridge(far_nion, client, options).run("rescans")
    assert receipt is not None and receipt.balanced and receipt.executed == {"accepted": 3}
    with RecordedSession(tmp_path / "data" / "sessions" / "rescans") as session:
        plans = {executed.plan_id: session.plan(executed.plan_id) for executed in session.executed}
        frames = list(session.frames())
    first = pictures([frame for frame in frames if frame.header.pass_index == 0], 1, (128, 128))[0][0]
    subscans = 0
    for plan_id, plan in plans.items():
        assert plan is not None and isinstance(plan.pattern, Raster)
        values = np.concatenate([frame.samples[0] for frame in frames if frame.header.plan_id == plan_id])
        assert values.size == plan.points
        again = values.reshape(int(plan.y[-1] - plan.y[0]) + 1, -1) / (plan.dwell_ns / 2000)
        subscans += again.size < first.size
        _agree(first, again, int(plan.y[0]), int(plan.x[0]))
    assert subscans, "no proposal was a part of the field"


def test_an_instrument_of_lines_runs_lines(far_nion: FarMicroscope, tmp_path: Path) -> None:
    class Lines:
        """The same microscope, as if its subscans had to be one pixel high."""

        def __getattr__(self, name: str) -> Any:
            return getattr(far_nion, name)

        def describe(self) -> dict[str, Any]:
            said = dict(far_nion.describe())
            able = {**said["capabilities"], "rectangles": False, "segment_ns": 2_000_000}
            return {**said, "capabilities": able}

    with RunningService(tmp_path / "data") as service, Client(service.address) as client:
        receipt = Bridge(Lines(), client, BridgeOptions(dwell_ns=20_000, passes=2)).run("lines")
    assert receipt is not None and receipt.balanced and receipt.executed == {"accepted": 1}
    with RecordedSession(tmp_path / "data" / "sessions" / "lines") as session:
        (plan,) = [session.plan(executed.plan_id or 0) for executed in session.executed]
        frames = [frame for frame in session.frames() if frame.header.pass_index == 1]
    assert plan is not None and isinstance(plan.pattern, Segments)
    assert sum(frame.header.points for frame in frames) == plan.points


def _agree(first: np.ndarray, again: np.ndarray, top: int, left: int) -> None:
    """A subscan shows what the whole frame shows there, and not what it shows eight pixels away.

    The simulator rounds where its features lie to a pixel or two in each scan, so its pixels are not the same ones.
    """
    smooth, part = gaussian_filter(first, 2), gaussian_filter(again, 2)
    height, width = again.shape
    likeness = {}
    for down in range(-8, 9):
        for right in range(-8, 9):
            y, x = top + down, left + right
            if 0 <= y <= first.shape[0] - height and 0 <= x <= first.shape[1] - width:
                likeness[down, right] = np.corrcoef(smooth[y : y + height, x : x + width].ravel(), part.ravel())[0, 1]
    best = max(likeness, key=lambda shift: likeness[shift])
    assert likeness[best] > 0.95 and max(map(abs, best)) <= 2, (best, likeness[best])
