"""Scenarios: a specimen, a column, detectors, plans and faults under one name, read from a TOML file."""

from __future__ import annotations

import difflib
import importlib.resources
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from scanmend.errors import InvalidInput
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend_sim.microscope import Microscope
from scanmend_sim.scenario_tables import (
    ColumnTable,
    Count,
    DamageTable,
    DetectorTable,
    FaultsTable,
    FieldTable,
    GeneratorTable,
    Mode,
    PlanTable,
    RescanTable,
    Table,
)
from scanmend_sim.specimens import Specimen, load_specimen

DEFAULT_PIXEL_SIZE_NM = 1.0
"""Of pictures from files, whose pixel size is not known."""


class Scenario(Table, frozen=True):
    """What the simulated microscope does."""

    name: str
    """Short name."""
    about: str
    """One sentence."""
    field: FieldTable
    plans: Annotated[tuple[PlanTable, ...], Meta(min_length=1)]
    """Run in turn; in mode exposure each once, before proposals are obeyed."""
    specimen: str = "auto"
    """As `scanmend_sim.specimens.load_specimen` takes it."""
    passes_per_specimen: Count = 0
    """Move to another place or picture after so many passes, in mode frames; 0 stays."""
    mode: Mode = Mode.FRAMES
    frames: Count = 0
    """Passes of a session, executed proposals not counted; 0 goes on until stopped. Exposure: all plans once."""
    rate: Annotated[float, Meta(gt=0)] | Literal["max", "realtime"] = "realtime"
    """Passes a second, as fast as the beam would be (`realtime`), or as fast as it can (`max`)."""
    pool: Count = 0
    """Passes made beforehand and sent in turn, for bursts; 0 scans each."""
    record: bool = True
    """Whether the service is to record the frames."""
    seed: Count = 0
    """Of noise, motion and faults."""
    column: ColumnTable = ColumnTable()
    detectors: Annotated[tuple[DetectorTable, ...], Meta(min_length=1, max_length=16)] = (DetectorTable(),)
    generator: GeneratorTable = GeneratorTable()
    damage: DamageTable | None = None
    """How the specimen fades; none that bears everything."""
    rescan: RescanTable | None = None
    faults: FaultsTable = FaultsTable()

    def check(self) -> None:
        """Build everything but the specimen once, so that a wrong value is found before the beam is on.

        Raises:
            InvalidInput: A value that cannot be used, or values that contradict each other.
        """
        field = self.field_for(DEFAULT_PIXEL_SIZE_NM)
        self.column.column(DEFAULT_PIXEL_SIZE_NM)
        self.faults.rates()
        if len({detector.detector().channel.dtype for detector in self.detectors}) > 1:
            raise InvalidInput("The detectors have different dtypes.", mend="A frame has one: give all the same.")
        generator = self.generator.generator()
        for table in self.plans:
            generator.prepare(table.plan(field.shape))
        if self.rescan is not None and self.mode is not Mode.EXPOSURE:
            raise InvalidInput(
                "A rescan adds to an exposure, and this scenario's passes are pictures of their own.",
                mend='Set mode = "exposure", or leave out [rescan].',
            )
        if self.pool and (self.mode is Mode.EXPOSURE or self.passes_per_specimen or len(self.plans) > 1):
            raise InvalidInput(
                "A pool of passes fits one plan on one specimen in mode frames only.", mend="Set pool = 0."
            )

    def field_for(self, natural_pixel_size_nm: float | None) -> Field:
        """Give the field, with the specimen's natural pixel size where the scenario names none."""
        return Field(
            shape=self.field.shape,
            pixel_size_nm=self.field.pixel_size_nm or natural_pixel_size_nm or DEFAULT_PIXEL_SIZE_NM,
            beam_current_pa=self.field.beam_current_pa,
            beam_energy_kev=self.field.beam_energy_kev,
        )

    def plan(self, pass_index: int) -> ScanPlan:
        """Make the plan of a pass; the plans are run in turn. Raises as `PlanTable.plan` does."""
        use, which = divmod(pass_index, len(self.plans))
        return self.plans[which].plan(self.field.shape, use)

    def chunk_points(self, pass_index: int) -> int:
        """Give the points of a frame of a pass; 0 for all."""
        return self.plans[pass_index % len(self.plans)].chunk_points

    def microscope(self, specimen: Specimen | None = None) -> Microscope:
        """Build the microscope.

        Args:
            specimen: In place of the scenario's own.

        Raises:
            InvalidInput: The specimen cannot be found or drawn.
        """
        specimen = specimen or load_specimen(self.specimen)
        field = self.field_for(specimen.natural_pixel_size_nm)
        return Microscope(
            specimen,
            field,
            column=self.column.column(field.pixel_size_nm),
            detectors=tuple(table.detector() for table in self.detectors),
            generator=self.generator.generator(),
            damage=None if self.damage is None else self.damage.damage(field.pixel_size_nm),
            seed=self.seed,
        )

    def dose_budget_e_per_nm2(self, field: Field) -> float | None:
        """Give the rescan budget as a dose averaged over the field, or None without rescans."""
        return None if self.rescan is None else self.rescan.budget_e_per_px / field.pixel_size_nm**2

    def pixel_dose_budget_e_per_nm2(self, field: Field) -> float | None:
        """Give the largest dose of any pixel, or None where there is no limit."""
        most = None if self.rescan is None else self.rescan.pixel_budget_e_per_px
        return None if most is None else most / field.pixel_size_nm**2


def scenario_names() -> list[str]:
    """Names of the scenarios that come with the simulator."""
    folder = importlib.resources.files("scanmend_sim") / "scenarios"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read and check a scenario.

    Args:
        name_or_path: One of `scenario_names`, or the path of a TOML file.

    Raises:
        InvalidInput: No such scenario, a file that is not TOML, an unknown key, or a value that cannot be used.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The scenario {path} cannot be read: {error}", mend="Check the path.") from error
    elif str(name_or_path) in scenario_names():
        packaged = importlib.resources.files("scanmend_sim") / "scenarios" / f"{name_or_path}.toml"
        text = packaged.read_text(encoding="utf-8")
    else:
        raise InvalidInput(
            f"There is no scenario {str(name_or_path)!r}.",
            mend=f"Use the path of a .toml file, or one of: {', '.join(scenario_names())}.",
        )
    return parse_scenario(text, where=str(name_or_path))


def parse_scenario(text: str, *, where: str = "scenario") -> Scenario:
    """Read and check a scenario's text.

    Args:
        text: TOML.
        where: What to call it in errors.

    Raises:
        InvalidInput: As for `load_scenario`.
    """
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where} is not TOML: {error}", mend="Mend the line that it names.") from error
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{where}: {error}.", mend=_hint(str(error))) from error
    scenario.check()
    return scenario


def _hint(message: str) -> str:
    if "unknown field" not in message:
        return "Give a value of that kind and range."
    key = message.split("`")[1]
    tables = (Scenario, FieldTable, ColumnTable, DetectorTable, GeneratorTable, PlanTable, RescanTable, FaultsTable)
    known = sorted({name for table in tables for name in table.__struct_fields__})
    close = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {close[0]}?" if close else "Remove it; docs/simulator.md lists the keys."
