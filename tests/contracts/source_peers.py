"""Instruments for the contract suite: each does on its real wire what an instrument may do, at the test's word."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from peer_epics import EpicsPeer
from peer_merlin import MerlinPeer
from peer_values import IMAGE, image_of, value_of

from scanmend.sources import Instrument
from scanmend.sources.dectris.source import DectrisSource
from scanmend.sources.shapes import Disk, VirtualDetector
from scanmend_sim.dectris.messages import SeriesInfo, StreamV1, StreamV2
from scanmend_sim.dectris.sender import Dialect, Sender

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "adapters.md"


class SourcePeer(Protocol):
    """An instrument, and the adapter that reads it."""

    detectors: tuple[VirtualDetector, ...]
    has_clock: bool
    """Whether its wire says at what time of day a point was taken."""
    notices: bool
    """Whether its adapter notices that it has gone. A PULL socket waits for its peer and connects again by itself, so
    that there silence is all that shows."""

    def instrument(self) -> Instrument:
        """A new adapter for it."""

    def begin(self, points: int | None, *, told: bool = True) -> Any:
        """Begin a series, and give what names it; where it is not told, its first message is lost on the way."""

    def send(self, series: Any, points: Sequence[int], *, at_s: float | None = None) -> None:
        """Send points; `at_s` is the instrument's clock at the last one, since the series began."""

    def end(self, series: Any) -> None:
        """Say that a series has ended."""

    def send_wrong_size(self, series: Any, point: int) -> None:
        """Send a point of another size than the others."""

    def send_undecodable(self, series: Any, point: int) -> None:
        """Send a point whose coding nobody knows."""

    def send_garbage(self) -> None:
        """Send bytes that mean nothing."""

    def vanish(self) -> None:
        """Go away without a word."""

    def come_back(self) -> None:
        """Be there again, at the same address, with no memory of what was."""

    def close(self) -> None:
        """Go away for good."""


class DectrisPeer:
    """A detector of DECTRIS' kind; every image sums to the point's value."""

    detectors = (Disk(radius=20, name="counts"),)
    notices = False

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.has_clock = isinstance(dialect, StreamV2)
        self.sender = Sender(dialect)

    def instrument(self) -> Instrument:
        return Instrument(source=DectrisSource(self.sender.address))

    def begin(self, points: int | None, *, told: bool = True) -> SeriesInfo:
        info = self.sender.new_series(points or 0, IMAGE)
        if told:
            self.sender.start(info)
        return info

    def send(self, series: SeriesInfo, points: Sequence[int], *, at_s: float | None = None) -> None:
        for point in points:
            self.sender.send(self.dialect.image(series, point, image_of(point), stop_s=at_s))

    def end(self, series: SeriesInfo) -> None:
        self.sender.end(series)

    def send_wrong_size(self, series: SeriesInfo, point: int) -> None:
        self.sender.send(self.dialect.image(series, point, image_of(point, (16, 8))))

    def send_undecodable(self, series: SeriesInfo, point: int) -> None:
        self.sender.send(self.dialect.image(series, point, image_of(point), "zip9"))

    def send_garbage(self) -> None:
        for parts in ([b"\xff\x00garbage"], [b""], [b"{", b"x"], [b"\xa1\x64type\x65start"]):
            self.sender.send(parts)

    def vanish(self) -> None:
        self.sender.close()

    def come_back(self) -> None:
        self.sender = Sender(self.dialect, self.sender.port)

    def close(self) -> None:
        self.sender.close()


class CounterPeer:
    """The counter of docs/adapters.md, and its adapter as the page has it."""

    detectors: tuple[VirtualDetector, ...] = ()
    has_clock = True
    notices = True

    def __init__(self) -> None:
        self.adapter = example()
        self.series = 0
        self.port = 0
        self.come_back()

    def instrument(self) -> Instrument:
        return Instrument(source=self.adapter.CounterSource("127.0.0.1", self.port))

    def come_back(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None

    def say(self, line: bytes) -> None:
        if self.connection is None:
            self.listener.settimeout(10)
            self.connection = self.listener.accept()[0]
        self.connection.sendall(line + b"\n")

    def begin(self, points: int | None, *, told: bool = True) -> str:
        self.series += 1
        name = f"run {self.series}"
        if told:
            self.say(json.dumps({"begin": name, "points": points}).encode())
        return name

    def send(self, series: str, points: Sequence[int], *, at_s: float | None = None) -> None:
        for point in points:
            line: dict[str, Any] = {"of": series, "first": point, "counts": [value_of(point)]}
            self.say(json.dumps(line if at_s is None else line | {"at_unix_s": 1_700_000_000.0 + at_s}).encode())

    def end(self, series: str) -> None:
        self.say(json.dumps({"end": series}).encode())

    def send_wrong_size(self, series: str, point: int) -> None:
        self.say(json.dumps({"of": series, "first": point, "counts": [[1, 2, 3]]}).encode())

    def send_undecodable(self, series: str, point: int) -> None:
        self.say(json.dumps({"of": series, "first": point, "counts": [1], "coding": "zip9"}).encode())

    def send_garbage(self) -> None:
        for line in (b"\xff\x00garbage", b"[]", b"{}", b'{"of": "x", "first": "y", "counts": 3}'):
            self.say(line)

    def vanish(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.listener.close()

    def close(self) -> None:
        self.vanish()


def example() -> ModuleType:
    """The adapter of docs/adapters.md as a module, as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    assert code.count("\n") < 120, "the guide promises an adapter of fewer than 120 lines"
    module = ModuleType("adapter_of_the_guide")
    exec(compile(code, str(GUIDE), "exec"), module.__dict__)
    sys.modules[module.__name__] = module
    return module


PEERS = {
    "dectris-v2": lambda: DectrisPeer(StreamV2()),
    "dectris-v1": lambda: DectrisPeer(StreamV1()),
    "counter-of-the-guide": CounterPeer,
    "epics": EpicsPeer,
    "merlin": MerlinPeer,
}
