"""Adapters are found by name: those that come along, and those of other packages."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from scanmend.errors import ConfigurationError, InvalidInput
from scanmend.sources import registry


def with_others(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, registry.GROUP) for name, value in entries]
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry for entry in found if entry.group == group])


def test_those_that_come_along_can_all_be_loaded() -> None:
    for name in registry.BUILT_IN:
        adapter = registry.load(name)
        assert adapter.help and callable(adapter.build) and callable(adapter.add_arguments)


def test_one_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("another_package")
    module.ADAPTER = object()
    monkeypatch.setitem(sys.modules, "another_package", module)
    with_others(monkeypatch, ("another", "another_package:ADAPTER"))
    assert registry.names() == sorted(["another", *registry.BUILT_IN])
    assert registry.load("another") is module.ADAPTER


def test_a_name_that_nobody_has_and_one_that_two_have(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="'nobody'.*Installed are: .*dectris"):
        registry.load("nobody")
    with_others(monkeypatch, ("dectris", "somewhere:ADAPTER"))
    with pytest.raises(ConfigurationError, match="Several packages"):
        registry.load("dectris")


def test_a_package_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    with_others(monkeypatch, ("broken", "no_such_package_at_all:ADAPTER"), ("empty", "json:ADAPTER"))
    for name in ("broken", "empty"):
        with pytest.raises(ConfigurationError, match=f"'{name}' cannot be loaded") as caught:
            registry.load(name)
        assert caught.value.mend
