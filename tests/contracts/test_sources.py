"""What every adapter must do: whatever its instrument does, a problem in words, a count that adds up, and on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from source_peers import PEERS, SourcePeer, value_of

from in_thread import AcquireInThread, RelayThread
from operating import AtConsole
from running import wait_for
from scanmend.export.session import RecordedSession
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import Code, Relay, RelayOptions, SeriesOptions, SeriesReport
from scanmend.sources.kit import Instrument

FIELD = Field(shape=(6, 8), pixel_size_nm=1.0, beam_current_pa=10.0)
PLAN = ScanPlan.raster(FIELD.shape, 1000)
POINTS = PLAN.points


@dataclass(frozen=True)
class Service:
    """The real acquire."""

    running: AcquireInThread
    data_dir: Path

    def recording(self, report: SeriesReport) -> RecordedSession:
        return RecordedSession(self.data_dir / "sessions" / report.session)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("sources") / "data"
    with AcquireInThread(data_dir) as running:
        yield Service(running, data_dir)


@pytest.fixture(params=PEERS, ids=list(PEERS))
def peer(request: pytest.FixtureRequest) -> Iterator[SourcePeer]:
    made = PEERS[request.param]()
    try:
        yield made
    finally:
        made.close()


class Bench:
    """A relay between a peer and the service."""

    def __init__(self, service: Service, peer: SourcePeer) -> None:
        self.service, self.peer, self.name = service, peer, secrets.token_hex(4)

    def relay(self, *, instrument: Instrument | None = None, silence_s: float = 5.0, **changes: Any) -> RelayThread:
        """A relay, to be used in a `with` block."""
        settings: dict[str, Any] = {"field": FIELD, "plan": PLAN, "flush_s": 0.01, **changes}
        return RelayThread(
            Relay(
                instrument or self.peer.instrument(),
                self.service.running.address,
                RelayOptions(name=self.name, silence_s=silence_s, retry_s=0.05),
                SeriesOptions(**settings),
                detectors=self.peer.detectors,
            )
        )

    def whole(self, relay: Relay, series: int = 1) -> SeriesReport:
        """Send a series without any fault, and give its report: the proof that the relay goes on."""
        name = self.peer.begin(POINTS)
        self.peer.send(name, range(POINTS))
        self.peer.end(name)
        report = ended(relay, series)
        assert (report.points, report.lost) == (POINTS, 0)
        receipt = balanced(report)
        assert receipt.dropped_by_client == 0 and receipt.reason == "finished"
        return report


@pytest.fixture
def bench(service: Service, peer: SourcePeer) -> Bench:
    return Bench(service, peer)


def ended(relay: Relay, series: int) -> SeriesReport:
    """Wait until so many series have ended, and give the last one's report."""
    wait_for(lambda: len(relay.ended) >= series, 15, f"series {series} has not ended; {relay.problems.to_json()}")
    return relay.ended[series - 1]


def noted(relay: Relay, code: Code, count: int = 1) -> None:
    """Wait until a problem was noted, and see that it is one in words."""
    wait_for(lambda: relay.problems.count(code) >= count, 15, f"no {code}; {relay.problems.to_json()}")
    problem = relay.problems.entries[code].problem
    assert problem.text.endswith(".") and problem.mend.endswith((".", "?"))


def balanced(report: SeriesReport) -> Any:
    assert report.receipt is not None and report.receipt.balanced and report.receipt.checksum_matches
    return report.receipt


def recorded(service: Service, report: SeriesReport) -> tuple[dict[tuple[int, int], int], int]:
    """Every recorded point by pass and place, and how many the frames say were dropped before them."""
    points, dropped = {}, 0
    with service.recording(report) as session:
        for frame in session.frames():
            header = frame.header
            dropped += header.dropped_before
            for place, value in enumerate(frame.samples[0], header.first_point):
                assert (header.pass_index, place) not in points
                points[header.pass_index, place] = int(value)
    return points, dropped


def test_every_point_arrives_at_its_place(bench: Bench) -> None:
    with bench.relay() as relay:
        report = bench.whole(relay)
    points, dropped = recorded(bench.service, report)
    assert points == {(0, place): value_of(place) for place in range(POINTS)} and dropped == 0
    assert relay.problems.to_json() == []


def test_started_before_the_instrument(bench: Bench) -> None:
    bench.peer.vanish()
    with bench.relay() as relay:
        if bench.peer.notices:
            noted(relay, Code.NO_INSTRUMENT, 2)
        bench.peer.come_back()
        bench.whole(relay)


