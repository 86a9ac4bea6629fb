"""Instruments that can be told what to scan, for the contract suite: each looks at a simulated specimen, and fails at
the test's word."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deapi_recorded import Recorded
from scanmend.errors import InstrumentError
from scanmend.field import Capabilities, Field
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Event, Instrument, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.direct_electron.camera import Camera
from scanmend.sources.direct_electron.scan import PointScan
from scanmend.sources.obi.commands import Abort, Command, ExternalControl, Synchronize, VectorPixels
from scanmend.sources.obi.scan import VectorScan
from scanmend_sim.microscope import Microscope
from scanmend_sim.obi.server import ObiServer, obi_microscope
from scanmend_sim.scan_generator import ScanGenerator
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(24, 32), pixel_size_nm=2.0, beam_current_pa=20.0)
ABLE = Capabilities(dwell_quantum_ns=125, min_dwell_ns=125, max_dwell_ns=8_191_875, max_points=65_536)

FRAME_NS = 2000
"""Of the camera: no real one is so fast, and no test so patient as theirs need."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one run of a plan."""

    kind: str
    """refuse: it does not begin. part: it stops early and says so. abort: it is aborted there. hang: no word more."""
    points: int = 0
    """So many are measured before."""


def microscope(able: Capabilities = ABLE) -> Microscope:
    """What looks at the specimen, and keeps the books on dose."""
    return Microscope(load_specimen("nanoparticles:seed=3"), FIELD, generator=ScanGenerator(capabilities=able), seed=1)


class ControllerPeer(Protocol):
    """An instrument, and the adapter that tells it what to run."""

    microscope: Microscope
    faults: dict[int, Fault]
    """By the number of the run, from 0."""
    aborts: int
    """How often it was told to stop."""
    runs: int
    """How often it was told to run a plan."""
    silence_s: float
    """How long it may say nothing before a test takes it to hang."""
    hangs_as: Code
    """What is noted when it says nothing any more: some adapters find out by themselves."""

    def instrument(self) -> Instrument:
        """A new adapter for it."""

    def close(self) -> None:
        """Go away for good."""


class GeneratorPeer:
    """A scan generator inside this process: what a controller is, without a wire."""

    hangs_as, silence_s = Code.SILENT, 0.4

    def __init__(self, able: Capabilities = ABLE) -> None:
        self.microscope = microscope(able)
        self.channels = self.microscope.channels
        self.faults: dict[int, Fault] = {}
        self.aborts = self.runs = 0
        self.events: deque[Event] = deque()

    def instrument(self) -> Instrument:
        return Instrument(source=self, controller=self)

    def open(self) -> None:
        self.events.clear()

    def close(self) -> None:
        self.events.clear()

    def read(self, timeout_s: float) -> Event | None:
        if not self.events:
            time.sleep(min(timeout_s, 0.005))
            return None
        return self.events.popleft()

    def capabilities(self) -> Capabilities:
        return self.microscope.generator.capabilities

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        return self.microscope.prepare(plan)

    def begin(self, plan: ScanPlan, passes: int) -> str:
        assert passes == 1
        number, self.runs = self.runs, self.runs + 1
        fault = self.faults.get(number)
        if fault is not None and fault.kind == "refuse":
            raise InstrumentError("The beam is blanked by hand.", mend="Unblank it.")
        name = f"run {number}"
        points = plan.points if fault is None else fault.points
        self.events.append(SeriesBegan(series=name, points=plan.points))
        for first in range(0, points, 300):
            values = self.microscope.run(plan, number, first, min(300, points - first))
            self.events.append(Samples(series=name, first=first, values=values))
        if fault is None or fault.kind != "hang":
            aborted = fault is not None and fault.kind == "abort"
            self.events.append(SeriesEnded(series=name, aborted=aborted, points=points))
        return name

    def abort(self) -> None:
        self.aborts += 1
        if self.events:
            name = self.events[0].series
            self.events.clear()
            self.events.append(SeriesEnded(series=name, aborted=True))


class ObiPeer:
    """Open Beam Interface, with marks after every 50 points."""

    hangs_as, silence_s = Code.NO_INSTRUMENT, 1.2

    def __init__(self) -> None:
        self.microscope = obi_microscope(load_specimen("nanoparticles:seed=3"), FIELD, seed=1)
        self.faults: dict[int, Fault] = {}
        self.aborts = self.runs = 0
        self._opening = self._pixels = self._dead = False
        self._left: int | None = None
        self.server = ObiServer(self.microscope, tap=self._tap)

    def instrument(self) -> Instrument:
        scan = VectorScan("127.0.0.1", self.server.port, self.microscope.channels[0], answer_s=0.5, block_points=50)
        return Instrument(source=scan, controller=scan)

    def close(self) -> None:
        self.server.close()

    def _tap(self, command: Command, obey: Callable[[Command], bytes]) -> bytes | None:
        self.aborts += isinstance(command, Abort)
        self._opening |= isinstance(command, ExternalControl)
        if isinstance(command, Synchronize):
            begins, self._pixels, self._opening = not (self._pixels or self._opening), False, False
            if begins and self._left is None:
                fault = self.faults.get(self.runs)
                self.runs += 1
                if fault is not None and fault.kind == "refuse":
                    return b""
                self._left = None if fault is None else fault.points
        if isinstance(command, VectorPixels):
            self._pixels = True
            self._dead |= self._left == 0
            self._left = None if self._left is None else self._left - len(command.x)
        if self._dead:
            return None if self.faults[self.runs - 1].kind == "abort" else b""
        return obey(command)


class DirectElectronPeer(Recorded):
    """A Direct Electron camera, as the recorded calls have it, that looks at the simulated specimen."""

    hangs_as, silence_s = Code.SILENT, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.microscope = microscope()
        self.faults: dict[int, Fault] = {}
        self.aborts = self.runs = self._passes = 0
        self.fastest = 1e6

    def instrument(self) -> Instrument:
        scan = PointScan(Camera("127.0.0.1", 13240, lambda: self), FRAME_NS, units_per_electron=1.0, repeat=True)
        return Instrument(source=scan, controller=scan)

    def close(self) -> None:
        pass

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "Frames Per Second":  # with which each run begins
            fault = self.faults.get(self.runs)
            self.deaf = fault is not None and fault.kind == "refuse"
            self.runs += 1
        super().__setitem__(name, value)

    def visit(self, visits: np.ndarray) -> None:
        fault = self.faults.get(self.runs - 1)
        points = list(dict.fromkeys(map(tuple, visits.tolist())))[: fault.points if fault else None]
        self.values["Acquisition Status"] = "Acquiring" if fault is not None and fault.kind == "hang" else "Idle"
        frames = Counter(map(tuple, visits.tolist()))
        self.frames = sum(frames[point] for point in points)
        if points:
            dwells = np.array([frames[point] * FRAME_NS for point in points])
            plan = ScanPlan.point_list(FIELD.shape, dwells, xy=np.array(points))
            x, y = np.array(points).T
            self.image[y, x] = self.microscope.run(plan, self._passes)[0]
            self._passes += 1

    def stop_acquisition(self) -> bool:
        self.aborts += 1
        return super().stop_acquisition()


PEERS = {"generator": GeneratorPeer, "obi": ObiPeer, "direct-electron": DirectElectronPeer}

WITH_WORDS = {name: PEERS[name] for name in ("generator", "obi")}
"""Those that say while a pass runs how far it is, and whether it was aborted."""
