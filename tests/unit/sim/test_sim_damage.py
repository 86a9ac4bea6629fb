"""The beam takes from the specimen what first-order kinetics say, and the books know how much."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend_sim.damage import Damage
from scanmend_sim.detector import Detector
from scanmend_sim.microscope import Microscope
from scanmend_sim.scenario import Scenario, load_scenario
from scanmend_sim.specimens import load_specimen

SHAPE = (48, 64)
FIELD = Field(shape=SHAPE, pixel_size_nm=2.0, beam_current_pa=50.0)
SPECIMEN = load_specimen("nanoparticles:seed=1")
WIDE = Detector(channel=Channel(name="HAADF", dtype="uint32"))
RASTER = ScanPlan.raster(SHAPE, 1_000_000)


def dose_of(plan: ScanPlan) -> float:
    return Microscope(SPECIMEN, FIELD).dose_after(plan)


def scope(damage: Damage | None) -> Microscope:
    return Microscope(SPECIMEN, FIELD, detectors=WIDE, damage=damage, seed=3)


@pytest.mark.parametrize("hits", ["all", "bright", "dark"])
def test_a_dwell_sees_the_mean_of_what_is_left_during_it(hits: str) -> None:
    damage = Damage(critical_dose_e_per_nm2=7.0, remaining=0.2, hits=hits)
    signal = np.array([0.0, 0.25, 1.0])
    steps = np.linspace(3.0, 8.0, 20_001)
    wanted = np.mean([damage.left(signal, dose) for dose in steps], axis=0)
    np.testing.assert_allclose(damage.left(signal, 3.0, 5.0), wanted, rtol=1e-5)
    np.testing.assert_allclose(damage.left(signal, 3.0, 1e-9), damage.left(signal, 3.0), rtol=1e-9)
    np.testing.assert_allclose(damage.left(signal, 0.0), 1.0)
    np.testing.assert_allclose(damage.left(np.array([0.5]), 1e9), 0.2)


def test_passes_fade_as_their_dose_grows() -> None:
    per_pass = dose_of(RASTER)
    faded = scope(Damage(critical_dose_e_per_nm2=2 * per_pass, remaining=0.1))
    counts = [float(faded.run(RASTER, index).sum(dtype=np.float64)) for index in range(4)]
    whole = float(scope(None).run(RASTER).sum(dtype=np.float64))
    for index, count in enumerate(counts):
        mean = 2 * (np.exp(-index / 2) - np.exp(-(index + 1) / 2))
        assert count / whole == pytest.approx(0.1 + 0.9 * mean, rel=0.01)
    lost = faded.dose().signal_lost
    assert lost == pytest.approx(0.9 * (1 - np.exp(-2)), rel=1e-6)
    assert scope(None).dose().signal_lost == 0


def test_only_where_the_beam_was() -> None:
    damaged = scope(Damage(critical_dose_e_per_nm2=1e-3))
    half = ScanPlan.raster(SHAPE, 1_000_000, top=0, left=0, height=SHAPE[0], width=SHAPE[1] // 2)
    damaged.run(half)
    again = damaged.run(RASTER, 1)[0].reshape(SHAPE)
    fresh = scope(None).run(RASTER, 1)[0].reshape(SHAPE)
    assert again[:, : SHAPE[1] // 2].sum() < 0.01 * fresh[:, : SHAPE[1] // 2].sum()
    assert 0 < damaged.dose().signal_lost <= 1


def test_another_place_is_as_yet_undamaged_and_the_truth_is_what_it_was() -> None:
    damaged = scope(Damage(critical_dose_e_per_nm2=dose_of(RASTER) / 3))
    before = damaged.truth().copy()
    first = damaged.run(RASTER)
    assert damaged.dose().signal_lost > 0.9
    np.testing.assert_array_equal(damaged.truth(), before)
    damaged.insert(SPECIMEN)
    assert damaged.dose().signal_lost == 0
    assert damaged.run(RASTER, 1).sum() == pytest.approx(float(first.sum()), rel=0.01)


def test_chunks_of_a_pass_are_the_pass() -> None:
    one, parts = (scope(Damage(critical_dose_e_per_nm2=dose_of(RASTER))) for _ in range(2))
    whole = one.run(RASTER)[0]
    pieces = [parts.run(RASTER, 0, first, 1024)[0] for first in range(0, RASTER.points, 1024)]
    assert np.concatenate(pieces).sum() == pytest.approx(float(whole.sum()), rel=0.005)
    assert one.dose().signal_lost == pytest.approx(parts.dose().signal_lost)


@pytest.mark.parametrize(("critical", "remaining"), [(0.0, 0.5), (float("nan"), 0.5), (1.0, 1.5)])
def test_what_cannot_be_is_refused(critical: float, remaining: float) -> None:
    with pytest.raises(InvalidInput):
        Damage(critical_dose_e_per_nm2=critical, remaining=remaining)


def test_a_scenario_may_be_fragile(tmp_path) -> None:
    path = tmp_path / "fragile.toml"
    path.write_text(
        'name = "fragile"\nabout = "Fades."\n[field]\nshape = [32, 32]\nbeam_current_pa = 10.0\npixel_size_nm = 0.5\n'
        '[damage]\ncritical_dose_e_per_px = 5.0\nhits = "dark"\n[[plans]]\npattern = "raster"\ndwell_ns = 1000\n'
    )
    scenario: Scenario = load_scenario(path)
    damage = scenario.microscope(SPECIMEN).damage
    assert damage == Damage(critical_dose_e_per_nm2=20.0, hits="dark")
    path.write_text(path.read_text().replace("5.0\nhits", "-5.0\nhits"))
    with pytest.raises(InvalidInput):
        load_scenario(path)