def test_a_series_that_was_joined_late(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS, told=False)
        bench.peer.send(name, range(POINTS // 2, POINTS))
        bench.peer.end(name)
        report = ended(relay, 1)
        assert relay.problems.count(Code.JOINED_LATE) == 1
        assert balanced(report).dropped_by_client == report.lost == POINTS // 2
        bench.whole(relay, 2)


def test_an_instrument_that_stops_early(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, range(20))
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.ENDED_EARLY)
        assert balanced(report).dropped_by_client == report.lost == POINTS - 20
        bench.whole(relay, 2)


def test_an_instrument_that_is_restarted_in_the_middle(bench: Bench) -> None:
    with bench.relay(silence_s=0.5) as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, range(20))
        wait_for(lambda: relay.points >= 20, 10, "the points did not come")
        bench.peer.vanish()
        bench.peer.come_back()
        report = bench.whole(relay, 2)
        assert balanced(relay.ended[0]).reason == "aborted" and relay.ended[0].points == 20
        assert report.session != relay.ended[0].session
        noted(relay, Code.ENDED_EARLY)


@pytest.mark.parametrize("passes", [1, 3])
def test_gaps_inside_a_pass_and_across_its_end(bench: Bench, passes: int) -> None:
    lost = {5, 6, 7, 30, *range(POINTS - 3, POINTS + 4 if passes > 1 else POINTS)}
    every = [point for point in range(passes * POINTS) if point not in lost]
    with bench.relay() as relay:
        name = bench.peer.begin(passes * POINTS)
        bench.peer.send(name, every)
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.GAP, 2)
        assert balanced(report).dropped_by_client == report.lost == len(lost)
        assert report.receipt.problems["gap"] == relay.problems.count(Code.GAP)
        bench.whole(relay, 2)
    points, dropped = recorded(bench.service, report)
    assert points == {divmod(point, POINTS): value_of(point) for point in every} and dropped == len(lost)


def test_passes_that_never_came_are_in_the_receipt(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(3 * POINTS)
        bench.peer.send(name, range(POINTS))
        wait_for(lambda: relay.points >= POINTS, 10, "the points did not come")
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.ENDED_EARLY)
        # No frame is left to tell it: END does.
        assert balanced(report).dropped_by_client == report.lost == 2 * POINTS
        assert report.receipt is not None and report.receipt.count == report.receipt.durable
        bench.whole(relay, 2)


def test_a_beginning_that_cannot_be_used(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        for point in range(5):
            bench.peer.send_undecodable(name, point)
        bench.peer.send(name, range(5, POINTS))
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.UNDECODABLE, 5)
        assert balanced(report).dropped_by_client == report.lost == 5 and relay.problems.count(Code.GAP) == 0


def test_duplicates(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, [*range(10), *range(4, 10), *range(POINTS)])
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.DUPLICATE)
        assert balanced(report).dropped_by_client == report.lost == 0
        assert relay.problems.points(Code.DUPLICATE) == 6 + 10
    assert len(recorded(bench.service, report)[0]) == POINTS


def test_leftovers_of_the_last_series(bench: Bench) -> None:
    with bench.relay() as relay:
        old = bench.peer.begin(POINTS)
        bench.peer.send(old, range(POINTS))
        bench.peer.end(old)
        ended(relay, 1)
        new = bench.peer.begin(POINTS)
        bench.peer.send(old, range(POINTS - 3, POINTS))
        bench.peer.send(new, range(20))
        bench.peer.end(old)
        bench.peer.send(new, range(20, POINTS))
        bench.peer.end(new)
        report = ended(relay, 2)
        noted(relay, Code.LEFTOVER)
        assert (report.points, report.lost) == (POINTS, 0) and relay.problems.points(Code.LEFTOVER) == 3


def test_a_series_that_never_ends(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(None)
        bench.peer.send(name, range(3 * POINTS + 5))
        wait_for(lambda: relay.points >= 3 * POINTS + 5, 10, "the points did not come")
        relay.stop_asked = True
        bench.peer.send(name, range(3 * POINTS + 5, 4 * POINTS))
        report = ended(relay, 1)
        receipt = balanced(report)
        assert receipt.reason == "stopped" and receipt.dropped_by_client == 0
    points, _ = recorded(bench.service, report)
    assert len(points) == report.points == 4 * POINTS


def test_more_passes_than_were_wanted(bench: Bench) -> None:
    with bench.relay(passes=2) as relay:
        name = bench.peer.begin(None)
        bench.peer.send(name, range(2 * POINTS + 7))
        report = ended(relay, 1)
        noted(relay, Code.TOO_MANY)
        assert balanced(report).reason == "finished" and report.points == 2 * POINTS
        bench.peer.end(name)


def test_an_abort_that_is_not_signalled(bench: Bench) -> None:
    with bench.relay(silence_s=0.3) as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, range(20))
        report = ended(relay, 1)
        noted(relay, Code.SILENT)
        assert balanced(report).reason == "aborted" and report.points == 20
        bench.whole(relay, 2)


