"""What was commanded is found again: after a restart, a torn line, a full file, on a disk that takes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from scanmend.web.command_log import BEFORE_NAME, FILE_NAME, CommandLog
from scanmend.web.console_client import Order
from scanmend.web.repeats import MOST_ONCE, Repeats
from scanmend.web.schemas_commands import CommandSent


async def add(log: CommandLog, number: int) -> None:
    details = {"proposal_id": number}
    await log.add(session="s", action="accept", by="Ada", role="operate", result="sent", details=details)


async def test_commands_are_given_newest_first_page_by_page_and_after_a_restart(tmp_path: Path) -> None:
    log = CommandLog(tmp_path)
    for number in range(1, 6):
        await add(log, number)
    for held in (log, CommandLog(tmp_path)):
        first = held.newest(2)
        assert [entry.details["proposal_id"] for entry in first.commands] == [5, 4] and first.next == 4
        rest = held.newest(10, before=first.next)
        assert [entry.number for entry in rest.commands] == [3, 2, 1] and rest.next is None
    assert held.newest(5, before=1).commands == []
    await add(held, 6)
    assert held.newest(1).commands[0].number == 6
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


async def test_a_torn_line_costs_itself_only(tmp_path: Path) -> None:
    log = CommandLog(tmp_path)
    await add(log, 1)
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write('{"number": 2, "at_un\n')
    again = CommandLog(tmp_path)
    await add(again, 2)
    assert [entry.number for entry in CommandLog(tmp_path).newest(9).commands] == [2, 1]


async def test_two_files_are_kept_and_no_more(tmp_path: Path) -> None:
    log = CommandLog(tmp_path, most_bytes=1000)
    for number in range(1, 31):
        await add(log, number)
    sizes = [(tmp_path / name).stat().st_size for name in (FILE_NAME, BEFORE_NAME)]
    assert all(0 < size <= 1000 for size in sizes) and len(list(tmp_path.iterdir())) == 2
    known = [entry.number for entry in CommandLog(tmp_path).newest(100).commands]
    assert known == list(range(30, 30 - len(known), -1)) and 4 < len(known) < 20
    newest = json.loads((tmp_path / FILE_NAME).read_text().splitlines()[-1])
    assert newest["number"] == 30 and newest["by"] == "Ada"


async def test_a_disk_that_takes_nothing_stops_no_command(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = CommandLog(tmp_path / "missing")
    await add(log, 1)
    await add(log, 2)
    assert [entry.number for entry in log.newest(9).commands] == [2, 1]
    assert caplog.text.count("cannot be noted") == 1


async def test_a_command_under_the_same_key_waits_for_the_first_answer() -> None:
    repeats = Repeats()
    key = ("a-click", "s", Order("start"))
    assert repeats.find(key) is None
    answer = repeats.begin(key)
    waiting = asyncio.create_task(asyncio.wait_for(asyncio.shield(repeats.find(key) or answer), 5))
    sent = CommandSent(session="s", action="start", by="Ada")
    answer.set_result(sent)
    assert await waiting is sent
    assert repeats.find(("a-click", "s", Order("stop"))) is None
    repeats.forget(key)
    assert repeats.find(key) is None
    for number in range(MOST_ONCE + 1):
        repeats.begin((str(number), "s", Order("stop")))
    assert repeats.find(("0", "s", Order("stop"))) is None
    assert repeats.find(("1", "s", Order("stop"))) is not None
