"""A relay's problems reach the service: with the session that they concern, or without one."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from reference_service import serving
from running import wait_for
from scanmend.client import Client, reporter
from scanmend.field import Field
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.telling import Telling

FIELD = Field(shape=(8, 8), pixel_size_nm=1.0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setattr(reporter, "REPEAT_S", 0.0)
    with serving() as there, Client(there.address, program="scanmend source test") as client:
        told = SimpleNamespace(there=there, client=client, log=ProblemLog(lambda *_: None), session=None)
        with Telling(client, told.log, lambda: told.session) as told.telling:
            yield told
        told.log.note(Problem(Code.GAP, "Nobody listens."))


def said(told: SimpleNamespace, count: int) -> list[tuple[int, str, int, bool]]:
    problems = told.there.service.problems
    wait_for(lambda: len(problems) >= count, 5, f"only {problems}")
    return [(bool(p.session_id), p.code, p.points, p.cleared) for p in problems]


def test_an_instrument_that_is_not_there_stands_until_it_is(told: SimpleNamespace) -> None:
    told.log.note(Problem(Code.NO_INSTRUMENT, "Nobody answers."))
    told.telling.instrument_there()
    assert said(told, 2) == [(False, "no_instrument", 0, False), (False, "no_instrument", 0, True)]
    first = told.there.service.problems[0]
    assert (first.stands, first.level, first.client) == (True, "error", "scanmend source test")


def test_what_concerns_a_series_moves_into_its_session(told: SimpleNamespace) -> None:
    told.log.note(Problem(Code.LEFTOVER, "Of the series before."), 2)
    told.log.note(Problem(Code.WRONG_SIZE, "An image of another size."), 3)
    with told.client.session("s", FIELD) as told.session:
        told.telling.look()
        told.log.note(Problem(Code.GAP, "Four points never came."), 4)
    in_session = {code: points for here, code, points, _ in said(told, 5) if here}
    assert in_session == {"wrong_size": 3, "gap": 4}
    without = [(code, cleared) for here, code, _, cleared in said(told, 5) if not here]
    assert without == [("leftover", False), ("wrong_size", False), ("wrong_size", True)]


def test_after_a_session_nothing_is_told_to_it(told: SimpleNamespace) -> None:
    with told.client.session("s", FIELD) as told.session:
        told.telling.look()
    told.log.note(Problem(Code.SERVICE, ""))
    assert said(told, 1) == [(False, "service", 0, False)] and told.there.service.problems[0].text == "service"
    told.log.note(Problem(Code.MALFORMED, "Of nobody."))
    told.session = None
    told.telling.look()
    with told.client.session("t", FIELD) as told.session:
        told.telling.look()  # what came between the two belongs to neither
    assert [one[:2] for one in said(told, 2)] == [(False, "service"), (False, "malformed")]


def test_every_kind_can_be_told(told: SimpleNamespace) -> None:
    for code in Code:
        told.log.note(Problem(code, f"It is {code}."))
    assert {code for _, code, _, _ in said(told, len(Code))} == {code.value for code in Code}
