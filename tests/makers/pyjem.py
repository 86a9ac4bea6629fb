"""PyJEM's `detector` and `TEM3`, as their docstrings say."""

from __future__ import annotations

from typing import Any

import numpy as np

from makers import specimen


class PyJem:
    """Both modules: `.detector` and `.tem` share one microscope."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.blanked = 0
        self.settings: dict[str, Any] = {
            "ExposureTimeValue": 100,
            "frameIntegration": 1,
            "ImagingArea": {"X": 0, "Y": 0, "Width": 512, "Height": 512},
            "AreaModeImagingArea": {"X": 0, "Y": 0, "Width": 128, "Height": 128},
            "scanMode": 0,
        }
        self.dtype = np.dtype("<u2")
        self.detector, self.tem = DetectorModule(self), TemModule(self)


class DetectorModule:
    """`PyJEM.detector`."""

    __slots__ = ("_jem",)

    def __init__(self, jem: PyJem) -> None:
        self._jem = jem

    def get_attached_detector(self) -> list[str]:
        return ["ADF1", "BF"]

    def Detector(self, det: str) -> Detector:  # noqa: N802 - the maker's name
        return Detector(self._jem, det)


class Detector:
    """One detector."""

    __slots__ = ("_jem", "detector")

    def __init__(self, jem: PyJem, det: str) -> None:
        self._jem, self.detector = jem, det

    def livestop(self) -> dict[str, str]:
        self._jem.calls.append(("livestop",))
        return {"status": "OK"}

    def get_detectorsetting(self) -> dict[str, Any]:
        return dict(self._jem.settings)

    def set_imaging_area(self, Width: int, Height: int, X: int | None = None, Y: int | None = None) -> dict[str, Any]:
        return self._area("ImagingArea", Width, Height, X, Y)

    def set_areamode_imagingarea(
        self, Width: int, Height: int, X: int | None = None, Y: int | None = None
    ) -> dict[str, Any]:
        return self._area("AreaModeImagingArea", Width, Height, X, Y)

    def set_scanmode(self, value: int) -> dict[str, Any]:
        assert value in (0, 1, 3), "0:Scan, 1:Area, 3:Spot"
        return self._set(scanMode=value)

    def set_exposuretime_value(self, value: float) -> dict[str, Any]:
        assert 0 <= value <= 1000, "0-1000 µs"
        return self._set(ExposureTimeValue=value)

    def snapshot_rawdata(self) -> bytes:
        jem = self._jem
        jem.calls.append(("snapshot_rawdata",))
        assert jem.blanked == 0, "an image of a blanked beam"
        field = jem.settings["ImagingArea"]
        picture = specimen((field["Height"], field["Width"]))
        if jem.settings["scanMode"] == 1:
            area = jem.settings["AreaModeImagingArea"]
            picture = picture[area["Y"] : area["Y"] + area["Height"], area["X"] : area["X"] + area["Width"]]
        return picture.astype(jem.dtype).tobytes()

    def _area(self, key: str, width: int, height: int, x: int | None, y: int | None) -> dict[str, Any]:
        old = self._jem.settings[key]
        new = {"X": old["X"] if x is None else x, "Y": old["Y"] if y is None else y, "Width": width, "Height": height}
        assert all(isinstance(value, int) and 0 <= value <= 4096 for value in new.values())
        return self._set(**{key: new})

    def _set(self, **values: Any) -> dict[str, Any]:
        self._jem.calls.append(("Setting", values))
        self._jem.settings.update(values)
        return values


class TemModule:
    """`PyJEM.TEM3`."""

    __slots__ = ("_jem",)

    def __init__(self, jem: PyJem) -> None:
        self._jem = jem

    def Def3(self) -> Def3:  # noqa: N802 - the maker's name
        return Def3(self._jem)

    def HT3(self) -> HT3:  # noqa: N802 - the maker's name
        return HT3()


class Def3:
    """Deflectors, the blanker among them."""

    __slots__ = ("_jem",)

    def __init__(self, jem: PyJem) -> None:
        self._jem = jem

    def SetBeamBlank(self, value: int) -> None:  # noqa: N802 - the maker's name
        assert value in (0, 1)
        self._jem.calls.append(("SetBeamBlank", value))
        self._jem.blanked = value


class HT3:
    """High tension."""

    __slots__ = ()

    def GetHtValue(self) -> float:  # noqa: N802 - the maker's name
        return 200000.0
