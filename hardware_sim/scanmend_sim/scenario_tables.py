"""The tables of a scenario file, each checked as it is read.

Lengths are in pixels, because a scenario does not know its specimen's pixel size beforehand.
"""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Channel, DetectorKind
from scanmend.plan import JitteredGrid, Order, Pattern, RandomPixels, Raster, ScanPlan, Serpentine, Spiral
from scanmend.target import Target
from scanmend_sim.column import Column
from scanmend_sim.damage import Damage
from scanmend_sim.detector import Detector, Sees
from scanmend_sim.faults import FaultRates
from scanmend_sim.scan_generator import DEFAULT_CAPABILITIES, ScanGenerator

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Dwell = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]


class Mode(StrEnum):
    """What a pass is to its session."""

    FRAMES = "frames"
    """A picture of its own."""
    EXPOSURE = "exposure"
    """One more look at the same field; passes add up."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario; a key that it does not know is an error."""


class FieldTable(Table, frozen=True):
    """`[field]`."""

    shape: tuple[Annotated[int, Meta(ge=1)], Annotated[int, Meta(ge=1)]]
    """Grid `[ny, nx]` in pixels."""
    beam_current_pa: Positive
    """Beam current in picoampere."""
    beam_energy_kev: Positive = 200.0
    """Beam energy in kiloelectronvolt."""
    pixel_size_nm: Positive | None = None
    """Pixel size; without it, the one that shows the specimen well, or 1 nm for a file."""


class ColumnTable(Table, frozen=True):
    """`[column]`: as `scanmend_sim.column.Column`, with lengths in pixels."""

    probe_fwhm_px: float = 0.0
    tail_share: float = 0.0
    tail_fwhm_px: float = 0.0
    drift_x_px_per_s: float = 0.0
    drift_y_px_per_s: float = 0.0
    walk_px_per_sqrt_s: float = 0.0
    drift_limit_px: float = 24.0
    jitter_px: float = 0.0
    jitter_period_us: float = 200.0
    hum_px: float = 0.0
    hum_hz: float = 50.0
    settle_time_us: float = 0.0
    flicker: float = 0.0

    def column(self, pixel_size_nm: float) -> Column:
        """Give the column, in nanometres."""
        values = {}
        for item in fields(Column):
            in_pixels = item.name.replace("_nm", "_px")
            scale = pixel_size_nm if in_pixels != item.name else 1.0
            values[item.name] = scale * getattr(self, in_pixels)
        return Column(**values)


class DetectorTable(Table, frozen=True):
    """`[[detectors]]`: as `scanmend.field.Channel` and `scanmend_sim.detector.Detector`."""

    name: str = "HAADF"
    dtype: str = "uint16"
    kind: DetectorKind = DetectorKind.COUNTING
    units_per_electron: Positive = 1.0
    """The true gain."""
    gain_known: bool = True
    """Whether the service is told the gain."""
    offset_units: float = 0.0
    read_noise_units: float = 0.0
    saturation_units: float | None = None
    reference_dwell_ns: Dwell = 1000
    efficiency: Share = 1.0
    sees: Sees = Sees.SCATTERED

    def detector(self) -> Detector:
        """Give the detector."""
        channel = Channel(
            name=self.name,
            dtype=self.dtype,
            kind=self.kind,
            units_per_electron=self.units_per_electron if self.gain_known else None,
            offset_units=self.offset_units,
            read_noise_units=self.read_noise_units,
            saturation_units=self.saturation_units,
            reference_dwell_ns=self.reference_dwell_ns,
        )
        return Detector(channel=channel, efficiency=self.efficiency, true_gain=self.units_per_electron, sees=self.sees)


