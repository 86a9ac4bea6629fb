"""What the simulated scan generator does with each command: points become samples of the simulated specimen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanmend.plan import ScanPlan
from scanmend.sources.obi.commands import (
    DWELL_NS,
    MAX_CODE,
    Abort,
    BeamSelect,
    Blank,
    Command,
    Delay,
    ExternalControl,
    Flush,
    RasterRegion,
    RasterRun,
    Synchronize,
    VectorPixels,
)
from scanmend.sources.obi.geometry import Geometry
from scanmend_sim.microscope import Microscope

Codes = npt.NDArray[np.integer]


class Generator:
    """Obeys commands, one after another.

    Args:
        microscope: What the beam falls on; its dose is booked there.
    """

    def __init__(self, microscope: Microscope) -> None:
        self.microscope = microscope
        self.blanked = True
        """Whether the beam is blanked now."""
        self.controlled = False
        """Whether the beam has been taken from the microscope's own electronics."""
        self.points = 0
        """Points run so far."""
        self._geometry = Geometry.of(microscope.field.shape)
        self._inline: bool | None = None
        self._output = 0
        self._region = RasterRegion(0, 1, 256, 0, 1, 256)
        self._at = 0
        self._runs = 0

    def obey(self, command: Command) -> bytes:
        """The answer to a command; empty where it has none."""
        match command:
            case Synchronize(cookie, _, output):
                self._output, self._at = output, 0
                return b"\xff\xff" + cookie.to_bytes(2, "big")
            case ExternalControl(on):
                self.controlled = on
            case Blank(on, inline):
                if inline:
                    self._inline = on
                else:
                    self.blanked = on
            case RasterRegion():
                self._region, self._at = command, 0
            case RasterRun(count, dwell):
                return self._run(*self._region_codes(count), np.full(count, dwell))
            case VectorPixels(x, y, dwell):
                return self._run(x, y, dwell)
            case Abort() | Flush() | BeamSelect() | Delay():
                pass  # nothing waits here, there is one beam, and time is not kept
        return b""

    def _region_codes(self, count: int) -> tuple[Codes, Codes]:
        region = self._region
        which = (self._at + np.arange(count)) % (region.x_count * region.y_count)
        self._at += count
        line, column = np.divmod(which, region.x_count)
        return region.x_start + (column * region.x_step >> 8), region.y_start + (line * region.y_step >> 8)

    def _run(self, x: Codes, y: Codes, dwell: Codes) -> bytes:
        if self._inline is not None:
            self.blanked, self._inline = self._inline, None
        self.points += len(x)
        samples = np.zeros(len(x), np.uint16) if self._dark else self._seen(x, y, dwell)
        if self._output == 2:
            return b""
        return (samples >> 8).astype(np.uint8).tobytes() if self._output else samples.astype(">u2").tobytes()

    @property
    def _dark(self) -> bool:
        return self.blanked or not self.controlled

    def _seen(self, x: Codes, y: Codes, dwell: Codes) -> npt.NDArray[np.uint16]:
        px, py, inside = self._geometry.pixels(x, y)
        samples = np.zeros(len(x), np.uint16)
        if inside.any():
            xy = np.column_stack([px[inside], py[inside]]).astype(np.int32)
            dwells = np.asarray(dwell)[inside].astype(np.int64) * DWELL_NS
            plan = ScanPlan.point_list(self.microscope.field.shape, dwells, xy=xy)
            values = self.microscope.run(plan, self._runs)[0]
            samples[inside] = np.minimum(values, MAX_CODE)
            self._runs += 1
        return samples
