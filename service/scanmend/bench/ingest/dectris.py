"""Readers of a DECTRIS stream: `scanmend source dectris` with a service behind it, and LiberTEM-live."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

from scanmend.bench.ingest.child import Child
from scanmend.bench.ingest.search import Turn
from scanmend.errors import ScanmendError

ROW = 256
"""Images of a line of the scan; series are whole lines."""

QUEUE = 32768
"""Images that may wait in our socket, some 0.9 GB; LiberTEM-live's buffer has 2 GB."""

START_S = 120.0
DISK, INNER, OUTER = 1 / 8, 1 / 6, 1 / 2.2
"""Radii of the two virtual detectors, as shares of the image's side."""


class StreamReader:
    """A reader with a sender of its own, because a PUSH socket shares its messages out."""

    def __init__(self, name: str, about: str, sender: Child, reader: Child) -> None:
        self.name, self.about = name, about
        self._sender, self._reader = sender, reader

    def turn(self, rate: float, seconds: float) -> Turn:
        """Send a series at this rate, 0 for as fast as it is taken, and wait until it was read."""
        images = max(1, round((rate or 2000.0) * seconds / ROW)) * ROW
        begun = time.perf_counter()
        self._sender.say(f"{images} {rate}")
        sent = json.loads(self._sender.line(START_S + 3 * seconds))
        sent_s = time.perf_counter() - begun
        read = json.loads(self._reader.line(START_S + 3 * seconds))
        whole_s = time.perf_counter() - begun
        lost = images - read["images"] if "images" in read else read["lost"] + images - read["points"]
        if "receipt" in read and not (read["receipt"] and read["receipt"]["balanced"]):
            raise ScanmendError("The account of a session does not balance.", mend=f"Look at {read['session']}.")
        return Turn(
            rate=images / (sent_s if rate else whole_s),
            seconds=sent_s,
            images=images,
            missed=int(sent["missed"]) + lost if rate else lost,
            lag_s=whole_s - sent_s,
        )


@contextmanager
def ours(side: int, address: str, folder: Path) -> Iterator[StreamReader]:
    """The adapter with two virtual detectors, and the running service at an address behind it."""
    with _sender(side, folder / "sender-ours.log") as (sender, _, data_port):
        words = ["source", "dectris", "--address", address, "--stream", f"tcp://127.0.0.1:{data_port}", "--json"]
        words += ["--queue", str(QUEUE)]
        words += ["--shape", "256x256", "--pixel-size-nm", "1", "--dwell-us", "100", "--model", "identity"]
        words += ["--detector", f"disk:radius={side * DISK},name=BF"]
        words += ["--detector", f"annular:inner={side * INNER},outer={side * OUTER},name=HAADF"]
        with Child([sys.executable, "-m", "scanmend.cli", *words], folder / "ours.log") as reader:
            yield StreamReader("scanmend", "scanmend source dectris, two virtual detectors, recorded", sender, reader)


@contextmanager
def libertem(side: int, python: Path, folder: Path) -> Iterator[StreamReader]:
    """LiberTEM-live with two masks, in its own environment."""
    with _sender(side, folder / "sender-libertem.log") as (sender, api_port, data_port):
        script = Path(__file__).with_name("peer_libertem.py")
        radii = [side * DISK, side * INNER, side * OUTER]
        words = [python, "-I", script, api_port, data_port, side, *radii]
        with Child([str(word) for word in words], folder / "libertem.log") as reader:
            while reader.line(START_S) != "ready":
                pass
            yield StreamReader("libertem-live", "LiberTEM-live, ApplyMasksUDF, two masks", sender, reader)


@contextmanager
def _sender(side: int, log: Path) -> Iterator[tuple[Child, int, int]]:
    with Child([sys.executable, "-m", "scanmend.bench.ingest.sender", str(side)], log) as sender:
        about = json.loads(sender.line(START_S))
        yield sender, int(urlparse(about["api"]).port or 0), int(about["data_port"])
