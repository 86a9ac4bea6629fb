"""What the engine makes of a specimen that changes: a caution, a problem told once, and the end of an adaptive scan."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.engine.exposures import SessionExposure
from scanmend.engine.specimen import Specimen
from scanmend.field import Channel, DetectorKind, Field
from scanmend.frame import Frame
from scanmend.ipc.engine_link import EngineProblem
from scanmend.plan import ScanPlan
from scanmend.target import Target
from scanmend.wire.messages import Hello, Mode

SHAPE = (64, 64)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.0)
CHANNELS = {
    "counts": Channel(name="c", dtype="float32"),
    "gain and offset": Channel(name="c", dtype="float32", units_per_electron=4.0, offset_units=100.0),
    "analogue, gain unknown": Channel(
        name="c", dtype="float32", kind=DetectorKind.ANALOGUE, units_per_electron=None, reference_dwell_ns=1000
    ),
}


class Scan:
    """A session that is scanned pass after pass."""

    def __init__(self, channel: Channel, mode: Mode = Mode.EXPOSURE, **hello: object) -> None:
        self.said: list[EngineProblem] = []
        self.hello = Hello(session="s", session_id=7, field=FIELD, channels=(channel,), mode=mode, **hello)  # type: ignore[arg-type]
        self.specimen = Specimen(self.hello, self.said.append)
        self.exposure = SessionExposure(FIELD, channel, 0, mode)
        self.channel, self.rng, self.passes = channel, np.random.default_rng(1), 0

    def scan(self, electrons: float, dwell_ns: np.ndarray | int = 1000) -> None:
        """Scan every pixel; `electrons` in 1000 ns at each."""
        plan = ScanPlan.raster(SHAPE, dwell_ns)
        counted = self.rng.poisson(electrons * plan.dwells_ns / 1000).astype(np.float32)
        if self.channel.kind is DetectorKind.ANALOGUE:
            counted *= (1000 / plan.dwells_ns).astype(np.float32)
        samples = counted * np.float32(self.channel.units_per_electron or 1.0) + np.float32(self.channel.offset_units)
        self.exposure.add(Frame(plan_id=0, samples=samples[None], pass_index=self.passes), plan)
        self.passes += 1
        self.specimen.pass_done(self.exposure)
        self.specimen.look(np.full(SHAPE, electrons, np.float32))


@pytest.mark.parametrize("name", CHANNELS)
def test_fading_is_told_once_and_said_beside_every_picture(name: str) -> None:
    scan = Scan(CHANNELS[name])
    uneven = np.random.default_rng(2).integers(300, 4000, FIELD.pixels)
    for electrons in (20.0, 17.0, 15.0):
        scan.scan(electrons, uneven)
    assert [problem.code for problem in scan.said] == ["specimen_fades"]
    assert scan.said[0].session_id == 7 and "The signal falls by" in scan.said[0].text
    assert scan.specimen.ends == scan.specimen.text and "the specimen changes under the beam" in scan.specimen.text
    assert scan.specimen.cautioned("counts are few") == f"counts are few; {scan.specimen.text}"
    assert scan.specimen.cautioned(None) == scan.specimen.text == scan.specimen.cautioned("")


@pytest.mark.parametrize("name", CHANNELS)
def test_nothing_is_said_where_nothing_changes(name: str) -> None:
    scan = Scan(CHANNELS[name])
    for turn in range(4):
        scan.scan(20.0, np.random.default_rng(turn).integers(300, 4000, FIELD.pixels))
    assert not scan.said and scan.specimen.ends == scan.specimen.text == ""
    assert scan.specimen.cautioned(None) is None and scan.specimen.cautioned("") == ""


def test_what_grows_is_told_and_ends_nothing() -> None:
    scan = Scan(CHANNELS["counts"])
    scan.scan(20.0)
    scan.scan(23.0)
    assert [problem.code for problem in scan.said] == ["specimen_grows"]
    assert scan.specimen.ends == "" and "grows by" in (scan.specimen.cautioned("") or "")


def test_a_slow_fall_is_told_and_ends_nothing() -> None:
    scan = Scan(CHANNELS["counts"])
    for electrons in (400.0, 394.0, 388.0):
        scan.scan(electrons)
    assert [problem.code for problem in scan.said] == ["specimen_fades"]
    assert scan.specimen.ends == "" and scan.specimen.text.startswith("the signal falls by 1.5 ±")


def test_pictures_of_their_own_are_not_compared() -> None:
    scan = Scan(CHANNELS["counts"], Mode.FRAMES)
    scan.scan(20.0)
    scan.scan(10.0)
    assert not scan.said and scan.specimen.text == ""


def test_a_rescan_of_a_region_is_watched_there() -> None:
    scan = Scan(CHANNELS["counts"], rescan="variance", target=Target(sigma_of_range=0.01, region=(16, 16, 40, 40)))
    inside = np.zeros(SHAPE, bool)
    inside[8:, 8:] = True
    scan.scan(40.0)
    counted = scan.rng.poisson(32.0, int(inside.sum())).astype(np.float32)
    plan = ScanPlan.mask(inside, 1000)
    scan.exposure.add(Frame(plan_id=0, samples=counted[None], pass_index=1), plan)
    scan.specimen.pass_done(scan.exposure)
    assert [problem.code for problem in scan.said] == ["specimen_fades"]
