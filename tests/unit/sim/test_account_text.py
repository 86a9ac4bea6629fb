"""The account that `scanmend demo` and `scanmend simulate` print."""

from __future__ import annotations

from typing import Any

import pytest

from scanmend.cli.accounts import restored_by


def by(model: str, frames: int) -> dict[str, Any]:
    return {"model": model, "provider": "OpenVINO CPU", "frames": frames}


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ([], ""),
        ([by("live", 5)], " by live (OpenVINO CPU)"),
        (
            [by("quality", 20), by("pushpull", 480)],
            ": 480 by pushpull (OpenVINO CPU), 20 by quality (OpenVINO CPU)",
        ),
    ],
)
def test_every_model_that_restored_is_named_with_its_frames(models: list[dict[str, Any]], text: str) -> None:
    assert restored_by(models) == text
