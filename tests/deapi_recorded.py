"""A recorded fake of the maker's client library for Direct Electron cameras."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np


class Recorded:
    """The calls of `deapi.Client` that the adapter makes, as de-twin was seen to answer them.

    A list of points is stored although `set_xy_array` returns False; properties live on between clients; an unknown
    one reads False; the virtual image is 0 where the beam was not, and the frames of a repeated point add up.
    """

    def __init__(self) -> None:
        self.usingMmf = True
        self.values: dict[str, Any] = {
            "Acquisition Status": "Idle", "Frames Per Second": 40.0, "Scan - Enable": "Off", "Scan - Type": "Raster",
            "Scan - Size X": 128, "Scan - Size Y": 128, "Scan - ROI Enable": "On", "Scan - Repeats": 3,
            "Scan - Camera Frames Per Point": 2,
        }  # fmt: skip
        self.points = np.zeros((0, 2), np.int32)
        self.image = np.zeros((1, 1), np.float32)
        self.frames = 0
        self.told: list[str] = []
        self.short = 0
        """Frames that the next acquisition lacks."""
        self.stray = False
        self.fastest = 2000.0
        """Frames a second that the camera can give."""
        self.deaf = False
        """Whether properties stay as they are."""

    def connect(self, host: str, port: int) -> None:
        if port == 1:
            raise ConnectionRefusedError(111, "Connection refused")
        assert not self.usingMmf
        self.told.append("connect")

    def disconnect(self) -> None:
        self.told.append("disconnect")

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name, False)

    def __setitem__(self, name: str, value: Any) -> None:
        if not self.deaf and (name != "Frames Per Second" or value <= self.fastest):
            self.values[name] = value

    def set_xy_array(self, positions: np.ndarray, width: int, height: int) -> bool:
        print("Vals to send:", [width, height, len(positions)])
        assert positions.dtype == np.int32 and positions.shape[1] == 2
        self.points = positions
        self.values |= {"Scan - Type": "XY File", "Scan - Size X": width, "Scan - Size Y": height}
        return False

    def start_acquisition(self, number_of_acquisitions: int) -> None:
        assert number_of_acquisitions == 1 and self.values["Scan - Enable"] == "On"
        assert self.values["Scan - ROI Enable"] == "Off" and self.values["Scan - Repeats"] == 1
        per_point = self.values["Scan - Camera Frames Per Point"]
        visits = np.repeat(self.points, per_point, axis=0)
        visits = visits[: len(visits) - self.short]
        self.frames = len(visits)
        self.image = np.zeros((self.values["Scan - Size Y"], self.values["Scan - Size X"]), np.float32)
        self.visit(visits)
        if self.stray:
            self.image[0, 0] = 5
        self.told.append("start")

    def visit(self, visits: np.ndarray) -> None:
        """Let the beam see these points, `(n, 2)`, each for a frame."""
        np.add.at(self.image, (visits[:, 1], visits[:, 0]), 1 + visits[:, 0] + 10 * visits[:, 1])

    def get_result(self, frame_type: str, pixel_format: str) -> Any:
        assert frame_type.startswith("virtual_image") and pixel_format == "FLOAT32"
        return SimpleNamespace(image=self.image.copy(), attributes=SimpleNamespace(frameCount=self.frames))

    def stop_acquisition(self) -> bool:
        self.values["Acquisition Status"] = "Idle"
        self.told.append("stop")
        return True
