"""Fields, channels, capabilities and frames refuse what no microscope has, and say what to give."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from scanmend import errors
from scanmend.errors import InvalidInput, ScanmendError
from scanmend.field import SAMPLE_DTYPES, Capabilities, Channel, Field
from scanmend.frame import Frame
from scanmend.restoration import Restoration
from scanmend.units import ELECTRONS_PER_PA_NS, dose_e_per_nm2, electrons


def field(**changes):
    return Field(**({"shape": (4, 8), "pixel_size_nm": 0.5} | changes))


def channel(**changes):
    return Channel(**({"name": "HAADF"} | changes))


BAD = [
    (field, {"shape": (0, 8)}),
    (field, {"shape": (8, -1)}),
    (field, {"shape": (65_537, 1)}),
    (field, {"shape": (65_536, 65_536)}),
    (field, {"pixel_size_nm": 0.0}),
    (field, {"pixel_size_nm": math.nan}),
    (field, {"pixel_size_nm": math.inf}),
    (field, {"rotation_deg": math.nan}),
    (field, {"beam_current_pa": 0.0}),
    (field, {"beam_current_pa": -3.0}),
    (field, {"beam_energy_kev": math.inf}),
    (channel, {"name": ""}),
    (channel, {"name": "ä" * 33}),
    (channel, {"dtype": "float64"}),
    (channel, {"dtype": "object"}),
    (channel, {"units_per_electron": 0.0}),
    (channel, {"units_per_electron": -1.0}),
    (channel, {"units_per_electron": math.inf}),
    (channel, {"offset_units": math.nan}),
    (channel, {"read_noise_units": -1.0}),
    (channel, {"read_noise_units": math.nan}),
    (channel, {"reference_dwell_ns": 0}),
    (Capabilities, {"min_dwell_ns": 0}),
    (Capabilities, {"min_dwell_ns": 10, "max_dwell_ns": 9}),
    (Capabilities, {"dwell_quantum_ns": 0}),
    (Capabilities, {"max_points": 0}),
    (Capabilities, {"settle_ns": -1}),
    (Capabilities, {"command_ns": -1}),
]


@pytest.mark.parametrize("make, changes", BAD, ids=[f"{make.__name__}-{changes}" for make, changes in BAD])
def test_what_no_microscope_has_is_refused_with_a_mend(make, changes):
    with pytest.raises(InvalidInput) as caught:
        make(**changes)
    assert caught.value.mend and caught.value.mend in str(caught.value)


def test_a_fields_size_and_dose():
    area = field(beam_current_pa=100.0)
    assert area.pixels == 32 and area.area_nm2 == 8.0
    # 100 pA for 1 µs are 624.15 electrons; on 8 nm²: 78.02 e/nm².
    assert area.dose_e_per_nm2(1000.0) == pytest.approx(624.1509 / 8, rel=1e-6)
    assert field().dose_e_per_nm2(1000.0) is None


def test_units():
    assert ELECTRONS_PER_PA_NS == pytest.approx(6.241509074e-3, rel=1e-9)
    assert electrons(1.0, 1000.0) == pytest.approx(6.241509074, rel=1e-9)
    assert dose_e_per_nm2(1.0, 1000.0, 2.0) == pytest.approx(3.120754537, rel=1e-9)


@pytest.mark.parametrize("dtype", SAMPLE_DTYPES)
def test_sample_types_are_little_endian_on_the_wire(dtype):
    found = channel(dtype=dtype).numpy_dtype
    assert found == np.dtype(dtype) and found.newbyteorder("<") == found


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (0, 4), (2, 0)])
def test_a_frame_is_a_table_of_channels_by_points(shape):
    with pytest.raises(InvalidInput) as caught:
        Frame(plan_id=0, samples=np.zeros(shape, np.uint16))
    assert caught.value.mend
    assert Frame(plan_id=0, samples=np.zeros((2, 5), np.uint16)).points == 5


@pytest.mark.parametrize("kind", [Field, Channel, Capabilities, Frame, Restoration])
def test_the_vocabulary_is_frozen(kind):
    assert kind.__dataclass_params__.frozen
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(field() if kind is Field else kind.__new__(kind), dataclasses.fields(kind)[0].name, None)


def test_every_error_is_in_the_drawn_tree():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ScanmendError)]
    for kind in kinds:
        assert kind.__name__ == "ScanmendError" or kind.__name__ in (errors.__doc__ or ""), kind
    assert str(ScanmendError("It is broken.", mend="Mend it.")) == "It is broken. Mend it."
    assert str(ScanmendError("It is broken.")) == "It is broken."
