"""What a HELLO may ask for in matters of dose."""

from __future__ import annotations

from typing import Any

import pytest

from scanmend.errors import InvalidInput
from scanmend.field import Channel, Field
from scanmend.rescan import check_request
from scanmend.wire.messages import Hello, Mode

CURRENT = {"beam_current_pa": 10.0}

CASES: list[tuple[str, dict[str, Any], dict[str, float], str]] = [
    ("nothing asked", {}, {}, ""),
    ("budget", {"dose_budget_e_per_nm2": 100.0}, CURRENT, ""),
    ("rescan without a budget", {"rescan": "uncertainty", "mode": Mode.EXPOSURE}, {}, ""),
    ("budget without a current", {"dose_budget_e_per_nm2": 100.0}, {}, "beam current"),
    ("a pixel's budget without a current", {"pixel_dose_budget_e_per_nm2": 100.0}, {}, "beam current"),
    ("no budget for a pixel", {"pixel_dose_budget_e_per_nm2": -1.0}, CURRENT, "positive"),
    ("no budget at all", {"dose_budget_e_per_nm2": 0.0}, CURRENT, "positive"),
    ("budget not a number", {"dose_budget_e_per_nm2": float("nan")}, CURRENT, "positive"),
    ("unknown policy", {"rescan": "luck", "mode": Mode.EXPOSURE}, CURRENT, "uncertainty"),
    ("frames do not add up", {"rescan": "uncertainty"}, CURRENT, "mode 'exposure'"),
]


@pytest.mark.parametrize(("asked", "field", "wrong"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_request(asked: dict[str, Any], field: dict[str, float], wrong: str) -> None:
    hello = Hello(
        session="s",
        session_id=1,
        field=Field(shape=(8, 8), pixel_size_nm=1.0, **field),
        channels=(Channel(name="HAADF"),),
        **asked,
    )
    if not wrong:
        check_request(hello)
        return
    with pytest.raises(InvalidInput, match=wrong) as caught:
        check_request(hello)
    assert caught.value.mend
