"""AutoScript's client for transmission microscopes, as its public users call it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from makers import specimen
from makers.autoscript import Rectangle, Value


@dataclass(slots=True)
class Region:
    """A part of the field."""

    coordinate_system: str
    rectangle: Rectangle


@dataclass(slots=True, kw_only=True)
class StemAcquisitionSettings:
    """What images are acquired with; dwell in seconds."""

    dwell_time: float
    detector_types: list[str] = field(default_factory=list)
    size: int
    region: Region | None = None


class Optics:
    """`microscope.optics`."""

    __slots__ = ("_calls", "acceleration_voltage", "is_beam_blanked", "optical_mode", "scan_field_of_view")

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self._calls, self.is_beam_blanked, self.optical_mode = calls, False, "STEM"
        self.scan_field_of_view, self.acceleration_voltage = 64e-9, Value(300000.0)

    def blank(self) -> None:
        self._calls.append(("blank",))
        self.is_beam_blanked = True

    def unblank(self) -> None:
        self._calls.append(("unblank",))
        self.is_beam_blanked = False


class Acquisition:
    """`microscope.acquisition`."""

    __slots__ = ("_calls", "_scope", "forgets")

    def __init__(self, scope: TemMicroscopeClient, calls: list[tuple[Any, ...]]) -> None:
        self._scope, self._calls = scope, calls
        self.forgets = 0
        """How many detectors' images do not come."""

    def acquire_stem_images_advanced(self, settings: StemAcquisitionSettings) -> list[Any]:
        self._calls.append(("acquire_stem_images_advanced", settings))
        assert not self._scope.optics.is_beam_blanked, "an image of a blanked beam"
        assert 25e-9 <= settings.dwell_time <= 1e-3 and settings.size in (256, 512, 1024, 2048, 4096)
        picture = specimen((settings.size, settings.size))
        if settings.region is not None:
            assert settings.region.coordinate_system == "Relative"
            area = settings.region.rectangle
            top, left = round(area.top * settings.size), round(area.left * settings.size)
            bottom, right = top + round(area.height * settings.size), left + round(area.width * settings.size)
            picture = picture[top:bottom, left:right]
        names = settings.detector_types[: len(settings.detector_types) - self.forgets]
        return [SimpleNamespace(data=picture * np.uint16(place + 1)) for place, _ in enumerate(names)]


class TemMicroscopeClient:
    """The client."""

    __slots__ = ("acquisition", "calls", "optics")

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.optics = Optics(self.calls)
        self.acquisition = Acquisition(self, self.calls)

    def connect(self, host: str = "localhost", port: int = 9095) -> None:
        self.calls.append(("connect", host, port))

    def disconnect(self) -> None:
        self.calls.append(("disconnect",))


WORDS = SimpleNamespace(
    OpticalMode=SimpleNamespace(STEM="STEM"),
    RegionCoordinateSystem=SimpleNamespace(RELATIVE="Relative"),
    Rectangle=Rectangle,
    Region=Region,
    StemAcquisitionSettings=StemAcquisitionSettings,
)
