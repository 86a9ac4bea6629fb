"""The simulator's page: its snippets run, and it lists every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scanmend_sim import scenario_tables
from scanmend_sim.faults import Fault
from scanmend_sim.scenario import Scenario, scenario_names
from scanmend_sim.specimens import KINDS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "simulator.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_run(number: int) -> None:
    names: dict[str, object] = {}
    exec(compile(SNIPPETS[number], f"docs/simulator.md, snippet {number}", "exec"), names)
    assert len(names) > 2


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) == 5


TABLES = [
    value
    for value in vars(scenario_tables).values()
    if isinstance(value, type) and issubclass(value, scenario_tables.Table)
]


@pytest.mark.parametrize("table", [Scenario, *TABLES])
def test_every_key_is_listed(table: type[scenario_tables.Table]) -> None:
    assert [key for key in table.__struct_fields__ if f"`{key}`" not in PAGE] == []


@pytest.mark.parametrize("word", [*KINDS, *scenario_names(), *(fault.value for fault in Fault)])
def test_every_specimen_scenario_and_fault_is_described(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_every_option_of_a_specimen_is_listed() -> None:
    options = [option for kind in KINDS.values() for option in kind.options]
    assert [option for option in options if f"`{option}" not in PAGE] == []
