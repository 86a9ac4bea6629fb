"""A Merlin for the contract suite: images over TCP, and a control socket that knows whether it is idle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peer_values import image_of

from scanmend.sources import Instrument
from scanmend.sources.merlin.control import Control
from scanmend.sources.merlin.source import MerlinSource
from scanmend.sources.shapes import Disk
from scanmend_sim.merlin.detector import BEGAN_UNIX_S, Merlin


@dataclass(frozen=True)
class Acquisition:
    """One run of the detector."""

    number: int

    def taken_s(self, point: int, at_s: float | None) -> float:
        return BEGAN_UNIX_S + 100 * self.number + (point * 1e-3 if at_s is None else at_s)


class MerlinPeer:
    """Every image sums to the point's value."""

    detectors = (Disk(radius=20, name="counts"),)
    has_clock = True
    notices = True

    def __init__(self) -> None:
        self.detector = Merlin()
        self.last = Acquisition(0)

    def instrument(self) -> Instrument:
        control = Control("127.0.0.1", self.detector.control_port)
        return Instrument(source=MerlinSource("127.0.0.1", self.detector.data_port, control, quiet_s=0.05))

    def begin(self, points: int | None, *, told: bool = True) -> Acquisition:
        self.last = Acquisition(self.last.number + 1)
        self.detector.values["DETECTORSTATUS"] = "1"
        if told:
            self.detector.begin(points or 0)
        return self.last

    def send(self, series: Acquisition, points: Sequence[int], *, at_s: float | None = None) -> None:
        for point in points:
            self.detector.image(point + 1, image_of(point), taken_unix_s=series.taken_s(point, at_s))

    def end(self, series: Acquisition) -> None:
        if series is self.last:  # it knows of one acquisition only
            self.detector.end()

    def send_wrong_size(self, series: Acquisition, point: int) -> None:
        self.detector.image(point + 1, image_of(point, (16, 8)), taken_unix_s=series.taken_s(point, None))

    def send_undecodable(self, series: Acquisition, point: int) -> None:
        taken_s = series.taken_s(point, None)
        self.detector.image(point + 1, image_of(point), taken_unix_s=taken_s, pixels="R64")

    def send_garbage(self) -> None:
        for data in (b"\xff\x00garbage", b"MPX,0000000004,XYZ", b"MPX,0000000001,", b"MPX,0000000006,MQ1,x"):
            self.detector.send(data)

    def vanish(self) -> None:
        self.detector.close()

    def come_back(self) -> None:
        self.detector = Merlin(self.detector.data_port, self.detector.control_port)

    def close(self) -> None:
        self.detector.close()
