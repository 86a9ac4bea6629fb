"""The EPICS adapter against pvapy's simulated areaDetector: arrays over PVAccess that nobody here packed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

from in_thread import AcquireInThread
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Instrument, Relay, RelayOptions, SeriesOptions
from scanmend.sources.epics.source import EpicsSource
from scanmend.sources.numbering import Numbering
from scanmend.sources.shapes import CentreOfMass, Disk

PV = "stem:image"
RATE, SECONDS = 200, 4


def free_port(kind: socket.SocketKind) -> str:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_every_array_of_a_series_arrives_until_its_server_goes(tmp_path: Path) -> None:
    tcp, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    servers = {
        "EPICS_PVAS_SERVER_PORT": tcp,
        "EPICS_PVAS_BROADCAST_PORT": udp,
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
    }
    conf = {
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_SERVER_PORT": tcp,
        "EPICS_PVA_BROADCAST_PORT": udp,
    }
    source = EpicsSource(PV, Numbering(), conf=conf)
    plan = ScanPlan.raster((8, 8), 1000)
    program = Path(os.environ["SCANMEND_PEERS"]) / "pvapy" / "bin" / "pvapy-ad-sim-server"
    words = f"-cn {PV} -nx 64 -ny 32 -dt uint16 -nf 20 -fps {RATE} -rt {SECONDS} -dc -std 6 -rp 100000".split()
    with AcquireInThread(tmp_path / "data") as service:
        relay = Relay(
            Instrument(source=source),
            service.address,
            RelayOptions(name="pvapy", silence_s=30, retry_s=0.2),
            SeriesOptions(field=Field(shape=(8, 8), pixel_size_nm=1.0), plan=plan),
            detectors=(Disk(radius=10, name="BF"), CentreOfMass(radius=10)),
        )
        with (tmp_path / "log").open("wb") as log:
            server = subprocess.Popen([program.absolute(), *words], stdout=log, stderr=log, env=os.environ | servers)
        try:
            relay.run(series=1)
            server.wait(20)
        finally:
            server.kill()
            server.wait()
    found = re.search(r"Published frames:\s*(\d+)", (tmp_path / "log").read_text())
    assert found is not None
    (report,) = relay.ended
    # The server's first array may be the one that a PV gives whoever comes, and is left out for that reason.
    assert int(found[1]) - 1 <= report.points <= int(found[1]) and report.points > RATE
    assert report.lost == 0 and report.receipt is not None and report.receipt.balanced
    assert set(relay.problems.entries) <= {Code.NO_INSTRUMENT, Code.ENDED_EARLY}
