"""LiberTEM-live's simulated detectors: the Merlin adapter against both sockets of one, Stream V1 of the other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from in_thread import AcquireInThread
from running import wait_for
from scanmend.export.session import RecordedSession
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Instrument, Relay, RelayOptions, SeriesOptions
from scanmend.sources.dectris.simplon import Simplon
from scanmend.sources.dectris.source import DectrisSource
from scanmend.sources.merlin.control import ArmedMerlin, Control
from scanmend.sources.merlin.source import MerlinSource
from scanmend.sources.shapes import Disk
from scanmend_sim.merlin.detector import acquisition_header, image_body

SHAPE, IMAGE = (16, 16), (64, 64)
PLAN = ScanPlan.raster(SHAPE, 1000)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def images(tmp_path: Path) -> np.ndarray:
    """A recorded scan as Merlin writes it, of which the peer makes a stream."""
    stack = np.random.default_rng(1).poisson(0.2, (PLAN.points, *IMAGE)).astype(np.uint16)
    header = acquisition_header(PLAN.points).decode("latin1").rstrip(" ")
    header = header.replace("Frames per Trigger (Number):\t1", f"Frames per Trigger (Number):\t{SHAPE[1]}")
    (tmp_path / "scan.hdr").write_bytes(header.encode("latin1"))
    (tmp_path / "scan.mib").write_bytes(b"".join(image_body(n, image) for n, image in enumerate(stack, 1)))
    return stack


@pytest.fixture
def ports(tmp_path: Path, images: np.ndarray) -> Iterator[tuple[int, int]]:
    """Data and control port of the simulated detector, which waits for STARTACQUISITION and SOFTTRIGGER."""
    data, control, trigger = free_port(), free_port(), free_port()
    program = Path(os.environ["SCANMEND_PEERS"]) / "libertem_live" / "bin" / "libertem-live-mib-sim"
    words = f"scan.hdr --host 127.0.0.1 --data-port {data} --control-port {control} --trigger-port {trigger}".split()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [program.absolute(), *words, "--cached", "MEM", "--wait-trigger"], cwd=tmp_path, stdout=log, stderr=log
        )

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", control), timeout=1):
                return True
        except OSError:
            assert process.poll() is None, (tmp_path / "log").read_text()
            return False

    try:
        wait_for(answers, 60, "the simulated Merlin does not answer")
        yield data, control
    finally:
        process.kill()
        process.wait()


def test_two_acquisitions_are_armed_triggered_and_read(
    ports: tuple[int, int], images: np.ndarray, tmp_path: Path
) -> None:
    data, port = ports
    control = Control("127.0.0.1", port)
    instrument = Instrument(source=MerlinSource("127.0.0.1", data), controller=ArmedMerlin(control, PLAN, "soft"))
    with AcquireInThread(tmp_path / "data") as service:
        relay = Relay(
            instrument,
            service.address,
            RelayOptions(name="merlin", silence_s=20, drive=True),
            SeriesOptions(field=Field(shape=SHAPE, pixel_size_nm=1.0), plan=PLAN, passes=1),
            detectors=(Disk(radius=100, name="sum"),),
        )
        relay.run(series=2)
        assert [(report.points, report.lost) for report in relay.ended] == [(PLAN.points, 0)] * 2
        assert all(report.receipt and report.receipt.balanced for report in relay.ended)
        assert not any(relay.problems.points(code) for code in Code)
        for report in relay.ended:
            with RecordedSession(tmp_path / "data" / "sessions" / report.session) as session:
                samples = np.concatenate([frame.samples[0] for frame in session.frames()])
            np.testing.assert_array_equal(samples, images.sum(axis=(1, 2)))


V1_SERVER = """
from libertem_live.detectors.dectris.sim import DectrisSim
sim = DectrisSim(port=0, zmqport=0, num_mock_frames=4096, verbose=False)
sim.start()
sim.wait_for_listen()
print(sim.port, sim.zmqport, flush=True)
input()
"""


def test_a_series_of_stream_v1_comes_whole(tmp_path: Path) -> None:
    """Its images are made up without looking at their pixels, so that only their number is believed."""
    python = Path(os.environ["SCANMEND_PEERS"]) / "libertem_live" / "bin" / "python"
    plan = ScanPlan.raster((64, 64), 1000)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [python.absolute(), "-I", "-c", V1_SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        rest, stream = process.stdout.readline().split()
        source = DectrisSource(f"tcp://127.0.0.1:{stream}")
        armed = Simplon(f"http://127.0.0.1:{rest}", timeout_s=10)
        with AcquireInThread(tmp_path / "data") as service:
            relay = Relay(
                Instrument(source=source),
                service.address,
                RelayOptions(name="v1", silence_s=30),
                SeriesOptions(field=Field(shape=(64, 64), pixel_size_nm=1.0), plan=plan),
                detectors=(Disk(radius=50, name="BF"),),
            )
            reading = threading.Thread(target=relay.run, args=(1,))
            reading.start()
            # It sends at once, and gives up where nobody reads.
            wait_for(lambda: source._socket is not None, 20, "the relay does not connect")
            armed.put("detector/command/arm")
            reading.join(60)
            relay.stop_asked = True
            reading.join(20)
        (report,) = relay.ended
        assert (report.points, report.lost) == (4096, 0)
        assert report.receipt is not None and report.receipt.balanced
        assert not any(relay.problems.points(code) for code in Code)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
