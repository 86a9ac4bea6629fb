"""The relay where the service, the settings or the controller are at fault; what instruments do is in the contracts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reference_service import ReferenceService, serving
from scanmend.errors import InstrumentError, InvalidInput, PlanError
from scanmend.field import Capabilities, Channel, Field
from scanmend.plan import ScanPlan
from scanmend.sources import (
    Code,
    Event,
    Images,
    Instrument,
    Relay,
    RelayOptions,
    Samples,
    SeriesBegan,
    SeriesEnded,
    SeriesOptions,
)
from scanmend.sources.cursor import AHEAD_NS, Cursor, Placed, SeriesClock
from scanmend.sources.shapes import Disk

FIELD = Field(shape=(4, 8), pixel_size_nm=1.0)
PLAN = ScanPlan.raster(FIELD.shape, 1000)
CHANNELS = (Channel(name="counts"),)


class Script:
    """A source that says what it is given; a function is called in its place."""

    def __init__(self, *events: Event | Callable[[], None], channels: tuple[Channel, ...] = CHANNELS) -> None:
        self.channels = channels
        self.events = list(events)
        self.opened = 0

    def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        pass

    def read(self, timeout_s: float) -> Event | None:
        if not self.events:
            time.sleep(min(timeout_s, 0.01))
            return None
        event = self.events.pop(0)
        if not callable(event):
            return event
        event()
        return None


class Controller:
    """Notes what it is told; `refuses` begins with so many refusals."""

    def __init__(self, refuses: int = 0) -> None:
        self.told: list[str] = []
        self.refuses = refuses

    def capabilities(self) -> Capabilities:
        return Capabilities()

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        if plan.dwell_ns < 1000:
            raise PlanError("Too short.", mend="Longer.")
        return ScanPlan.raster(plan.shape, 1000)

    def begin(self, plan: ScanPlan, passes: int) -> None:
        assert plan == PLAN
        self.told.append(f"begin {passes}")
        if len(self.told) <= self.refuses:
            raise InstrumentError("Not now.", mend="Wait.")

    def abort(self) -> None:
        self.told.append("abort")


def samples(series: str, first: int, last: int) -> Samples:
    return Samples(series=series, first=first, values=np.full((1, last - first), 7, np.uint16))


def whole(series: str) -> list[Event]:
    return [SeriesBegan(series=series, points=32), samples(series, 0, 32), SeriesEnded(series=series)]


def relay(source: Any, address: str, controller: Controller | None = None, **changes: Any) -> Relay:
    settings: dict[str, Any] = {"field": FIELD, "plan": PLAN, "flush_s": 0.0, "record": False, **changes}
    return Relay(
        Instrument(source=source, controller=controller),
        address,
        RelayOptions(name="unit", retry_s=0.01, drive=controller is not None),
        SeriesOptions(**settings),
        detectors=() if source.channels else (Disk(radius=2),),
    )


def test_a_refusal_costs_one_series() -> None:
    service = ReferenceService()
    service.refuse = "policy"

    def relent() -> None:
        service.refuse = None

    with serving(service) as served:
        made = relay(Script(*whole("a"), relent, *whole("b")), served.address)
        made.run(series=2)
    (report,) = made.ended
    assert (report.series, report.points, report.lost) == ("b", 32, 0) and report.receipt.balanced
    assert made.problems.count(Code.SERVICE) == 1 and "No." in made.problems.entries[Code.SERVICE].problem.text


def test_without_credit_points_are_dropped_counted_and_told() -> None:
    service = ReferenceService(credit=1, restore=False)
    service.paused = "the disk is slow"

    def flow() -> None:
        service.paused = ""
        (session,) = service.sessions.values()
        served.push.extend(service.ack(session))

    halves = [SeriesBegan(series="a", points=96), samples("a", 0, 32), samples("a", 32, 64), flow]
    with serving(service) as served:
        made = relay(Script(*halves, samples("a", 64, 96), SeriesEnded(series="a")), served.address, hold_s=0.2)
        made.run(series=1)
    (report,) = made.ended
    # Of the pass that was dropped its last point is kept, to end the pass and to say what is missing.
    assert report.lost == report.receipt.dropped_by_client == 31 and report.receipt.count == 3
    frames = [header for header, _ in next(iter(service.sessions.values())).frames.values()]
    assert [(frame.pass_index, frame.first_point, frame.points) for frame in frames] == [
        (0, 0, 32),
        (1, 31, 1),
        (2, 0, 32),
    ]
    assert all(frame.end_of_pass for frame in frames) and [frame.dropped_before for frame in frames] == [0, 31, 0]
    entry = made.problems.entries[Code.SERVICE]
    assert "the disk is slow" in entry.problem.text and entry.points == 32


def test_passes_without_credit_are_dropped_until_it_flows_again() -> None:
    service = ReferenceService(credit=1, restore=False)
    service.paused = "the disk is slow"

    def flow() -> None:
        service.paused = ""
        (session,) = service.sessions.values()
        served.push.extend(service.ack(session))

    passes = [samples("a", first, first + 32) for first in range(0, 96, 32)]
    events = [SeriesBegan(series="a", points=128), *passes, flow, samples("a", 96, 128), SeriesEnded(series="a")]
    with serving(service) as served:
        made = relay(Script(*events), served.address, hold_s=0.1)
        made.run(series=1)
    (report,) = made.ended
    assert report.receipt.balanced and report.points == 128
    frames = [header for header, _ in next(iter(service.sessions.values())).frames.values()]
    assert sum(frame.points for frame in frames) + report.lost == 128
    assert sum(frame.dropped_before for frame in frames) == report.receipt.dropped_by_client == report.lost
    assert [(frame.pass_index, frame.first_point) for frame in frames] == [(0, 0), (2, 31), (3, 0)]


def test_no_service_is_said_and_the_relay_goes_on() -> None:
    made = relay(Script(*whole("a"), *whole("b")), "tcp://127.0.0.1:9")
    made.run(series=1)
    assert made.problems.count(Code.SERVICE) == 1 and not made.ended
    assert "scanmend serve" in made.problems.entries[Code.SERVICE].problem.mend


def test_virtual_detectors_that_do_not_fit_cost_the_series_and_not_the_relay() -> None:
    def images(series: str, side: int) -> list[Event]:
        stack = np.ones((32, side, side), np.uint16)
        return [SeriesBegan(series=series), Images(series=series, first=0, stack=stack), SeriesEnded(series=series)]

    dead = SeriesBegan(series="a", dead=np.zeros((3, 3), bool))
    with serving() as served:
        made = relay(Script(dead, *images("a", 8)[1:], *images("b", 8), channels=()), served.address)
        made.run(series=2)
    assert (
        made.problems.count(Code.SETTINGS) == 1 and "dead pixels" in made.problems.entries[Code.SETTINGS].problem.text
    )
    assert [report.series for report in made.ended] == ["b"]
    with pytest.raises(InvalidInput, match="no virtual detector"):
        Relay(Instrument(source=Script(channels=())), "", RelayOptions(name="x"), SeriesOptions(field=FIELD, plan=PLAN))


def test_numbers_and_values_that_cannot_be_are_left_out() -> None:
    wide = Samples(series="a", first=10, values=np.full((1, 2), 70_000, np.int64))
    far = [samples("a", first, first + 2) for first in (-2, 1 << 40)]
    with serving() as served:
        made = relay(Script(whole("a")[0], samples("a", 0, 10), wide, *far, samples("a", 12, 32)), served.address)
        made._source.events.append(SeriesEnded(series="a"))
        made.run(series=1)
    (report,) = made.ended
    assert (report.points, report.lost, report.receipt.dropped_by_client) == (32, 2, 2)
    assert made.problems.count(Code.MALFORMED) == 2 and made.problems.points(Code.WRONG_SIZE) == 2


def test_a_fault_of_a_library_ends_the_session_and_is_not_hidden() -> None:
    def fault() -> None:
        raise RuntimeError("a maker's library")

    with serving() as served:
        made = relay(Script(SeriesBegan(series="a"), samples("a", 0, 10), fault), served.address)
        with pytest.raises(RuntimeError, match="maker"):
            made.run()
        (session,) = served.service.sessions.values()
        assert session.receipt.reason == "aborted" and session.receipt.balanced
        assert sum(header.points for header, _ in session.frames.values()) == 10


def test_a_controller_is_told_once_a_series_and_again_after_a_refusal() -> None:
    controller = Controller(refuses=2)
    with serving() as served:
        made = relay(Script(*whole("a"), *whole("b")), served.address, controller, passes=1)
        made.run(series=2)
    assert controller.told == ["begin 1"] * 4 and made.problems.count(Code.CONTROL) == 2
    assert [report.lost for report in made.ended] == [0, 0]


def test_a_controller_aborts_when_an_operator_does() -> None:
    controller = Controller()
    with serving() as served:
        source = Script(SeriesBegan(series="a"), samples("a", 0, 10))
        made = relay(source, served.address, controller)

        def press() -> None:
            (session_id,) = served.service.sessions
            served.push.append(served.service.command(session_id, "abort"))

        source.events.append(press)
        made.run(series=1)
    assert controller.told == ["begin 0", "abort"] and made.ended[0].receipt.reason == "aborted"
    with pytest.raises(PlanError):
        relay(Script(), "", Controller(), plan=ScanPlan.raster(FIELD.shape, 10))
    with pytest.raises(InvalidInput, match="cannot be told"):
        Relay(
            Instrument(source=Script()), "", RelayOptions(name="x", drive=True), SeriesOptions(field=FIELD, plan=PLAN)
        )


@pytest.mark.parametrize(
    ("runs", "placed"),
    [
        ([(0, 5), (5, 5)], Placed(0, 0)),
        ([(0, 5), (7, 5)], Placed(0, 2)),
        ([(0, 5), (3, 5)], Placed(2, 0)),
        ([(0, 5), (0, 5)], Placed(5, 0)),
        ([(3, 5)], Placed(0, 3)),
        ([(0, 9), (2, 3)], Placed(3, 0)),
    ],
)
def test_the_cursor(runs: list[tuple[int, int]], placed: Placed) -> None:
    cursor = Cursor()
    assert [cursor.place(*run) for run in runs][-1] == placed


def test_every_other_point_is_a_second_reader_and_a_few_lost_ones_are_not() -> None:
    both, few = Cursor(), Cursor()
    for point in range(0, 40, 2):
        both.place(point, 1)
    for point in range(0, 4000, 100):
        few.place(point, 99)
    assert both.every_other and not few.every_other


def test_a_clock_is_believed_until_it_jumps() -> None:
    clock, began = SeriesClock(), time.time_ns()
    assert clock.at(began) == (began, 0) and clock.at(began + 10) == (began + 10, 0)
    at, jumped = clock.at(began - 3600 * 10**9)
    assert jumped == -3600 * 10**9 - 10 and abs(at - began) < 10**9
    assert abs(clock.at(began)[0] - time.time_ns()) < 10**9 and clock.at(5)[1] == 0
    behind, ahead = SeriesClock(), SeriesClock()
    assert behind.at(5)[1] == 0 and behind.at(began)[1] == 0  # a stream that was held up, as far as can be told
    assert ahead.at(began)[1] == 0 and ahead.at(began + 3 * AHEAD_NS)[1] > 2 * AHEAD_NS
    assert SeriesClock().at(None)[1] == 0
