"""Arming over SIMPLON: the order of the commands, time limits, and what a detector that says no gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scanmend.errors import InstrumentError, NotConnected, PlanError
from scanmend.plan import ScanPlan
from scanmend.sources.dectris.simplon import MAX_IMAGES, ArmedDetector, Simplon
from scanmend_sim.dectris.simplon import SimplonServer

PLAN = ScanPlan.raster((8, 8), 1000)


@pytest.fixture
def server() -> Iterator[SimplonServer]:
    with SimplonServer(ready_after=2) as running:
        yield running


@pytest.mark.parametrize(
    ("trigger", "passes", "nimages", "ntrigger", "commands"),
    [
        ("exts", 3, 192, 1, ["arm"]),
        ("exte", 3, 1, 192, ["arm"]),
        ("ints", 1, 64, 1, ["arm", "trigger"]),
        ("exts", 0, MAX_IMAGES, 1, ["arm"]),
    ],
)
def test_a_detector_is_armed_for_the_points_of_all_passes(
    server: SimplonServer, trigger: str, passes: int, nimages: int, ntrigger: int, commands: list[str]
) -> None:
    detector = ArmedDetector(Simplon(server.url), PLAN, trigger)
    detector.begin(detector.prepare(PLAN), passes)
    assert server.commands == commands
    assert (server.config["nimages"], server.config["ntrigger"]) == (nimages, ntrigger)
    assert server.config["trigger_mode"] == trigger and server.config["mode"] == "enabled"
    assert server.state == ("acquire" if trigger == "ints" else "ready")
    detector.abort()
    assert server.state == "idle"


def test_what_is_left_of_the_last_series_is_aborted_and_an_error_is_initialised(server: SimplonServer) -> None:
    detector = ArmedDetector(Simplon(server.url), PLAN)
    server.state = "acquire"
    detector.begin(PLAN, 1)
    server.state = "error"
    detector.begin(PLAN, 1)
    assert server.commands == ["abort", "arm", "initialize", "arm"]


def test_another_plan_is_declined(server: SimplonServer) -> None:
    detector = ArmedDetector(Simplon(server.url), PLAN)
    assert not detector.capabilities().points
    with pytest.raises(PlanError, match="no other plan"):
        detector.prepare(ScanPlan.raster((8, 8), 2000))


def test_a_detector_that_says_no(server: SimplonServer) -> None:
    server.fails.add("arm")
    with pytest.raises(InstrumentError, match="400 to PUT detector/command/arm.*not possible") as caught:
        ArmedDetector(Simplon(server.url), PLAN).begin(PLAN, 1)
    assert caught.value.mend
    with pytest.raises(InstrumentError, match="404"):
        Simplon(server.url).get("detector/config/nothing")


def test_a_detector_that_never_gets_ready() -> None:
    with SimplonServer(ready_after=10_000) as server, pytest.raises(NotConnected, match="not ready after"):
        ArmedDetector(Simplon(server.url), PLAN, ready_s=0.1).begin(PLAN, 1)


def test_a_detector_that_does_not_answer_and_one_that_is_not_there(server: SimplonServer) -> None:
    server.silent.set()
    with pytest.raises(NotConnected, match="did not answer"):
        Simplon(server.url, timeout_s=0.1).state()
    server.silent.clear()
    assert Simplon(server.url).state() == "idle"
    server.close()
    with pytest.raises(NotConnected) as caught:
        Simplon(server.url).state()
    assert caught.value.mend
