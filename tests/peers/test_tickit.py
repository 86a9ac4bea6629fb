"""The DECTRIS adapter against tickit-devices: armed and triggered over its SIMPLON, read from its Stream V2."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cbor2
import pytest
import zmq

from in_thread import AcquireInThread
from running import wait_for
from scanmend.errors import NotConnected
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Instrument, Relay, RelayOptions, SeriesOptions
from scanmend.sources.dectris.simplon import ArmedDetector, Simplon
from scanmend.sources.dectris.source import DectrisSource
from scanmend.sources.shapes import Annular, CentreOfMass, Disk

PLAN = ScanPlan.raster((4, 5), 4_000_000)
PROBE = ScanPlan.raster((1, 4), 4_000_000)


@dataclass(frozen=True)
class Detector:
    """Where it is."""

    simplon: Simplon
    stream: str


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def detector(tmp_path: Path) -> Iterator[Detector]:
    """A detector whose stream is whole; its sender connects to itself, too, and at times keeps every other message."""
    for attempt in range(12):
        with running(tmp_path / str(attempt)) as one:
            if sends_all(one):
                yield one
                return
    pytest.fail("the simulated detector kept every other message for itself twelve times")


@contextmanager
def running(folder: Path) -> Iterator[Detector]:
    tickit = Path(os.environ["SCANMEND_PEERS"]) / "tickit" / "bin" / "tickit"
    rest, legacy, stream = free_port(), free_port(), free_port()
    folder.mkdir()
    (folder / "eiger.yaml").write_text(
        "- type: tickit_devices.eiger.Eiger\n  inputs: {}\n  name: eiger\n  host: 127.0.0.1\n"
        f"  port: {rest}\n  stream_host: 127.0.0.1\n  stream_legacy_port: {legacy}\n  stream_cbor_port: {stream}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([tickit.absolute(), "all", "eiger.yaml"], cwd=folder, stdout=log, stderr=log)
    simplon = Simplon(f"http://127.0.0.1:{rest}", timeout_s=10)

    def answers() -> bool:
        try:
            return bool(simplon.state())
        except NotConnected:
            return False

    try:
        wait_for(answers, 60, "the simulated detector does not answer")
        simplon.put("stream/config/format", "cbor")
        yield Detector(simplon, f"tcp://127.0.0.1:{stream}")
    finally:
        process.kill()
        process.wait()


def sends_all(detector: Detector) -> bool:
    """Whether a series of four images comes whole."""
    kinds = []
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.connect(detector.stream)
        ArmedDetector(detector.simplon, PROBE, "ints").begin(PROBE, 1)
        while socket.poll(3000):
            kinds.append(cbor2.loads(socket.recv())["type"])
    return kinds[:6] == ["start", *["image"] * 4, "end"]


def test_two_series_are_armed_triggered_and_read(detector: Detector, tmp_path: Path) -> None:
    instrument = Instrument(
        source=DectrisSource(detector.stream), controller=ArmedDetector(detector.simplon, PLAN, "ints")
    )
    with AcquireInThread(tmp_path / "data") as service:
        relay = Relay(
            instrument,
            service.address,
            RelayOptions(name="tickit", silence_s=30, drive=True),
            SeriesOptions(field=Field(shape=(4, 5), pixel_size_nm=1.0, beam_current_pa=1.0), plan=PLAN, passes=1),
            detectors=(Disk(radius=300, name="BF"), Annular(inner=300, outer=900), CentreOfMass(radius=300)),
        )
        relay.run(series=2)
    assert [(report.points, report.lost) for report in relay.ended] == [(20, 0), (20, 0)]
    assert all(report.receipt and report.receipt.balanced for report in relay.ended)
    # This detector sends its end a second time, or numbers images of one picture alike; nothing may count as lost.
    assert not any(relay.problems.points(code) for code in Code)
