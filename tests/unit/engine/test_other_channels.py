"""Channels that are not restored: what the engine holds of them is what an exposure of their own would hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.engine import other_channels
from scanmend.engine.exposures import SessionExposure
from scanmend.engine.other_channels import OtherChannels
from scanmend.exposure import ExposureBuilder
from scanmend.field import Channel, DetectorKind, Field
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

FIELD = Field(shape=(12, 16), pixel_size_nm=1.0)
CHANNELS = (
    Channel(name="HAADF"),
    Channel(name="BF", kind=DetectorKind.ANALOGUE, units_per_electron=5.0, offset_units=30.0, reference_dwell_ns=500),
    Channel(name="SE", units_per_electron=None, offset_units=3.0),
)
TWICE = ScanPlan.point_list(FIELD.shape, [400, 800, 1000, 200], xy=[(3, 1), (3, 1), (7, 2), (9, 11)])
PLANS = (
    ScanPlan.raster(FIELD.shape, 1000),
    ScanPlan.raster(FIELD.shape, 250),
    ScanPlan.random(FIELD.shape, 500, coverage=0.4),
    TWICE,
)


def held(mode: Mode, restored: int = 0) -> tuple[SessionExposure, OtherChannels]:
    exposure = SessionExposure(FIELD, CHANNELS[restored], restored, mode)
    return exposure, OtherChannels(exposure, CHANNELS, restored, mode)


def frames_of(rng: np.random.Generator, plan: ScanPlan, number: int, parts: int) -> list[Frame]:
    samples = rng.integers(0, 4000, (len(CHANNELS), plan.points)).astype(np.uint16)
    cuts = np.linspace(0, plan.points, parts + 1).astype(int)
    return [
        Frame(
            plan_id=1,
            samples=samples[:, first:last],
            pass_index=number,
            first_point=int(first),
            end_of_pass=last == plan.points,
        )
        for first, last in zip(cuts, cuts[1:], strict=False)
        if last > first
    ]


def expected(channel: int, frames: list[tuple[Frame, ScanPlan]]) -> np.ndarray:
    builder = ExposureBuilder(FIELD, CHANNELS[channel])
    for frame, plan in frames:
        builder.add(frame, plan, channel_index=channel)
    exposure = builder.view()
    return np.where(exposure.visits > 0, exposure.values, np.nan)


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(list(Mode)),
    restored=st.integers(0, 2),
    passes=st.lists(st.tuples(st.integers(0, len(PLANS) - 1), st.integers(1, 3)), min_size=1, max_size=5),
    seed=st.integers(0, 9),
)
def test_a_channel_holds_what_an_exposure_of_its_own_would(
    mode: Mode, restored: int, passes: list[tuple[int, int]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    exposure, others = held(mode, restored)
    taken: list[tuple[Frame, ScanPlan]] = []
    for number, (which, parts) in enumerate(passes):
        if mode is Mode.FRAMES:
            taken = []
        for frame in frames_of(rng, PLANS[which], number, parts):
            exposure.add(frame, PLANS[which])
            others.add(frame, PLANS[which], wanted=True)
            taken.append((frame, PLANS[which]))
    for channel in range(len(CHANNELS)):
        found = others.picture(channel)
        if channel == restored:
            assert found is None
            continue
        assert found is not None
        values, dwell_ns = found
        np.testing.assert_allclose(values, expected(channel, taken), rtol=2e-6, atol=1e-3)
        assert dwell_ns == exposure.reference_dwell_ns == taken[0][1].dwell_ns


def test_a_whole_pass_that_nobody_sees_is_left_out() -> None:
    rng = np.random.default_rng(1)
    exposure, others = held(Mode.FRAMES)
    shown, unseen = (frames_of(rng, PLANS[0], number, 1)[0] for number in range(2))
    for frame, wanted in ((shown, True), (unseen, False)):
        exposure.add(frame, PLANS[0])
        others.add(frame, PLANS[0], wanted=wanted)
    found = others.picture(2)
    assert found is not None
    np.testing.assert_allclose(found[0].ravel(), shown.samples[2] - 3.0)


def test_channels_that_would_take_too_much_memory_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_channels, "MOST_BYTES", 2 * 4 * FIELD.pixels - 1)
    exposure, others = held(Mode.EXPOSURE)
    frame = frames_of(np.random.default_rng(2), PLANS[2], 0, 1)[0]
    exposure.add(frame, PLANS[2])
    others.add(frame, PLANS[2], wanted=True)
    assert others.picture(1) is None and others.picture(2) is None
