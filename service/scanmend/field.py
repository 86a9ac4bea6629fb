"""The area being imaged, the detectors that look at it, and what the instrument can do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from scanmend.errors import InvalidInput
from scanmend.units import dose_e_per_nm2

MAX_SIDE_PX = 65_536
"""Largest number of pixels on a side; keeps every pixel index of a field inside 32 bits."""

MAX_FIELD_PX = 1 << 28
"""Largest number of pixels of a field (16384 × 16384), so that sizes are bounded before anything is allocated."""

MAX_CHANNELS = 16
"""Most detector signals in one frame."""

SAMPLE_DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32")
"""Sample types that a frame may carry, all little-endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The area being imaged.

    Raises:
        InvalidInput: A size, pixel size, current or energy that no microscope has.
    """

    shape: tuple[int, int]
    """Grid `(ny, nx)` in pixels."""

    pixel_size_nm: float
    """Side of a square pixel in nanometres."""

    rotation_deg: float = 0.0
    """Angle from the stage's x axis to the scan's x axis, in degrees, anticlockwise."""

    beam_current_pa: float | None = None
    """Beam current in picoampere; None where it is not known, and then no dose can be given."""

    beam_energy_kev: float | None = None
    """Beam energy in kiloelectronvolt; None where it is not known."""

    def __post_init__(self) -> None:
        ny, nx = self.shape
        if not (1 <= ny <= MAX_SIDE_PX and 1 <= nx <= MAX_SIDE_PX and ny * nx <= MAX_FIELD_PX):
            raise InvalidInput(
                f"A field of {ny} × {nx} pixels is outside 1 to {MAX_SIDE_PX} a side and {MAX_FIELD_PX} in all.",
                mend="Give shape as (ny, nx), and split a larger area into several fields.",
            )
        if not (math.isfinite(self.pixel_size_nm) and self.pixel_size_nm > 0):
            raise InvalidInput(
                f"A pixel size of {self.pixel_size_nm} nm is not a length.",
                mend="Give pixel_size_nm as a positive number of nanometres.",
            )
        if not math.isfinite(self.rotation_deg):
            raise InvalidInput("The scan rotation is not a finite number.", mend="Give rotation_deg in degrees.")
        for name, value in (
            ("beam_current_pa", self.beam_current_pa),
            ("beam_energy_kev", self.beam_energy_kev),
        ):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InvalidInput(
                    f"{name} is {value}, which is not a positive number.",
                    mend=f"Give {name} as a positive number, or None where it is not known.",
                )

    @property
    def pixels(self) -> int:
        """Number of pixels of the grid."""
        return self.shape[0] * self.shape[1]

    @property
    def area_nm2(self) -> float:
        """Area of the field in square nanometres."""
        return self.pixels * self.pixel_size_nm**2

    def dose_e_per_nm2(self, dwell_ns: float) -> float | None:
        """Dose averaged over the field that a summed dwell puts on it.

        Args:
            dwell_ns: Dwell summed over all points, in nanoseconds.

        Returns:
            Electrons per square nanometre, or None where the beam current is not known.
        """
        if self.beam_current_pa is None:
            return None
        return dose_e_per_nm2(self.beam_current_pa, dwell_ns, self.area_nm2)


class DetectorKind(StrEnum):
    """How a detector's value depends on the dwell."""

    COUNTING = "counting"
    """The value is a sum over the dwell: twice the dwell gives twice the value."""

    ANALOGUE = "analogue"
    """The value is a level averaged over the dwell: twice the dwell gives the same level with less noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One detector signal and how its values become electrons.

    A sample `v` stands for `(v - offset_units) / units_per_electron` electrons: of the whole dwell for a
    counting detector; of `reference_dwell_ns` for an analogue one, whose values are levels.

    Raises:
        InvalidInput: A name, dtype or calibration that cannot be used.
    """

    name: str
    """Name of the signal, for example HAADF, BF or SE."""

    dtype: str = "uint16"
    """Type of a sample, one of `SAMPLE_DTYPES`, little-endian on the wire."""

    kind: DetectorKind = DetectorKind.COUNTING
    """Whether values are sums or levels."""

    units_per_electron: float | None = 1.0
    """Gain: detector units per electron; 1 for counts, None where it is not known."""

    offset_units: float = 0.0
    """Value that the detector gives without any electron."""

    read_noise_units: float = 0.0
    """Standard deviation of the noise added to each sample, in detector units."""

    saturation_units: float | None = None
    """Value at and above which the detector is saturated; None where it is not known."""

    reference_dwell_ns: int = 1000
    """For an analogue detector, the dwell in nanoseconds to which `units_per_electron` refers."""

    def __post_init__(self) -> None:
        if not self.name or len(self.name.encode()) > 64:
            raise InvalidInput(
                "A channel needs a name of 1 to 64 bytes.", mend="Call it after its detector: HAADF, BF, SE."
            )
        if self.dtype not in SAMPLE_DTYPES:
            raise InvalidInput(
                f"Channel {self.name} has dtype {self.dtype!r}.",
                mend=f"Use one of {', '.join(SAMPLE_DTYPES)}.",
            )
        gain = self.units_per_electron
        if gain is not None and not (math.isfinite(gain) and gain > 0):
            raise InvalidInput(
                f"Channel {self.name} has a gain of {gain} units per electron.",
                mend="Give a positive gain, or None where it is not known.",
            )
        if not math.isfinite(self.offset_units):
            raise InvalidInput(
                f"Channel {self.name} has an offset that is not finite.",
                mend="Give offset_units as a number.",
            )
        if not (math.isfinite(self.read_noise_units) and self.read_noise_units >= 0):
            raise InvalidInput(
                f"Channel {self.name} has a read noise of {self.read_noise_units}.",
                mend="Give read_noise_units as a standard deviation of 0 or more.",
            )
        if self.reference_dwell_ns < 1:
            raise InvalidInput(
                f"Channel {self.name} has a reference dwell of {self.reference_dwell_ns} ns.",
                mend="Give reference_dwell_ns as a positive number of nanoseconds.",
            )

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The dtype of a sample, little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an instrument's scan generator can run; proposals are planned within it."""

    points: bool = True
    """It can visit an arbitrary ordered list of points."""

    dwell_per_point: bool = True
    """Each point can have a dwell of its own; each run, where it runs segments only."""

    dwell_quantum_ns: int = 1
    """Dwell times are multiples of this."""

    min_dwell_ns: int = 1
    """Shortest dwell in nanoseconds."""

    max_dwell_ns: int = 1_000_000_000
    """Longest dwell in nanoseconds."""

    max_points: int = MAX_FIELD_PX
    """Most points that one plan may have."""

    blanking: bool = False
    """The beam can be blanked between points."""

    settle_ns: int = 0
    """Time the beam needs to settle after a jump, in nanoseconds."""

    command_ns: int = 0
    """Time that one plan costs before its first sample, in nanoseconds."""

    segments: bool = False
    """It can run a list of horizontal runs, each with one dwell; matters where `points` is False."""

    rectangles: bool = False
    """It can run a raster of any one rectangle of the field; the whole field it can always run."""

    segment_ns: int = 0
    """Time that each run of neighbouring pixels along a line costs besides dwell and settling, in nanoseconds: a
    command of the device. A raster or serpentine is one block, which costs it once."""

    flyback_ns: int = 0
    """Extra time of a move of more than half the field's width, in nanoseconds."""

    def __post_init__(self) -> None:
        if not (1 <= self.min_dwell_ns <= self.max_dwell_ns and self.dwell_quantum_ns >= 1 and self.max_points >= 1):
            raise InvalidInput(
                "The instrument's limits contradict each other.",
                mend="Give 1 ≤ min_dwell_ns ≤ max_dwell_ns, dwell_quantum_ns ≥ 1 and max_points ≥ 1.",
            )
        for name in ("settle_ns", "command_ns", "segment_ns", "flyback_ns"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", mend="Give a time of 0 ns or more.")
