"""When an adaptive scan is good enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.target import Target

RAMP = np.tile(np.linspace(0.0, 100.0, 101, dtype=np.float32), (40, 1))
"""From its 1st to its 99th percentile it spans 98."""


def test_the_root_mean_square_is_a_share_of_the_pictures_range() -> None:
    sigma = np.full(RAMP.shape, 3.0, np.float32)
    sigma[:20] = 4.0
    assert Target().measure(RAMP, sigma) == pytest.approx(math.sqrt(12.5) / 98, rel=0.02)


def test_a_quantile_asks_for_a_share_of_the_pixels() -> None:
    sigma = np.ones(RAMP.shape, np.float32)
    sigma[:4] = 49.0  # one pixel in ten
    assert Target(quantile=0.8).measure(RAMP, sigma) == pytest.approx(1 / 98, rel=0.02)
    assert Target(quantile=0.95).measure(RAMP, sigma) == pytest.approx(0.5, rel=0.02)


def test_a_region_is_judged_alone_by_the_range_of_the_whole() -> None:
    sigma = np.full(RAMP.shape, 49.0, np.float32)
    sigma[10:20, 30:60] = 9.8
    assert Target(region=(10, 30, 10, 30)).measure(RAMP, sigma) == pytest.approx(0.1, rel=0.02)


def test_single_bright_pixels_do_not_stretch_the_range() -> None:
    hot = RAMP.copy()
    hot[0, 0] = 1e6
    sigma = np.ones(RAMP.shape, np.float32)
    assert Target().measure(hot, sigma) == pytest.approx(Target().measure(RAMP, sigma), rel=1e-2)


def test_nothing_can_be_said_of_a_picture_without_range() -> None:
    assert Target().measure(np.full((8, 8), 3.0, np.float32), np.ones((8, 8), np.float32)) == math.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"sigma_of_range": 0.0},
        {"sigma_of_range": math.nan},
        {"quantile": 0.0},
        {"quantile": 1.5},
        {"region": (0, 0, 0, 4)},
        {"region": (-1, 0, 4, 4)},
        {"min_gain": -0.1},
        {"min_gain": 1.0},
        {"min_gain": math.nan},
        {"max_passes": 0},
    ],
)
def test_what_cannot_be_wanted_is_refused_with_a_mend(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Target(**wrong)
    assert caught.value.mend


def test_a_region_must_lie_in_the_field() -> None:
    assert Target(region=(0, 0, 40, 101)).fits(RAMP.shape)
    assert not Target(region=(0, 1, 40, 101)).fits(RAMP.shape)
