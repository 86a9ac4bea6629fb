"""What cannot be asked, and the mend."""

from __future__ import annotations

import math
from typing import Any

import pytest

from advising import ask
from scanmend.advice.question import Question
from scanmend.errors import InvalidInput
from scanmend.field import Field


@pytest.mark.parametrize(
    ("changed", "says", "mend"),
    [
        ({"shape": (16, 512)}, "512 × 16 pixels is too small", "32 pixels"),
        ({"budget_e_per_nm2": 3.9}, "0.97 electrons for a pixel of 0.5 nm", "4 e/nm²"),
        ({"budget_e_per_nm2": 0.0}, "dose budget of 0.0", "positive"),
        ({"budget_e_per_nm2": math.nan}, "dose budget of nan", "positive"),
        ({"budget_e_per_nm2": 1e9}, "noise is no concern", "4e+06 e/nm²"),
        ({"current_pa": 1e-200}, "beam current of 1e-200 pA", "1e-06 to 1e+09 pA"),
        ({"pixel_size_nm": 5e-324}, "pixel size of 4.94066e-324 nm", "0.0001 to 1e+06 nm"),
        ({"current_pa": 1e-4}, "the beam would stay 80.1 ms", "Raise the current"),
        ({"time_s": 0.0}, "time limit of 0.0 s", "positive"),
        ({"time_s": math.inf}, "time limit of inf", "positive"),
        ({"detection_yield": 0.0}, "yield of 0", "above 0"),
        ({"detection_yield": 1.5}, "yield of 1.5", "at most 1"),
        ({"settle_ns": -1}, "settle time of -1 ns", "0 to"),
        ({"flyback_ns": 2_000_000_000}, "flyback time", "0 to"),
        ({"min_dwell_ns": 1}, "shortest dwell of 1 ns", "10 to"),
    ],
)
def test_what_cannot_be_asked(changed: dict[str, Any], says: str, mend: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        ask(**changed)
    assert says in raised.value.message and mend in raised.value.mend


def test_a_dose_needs_a_current() -> None:
    with pytest.raises(InvalidInput, match="Without a beam current"):
        Question(field=Field(shape=(64, 64), pixel_size_nm=0.5), budget_e_per_nm2=200)


def test_what_follows_from_a_question() -> None:
    question = ask(shape=(512, 300))
    assert question.electrons_per_px == 50 and question.dwell_ns == pytest.approx(400.5, abs=0.1)
    assert question.crop().shape == (256, 256) and question.crop((100, 400)).shape == (100, 256)
    assert question.crop().beam_current_pa == 20
