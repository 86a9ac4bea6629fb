"""What a client reports of its instrument: counted here, told now and then, and never to a service that is too old."""

from __future__ import annotations

import asyncio

import pytest
from test_core import PLAN, Wire, piece

from reference_service import ReferenceService, serving
from running import wait_for
from scanmend.client import AsyncClient, Client, reporter
from scanmend.client.problems import MOST_KINDS, OTHER, PAUSE_S
from scanmend.errors import InvalidInput
from scanmend.field import Field
from scanmend.wire.messages import End, Problem, decode_client

GAP = {"mend": "", "level": "warning", "points": 3, "stands": False}


def opened(**options):
    wire = Wire(**options)
    wire.turn()
    wire.core.add_plan(PLAN)
    return wire


def test_many_of_a_kind_are_few_messages_and_no_count_is_lost():
    wire = opened()
    for _ in range(1000):
        wire.core.problems.report("gap", "Three points never came.", **GAP)
        wire.now += 0.001
        wire.turn()
    wire.core.push(piece())
    wire.core.end("finished")
    wire.turn()
    said = wire.service.problems
    assert 2 <= len(said) <= 2 + 1 / PAUSE_S and (said[-1].count, said[-1].points) == (1000, 3000)
    kinds = [decode_client(parts[0]) for parts in wire.log if len(parts) == 1]
    assert isinstance(kinds[-1], End) and isinstance(kinds[-2], Problem)  # the last word comes before END
    assert wire.core.receipt is not None


def test_kinds_beyond_the_most_are_counted_together():
    wire = opened()
    for number in range(MOST_KINDS + 4):
        wire.core.problems.report(f"kind_{number}", "One.", **GAP)
    wire.core.end("finished")
    wire.turn()
    assert len(wire.service.problems) == MOST_KINDS
    assert {said.code: said.count for said in wire.service.problems}[OTHER] == 5


def test_a_service_that_does_not_know_them_is_told_nothing():
    wire = opened(service=ReferenceService(features=[]))
    wire.core.problems.report("gap", "One.", **GAP)
    wire.core.push(piece())
    wire.core.end("finished")
    wire.turn()
    assert wire.service.problems == [] and wire.core.receipt.balanced
    assert not any(isinstance(decode_client(parts[0]), Problem) for parts in wire.log if len(parts) == 1)


def test_all_are_told_again_after_a_restart_of_the_service():
    wire = opened()
    wire.core.problems.report("gap", "One.", **GAP)
    wire.core.problems.report("away", "Away.", **(GAP | {"stands": True}))
    wire.now += PAUSE_S
    wire.turn()
    wire.now += PAUSE_S
    wire.turn()
    assert [said.code for said in wire.service.problems] == ["gap", "away"]
    wire.core.problems.clear("away")
    wire.core.problems.clear("none such")
    wire.service.problems.clear()
    wire.service.restart()
    wire.core.push(piece())
    for _ in range(4):
        wire.turn()
        wire.now += PAUSE_S
    assert {said.code: said.cleared for said in wire.service.problems} == {"gap": False, "away": True}
    wire.core.problems.report("away", "Away.", **(GAP | {"stands": True}))
    wire.turn()
    last = wire.service.problems[-1]
    assert (last.code, last.count, last.cleared, last.stands) == ("away", 2, False, True)


@pytest.mark.parametrize(
    ("code", "text", "more"),
    [
        ("Gap", "One.", {}),
        ("two words", "One.", {}),
        ("gap", " ", {}),
        ("gap", "One.", {"level": "caution"}),
        ("gap", "One.", {"points": -1}),
    ],
)
def test_what_cannot_be_reported_is_said_to_the_caller(code, text, more):
    wire = opened()
    with pytest.raises(InvalidInput) as caught:
        wire.core.problems.report(code, text, **(GAP | more))
    assert caught.value.mend


def test_a_long_text_is_cut():
    with serving() as there, Client(there.address) as client:
        with client.session("long", Field(shape=(8, 8), pixel_size_nm=1.0)) as session:
            session.report_problem("gap", "t" * 2000, mend="m" * 2000, level="error")
    (said,) = there.service.problems
    assert (len(said.text), len(said.mend), said.level) == (600, 600, "error")


def test_both_clients_report_with_and_without_a_session():
    async def run(address):
        async with AsyncClient(address, program="the test") as client:
            client.report_problem("away", "Nobody answers.", stands=True)
            waiting = client.session("aio", Field(shape=(8, 8), pixel_size_nm=1.0))
            waiting.report_problem("early", "Before the session was open.")
            async with waiting as session:
                session.report_problem("gap", "One.")
                session.clear_problem("gap")

    with serving() as there:
        with Client(there.address, program="the test") as client:
            client.report_problem("away", "Nobody answers.", stands=True)
            client.report_problem("away", "Nobody answers.", stands=True)  # a moment later: not told again
            client.clear_problem("away")
            client.clear_problem("never")
            wait_for(lambda: len(there.service.problems) == 2, 5, "no problem came")
        away, over = there.service.problems
        assert (away.session_id, away.client, away.stands, over.cleared, over.count) == (0, "the test", True, True, 2)
        there.service.problems.clear()
        asyncio.run(run(there.address))
        wait_for(lambda: len(there.service.problems) >= 3, 5, "no problem came")
        assert {said.code for said in there.service.problems} == {"away", "early", "gap"}


def test_a_service_that_is_not_there_holds_nobody_up():
    with Client("tcp://127.0.0.1:9") as client:
        for _ in range(3 * reporter.QUEUED):
            client.report_problem("away", "Nobody answers.", stands=True)


def test_an_old_service_is_left_alone(monkeypatch):
    monkeypatch.setattr(reporter, "REPEAT_S", 0.0)
    service, heard = ReferenceService(features=[]), []
    handle = service.handle
    service.handle = lambda parts: heard.append(parts) or handle(parts)
    with serving(service) as there, Client(there.address) as client:

        def quiet() -> bool:
            client.report_problem("away", "Nobody answers.", stands=True)
            return client._reporter._quiet_until_s > 0

        wait_for(quiet, 5, "the answer of an old service was not read")
        before = len(heard)
        client.report_problem("away", "Nobody answers.", stands=True)
        with client.session("later", Field(shape=(8, 8), pixel_size_nm=1.0)) as session:
            session.report_problem("gap", "One.")
        assert session.receipt.balanced
        kinds = [type(decode_client(parts[0])) for parts in heard[before:] if len(parts) == 1]
        assert Problem not in kinds[1:] and End in kinds
