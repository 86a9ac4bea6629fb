"""AutoScript's client for scanning electron microscopes, as its own tests and its public users show it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from makers import specimen

PRESETS = {"512x442", "768x512", "1024x884", "1536x1024", "2048x1768", "3072x2048", "4096x3536", "6144x4096"}


class ApplicationServerException(Exception):
    """What the server raises."""


@dataclass(slots=True)
class Rectangle:
    """A reduced area, in shares of the field."""

    left: float
    top: float
    width: float
    height: float


@dataclass(slots=True, kw_only=True)
class GrabFrameSettings:
    """What a frame is grabbed with; dwell in seconds."""

    resolution: str
    dwell_time: float
    bit_depth: int
    reduced_area: Rectangle | None = None


@dataclass(slots=True)
class AdornedImage:
    """An image with its metadata."""

    data: np.ndarray
    metadata: Any

    @property
    def width(self) -> int:
        return int(self.data.shape[1])

    @property
    def height(self) -> int:
        return int(self.data.shape[0])


class Value:
    """A quantity that is read."""

    __slots__ = ("limits", "value")

    def __init__(self, value: Any, limits: Any = None) -> None:
        self.value, self.limits = value, limits


class Beam:
    """`microscope.beams.electron_beam`."""

    __slots__ = ("_calls", "beam_current", "high_voltage", "horizontal_field_width", "is_blanked", "scanning")

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self._calls, self.is_blanked = calls, False
        self.horizontal_field_width = Value(1.536e-6)
        self.beam_current, self.high_voltage = Value(25e-12), Value(5000.0)
        self.scanning = SimpleNamespace(dwell_time=Value(1e-6, SimpleNamespace(min=25e-9, max=25e-3)))

    def blank(self) -> None:
        self._calls.append(("blank",))
        self.is_blanked = True

    def unblank(self) -> None:
        self._calls.append(("unblank",))
        self.is_blanked = False


class ScanningFilter:
    """`microscope.imaging.scanning_filter`; several frames are mixed until it is told not to."""

    __slots__ = ("number_of_frames", "type")

    def __init__(self) -> None:
        self.type, self.number_of_frames = "Averaging", 8


class Imaging:
    """`microscope.imaging`."""

    __slots__ = ("_calls", "_picture", "_scope", "rounds_by", "scanning_filter", "takes_dwell")

    def __init__(self, scope: SdbMicroscopeClient, calls: list[tuple[Any, ...]]) -> None:
        self._scope, self._calls, self._picture = scope, calls, None
        self.scanning_filter = ScanningFilter()
        self.rounds_by = 0
        """How many lines fewer a reduced area has than asked; real systems are off by up to 3."""
        self.takes_dwell: float | None = None
        """The dwell that it takes in place of the one asked for."""

    def set_active_view(self, view: int) -> None:
        self._calls.append(("set_active_view", view))

    def set_active_device(self, imaging_device: str) -> None:
        self._calls.append(("set_active_device", imaging_device))

    def grab_frame(self, settings: GrabFrameSettings) -> AdornedImage:
        self._calls.append(("grab_frame", settings))
        limits = self._scope.beams.electron_beam.scanning.dwell_time.limits
        if settings.resolution not in PRESETS or settings.bit_depth not in (8, 16):
            raise ApplicationServerException("specific settings are not supported")
        if not limits.min <= settings.dwell_time <= limits.max:
            raise ApplicationServerException("dwell time out of range")
        assert self.scanning_filter.type == "None" and self.scanning_filter.number_of_frames == 1
        assert not self._scope.beams.electron_beam.is_blanked, "a frame of a blanked beam"
        pixels, lines = map(int, settings.resolution.split("x"))
        picture = specimen((lines, pixels))
        area = settings.reduced_area
        if area is not None:
            if min(area.left, area.top) < 0 or area.left + area.width > 1 + 1e-9 or area.top + area.height > 1 + 1e-9:
                raise ApplicationServerException("reduced area out of range")
            top, left = round(area.top * lines), round(area.left * pixels)
            bottom, right = top + round(area.height * lines) - self.rounds_by, left + round(area.width * pixels)
            picture = picture[top:bottom, left:right]
        dwell = settings.dwell_time if self.takes_dwell is None else self.takes_dwell
        return AdornedImage(picture.copy(), SimpleNamespace(scan_settings=SimpleNamespace(dwell_time=dwell)))


class SdbMicroscopeClient:
    """The client."""

    __slots__ = ("beams", "calls", "detector", "imaging")

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.beams = SimpleNamespace(electron_beam=Beam(self.calls))
        self.imaging = Imaging(self, self.calls)
        self.detector = SimpleNamespace(type=Value("ETD"))

    def connect(self, host: str = "localhost", port: int = 7520) -> None:
        self.calls.append(("connect", host, port))

    def disconnect(self) -> None:
        self.calls.append(("disconnect",))


WORDS = SimpleNamespace(
    ImagingDevice=SimpleNamespace(ELECTRON_BEAM="ElectronBeam"),
    ScanningFilterType=SimpleNamespace(NONE="None"),
    GrabFrameSettings=GrabFrameSettings,
    Rectangle=Rectangle,
)
