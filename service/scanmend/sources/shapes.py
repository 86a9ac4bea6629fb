"""The shapes of virtual detectors on a pixelated one: disk, annular, segments, and centre of mass."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput

Weights = npt.NDArray[np.float32]
"""`(height, width)`: what each pixel of the image counts for."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels that are summed."""

    name: str
    weights: Weights
    """0 and 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Pixels that are summed with their distance from the centre, to one side negative."""

    name: str
    weights: Weights
    """In pixels of the image."""


@dataclass(frozen=True, kw_only=True)
class VirtualDetector:
    """Where on the image, in its pixels; a subclass says which of them."""

    word: ClassVar[str] = ""
    name: str = ""
    """Of its channel; the word where it is empty."""
    cx: float | None = None
    """Column of the centre, 0 the middle of the first pixel; None for the middle of the image."""
    cy: float | None = None
    """Line of the centre."""

    def parts(self, shape: tuple[int, int]) -> list[Region | Moment]:
        """What it sums, one part a channel, for images of `(height, width)` pixels."""
        raise NotImplementedError

    def _polar(self, shape: tuple[int, int]) -> tuple[npt.NDArray[np.float64], ...]:
        """Distance to the right, downwards and straight from the centre."""
        height, width = shape
        cx = (width - 1) / 2 if self.cx is None else self.cx
        cy = (height - 1) / 2 if self.cy is None else self.cy
        dx = np.broadcast_to(np.arange(width) - cx, shape)
        dy = np.broadcast_to((np.arange(height) - cy)[:, None], shape)
        return dx, dy, np.sqrt(np.square(dx[:1]) + np.square(dy[:, :1]))

    @property
    def _called(self) -> str:
        return self.name or self.word


def _check_radii(word: str, inner: float, outer: float) -> None:
    if not 0 <= inner < outer < math.inf:
        raise InvalidInput(
            f"A virtual detector {word} from radius {inner:g} to {outer:g} has no area.",
            mend="Give 0 ≤ inner < outer, in pixels of the image.",
        )


@dataclass(frozen=True, kw_only=True)
class Annular(VirtualDetector):
    """A ring: `inner ≤ radius < outer`."""

    word: ClassVar[str] = "annular"
    inner: float
    outer: float

    def __post_init__(self) -> None:
        _check_radii(self.word, self.inner, self.outer)

    def parts(self, shape: tuple[int, int]) -> list[Region | Moment]:
        """One channel."""
        radius = self._polar(shape)[2]
        return [Region(self._called, _ring(radius, self.inner, self.outer).astype(np.float32))]


@dataclass(frozen=True, kw_only=True)
class Disk(VirtualDetector):
    """A disc: what is nearer than `radius`."""

    word: ClassVar[str] = "disk"
    radius: float

    def __post_init__(self) -> None:
        _check_radii(self.word, 0, self.radius)

    def parts(self, shape: tuple[int, int]) -> list[Region | Moment]:
        """One channel."""
        return [Region(self._called, _ring(self._polar(shape)[2], 0, self.radius).astype(np.float32))]


@dataclass(frozen=True, kw_only=True)
class Segments(VirtualDetector):
    """A ring cut into equal sectors; the first begins at `rotation_deg`, and they go round from right to down."""

    word: ClassVar[str] = "segments"
    inner: float
    outer: float
    count: int = 4
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        _check_radii(self.word, self.inner, self.outer)
        if not 2 <= self.count <= 16:
            raise InvalidInput(f"{self.count} segments are asked for.", mend="Ask for 2 to 16.")

    def parts(self, shape: tuple[int, int]) -> list[Region | Moment]:
        """One channel a segment, with its number behind the name."""
        dx, dy, radius = self._polar(shape)
        turn = (np.degrees(np.arctan2(dy, dx)) - self.rotation_deg) % 360.0
        sector = np.minimum((turn * self.count / 360.0).astype(int), self.count - 1)
        ring = _ring(radius, self.inner, self.outer)
        return [
            Region(f"{self._called}_{number}", (ring & (sector == number)).astype(np.float32))
            for number in range(self.count)
        ]


@dataclass(frozen=True, kw_only=True)
class CentreOfMass(VirtualDetector):
    """First moments along x and y about the centre, in units of the camera times pixels.

    They are not divided by the sum: that has no answer for an image without an electron, and is biased where there are
    few. Whoever wants pixels divides by a disk of the same radius, best after restoration or summing.
    """

    word: ClassVar[str] = "com"
    radius: float

    def __post_init__(self) -> None:
        _check_radii(self.word, 0, self.radius)

    def parts(self, shape: tuple[int, int]) -> list[Region | Moment]:
        """Two channels: `com_x`, positive to the right, and `com_y`, positive downwards."""
        dx, dy, radius = self._polar(shape)
        inside = _ring(radius, 0, self.radius)
        return [
            Moment(f"{self._called}_{axis}", np.where(inside, away, 0.0).astype(np.float32))
            for axis, away in (("x", dx), ("y", dy))
        ]


KINDS: dict[str, type[VirtualDetector]] = {kind.word: kind for kind in (Disk, Annular, Segments, CentreOfMass)}
"""By the word that they are written with."""


def parse_detector(text: str) -> VirtualDetector:
    """Read a detector written as `kind:key=number,key=number`, for example `annular:inner=20,outer=60,name=HAADF`.

    Raises:
        InvalidInput: Another kind or key, or a value that cannot be.
    """
    word, _, rest = text.partition(":")
    if word not in KINDS:
        raise InvalidInput(f"{word!r} is no virtual detector.", mend=f"Use {', '.join(KINDS)}.")
    kind = KINDS[word]
    keys = [field.name for field in fields(kind)]
    values: dict[str, object] = {}
    for pair in filter(None, rest.split(",")):
        key, _, value = pair.partition("=")
        if key not in keys:
            raise InvalidInput(f"The virtual detector {word} has no {key!r}.", mend=f"It has {', '.join(keys)}.")
        try:
            values[key] = value if key == "name" else int(value) if key == "count" else float(value)
        except ValueError as error:
            raise InvalidInput(
                f"{pair!r} is no number.", mend=f"Write {key}=number, in pixels of the image."
            ) from error
    try:
        return kind(**values)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidInput(f"{text!r} is not complete.", mend=f"It needs numbers for {', '.join(keys[3:])}.") from error


def _ring(radius: npt.NDArray[np.float64], inner: float, outer: float) -> npt.NDArray[np.bool_]:
    return (radius >= inner) & (radius < outer)
