"""Constants and conversions between beam current, dwell and dose.

Dose is counted in electrons per square nanometre of the field (e/nm²), the usual unit for beam-sensitive
samples; one electron per square ångström is 100 e/nm².
"""

from __future__ import annotations

ELEMENTARY_CHARGE_C = 1.602176634e-19
"""Charge of an electron in coulomb, exact since the 2019 revision of the SI."""

ELECTRONS_PER_PA_NS = 1e-12 * 1e-9 / ELEMENTARY_CHARGE_C
"""Electrons that a beam of one picoampere delivers in one nanosecond (0.00624)."""


def electrons(beam_current_pa: float, dwell_ns: float) -> float:
    """Mean number of electrons that the beam delivers in a dwell.

    Args:
        beam_current_pa: Beam current in picoampere.
        dwell_ns: Dwell in nanoseconds.

    Returns:
        Electrons; n = I·t / e.
    """
    return beam_current_pa * dwell_ns * ELECTRONS_PER_PA_NS


def dose_e_per_nm2(beam_current_pa: float, dwell_ns: float, area_nm2: float) -> float:
    """Dose that a dwell puts on an area.

    Args:
        beam_current_pa: Beam current in picoampere.
        dwell_ns: Summed dwell on that area in nanoseconds.
        area_nm2: The area in square nanometres; one pixel's, or the whole field's.

    Returns:
        Electrons per square nanometre.
    """
    return electrons(beam_current_pa, dwell_ns) / area_nm2
