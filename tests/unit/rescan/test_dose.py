"""The dose ledger, against sums done pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.rescan import DoseLedger
from scanmend.units import ELECTRONS_PER_PA_NS

SHAPE = (12, 16)
FIELD = Field(shape=SHAPE, pixel_size_nm=0.5, beam_current_pa=20.0)

PLANS = {
    "raster": ScanPlan.raster(SHAPE, 1000),
    "raster with dwell times": ScanPlan.raster(SHAPE, np.arange(1, 193)),
    "rectangle": ScanPlan.raster(SHAPE, 700, top=2, left=3, height=4, width=5),
    "grid": ScanPlan.jittered_grid(SHAPE, 900, pitch_px=2.0),
    "spiral, pixels twice": ScanPlan.spiral(SHAPE, 50, pitch_px=1.0, step_px=0.4),
    "points": ScanPlan.point_list(SHAPE, [5, 6, 7], xy=[(0, 0), (0, 0), (15, 11)]),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("pieces", [1, 3])
def test_ledger_sums_what_was_scanned(name: str, pieces: int) -> None:
    plan, ledger = PLANS[name], DoseLedger(FIELD)
    wanted = np.zeros(FIELD.pixels)
    np.add.at(wanted, plan.pixels, plan.dwells_ns)
    edges = np.linspace(0, plan.points, pieces + 1).astype(int)
    for _ in range(2):
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            ledger.add(plan, int(first), int(last))
    at_once = DoseLedger(FIELD)
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        at_once.add(plan, int(first), int(last), 2)
    assert at_once.total_dwell_ns == ledger.total_dwell_ns
    np.testing.assert_array_equal(at_once.dwell_ns, ledger.dwell_ns)
    np.testing.assert_allclose(ledger.dwell_ns, 2 * wanted.reshape(SHAPE))
    electrons = 2 * wanted * 20.0 * ELECTRONS_PER_PA_NS
    assert ledger.spent_e_per_nm2 == pytest.approx(electrons.sum() / FIELD.area_nm2)
    assert ledger.spent_max_e_per_nm2 == pytest.approx(electrons.max() / 0.25)
    assert 2 * ledger.price_e_per_nm2(plan) == pytest.approx(ledger.spent_e_per_nm2)


def test_without_a_current_no_dose_is_told() -> None:
    ledger = DoseLedger(Field(shape=SHAPE, pixel_size_nm=1.0))
    ledger.add(PLANS["grid"], 0, 10)
    for number in (ledger.spent_e_per_nm2, ledger.spent_max_e_per_nm2, ledger.price_e_per_nm2(PLANS["grid"])):
        assert math.isnan(number)
    assert ledger.affordable_dwell_ns == math.inf


@settings(max_examples=300, deadline=None)
@given(
    budget=st.floats(1e-6, 1e12),
    current=st.floats(1e-3, 1e6),
    pixel=st.floats(1e-2, 1e3),
    passes=st.integers(0, 5),
)
def test_what_is_affordable_never_crosses_the_budget(budget: float, current: float, pixel: float, passes: int) -> None:
    field = Field(shape=SHAPE, pixel_size_nm=pixel, beam_current_pa=current)
    ledger = DoseLedger(field, budget)
    for _ in range(passes):
        ledger.add(PLANS["raster"], 0, FIELD.pixels)
    left = ledger.affordable_dwell_ns
    assert left >= 0
    if left > 0:
        assert field.dose_e_per_nm2(ledger.total_dwell_ns + left) <= budget
    else:
        spent = field.dose_e_per_nm2(ledger.total_dwell_ns + 2)
        assert spent is not None
        assert spent >= budget * (1 - 1e-9)


def test_the_dose_of_each_pixel_agrees_with_the_sums() -> None:
    field = Field(shape=(8, 12), pixel_size_nm=2.0, beam_current_pa=30.0)
    ledger = DoseLedger(field)
    assert ledger.dose_e_per_nm2 is not None and not ledger.dose_e_per_nm2.any()
    ledger.add(ScanPlan.raster(field.shape, 500), 0, field.pixels)
    part = ScanPlan.point_list(field.shape, [100, 4000, 100], xy=[[1, 0], [11, 7], [1, 0]])
    ledger.add(part, 0, 3)
    dose = ledger.dose_e_per_nm2
    assert dose is not None and dose.shape == field.shape and dose.dtype == np.float32
    assert float(dose.mean()) == pytest.approx(ledger.spent_e_per_nm2)
    assert float(dose.max()) == float(dose[7, 11]) == pytest.approx(ledger.spent_max_e_per_nm2)
    assert float(dose[0, 1] / dose[0, 0]) == pytest.approx(700 / 500)
    assert DoseLedger(Field(shape=(8, 12), pixel_size_nm=2.0)).dose_e_per_nm2 is None
