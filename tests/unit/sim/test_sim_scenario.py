"""Scenarios: all that ship load and scan; mistakes are explained."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.field import DetectorKind
from scanmend_sim.faults import Fault
from scanmend_sim.scenario import Scenario, load_scenario, parse_scenario, scenario_names
from scanmend_sim.scenario_tables import Mode
from scanmend_sim.specimens import load_specimen

SMALL = """
name = "small"
about = "For tests."
specimen = "porous"
[field]
shape = [32, 40]
beam_current_pa = 5.0
[[plans]]
pattern = "raster"
dwell_ns = 1000
"""


def test_the_promised_scenarios_are_there() -> None:
    assert scenario_names() == ["adaptive", "burst", "detectors", "fading", "flaky", "low_dose", "quiet", "sparse"]


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_scans(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    small = msgspec.structs.replace(scenario, field=msgspec.structs.replace(scenario.field, shape=(64, 64)))
    scope = small.microscope(load_specimen("porous:seed=1"))
    for index in range(len(small.plans) + 1):
        plan = scope.prepare(small.plan(index))
        samples = scope.run(plan, index)
        assert samples.shape == (len(small.detectors), plan.points)
        assert samples.std() > 0
    assert scope.dose().mean_e_per_nm2 > 0


def test_low_dose_is_about_three_counts_a_pixel() -> None:
    scope = load_scenario("low_dose").microscope(load_specimen("fibres"))
    assert 1.5 < scope.truth_electrons(250).mean() < 6


def test_sparse_visits_a_twentieth_and_another_one_each_time() -> None:
    scenario = load_scenario("sparse")
    first, second = scenario.plan(0), scenario.plan(1)
    assert first.coverage == pytest.approx(0.05, rel=0.02)
    assert not np.array_equal(first.pixels, second.pixels)


def test_adaptive_adds_up_within_its_budget() -> None:
    scenario = load_scenario("adaptive")
    scope = scenario.microscope(load_specimen("nanoparticles"))
    assert scenario.mode is Mode.EXPOSURE
    assert scenario.rescan is not None
    assert scenario.rescan.policy == "auto"
    assert all(table.chunk_points for table in scenario.plans)
    for index in range(len(scenario.plans)):
        scope.run(scope.prepare(scenario.plan(index)), index)
    budget = scenario.dose_budget_e_per_nm2(scope.field)
    assert budget is not None
    assert scope.dose().mean_e_per_nm2 < 0.5 * budget, "something is left for proposals"


def test_flaky_has_every_fault_and_an_analogue_detector() -> None:
    scenario = load_scenario("flaky")
    rates = scenario.faults.rates()
    assert all(rates.share(fault) > 0 for fault in Fault)
    assert scenario.detectors[0].kind is DetectorKind.ANALOGUE


def test_the_pixel_size_follows_the_specimen_unless_it_is_given() -> None:
    scenario = parse_scenario(SMALL)
    assert scenario.microscope().field.pixel_size_nm == 2.0
    assert scenario.microscope(load_specimen("lattice")).field.pixel_size_nm == 0.025
    fixed = parse_scenario(SMALL.replace("beam_current_pa", "pixel_size_nm = 0.7\nbeam_current_pa"))
    assert fixed.microscope().field.pixel_size_nm == 0.7


def test_lengths_in_pixels_become_nanometres() -> None:
    scenario = parse_scenario(SMALL + "[column]\nprobe_fwhm_px = 3.0\nwalk_px_per_sqrt_s = 2.0\nhum_hz = 60.0\n")
    column = scenario.microscope().column
    assert (column.probe_fwhm_nm, column.walk_nm_per_sqrt_s) == (6.0, 4.0)
    assert (column.hum_hz, column.drift_limit_px) == (60.0, 24.0)


def test_a_hidden_gain_is_hidden_from_the_service_only() -> None:
    scenario = parse_scenario(SMALL + '[[detectors]]\nname = "SE"\nunits_per_electron = 6.0\ngain_known = false\n')
    (detector,) = scenario.microscope().detectors
    assert detector.channel.units_per_electron is None
    assert detector.gain == 6.0


def test_a_scenario_is_frozen() -> None:
    with pytest.raises(AttributeError):
        parse_scenario(SMALL).seed = 3  # type: ignore[misc]


def test_a_scenario_can_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    assert isinstance(load_scenario(path), Scenario)


MISTAKES = {
    "unknown key": (
        SMALL.replace("beam_current_pa", "beam_curent_pa"),
        "beam_curent_pa",
        "Did you mean beam_current_pa",
    ),
    "unknown table": (SMALL + "[colunm]\n", "colunm", "Did you mean column"),
    "nonsense key": (SMALL + "[column]\nzzz = 1\n", "zzz", "docs/simulator.md"),
    "not TOML": ("name =", "not TOML", "line"),
    "wrong type": (SMALL.replace("5.0", '"five"'), "beam_current_pa", "kind"),
    "negative current": (SMALL.replace("5.0", "-5.0"), "beam_current_pa", "range"),
    "no plan": (SMALL.split("[[plans]]")[0], "plans", "kind"),
    "unknown pattern": (SMALL.replace("raster", "zigzag"), "zigzag", "kind"),
    "no pitch": (SMALL.replace("raster", "spiral"), "needs pitch_px", "pitch_px"),
    "three sides": (SMALL.replace("[32, 40]", "[32, 40, 3]"), "shape", "kind"),
    "too many faults": (SMALL + "[faults]\ndrop = 0.7\ndelay = 0.7\n", "fault rates", "sum"),
    "rescan of frames": (SMALL + '[rescan]\npolicy = "uncertainty"\nbudget_e_per_px = 9.0\n', "rescan", "exposure"),
    "mixed dtypes": (SMALL + '[[detectors]]\n[[detectors]]\nname = "B"\ndtype = "uint8"\n', "dtypes", "same"),
    "bad dtype": (SMALL + '[[detectors]]\ndtype = "uint12"\n', "uint12", "uint16"),
    "pool of two": ("pool = 3\npasses_per_specimen = 4\n" + SMALL, "pool", "pool = 0"),
}


@pytest.mark.parametrize(("text", "message", "mend"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_explained(text: str, message: str, mend: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        parse_scenario(text)
    assert mend in error.value.mend


@pytest.mark.parametrize("name", ["loud", "nowhere.toml"])
def test_a_scenario_that_is_not_there_is_explained(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        load_scenario(name)
    assert error.value.mend