class GeneratorTable(Table, frozen=True):
    """`[generator]`: the scan electronics, as `scanmend.field.Capabilities`; the client announces them all."""

    dwell_quantum_ns: Dwell = DEFAULT_CAPABILITIES.dwell_quantum_ns
    min_dwell_ns: Dwell = DEFAULT_CAPABILITIES.min_dwell_ns
    max_dwell_ns: Dwell = DEFAULT_CAPABILITIES.max_dwell_ns
    max_points: Annotated[int, Meta(ge=1)] = DEFAULT_CAPABILITIES.max_points
    points: bool = True
    segments: bool = False
    rectangles: bool = False
    dwell_per_point: bool = True
    blanking: bool = True
    settle_ns: Count = 0
    command_ns: Count = 0
    segment_ns: Count = 0
    flyback_ns: Count = 0

    def generator(self) -> ScanGenerator:
        """Give the scan generator."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return ScanGenerator(capabilities=Capabilities(**values))


class PlanTable(Table, frozen=True):
    """`[[plans]]`: one plan; a session runs them in turn."""

    pattern: Literal["raster", "serpentine", "jittered_grid", "random", "spiral"]
    dwell_ns: Dwell
    """Dwell at each point in nanoseconds."""
    pitch_px: Positive | None = None
    """Of a jittered grid: side of a cell. Of a spiral: distance of its turns."""
    step_px: Positive | None = None
    """Of a spiral: distance of points along the arm."""
    coverage: Share | None = None
    """Of random pixels: share of the field."""
    order: Order = Order.RASTER
    """Of a jittered grid or random pixels: order of the visit."""
    seed: Count = 0
    """Of a jittered grid or random pixels."""
    seed_step: Count = 0
    """How much the seed grows from one use of this plan to the next."""
    blank_between: bool = False
    """Whether the beam is blanked on its way between points that are not neighbours."""
    chunk_points: Count = 0
    """Points of a frame; 0 sends a whole pass as one frame."""

    def plan(self, shape: tuple[int, int], use: int = 0) -> ScanPlan:
        """Make the plan.

        Args:
            shape: The field's `(ny, nx)`.
            use: How often this plan has been used before; moves the seed on by `seed_step` each.

        Raises:
            PlanError: Values that make no plan.
            InvalidInput: A value that the pattern needs is missing.
        """
        pattern = self._pattern(shape, self.seed + use * self.seed_step)
        return ScanPlan.of(shape, pattern, self.dwell_ns, blank_between=self.blank_between)

    def _pattern(self, shape: tuple[int, int], seed: int) -> Pattern:
        match self.pattern:
            case "raster":
                return Raster()
            case "serpentine":
                return Serpentine()
            case "jittered_grid":
                return JitteredGrid(pitch_px=self._needed("pitch_px", self.pitch_px), seed=seed, order=self.order)
            case "random":
                count = max(1, round(self._needed("coverage", self.coverage) * shape[0] * shape[1]))
                return RandomPixels(count=count, seed=seed, order=self.order)
            case "spiral":
                return Spiral(pitch_px=self._needed("pitch_px", self.pitch_px), step_px=self.step_px or 1.0)

    def _needed(self, key: str, value: float | None) -> float:
        if value is None:
            raise InvalidInput(f"A plan of pattern {self.pattern} needs {key}.", mend=f"Add {key} to the plan.")
        return value


class DamageTable(Table, frozen=True):
    """`[damage]`: as `scanmend_sim.damage.Damage`, with doses a pixel."""

    critical_dose_e_per_px: Positive
    """Electrons on a pixel at which what can fade has faded to 1/e."""
    remaining: Share = 0.0
    hits: Literal["all", "bright", "dark"] = "all"

    def damage(self, pixel_size_nm: float) -> Damage:
        """Give the damage, in electrons per square nanometre."""
        critical = self.critical_dose_e_per_px / pixel_size_nm**2
        return Damage(critical_dose_e_per_nm2=critical, remaining=self.remaining, hits=self.hits)


class RescanTable(Table, frozen=True):
    """`[rescan]`: whether and how the service may ask for more."""

    policy: str
    """Name of the policy, for example uncertainty."""
    budget_e_per_px: Positive
    """Largest mean dose of the session in electrons a pixel, first passes included."""
    max_proposals: Annotated[int, Meta(ge=1)] = 64
    """Most proposals that are executed in a session."""
    pixel_budget_e_per_px: Positive | None = None
    """Largest dose of any pixel in electrons, first passes included; none for no limit."""
    target_sigma: Positive | None = None
    """Standard deviation to reach, as a share of the picture's range."""
    quantile: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Share of the pixels that must reach it; none for their root mean square."""
    min_gain: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Least share by which a pass must be expected to lower sigma."""

    def target(self) -> Target:
        """Give when it is enough, as the service is told."""
        return Target(sigma_of_range=self.target_sigma, quantile=self.quantile, min_gain=self.min_gain)


class FaultsTable(Table, frozen=True):
    """`[faults]`: shares of all outgoing frames; see `scanmend_sim.faults`."""

    drop: Share = 0.0
    delay: Share = 0.0
    reorder: Share = 0.0
    truncate: Share = 0.0
    duplicate: Share = 0.0
    garbage: Share = 0.0
    wrong_dtype: Share = 0.0
    delay_ms: Annotated[float, Meta(ge=0)] = 50.0

    def rates(self) -> FaultRates:
        """Give the rates."""
        return FaultRates(**{name: getattr(self, name) for name in self.__struct_fields__})
