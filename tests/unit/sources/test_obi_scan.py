"""The Open Beam Interface adapter against the simulated instrument, without a service: what it says, and when the beam
is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from scanmend.errors import NotConnected, PlanError
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import Event, Lost, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.obi.commands import (
    Abort,
    Command,
    ExternalControl,
    RasterRegion,
    RasterRun,
    Synchronize,
    VectorPixels,
)
from scanmend.sources.obi.geometry import Geometry
from scanmend.sources.obi.scan import VectorScan
from scanmend_sim.obi.generator import Generator
from scanmend_sim.obi.server import ObiServer, obi_microscope
from scanmend_sim.specimens import load_specimen

FIELD = Field(shape=(12, 16), pixel_size_nm=2.0, beam_current_pa=20.0)
PLAN = ScanPlan.raster(FIELD.shape, 2000)
BLOCK = 40

Obey = Callable[[Command], bytes]


def microscope():
    return obi_microscope(load_specimen("nanoparticles:seed=3"), FIELD, seed=1)


@pytest.fixture
def server() -> Iterator[ObiServer]:
    with ObiServer(microscope()) as running:
        yield running


@pytest.fixture
def scan(server: ObiServer) -> Iterator[VectorScan]:
    made = VectorScan(
        "127.0.0.1", server.port, server.generator.microscope.channels[0], answer_s=0.3, block_points=BLOCK
    )
    made.open()
    yield made
    made.close()


def heard(scan: VectorScan) -> list[Event]:
    """Everything up to the end of the series."""
    events: list[Event] = []
    while not (events and isinstance(events[-1], SeriesEnded)):
        event = scan.read(0.05)
        if event is not None:
            events.append(event)
    return events


def values_of(events: list[Event]) -> dict[int, int]:
    return {
        event.first + index: int(value)
        for event in events
        if isinstance(event, Samples)
        for index, value in enumerate(event.values[0])
    }


def test_the_beam_is_on_while_a_plan_runs_and_at_no_other_time(server: ObiServer, scan: VectorScan) -> None:
    seen: list[tuple[str, bool]] = []

    def watch(command: Command, obey: Obey) -> bytes:
        answer = obey(command)
        seen.append((type(command).__name__, server.generator.blanked))
        return answer

    assert server.generator.blanked and server.generator.controlled
    server.tap = watch
    for _ in range(2):
        name = scan.begin(PLAN, 1)
        began, *samples, ended = heard(scan)
        assert began == SeriesBegan(series=name, points=PLAN.points) and ended == SeriesEnded(series=name)
        assert len(values_of(samples)) == PLAN.points
    scan.begin(PLAN, 1)  # answered when all that was said before it has been obeyed
    pixels = [blanked for name, blanked in seen if name == "VectorPixels"]
    assert pixels and not any(pixels)
    # In the first words of the third run the beam is still blanked: it is let through with the first pixel.
    assert [blanked for name, blanked in seen[-2:]] == [True, True]


def test_each_point_has_its_own_dwell_and_its_own_place(server: ObiServer, scan: VectorScan) -> None:
    rng = np.random.default_rng(2)
    pixels = rng.permutation(FIELD.pixels)[:100]
    dwells = rng.integers(8, 4000, 100) * 125
    plan = ScanPlan.point_list(FIELD.shape, dwells, xy=np.stack([pixels % 16, pixels // 16], axis=1))
    scan.begin(scan.prepare(plan), 1)
    values = values_of(heard(scan))
    scope = server.generator.microscope
    dose = np.zeros(FIELD.pixels)
    dose[pixels] = dwells
    np.testing.assert_allclose(scope.dose_e_per_nm2.reshape(-1), dose * 20 * 6.241509e-3 / 4, rtol=1e-6)
    truth = scope.truth_electrons(1000.0).reshape(-1)[pixels]
    got = np.array([values[point] for point in range(100)]) / scope.channels[0].units_per_electron
    assert np.abs(got - truth).max() < 0.2 * truth.max() and np.corrcoef(got, truth)[0, 1] > 0.95


def test_passes_follow_each_other_without_a_break(scan: VectorScan) -> None:
    scan.begin(PLAN, 3)
    values = values_of(heard(scan))
    assert sorted(values) == list(range(3 * PLAN.points))


@pytest.mark.parametrize("damage", ["drop", "insert", "mark"])
def test_a_byte_too_few_or_too_many_costs_its_block_and_no_other(
    server: ObiServer, scan: VectorScan, damage: str
) -> None:
    scan.begin(PLAN, 1)
    whole = values_of(heard(scan))
    count = 0

    def spoil(command: Command, obey: Obey) -> bytes:
        nonlocal count
        answer = obey(command)
        count += isinstance(command, VectorPixels)
        if count == 3 and isinstance(command, VectorPixels) and damage != "mark":
            return answer[:7] + (b"\x12" if damage == "insert" else b"") + answer[7 + (damage == "drop") :]
        if count == 3 and isinstance(command, Synchronize) and damage == "mark":
            return answer[:3]
        return answer

    server.generator = Generator(microscope())  # the same noise once more
    server.tap = spoil
    scan.close()
    scan.open()
    scan.begin(PLAN, 1)
    events = heard(scan)
    lost = [event for event in events if isinstance(event, Lost)]
    # Without its mark, a block takes the one behind it along: where that begins is not known.
    blocks = (2, 3) if damage == "mark" else (2,)
    assert [(event.first, event.points) for event in lost] == [(block * BLOCK, BLOCK) for block in blocks]
    values = values_of(events)
    assert values == {point: whole[point] for point in range(PLAN.points) if point // BLOCK not in blocks}
    assert all(event.problem.text and event.problem.mend for event in lost)


def test_a_stream_that_stops_is_taken_up_behind_a_new_mark(server: ObiServer, scan: VectorScan) -> None:
    count = 0

    def swallow(command: Command, obey: Obey) -> bytes:
        nonlocal count
        count += isinstance(command, VectorPixels)
        # From the third block on nothing is answered, until it is asked where it stands without a pixel before.
        return b"" if count == 3 or (count == 4 and not isinstance(command, VectorPixels)) else obey(command)

    server.tap = swallow
    scan.begin(PLAN, 1)
    with pytest.raises(NotConnected, match="mark"):
        heard(scan)
    server.tap = lambda command, obey: obey(command)
    scan.close()
    scan.open()
    scan.begin(PLAN, 1)
    assert len(values_of(heard(scan))) == PLAN.points


def test_a_few_answers_that_never_come_do_not_end_the_run(server: ObiServer, scan: VectorScan) -> None:
    swallowed: list[Command] = []

    def swallow(command: Command, obey: Obey) -> bytes:
        if (
            len(swallowed) < 5
            and (swallowed or server.generator.points == 2 * BLOCK)
            and not isinstance(command, ExternalControl)
        ):
            swallowed.append(command)  # the mark of one block, and all of the next
            return b""
        return obey(command)

    server.tap = swallow
    scan.begin(PLAN, 1)
    events = heard(scan)
    assert len(swallowed) == 5
    lost = {event.first for event in events if isinstance(event, Lost)}
    values = values_of(events)
    assert lost and set(values) == {point for point in range(PLAN.points) if point // BLOCK * BLOCK not in lost}


def test_an_abort_blanks_and_what_comes_later_is_not_taken_for_the_next_run(
    server: ObiServer, scan: VectorScan
) -> None:
    scan.begin(PLAN, 0)
    while not isinstance(scan.read(0.05), Samples):
        pass
    scan.abort()
    *_, ended = heard(scan)
    assert isinstance(ended, SeriesEnded)
    done = server.generator.points
    scan.begin(PLAN, 1)
    assert server.generator.blanked and server.generator.points == done
    values = values_of(heard(scan))
    assert sorted(values) == list(range(PLAN.points))


def test_an_instrument_that_hangs_up_or_is_not_there(server: ObiServer, scan: VectorScan) -> None:
    server.tap = lambda command, obey: None if isinstance(command, VectorPixels) else obey(command)
    scan.begin(PLAN, 1)
    with pytest.raises(NotConnected):
        heard(scan)
    scan.close()
    with pytest.raises(NotConnected, match="not connected"):
        scan.begin(PLAN, 1)
    nobody = VectorScan("127.0.0.1", 9, scan.channels[0])
    with pytest.raises(NotConnected, match="answers"):
        nobody.open()


def test_plans_are_rounded_and_those_that_cannot_be_run_refused(scan: VectorScan) -> None:
    assert scan.prepare(ScanPlan.raster(FIELD.shape, 1070)).dwell_ns == 1125
    assert scan.prepare(ScanPlan.raster(FIELD.shape, 10_000_000)).dwell_ns == 8_191_875
    settled = ScanPlan.of(FIELD.shape, PLAN.pattern, 1000, settle_ns=500)
    for plan in (settled, ScanPlan.raster((1, 20_000), 1000)):
        with pytest.raises(PlanError):
            scan.prepare(plan)


def test_the_simulated_instrument_runs_rasters_as_it_runs_points() -> None:
    geometry = Geometry.of(FIELD.shape)
    one, other = Generator(microscope()), Generator(microscope())
    x, y = geometry.codes(PLAN.x, PLAN.y)
    step = geometry.step * 256
    for generator in (one, other):
        generator.obey(ExternalControl(True))
        generator.blanked = False
    vector = one.obey(VectorPixels(x, y, np.full(PLAN.points, 16, np.uint16)))
    other.obey(RasterRegion(geometry.left, 16, step, geometry.top, 12, step))
    raster = other.obey(RasterRun(PLAN.points, 16))
    assert raster == vector and len(vector) == 2 * PLAN.points
    # In the dark nothing is seen, and the specimen has no dose.
    dose = other.microscope.dose().points
    other.blanked = True
    assert other.obey(RasterRun(4, 16)) == bytes(8) and other.microscope.dose().points == dose
    other.obey(Synchronize(1, output=1))
    assert len(other.obey(RasterRun(4, 16))) == 4 and other.obey(Abort()) == b""
    other.obey(Synchronize(1, output=2))
    assert other.obey(RasterRun(4, 16)) == b""