def test_two_readers(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, range(0, POINTS, 2))
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.TWO_READERS)
        assert balanced(report).dropped_by_client == report.lost == POINTS // 2
        bench.whole(relay, 2)


def test_an_instrument_that_vanishes(bench: Bench) -> None:
    with bench.relay(silence_s=0.3) as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, range(20))
        wait_for(lambda: relay.points >= 20, 10, "the points did not come")
        bench.peer.vanish()
        report = ended(relay, 1)
        noted(relay, Code.NO_INSTRUMENT if bench.peer.notices else Code.SILENT)
        assert balanced(report).reason == "aborted"
        bench.peer.come_back()
        bench.whole(relay, 2)


@pytest.mark.parametrize(
    ("word", "code"), [("send_wrong_size", Code.WRONG_SIZE), ("send_undecodable", Code.UNDECODABLE)]
)
def test_points_that_cannot_be_used(bench: Bench, word: str, code: Code) -> None:
    bad = (10, 11, POINTS - 1)
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        for point in range(POINTS):
            if point in bad:
                getattr(bench.peer, word)(name, point)
            else:
                bench.peer.send(name, [point])
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, code)
        assert relay.problems.points(code) == len(bad)
        assert balanced(report).dropped_by_client == report.lost == len(bad)
        assert report.receipt.problems == {code.value: relay.problems.count(code)}  # the service was told of all
        assert relay.problems.count(Code.GAP) == 0
        bench.whole(relay, 2)
    points, dropped = recorded(bench.service, report)
    assert points == {(0, point): value_of(point) for point in range(POINTS) if point not in bad}
    assert dropped == len(bad)


def test_garbage_between_messages(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        bench.peer.send(name, range(20))
        bench.peer.send_garbage()
        bench.peer.send(name, range(20, POINTS))
        bench.peer.end(name)
        report = ended(relay, 1)
        noted(relay, Code.MALFORMED, 4)
        assert balanced(report).dropped_by_client == 0 and report.points == POINTS


def test_a_clock_that_jumps(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(POINTS)
        for point in range(POINTS):
            bench.peer.send(name, [point], at_s=point * 1e-3 - (3600 if point >= 30 else 0))
        bench.peer.end(name)
        report = ended(relay, 1)
        assert balanced(report).dropped_by_client == 0
        if bench.peer.has_clock:
            noted(relay, Code.CLOCK)
    with bench.service.recording(report) as session:
        times = [frame.header.acquired_unix_ns for frame in session.frames()]
    assert times == sorted(times)


def test_an_operator_who_stops_and_one_who_aborts(bench: Bench) -> None:
    with AtConsole(bench.service.running.acquire.run_dir) as console, bench.relay() as relay:
        for number, (action, reason) in enumerate([("stop", "stopped"), ("abort", "aborted")], 1):
            name = bench.peer.begin(None)
            bench.peer.send(name, range(20))
            wait_for(lambda: relay.points >= 20, 10, "the points did not come")
            console.command(relay.session_name, action)
            if action == "stop":
                bench.peer.send(name, range(20, 2 * POINTS))
            report = ended(relay, number)
            receipt = balanced(report)
            assert receipt.reason == reason
            # What was on its way before the word came is taken, but always up to the end of a pass.
            assert report.points in ((POINTS, 2 * POINTS) if action == "stop" else (20,))
            bench.peer.end(name)


def test_many_problems_take_the_room_of_one(bench: Bench) -> None:
    with bench.relay() as relay:
        name = bench.peer.begin(20 * POINTS)
        bench.peer.send(name, range(0, 20 * POINTS, 3))
        bench.peer.end(name)
        report = ended(relay, 1)
        assert relay.problems.count(Code.GAP) > 100 and len(relay.problems.to_json()) <= 3
        assert balanced(report).dropped_by_client == report.lost == 20 * POINTS - len(range(0, 20 * POINTS, 3))
