"""An areaDetector for the contract suite: images and a camera's records over PVAccess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from peer_values import image_of

from running import wait_for
from scanmend.sources import Instrument
from scanmend.sources.epics.adapter import conf_of
from scanmend.sources.epics.source import EpicsSource
from scanmend.sources.numbering import Numbering
from scanmend.sources.shapes import Disk
from scanmend_sim.epics.server import CAMERA, IMAGE, AreaDetector

BEGAN_UNIX_S = 1_700_000_000.0


@dataclass(frozen=True)
class Acquisition:
    """One run of the camera."""

    number: int

    def taken_s(self, point: int, at_s: float | None) -> float:
        return BEGAN_UNIX_S + 100 * self.number + (point * 1e-3 if at_s is None else at_s)


class EpicsPeer:
    """Every image sums to the point's value; arrays are numbered anew in each acquisition."""

    detectors = (Disk(radius=20, name="counts"),)
    has_clock = True
    notices = True

    def __init__(self) -> None:
        self.detector = AreaDetector()
        self.source: EpicsSource | None = None
        self.last = Acquisition(0)

    def instrument(self) -> Instrument:
        conf = conf_of(self.detector.address)
        self.source = EpicsSource(IMAGE, Numbering(), conf=conf, camera=CAMERA, settle_s=0.05, connect_s=0.2)
        return Instrument(source=self.source)

    def begin(self, points: int | None, *, told: bool = True) -> Acquisition:
        self.wait_for_reader()
        self.last = Acquisition(self.last.number + 1)
        if told:
            self.detector.set("ImageMode", 2 if points is None else 1)
            self.detector.set("NumImages", points or 1)
            self.detector.set("ArrayCounter", 0)
            self.detector.set("Acquire", 1)
        return self.last

    def send(self, series: Acquisition, points: Sequence[int], *, at_s: float | None = None) -> None:
        self.wait_for_reader()
        for point in points:
            self.post(series, point, image_of(point), at_s=at_s)

    def post(
        self, series: Acquisition, point: int, image: np.ndarray, codec: str = "", at_s: float | None = None
    ) -> None:
        taken_s = series.taken_s(point, at_s)
        self.detector.post(image, unique_id=point + 1, codec=codec, taken_unix_s=taken_s)

    def end(self, series: Acquisition) -> None:
        if series is self.last:  # the record knows of one acquisition only
            self.detector.set("Acquire", 0)

    def send_wrong_size(self, series: Acquisition, point: int) -> None:
        self.post(series, point, image_of(point, (16, 8)))

    def send_undecodable(self, series: Acquisition, point: int) -> None:
        self.post(series, point, image_of(point), "jpeg")

    def send_garbage(self) -> None:
        for number in range(4):
            self.detector.post(image_of(number), unique_id=-1 - number)

    def wait_for_reader(self) -> None:
        """A PV keeps nothing for who comes later."""
        source = self.source
        assert source is not None
        wait_for(lambda: source.connected, 15, "nobody watches the PV")

    def vanish(self) -> None:
        watched = self.source is not None and self.source.connected
        self.detector.close()
        if watched:
            wait_for(lambda: self.source is not None and not self.source.connected, 15, "its going was not noticed")

    def come_back(self) -> None:
        self.detector = AreaDetector(self.detector.port)

    def close(self) -> None:
        self.detector.close()
