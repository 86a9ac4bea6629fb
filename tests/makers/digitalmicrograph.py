"""DigitalMicrograph with a DigiScan: its Python module, and the few words of DM-Script that its bridge uses.

The help texts of the DigiScan functions are those of D. R. G. Mitchell's Faux DigiScan Library (dmscripting.com).
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from makers import specimen

Function = Callable[..., Any]
TYPES = {1: np.uint8, 2: np.uint16, 4: np.uint32}


class Image:
    """An image of DigitalMicrograph, in Python."""

    __slots__ = ("_array", "calibration", "name", "number", "shown")

    def __init__(self, number: int, name: str, array: np.ndarray) -> None:
        self.number, self.name, self._array, self.shown = number, name, array, False
        self.calibration = (0.0, 1.0, "")

    def GetNumArray(self) -> np.ndarray:  # noqa: N802 - the maker's name
        return self._array

    def GetDimensionCalibration(self, dimension: int, calibration_format: int) -> tuple[float, float, str]:  # noqa: N802
        assert dimension in (0, 1) and calibration_format in (0, 1)
        return self.calibration


class Tags:
    """The persistent tag group."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def GetTagAsString(self, path: str) -> tuple[bool, str]:  # noqa: N802 - the maker's name
        return path in self._texts, self._texts.get(path, "")

    def TagGroupSetTagAsString(self, path: str, text: str) -> None:  # noqa: N802 - of DM-Script only
        assert isinstance(text, str)
        self._texts[path] = text


class DigitalMicrograph:
    """The module, and the microscope that DigiScan scans."""

    __slots__ = ("_images", "_made", "_parameters", "_running", "_tags", "blanked", "calls", "rotation", "signals")

    def __init__(self, shape: tuple[int, int] = (64, 96), signals: int = 2) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.blanked, self.rotation, self.signals = True, 12.5, signals
        self._tags = Tags()
        self._images: dict[int, Image] = {}
        self._made = 100
        self._parameters: dict[int, dict[str, Any]] = {}
        self._running: tuple[int, float] | None = None
        survey = self._new("survey", np.zeros((shape[0] // 2, shape[1] // 2), np.uint32))
        survey.calibration = (0.0, 4.0, "nm")
        survey.shown = True

    # Python -----------------------------------------------------------------------------------------------------

    def GetPersistentTagGroup(self) -> Tags:  # noqa: N802 - the maker's name
        return self._tags

    def FindImageByID(self, number: int) -> Image | None:  # noqa: N802 - the maker's name
        assert isinstance(number, int)
        return self._images.get(number)

    def DeleteImage(self, image: Image) -> None:  # noqa: N802 - the maker's name
        del self._images[image.number]

    def ExecuteScriptString(self, text: str) -> None:  # noqa: N802 - the maker's name
        """Run a script; images that it made and did not show are gone afterwards."""
        names: dict[str, Any] = {}
        for line in text.strip().split("\n"):
            assigned = re.match(r"image (\w+) := (.*)$", line)
            value = self._value(ast.parse(assigned[2] if assigned else line, mode="eval").body, names)
            if assigned:
                names[assigned[1]] = value
        for image in [image for image in self._images.values() if not image.shown]:
            self.DeleteImage(image)

    # DM-Script --------------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr, names: dict[str, Any]) -> Any:
        match node:
            case ast.Constant(value):
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(value)):
                return -value
            case ast.Name(name):
                return names[name]
            case ast.BinOp(left, ast.Add(), right):
                first, second = self._value(left, names), self._value(right, names)
                return f"{first}{second if isinstance(second, str) else format(second, 'g')}"
            case ast.Call(ast.Attribute(ast.Call(ast.Name("GetPersistentTagGroup")), "TagGroupSetTagAsString"), words):
                return self._tags.TagGroupSetTagAsString(*(self._value(word, names) for word in words))
            case ast.Call(ast.Name(name), words, []):
                function = self._documented().get(name)
                if function is None:
                    raise RuntimeError(f"DM-Script: no function {name}")
                given = [self._value(word, names) for word in words]
                self.calls.append((name, *given))
                return function(*given)
        raise RuntimeError(f"DM-Script: {ast.unparse(node)}")

    def _documented(self) -> dict[str, Function]:
        return {
            "Format": lambda number, form: form % number,
            "IntegerImage": self._integer_image,
            "ImageGetID": lambda image: image.number,
            "ShowImage": self._show,
            "FindImageByID": lambda number: self._images[number],
            "EMSetBeamBlanked": self._blank,
            "EMGetHighTension": lambda: 200000,
            "DSGetSignalName": lambda index: ("HAADF", "BF")[index],
            "DSGetRotation": lambda: self.rotation,
            "DSGetMinPixelTime": lambda depth, signals: 0.8 if depth == 4 else 0.5,
            "DSGetMaxPixelTime": lambda: 419430,
            "DSGetLastAcquiredImageID": lambda signal: 101,
            "DSCreateParameters": self._create,
            "DSSetParametersSignal": self._set_signal,
            "DSStartAcquisition": self._start,
            "DSIsAcquisitionActive": self._active,
            "DSStopAcquisition": self._stop,
            "DSDeleteParameters": lambda number: self._parameters.pop(number) and None,
            "DSScanSubRegion": self._sub_region,
        }

    def _new(self, name: str, array: np.ndarray) -> Image:
        self._made += 1
        self._images[self._made] = Image(self._made, name, array)
        return self._images[self._made]

    def _integer_image(self, name: str, size: int, signed: int, width: int, height: int) -> Image:
        assert not signed
        return self._new(name, np.zeros((height, width), TYPES[size]))

    def _show(self, image: Image) -> None:
        image.shown = True

    def _blank(self, blanked: int) -> None:
        self.blanked = bool(blanked)

    def _create(self, width: int, height: int, rotation: float, pixel_us: float, synchronised: int) -> int:
        assert rotation == self.rotation and not synchronised
        self._parameters[len(self.calls)] = {"shape": (height, width), "pixel_us": pixel_us, "images": {}}
        return len(self.calls)

    def _set_signal(self, number: int, signal: int, size: int, selected: int, image: int) -> int:
        assert 0 <= signal < self.signals and selected == 1
        array = self._images[image].GetNumArray()
        assert array.dtype == TYPES[size] and array.shape == self._parameters[number]["shape"]
        self._parameters[number]["images"][signal] = self._images[image]
        return 1

    def _start(self, number: int, continuous: int, synchronous: int) -> None:
        assert not continuous and not synchronous and not self.blanked
        height, width = self._parameters[number]["shape"]
        self._running = (number, time.monotonic() + height * width * self._parameters[number]["pixel_us"] * 1e-6)

    def _active(self) -> int:
        if self._running is None:
            return 0
        number, ends_s = self._running
        if time.monotonic() < ends_s:
            return 1
        for signal, image in self._parameters[number]["images"].items():
            image.GetNumArray()[:] = specimen(image.GetNumArray().shape) * (signal + 1)
        self._running = None
        return 0

    def _stop(self, number: int) -> None:
        self._running = None

    def _sub_region(
        self, whole: Image, part: Image, top: int, left: int, bottom: int, right: int, pixel_us: float
    ) -> None:
        assert not self.blanked and whole.GetNumArray().any(), "the reference was acquired by DigiScan"
        assert part.GetNumArray().shape == (bottom - top, right - left), "non-square pixels"
        assert whole.GetNumArray().dtype == part.GetNumArray().dtype and pixel_us >= 0.8
        part.GetNumArray()[:] = specimen(whole.GetNumArray().shape)[top:bottom, left:right]
