"""What every controller must do in the closed loop: run what is proposed, and say honestly what was run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from controller_peers import FIELD, PEERS, WITH_WORDS, ControllerPeer, Fault, GeneratorPeer, ObiPeer

from in_thread import RelayThread
from operating import AtConsole
from running import RunningService, wait_for
from scanmend.errors import InvalidInput, PlanError
from scanmend.export.session import RecordedSession
from scanmend.exposure import ExposureBuilder
from scanmend.field import Capabilities
from scanmend.plan import Pattern, Raster, ScanPlan, Segments, Serpentine
from scanmend.sources import AdaptiveTerms, Code, Instrument, Lost, Problem, Relay, RelayOptions, Samples, SeriesOptions

FIRST = ScanPlan.raster(FIELD.shape, 4000)
TERMS = AdaptiveTerms(max_passes=3, min_gain=0.0, policy="variance")


@pytest.fixture(params=PEERS, ids=list(PEERS))
def peer(request: pytest.FixtureRequest) -> Iterator[ControllerPeer]:
    made = PEERS[request.param]()
    try:
        yield made
    finally:
        made.close()


class Silent(GeneratorPeer):
    """Takes the first plan, and says nothing of it."""

    def begin(self, plan: ScanPlan, passes: int) -> str:
        self.runs += 1
        return "run 0"


@pytest.fixture(params=WITH_WORDS, ids=list(WITH_WORDS))
def peer_with_words(request: pytest.FixtureRequest) -> Iterator[ControllerPeer]:
    made = WITH_WORDS[request.param]()
    try:
        yield made
    finally:
        made.close()


def relay_of(
    service: RunningService,
    instrument: Instrument,
    terms: AdaptiveTerms = TERMS,
    first: ScanPlan = FIRST,
    silence_s: float = 5.0,
) -> Relay:
    return Relay(
        instrument,
        service.address,
        RelayOptions(name=secrets.token_hex(4), silence_s=silence_s, retry_s=0.05),
        SeriesOptions(field=FIELD, plan=first, flush_s=0.01, chunk_points=256, model="pushpull"),
        adaptive=terms,
    )


def scanned(service: RunningService, peer: ControllerPeer, **changes: Any) -> tuple[Relay, Any]:
    """Run one adaptive scan; gives the relay, and the report of the scan."""
    relay = relay_of(service, peer.instrument(), **changes)
    relay.run(series=1)
    (report,) = relay.ended
    receipt = report.receipt
    assert receipt is not None and receipt.balanced and receipt.checksum_matches and receipt.gaps == 0
    # What the specimen has had is what the service knows of, to the electron.
    assert receipt.dose_e_per_nm2 == pytest.approx(peer.microscope.dose().mean_e_per_nm2)
    return relay, report


def passes_of(service: RunningService, name: str) -> list[tuple[ScanPlan, dict[int, int]]]:
    """Each recorded pass: its plan, and the value at each place of the plan that came."""
    found: dict[int, tuple[ScanPlan, dict[int, int]]] = {}
    with RecordedSession(service.data_dir / "sessions" / name) as session:
        for frame in session.frames():
            header, plan = frame.header, session.plan(frame.header.plan_id)
            assert plan is not None
            values = found.setdefault(header.pass_index, (plan, {}))[1]
            for place, value in enumerate(frame.samples[0], header.first_point):
                assert place not in values
                values[place] = int(value)
    return [found[index] for index in sorted(found)]


def executed(service: RunningService, name: str) -> tuple[list[Any], list[Any]]:
    with RecordedSession(service.data_dir / "sessions" / name) as session:
        return [proposal for _, proposal in session.proposals()], list(session.executed)


def test_what_is_proposed_is_run_and_comes_back_at_exactly_its_points(
    service: RunningService, peer: ControllerPeer
) -> None:
    relay, report = scanned(service, peer)
    proposals, answers = executed(service, report.session)
    assert report.receipt.executed == {"accepted": 2} and report.receipt.enough == "passes"
    assert [answer.status for answer in answers] == ["accepted", "accepted"]
    first, *rescans = passes_of(service, report.session)
    assert first[0] == FIRST and len(rescans) == 2
    for (plan, values), proposal in zip(rescans, proposals, strict=True):
        np.testing.assert_array_equal(plan.pixels, proposal.plan.pixels)
        np.testing.assert_array_equal(plan.dwells_ns, proposal.plan.dwells_ns)
        assert sorted(values) == list(range(plan.points))
    assert (report.points, report.lost) == (sum(plan.points for plan, _ in (first, *rescans)), 0)
    assert "passes" in report.why and relay.problems.to_json() == []
    # Where it looks for longer, more is counted: the samples belong to their points.
    truth = peer.microscope.truth_electrons(1.0).reshape(-1)
    electrons = ExposureBuilder(FIELD, peer.microscope.channels[0]).electrons
    for plan, values in rescans:
        expected = truth[plan.pixels] * plan.dwells_ns
        got = electrons(np.array([values[place] for place in range(plan.points)]), plan.dwells_ns.astype(float))
        assert np.abs(got - expected).max() < 7 * np.sqrt(expected.max()) + 7


def test_a_plan_that_is_refused_is_declined_and_ends_the_scan(service: RunningService, peer: ControllerPeer) -> None:
    peer.faults[1] = Fault("refuse")
    relay, report = scanned(service, peer)
    assert report.receipt.executed == {"declined": 1} and len(passes_of(service, report.session)) == 1
    assert relay.problems.count(Code.CONTROL) == 1 and "declined" in report.why
    assert report.receipt.reason == "finished"


@pytest.mark.parametrize("told", [True, False], ids=["its series begins", "not a word"])
def test_a_first_plan_that_brings_nothing_is_not_run_twice(service: RunningService, told: bool) -> None:
    peer = GeneratorPeer() if told else Silent()
    peer.faults[0] = Fault("hang")
    relay = relay_of(service, peer.instrument(), silence_s=0.3)
    relay.run(series=1)
    assert peer.runs == 1 and peer.aborts == 1 and not relay.ended
    assert relay.problems.count(Code.SILENT) == 1


def test_a_first_plan_that_is_refused_is_told_again(service: RunningService, peer: ControllerPeer) -> None:
    peer.faults = {0: Fault("refuse"), 1: Fault("refuse")}
    relay, report = scanned(service, peer, terms=AdaptiveTerms(max_passes=1))
    assert relay.problems.count(Code.CONTROL) == 2 and report.points == FIRST.points


@pytest.mark.parametrize("name", ["generator", "direct-electron"])
def test_a_pass_that_is_run_in_part_is_told_so_and_the_scan_goes_on(service: RunningService, name: str) -> None:
    peer = PEERS[name]()
    peer.faults[1] = Fault("part", 100)
    _, report = scanned(service, peer)
    assert report.receipt.executed == {"changed": 1, "accepted": 1} and report.receipt.dropped_by_client == 0
    _, answers = executed(service, report.session)
    assert "100 of" in answers[0].reason
    passes = passes_of(service, report.session)
    assert len(passes) == 3 and sorted(passes[1][1]) == list(range(100))


@pytest.mark.parametrize("points", [0, 100])
def test_an_instrument_that_hangs_is_stopped_and_the_scan_is_ended(
    service: RunningService, peer: ControllerPeer, points: int
) -> None:
    peer.faults[1] = Fault("hang", points)
    relay, report = scanned(service, peer, silence_s=peer.silence_s)
    assert relay.problems.count(peer.hangs_as) == 1
    wait_for(lambda: peer.aborts >= 1, 5, "it was not told to stop")
    assert report.receipt.reason == "aborted" and relay.problems.entries[peer.hangs_as].problem.text in report.why
    assert report.receipt.executed == ({"changed": 1} if points else {"declined": 1})
    assert sum(len(values) for _, values in passes_of(service, report.session)) == FIRST.points + points


def test_an_instrument_that_is_aborted_ends_the_scan_with_what_came(
    service: RunningService, peer_with_words: ControllerPeer
) -> None:
    peer = peer_with_words
    peer.faults[1] = Fault("abort", 100)
    relay, report = scanned(service, peer)
    assert report.receipt.reason == "aborted" and report.receipt.executed == {"changed": 1}
    assert relay.problems.count(Code.ENDED_EARLY) == 1
    assert len(passes_of(service, report.session)[1][1]) == 100


@pytest.mark.parametrize(("action", "reason"), [("stop", "stopped"), ("abort", "aborted")])
def test_an_operator_stops_the_loop_or_aborts_it(
    service: RunningService, peer_with_words: ControllerPeer, action: Any, reason: str
) -> None:
    peer = peer_with_words
    peer.faults[1] = Fault("hang", 100)
    relay = relay_of(service, peer.instrument(), silence_s=0.7 if action == "stop" else 30.0)
    with AtConsole(service.run_dir) as console, RelayThread(relay, series=1):
        wait_for(lambda: peer.runs == 2 and relay.points == 100, 20, "the second pass did not come")
        console.command(relay.session_name, action)
        wait_for(lambda: bool(relay.ended), 20, "the scan does not end")
    (report,) = relay.ended
    # A pass that hangs cannot be finished: then even a stop ends in the abort of what hangs.
    assert report.receipt.balanced and report.receipt.reason == "aborted"
    assert ("operator" in report.why) == (action == "abort")
    wait_for(lambda: peer.aborts >= 1, 5, "it was not told to stop")


def test_who_started_the_relay_stops_it_after_the_pass(service: RunningService, peer: ControllerPeer) -> None:
    relay = relay_of(service, peer.instrument(), AdaptiveTerms(min_gain=0.0, policy="variance", max_passes=1000))
    with RelayThread(relay):
        wait_for(lambda: relay.running != "" and relay.points > 0, 20, "nothing came")
        relay.stop_asked = True
        wait_for(lambda: bool(relay.ended), 20, "the scan does not end")
    (report,) = relay.ended
    assert report.receipt.balanced and report.receipt.reason == "stopped"
    for plan, values in passes_of(service, report.session):
        assert len(values) == plan.points


def test_coarse_dwells_are_proposed_and_run_as_the_instrument_has_them(service: RunningService) -> None:
    peer = GeneratorPeer(Capabilities(dwell_quantum_ns=1500, min_dwell_ns=3000, settle_ns=500))
    _, report = scanned(service, peer, terms=AdaptiveTerms(budget_e_per_nm2=400.0, policy="variance", max_passes=3))
    assert report.receipt.executed == {"accepted": 2} and report.receipt.dose_e_per_nm2 <= 400
    for plan, _ in passes_of(service, report.session):
        assert not (plan.dwells_ns % 1500).any() and plan.dwells_ns.min() >= 3000


@pytest.mark.parametrize(
    ("able", "patterns"),
    [
        (Capabilities(points=False, rectangles=True, dwell_per_point=False), (Raster, Serpentine)),
        (Capabilities(points=False, segments=True), (Segments, Raster, Serpentine)),
        (Capabilities(max_points=100, dwell_per_point=False), (Pattern,)),
    ],
    ids=["rectangles with one dwell", "segments", "a hundred points with one dwell"],
)
def test_what_an_instrument_cannot_run_is_not_proposed(
    service: RunningService, able: Capabilities, patterns: tuple[Any, ...]
) -> None:
    peer = GeneratorPeer(able)
    first = FIRST if able.max_points >= FIRST.points else ScanPlan.jittered_grid(FIELD.shape, 4000, pitch_px=3.0)
    relay, report = scanned(service, peer, first=first)
    assert report.receipt.executed.get("accepted", 0) >= 1 and set(report.receipt.executed) == {"accepted"}
    for plan, values in passes_of(service, report.session)[1:]:
        assert isinstance(plan.pattern, patterns) and len(values) == plan.points <= able.max_points
        assert able.dwell_per_point or plan.dwell_list is None
    assert relay.problems.to_json() == []


def test_a_plan_that_the_controller_changes_is_told_as_changed(service: RunningService) -> None:
    class Short(GeneratorPeer):
        """Says that it takes any number of points, and then takes fifty."""

        def prepare(self, plan: ScanPlan) -> ScanPlan:
            if plan == FIRST:
                return plan
            return ScanPlan.point_list(plan.shape, 1000, xy=np.stack([plan.x, plan.y], axis=1)[:50])

    _, report = scanned(service, Short(), terms=AdaptiveTerms(max_passes=2, min_gain=0.0, policy="variance"))
    assert report.receipt.executed == {"changed": 1}
    assert [plan.points for plan, _ in passes_of(service, report.session)] == [FIRST.points, 50]


def test_a_plan_that_cannot_be_prepared_is_declined(service: RunningService) -> None:
    class Raster(GeneratorPeer):
        def prepare(self, plan: ScanPlan) -> ScanPlan:
            if plan != FIRST:
                raise PlanError("Only rasters, it turns out.", mend="Say so in the capabilities.")
            return plan

    relay, report = scanned(service, Raster())
    assert report.receipt.executed == {"declined": 1} and "Only rasters" in report.why
    assert relay.problems.count(Code.CONTROL) == 1


def test_points_that_are_lost_in_a_pass_are_dropped_and_counted(service: RunningService) -> None:
    class Lossy(GeneratorPeer):
        """Loses points in the middle of the first pass, and the end of the second."""

        def begin(self, plan: ScanPlan, passes: int) -> str:
            self.events.clear()
            name = super().begin(plan, passes)
            began, *runs, ended = self.events
            every = np.concatenate([run.values for run in runs], axis=1)
            problem = Problem(Code.UNDECODABLE, "A block is damaged.", "Look at the cable.")
            keep = [Samples(series=name, first=0, values=every[:, :40])]
            if self.runs == 1:
                keep += [Lost(series=name, first=40, points=60, problem=problem)]
                keep += [Samples(series=name, first=100, values=every[:, 100:])]
            self.events.clear()
            self.events.extend([began, *keep, ended])
            return name

    peer = Lossy()
    relay = relay_of(service, peer.instrument(), AdaptiveTerms(max_passes=2, min_gain=0.0, policy="variance"))
    relay.run(series=1)
    (report,) = relay.ended
    (first, _), (second, came) = passes_of(service, report.session)
    lost = 60 + second.points - 40
    assert report.receipt.balanced and report.receipt.dropped_by_client == report.lost == lost
    assert sorted(came) == list(range(40)) and first.points == FIRST.points


def test_what_cannot_be_asked_for_is_said_before_the_beam_is_on(service: RunningService) -> None:
    peer = GeneratorPeer()
    for terms in (AdaptiveTerms(budget_e_per_nm2=1.0), AdaptiveTerms(target_sigma=-1.0)):
        with pytest.raises(InvalidInput):
            relay_of(service, peer.instrument(), terms)
    with pytest.raises(InvalidInput, match="cannot be told"):
        relay_of(service, Instrument(source=peer))
    assert peer.runs == 0


@pytest.mark.parametrize("passes", [2, 0], ids=["two passes", "no end"])
def test_a_plan_that_is_driven_without_the_loop(service: RunningService, passes: int) -> None:
    peer = ObiPeer()
    relay = Relay(
        peer.instrument(),
        service.address,
        RelayOptions(name=secrets.token_hex(4), drive=True),
        SeriesOptions(field=FIELD, plan=FIRST, passes=passes, flush_s=0.01, model="pushpull"),
    )
    with RelayThread(relay, series=1):
        wait_for(lambda: relay.points > FIRST.points or bool(relay.ended), 20, "nothing came")
        relay.stop_asked = not passes
        wait_for(lambda: bool(relay.ended), 20, "the series does not end")
    peer.close()
    (report,) = relay.ended
    assert report.receipt is not None and report.receipt.balanced and report.lost == 0
    assert report.receipt.reason == ("finished" if passes else "stopped") and report.points % FIRST.points == 0
    assert peer.server.generator.blanked and peer.runs == 1


def test_a_relay_that_is_stopped_while_a_plan_is_due_stops_the_instrument(service: RunningService) -> None:
    peer = Silent()
    relay = relay_of(service, peer.instrument(), silence_s=30.0)
    with RelayThread(relay):
        wait_for(lambda: peer.runs == 1, 10, "it was not told to begin")
    assert peer.aborts == 1 and not relay.ended
