"""The Direct Electron adapter against a recorded fake of deapi's calls; `make peers` runs it against de-twin."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deapi_recorded import Recorded
from scanmend.cli import main
from scanmend.errors import InstrumentError, NotConnected, PlanError
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Event, Lost, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.blocking import BlockingCalls
from scanmend.sources.direct_electron import camera as camera_module
from scanmend.sources.direct_electron.camera import Camera
from scanmend.sources.direct_electron.scan import PointScan

SHAPE, FRAME_NS = (6, 8), 1_000_000


@pytest.fixture
def client() -> Recorded:
    return Recorded()


def scan_of(client: Recorded, *, repeat: bool = False, port: int = 13240) -> PointScan:
    return PointScan(Camera("127.0.0.1", port, lambda: client), FRAME_NS, 1, repeat=repeat)


@pytest.fixture(params=[True, False], ids=["repeated", "one dwell"])
def scan(request: pytest.FixtureRequest, client: Recorded) -> Iterator[PointScan]:
    made = scan_of(client, repeat=request.param)
    made.open()
    yield made
    made.close()


def heard(scan: PointScan) -> list[Event]:
    events: list[Event] = []
    while not (events and isinstance(events[-1], SeriesEnded)):
        event = scan.read(0.01)
        if event is not None:
            events.append(event)
    return events


def plan_of(pixels: list[int], dwell_ms: Any) -> ScanPlan:
    xy = np.array([(pixel % SHAPE[1], pixel // SHAPE[1]) for pixel in pixels])
    dwells = np.asarray(dwell_ms) * FRAME_NS
    return ScanPlan.point_list(SHAPE, dwells if dwells.ndim else int(dwells), xy=xy)


def expected(plan: ScanPlan) -> list[float]:
    return list((1 + plan.x + 10 * plan.y) * (plan.dwells_ns / FRAME_NS))


def test_a_plan_becomes_a_list_of_points_and_comes_back_in_its_order(
    client: Recorded, scan: PointScan, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = scan.prepare(plan_of([40, 3, 17], 3))
    name = scan.begin(plan, 1)
    began, samples, ended = heard(scan)
    assert began == SeriesBegan(series=name, points=3) and ended == SeriesEnded(series=name, points=3)
    assert isinstance(samples, Samples) and samples.first == 0 and list(samples.values[0]) == expected(plan)
    assert samples.values.dtype == np.float32 and scan.channels[0].dtype == "float32"
    assert client.values["Frames Per Second"] == 1000
    assert capfd.readouterr().out == ""  # a report in JSON may be read there


def test_points_with_dwells_of_their_own_are_repeated(client: Recorded) -> None:
    scan = scan_of(client, repeat=True)
    scan.open()
    assert scan.capabilities().dwell_per_point and scan.capabilities().dwell_quantum_ns == FRAME_NS
    plan = scan.prepare(plan_of([40, 3, 17], [1, 4, 2]))
    scan.begin(plan, 1)
    assert len(client.points) == 7
    assert list(heard(scan)[1].values[0]) == expected(plan)
    scan.close()
    one = scan_of(client)
    assert not one.capabilities().dwell_per_point
    with pytest.raises(PlanError, match="one dwell"):
        one.prepare(plan)


def test_a_second_scan_finds_what_the_first_one_left_and_sets_it_anew(client: Recorded, scan: PointScan) -> None:
    client.values["Scan - Enable"] = "On"
    for pixels in ([1, 2, 3], [20, 21]):
        plan = scan.prepare(plan_of(pixels, 2))
        scan.begin(plan, 1)
        assert list(heard(scan)[1].values[0]) == expected(plan)


def test_an_acquisition_that_ended_early_gives_the_points_that_are_whole(client: Recorded, scan: PointScan) -> None:
    client.short = 3  # of the last two points, two frames each, the last whole and half of the other
    plan = scan.prepare(plan_of([5, 6, 7, 8], 2))
    scan.begin(plan, 1)
    _, samples, ended = heard(scan)
    assert list(samples.values[0]) == expected(plan)[:2] and ended.points == 2
    client.short = 8
    scan.begin(plan, 1)
    began, ended = heard(scan)
    assert isinstance(began, SeriesBegan) and ended == SeriesEnded(series=began.series, points=0)


def test_values_beside_the_plan_say_that_another_list_was_run(client: Recorded, scan: PointScan) -> None:
    client.stray = True
    scan.begin(scan.prepare(plan_of([5, 6], 1)), 1)
    _, lost, ended = heard(scan)
    assert isinstance(lost, Lost) and lost.points == 2 and lost.problem.code is Code.CONTROL and ended.points is None


def test_a_size_that_somebody_changed(client: Recorded, scan: PointScan) -> None:
    scan.begin(scan.prepare(plan_of([5, 6], 1)), 1)
    client.image = np.ones((4, 4), np.float32)
    lost = heard(scan)[1]
    assert isinstance(lost, Lost) and lost.problem.code is Code.WRONG_SIZE


def test_what_the_server_does_not_take_is_said(client: Recorded) -> None:
    fast = PointScan(Camera("127.0.0.1", 13240, lambda: client), 100_000)
    fast.open()
    plan = ScanPlan.raster(SHAPE, 100_000)
    with pytest.raises(InstrumentError, match="Frames Per Second = 40"):
        fast.begin(plan, 1)
    fast.close()
    scan = scan_of(client)
    scan.open()
    with pytest.raises(InstrumentError, match="passes 1"):
        scan.begin(plan, 0)
    client.set_xy_array = lambda positions, width, height: False  # type: ignore[method-assign]
    with pytest.raises(InstrumentError, match="did not take the list"):
        scan.begin(scan.prepare(ScanPlan.raster(SHAPE, FRAME_NS)), 1)
    client.deaf, client.values["Scan - Enable"] = True, "On"
    with pytest.raises(InstrumentError, match="Enable = On"):
        scan.begin(plan, 1)
    scan.close()


def test_plans_that_cannot_be_run(client: Recorded, scan: PointScan) -> None:
    with pytest.raises(PlanError, match="more than once"):
        scan.prepare(plan_of([5, 5], 1))
    assert scan.prepare(ScanPlan.raster(SHAPE, 1_400_000)).dwell_ns == FRAME_NS
    assert scan.prepare(ScanPlan.raster(SHAPE, 100)).dwell_ns == FRAME_NS


def test_an_abort_stops_the_acquisition_and_gives_what_it_had(client: Recorded, scan: PointScan) -> None:
    plan = scan.prepare(plan_of([5, 6, 7], 1))
    client.short = 1
    scan.begin(plan, 1)
    client.values["Acquisition Status"] = "Acquiring"
    assert isinstance(scan.read(0.01), SeriesBegan) and scan.read(0.01) is None
    scan.abort()
    assert "stop" in client.told and heard(scan)[-1].points == 2


def test_a_server_that_is_not_there_or_goes_away(client: Recorded) -> None:
    with pytest.raises(NotConnected, match="DE-Server answers"):
        scan_of(client, port=1).open()
    with pytest.raises(NotConnected, match="not connected"):
        scan_of(client).begin(ScanPlan.raster(SHAPE, FRAME_NS), 1)
    gone = scan_of(client)
    gone.open()
    client.values.clear()
    with pytest.raises(NotConnected, match="Acquisition Status"):
        gone.begin(ScanPlan.raster(SHAPE, FRAME_NS), 1)
    gone.close()


def test_a_call_that_never_returns_is_given_up(client: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "STOP_S", 0.1)
    release = threading.Event()
    client.stop_acquisition = release.wait  # type: ignore[method-assign, assignment]
    scan = scan_of(client)
    scan.open()
    began_s = time.monotonic()
    with pytest.raises(NotConnected, match="did not answer"):
        scan.abort()
    assert time.monotonic() - began_s < 5
    release.set()
    scan.close()


def test_blocking_calls_come_one_after_another_and_raise_what_was_raised() -> None:
    calls = BlockingCalls("a library")
    seen: list[int] = []
    assert [calls.ask(lambda one=one: seen.append(one) or one, 1.0) for one in range(5)] == seen == list(range(5))
    with pytest.raises(ZeroDivisionError):
        calls.ask(lambda: 1 / 0, 1.0)
    with pytest.raises(TimeoutError, match="its own"):
        calls.ask(lambda: (_ for _ in ()).throw(TimeoutError("its own")), 1.0)
    calls.close()


FIELD = ["--shape", "8x8", "--pixel-size-nm", "1", "--dwell-us", "1000"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--adaptive"),
        (["--adaptive"], "deapi"),
        (["--drive", "--virtual-detector", "7"], "no virtual detector 7"),
        (["--drive", "--frames-per-second", "1e9"], "frames a second"),
        (["--adaptive", "--passes", "2"], "--max-passes"),
        (["--target-sigma", "0.1", "--drive"], "--adaptive"),
    ],
)
def test_what_cannot_be_asked_for(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["source", "direct-electron", *FIELD, *words]) in (1, 3)
    assert said in capsys.readouterr().err
