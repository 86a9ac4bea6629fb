"""Readers of an areaDetector's arrays: `scanmend source epics` with a service behind it, and a bare p4p consumer."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanmend.bench.ingest.child import Child
from scanmend.bench.ingest.search import Turn
from scanmend.errors import ScanmendError

PV = "bench:image"
QUEUE = 4000
START_S = 60.0
DELAY_S = 3
"""The server waits so long before its first array, so that the reader is there."""

FIRST_RATE = 4000.0


class ArrayReader:
    """A reader that stays, while a server is started anew for each turn."""

    def __init__(
        self, name: str, about: str, server: list[str], conf: dict[str, str], reader: Child, log: Path
    ) -> None:
        self.name, self.about = name, about
        self._server, self._conf, self._reader, self._log = server, conf, reader, log

    def turn(self, rate: float, seconds: float) -> Turn:
        """Have a server give out arrays at this rate."""
        words = [*self._server, "-fps", f"{rate:.1f}", "-rt", f"{seconds:.1f}"]
        with Child(words, self._log, self._conf) as server:
            published, reached = _published(server, START_S + seconds)
        ended_s = time.perf_counter()
        read = json.loads(self._reader.line(START_S))
        lost = read["missed"] if "missed" in read else read["lost"]
        came = read["arrays"] if "arrays" in read else read["points"] - read["lost"]
        return Turn(
            rate=reached,
            seconds=seconds,
            images=published,
            missed=max(lost, published - came),
            lag_s=time.perf_counter() - ended_s,
        )


def _published(server: Child, timeout_s: float) -> tuple[int, float]:
    """How many arrays a server says that it gave out, and how many a second."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = re.search(r"Published frames:\s*(\d+) @ ([\d.]+)\s*fps", server.line(timeout_s))
        if found:
            return int(found[1]), float(found[2])
    raise ScanmendError("The server of arrays did not say what it gave out.", mend="Look at its log.")


@contextmanager
def ours(side: int, address: str, peers: Path, folder: Path) -> Iterator[ArrayReader]:
    """The adapter with two virtual detectors, and the running service at an address behind it."""
    conf = _conf()
    words = ["source", "epics", "--address", address, "--pv", PV, "--queue", str(QUEUE), "--json"]
    words += ["--shape", "256x256", "--pixel-size-nm", "1", "--dwell-us", "100", "--model", "identity"]
    words += ["--detector", f"disk:radius={side / 8},name=BF"]
    words += ["--detector", f"annular:inner={side / 6},outer={side / 2.2},name=HAADF"]
    with Child([sys.executable, "-m", "scanmend.cli", *words], folder / "epics-ours.log", conf) as reader:
        about = "scanmend source epics, two virtual detectors, recorded"
        yield ArrayReader("scanmend", about, _server(side, peers), conf, reader, folder / "epics-server.log")


@contextmanager
def bare(side: int, peers: Path, folder: Path) -> Iterator[ArrayReader]:
    """A process that does nothing but make arrays and count."""
    conf = _conf()
    words = [sys.executable, "-m", "scanmend.bench.ingest.bare", PV, str(QUEUE)]
    with Child(words, folder / "epics-bare.log", conf) as reader:
        about = "p4p alone, arrays counted"
        yield ArrayReader("p4p", about, _server(side, peers), conf, reader, folder / "epics-server.log")


def _server(side: int, peers: Path) -> list[str]:
    program = peers / "pvapy" / "bin" / "pvapy-ad-sim-server"
    words = [program.absolute(), "-cn", PV, "-nx", side, "-ny", side, "-dt", "uint16", "-nf", 50, "-dc"]
    return [str(word) for word in [*words, "-std", DELAY_S, "-rp", 1_000_000]]


def _conf() -> dict[str, str]:
    """An EPICS network of its own, on loopback."""
    ports = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(str(probe.getsockname()[1]))
    return {
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_BROADCAST_PORT": ports[1],
        "EPICS_PVAS_BROADCAST_PORT": ports[1],
        "EPICS_PVA_SERVER_PORT": ports[0],
        "EPICS_PVAS_SERVER_PORT": ports[0],
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
    }
