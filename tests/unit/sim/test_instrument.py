"""The microscope on the wire, against a small service that follows the protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from reference_service import ReferenceService, serving
from scanmend.errors import InvalidInput, NotConnected, SessionRefused
from scanmend.plan import ScanPlan
from scanmend.wire.messages import ExecutedStatus, Proposal, encode
from scanmend_sim.instrument import PLANS_REUSED, Instrument, RunOptions
from scanmend_sim.instrument_thread import InstrumentThread
from scanmend_sim.report import Report
from scanmend_sim.scenario import Scenario, parse_scenario

BASE = """
name = "small"
about = "A small field."
specimen = "nanoparticles:seed=1"
frames = 6
rate = "max"
[field]
shape = [40, 48]
beam_current_pa = 20.0
pixel_size_nm = 0.5
"""
RASTER = '[[plans]]\npattern = "raster"\ndwell_ns = 1000\n'
SPARSE = '[[plans]]\npattern = "jittered_grid"\npitch_px = 4.0\ndwell_ns = 2000\nseed_step = 1\n'
ADAPTIVE = f"""mode = "exposure"
{BASE.replace("frames = 6", "frames = 0")}
[[plans]]
pattern = "raster"
dwell_ns = 1000
chunk_points = 500
[rescan]
policy = "uncertainty"
budget_e_per_px = 400.0
max_proposals = 3
"""


@pytest.fixture
def service() -> Iterator[SimpleNamespace]:
    with serving() as handle:
        yield handle


def scenario(text: str) -> Scenario:
    return parse_scenario(text)


def frames_of(service: SimpleNamespace) -> list[object]:
    (session,) = service.service.sessions.values()
    return [header for _, (header, _) in sorted(session.frames.items())]


def run(service: SimpleNamespace, text: str, **options: object) -> Report:
    return Instrument(scenario(text), service.address, RunOptions(**options)).run()


def test_every_pass_is_sent_and_answered(service: SimpleNamespace) -> None:
    report = run(service, BASE + RASTER)
    receipt, tally = report.receipt, report.tally
    assert (receipt.count, receipt.durable, receipt.gaps, receipt.balanced) == (6, 6, 0, True)
    assert receipt.checksum_matches and receipt.reason == "finished"
    assert tally.restored == 6 and len(tally.round_trip_ms) == 6
    (by,) = report.to_json()["restored_by"]
    assert (by["model"], by["frames"], tally.last_model) == ("identity", 6, "identity") and by["provider"]
    assert report.pictures_compared == 6
    assert report.quality is not None and report.quality.psnr_input == pytest.approx(report.quality.psnr_restored)


def test_what_is_sent_is_what_the_microscope_measures(service: SimpleNamespace) -> None:
    run(service, BASE + SPARSE, frames=3)
    (session,) = service.service.sessions.values()
    twin = scenario(BASE + SPARSE).microscope()
    for number in range(3):
        header, payload = session.frames[number]
        plan = twin.prepare(scenario(BASE + SPARSE).plan(number))
        assert session.plans[header.plan_id] == plan
        np.testing.assert_array_equal(np.frombuffer(payload, "<u2"), twin.run(plan, number)[0])
        assert (header.pass_index, header.points, header.end_of_pass) == (number, plan.points, True)


def test_chunks_come_in_order_and_the_last_ends_the_pass(service: SimpleNamespace) -> None:
    run(service, BASE + RASTER + "chunk_points = 700\n", frames=2)
    found = [(h.pass_index, h.first_point, h.points, h.end_of_pass) for h in frames_of(service)]
    one = [(0, 700, False), (700, 700, False), (1400, 520, True)]
    assert found == [(number, *chunk) for number in range(2) for chunk in one]


def test_a_pass_too_large_for_a_message_goes_in_several() -> None:
    with serving(ReferenceService(max_frame_bytes=1000)) as service:
        report = run(service, BASE + RASTER, frames=2)
        assert report.receipt.count == 8 and report.receipt.balanced
        assert [h.points for h in frames_of(service)] == [500, 500, 500, 420] * 2


def test_plans_that_change_from_pass_to_pass_come_again(service: SimpleNamespace) -> None:
    run(service, BASE + SPARSE, frames=PLANS_REUSED + 5)
    (session,) = service.service.sessions.values()
    assert len(session.plans) == PLANS_REUSED


def test_a_pool_of_passes_is_sent_in_turn(service: SimpleNamespace) -> None:
    report = run(service, BASE.replace('rate = "max"', 'rate = "max"\npool = 3') + RASTER, frames=7)
    (session,) = service.service.sessions.values()
    payloads = [session.frames[seq][1] for seq in range(7)]
    assert payloads[0] == payloads[3] != payloads[1] and report.receipt.balanced
    assert report.true_dose_e_per_nm2 == pytest.approx(7 * 20 * 1000 * 0.00624150907 / 0.25, rel=1e-6)


def test_specimens_change(service: SimpleNamespace) -> None:
    report = run(service, "passes_per_specimen = 2\n" + BASE + RASTER)
    assert report.specimens == ("nanoparticles:seed=1", "nanoparticles:seed=2", "nanoparticles:seed=3")


def test_in_real_time_the_beam_sets_the_pace(service: SimpleNamespace) -> None:
    text = BASE.replace('"max"', '"realtime"') + RASTER.replace("1000", "20000")  # 38.4 ms a pass
    report = run(service, text, frames=8)
    assert 0.95 * 8 * 0.0384 < report.elapsed_s < 3.0
    twice = run(service, text, frames=8, speed=4.0)
    assert twice.elapsed_s < report.elapsed_s


# Faults -------------------------------------------------------------------------------------------------------------

FAULTS = {
    "drop": "drop = 0.2",
    "delay": "delay = 0.4\ndelay_ms = 30.0",
    "reorder": "reorder = 0.3",
    "truncate": "truncate = 0.2",
    "duplicate": "duplicate = 0.4",
    "garbage": "garbage = 0.2",
    "wrong_dtype": "wrong_dtype = 0.2",
    "all": "drop = 0.1\ndelay = 0.1\nreorder = 0.1\ntruncate = 0.1\nduplicate = 0.1\ngarbage = 0.1\nwrong_dtype = 0.1",
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_what_can_be_healed_is_healed_and_the_rest_is_named(service: SimpleNamespace, faults: str) -> None:
    report = run(service, f"{BASE}{RASTER}[faults]\n{faults}\n", frames=40)
    receipt, done = report.receipt, report.faults
    assert done is not None and done.messages_in >= 40 and sum(done.faults.values()) > 0
    assert receipt.balanced and receipt.gaps == 0
    # A frame that was on its way twice is rejected once, and not at all where a good copy came first.
    assert set(receipt.rejected) <= {"dtype"} and sum(receipt.rejected.values()) <= done.faults["wrong_dtype"]
    assert receipt.received == 40 - sum(receipt.rejected.values())
    assert receipt.conflicts == 0


# Stopping -----------------------------------------------------------------------------------------------------------

ENDLESS = BASE.replace("frames = 6", "frames = 0").replace('"max"', "50.0")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_stop_finishes_the_pass(service: SimpleNamespace) -> None:
    text = ENDLESS.replace("50.0", "5.0") + RASTER + "chunk_points = 200\n"
    with InstrumentThread(Instrument(scenario(text), service.address)) as thread:
        wait_for(lambda: any(len(s.frames) > 3 for s in service.service.sessions.values()))
        report = thread.stop()
    assert report.receipt.reason == "stopped" and report.receipt.balanced
    assert frames_of(service)[-1].end_of_pass


@pytest.mark.parametrize(("action", "reason", "whole"), [("stop", "stopped", True), ("abort", "aborted", False)])
def test_an_operator_commands(service: SimpleNamespace, action: str, reason: str, whole: bool) -> None:
    text = ENDLESS.replace("50.0", "1.0") + RASTER + "chunk_points = 100\n"  # a chunk every 52 ms
    with InstrumentThread(Instrument(scenario(text), service.address)) as thread:
        wait_for(lambda: any(len(s.frames) > 3 for s in service.service.sessions.values()))
        (session_id,) = service.service.sessions
        service.push.append(service.service.command(session_id, action))
        report = thread.result()
    assert report.receipt.reason == reason and report.receipt.balanced
    assert frames_of(service)[-1].end_of_pass is whole


def test_without_credit_the_beam_waits_and_can_still_be_stopped(service: SimpleNamespace) -> None:
    service.service.paused = "The disk is slow."
    service.service.credit = 3
    seen = []
    instrument = Instrument(scenario(ENDLESS + RASTER), service.address, on_progress=seen.append)
    with InstrumentThread(instrument) as thread:
        wait_for(lambda: any(progress.paused for progress in seen))
        report = thread.stop()
    assert report.receipt.count == 3 and report.receipt.balanced
    assert instrument.microscope.dose().points == 4 * 40 * 48, "the pass that waited was scanned, and none after it"


def test_an_error_of_the_thread_is_raised_where_it_can_be_seen() -> None:
    with serving() as service:
        service.service.refuse = "session_name"
        with pytest.raises(SessionRefused), InstrumentThread(Instrument(scenario(BASE + RASTER), service.address)):
            pass


def test_nobody_answers() -> None:
    with pytest.raises(NotConnected, match="scanmend serve"):
        Instrument(scenario(BASE + RASTER), "tcp://127.0.0.1:9").run()


def test_options_are_checked_before_the_beam_is_on() -> None:
    with pytest.raises(InvalidInput, match="no specimen"):
        Instrument(scenario(BASE + RASTER), options=RunOptions(specimen="unobtainium"))


# Rescans ------------------------------------------------------------------------------------------------------------


def propose(service: SimpleNamespace, number: int, plan: ScanPlan, *, expires_in_s: float = 60.0) -> None:
    (session_id,) = service.service.sessions
    proposal = Proposal(
        session_id=session_id, proposal_id=number, plan=plan, policy="uncertainty", reason="It is dark there.",
        based_on_frames=1, dose_e_per_nm2=1.0, duration_ns=1000, sigma_now=2.0, sigma_expected=1.0,
        expires_unix_ns=time.time_ns() + int(expires_in_s * 1e9),
    )  # fmt: skip
    service.push.append([encode(proposal)])


def rescanned(service: SimpleNamespace, *plans: ScanPlan, **options: float) -> tuple[Report, list[object]]:
    """Run the adaptive scenario, proposing each plan once what came before is decided."""
    with InstrumentThread(Instrument(scenario(ADAPTIVE), service.address)) as thread:
        for number, plan in enumerate(plans, start=1):
            wait_for(lambda: len(service.service.sessions) == 1 and len(frames_of(service)) >= 4)
            propose(service, number, plan, **options)
            wait_for(lambda n=number: len(service.service.executed) >= n)
        report = thread.result()
    return report, service.service.executed


SHAPE = (40, 48)
SPOT = np.array([[3, 4], [5, 6], [47, 39]])


def limited(dwell_ns: object, max_dose_e_per_nm2: float) -> ScanPlan:
    plan = ScanPlan.point_list(SHAPE, dwell_ns, xy=SPOT)
    return msgspec.structs.replace(plan, max_dose_e_per_nm2=max_dose_e_per_nm2)


def test_a_proposal_is_run_as_the_electronics_can(service: SimpleNamespace) -> None:
    report, executed = rescanned(service, ScanPlan.point_list(SHAPE, [1010, 2060, 30], xy=SPOT))
    (decision,) = executed
    assert decision.status is ExecutedStatus.ACCEPTED
    (session,) = service.service.sessions.values()
    ran = session.plans[decision.plan_id]
    assert ran.dwells_ns.tolist() == [1000, 2000, 125]
    last = frames_of(service)[-1]
    assert (last.plan_id, last.pass_index, last.points, last.end_of_pass) == (decision.plan_id, 1, 3, True)
    assert report.receipt.balanced


def test_a_plan_that_is_cut_counts_as_changed(service: SimpleNamespace) -> None:
    dose_so_far = 1000 * 20 * 0.00624150907 / 0.25
    plan = limited([1000, 1000, 5000], 2.5 * dose_so_far)
    report, (decision,) = rescanned(service, plan)
    assert decision.status is ExecutedStatus.CHANGED
    (session,) = service.service.sessions.values()
    assert session.plans[decision.plan_id].points == 2 and report.passes == 2


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (ScanPlan.raster(SHAPE, 100_000), "left of the budget"),
        (ScanPlan.raster((16, 16), 1000), "16"),
        (limited(1000, 0.1), "above its limit"),
    ],
    ids=["budget", "another field", "overdose"],
)
def test_what_cannot_be_run_or_paid_is_declined(service: SimpleNamespace, plan: ScanPlan, why: str) -> None:
    report, (decision,) = rescanned(service, plan)
    assert decision.status is ExecutedStatus.DECLINED and why in decision.reason
    assert report.passes == 1 and report.receipt.balanced


def test_what_came_too_late_is_not_run(service: SimpleNamespace) -> None:
    report, (decision,) = rescanned(service, ScanPlan.point_list(SHAPE, 1000, xy=SPOT), expires_in_s=-1.0)
    assert decision.status is ExecutedStatus.EXPIRED and report.passes == 1


def test_no_more_than_the_scenario_allows(service: SimpleNamespace) -> None:
    plans = [ScanPlan.point_list(SHAPE, 1000 + 125 * n, xy=SPOT) for n in range(3)]
    report, executed = rescanned(service, *plans)
    assert [decision.status for decision in executed] == [ExecutedStatus.ACCEPTED] * 3
    assert report.passes == 4, "the scenario's own pass, and as many rescans as max_proposals"


def test_the_report_is_plain_json(service: SimpleNamespace) -> None:
    plain = run(service, BASE + RASTER).to_json()
    assert msgspec.json.decode(msgspec.json.encode(plain)) == plain
    assert {"p50", "p95", "p99"} == set(plain["latency_ms"])
