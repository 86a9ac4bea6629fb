"""The device for Bluesky says what it needs; `make peers` runs it with Bluesky's own run engine."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from scanmend.errors import MissingExtra


def test_without_ophyd_async_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ophyd_async", None)
    monkeypatch.setitem(sys.modules, "ophyd_async.core", None)
    monkeypatch.delitem(sys.modules, "scanmend.client.ophyd", raising=False)
    assert importlib.util.find_spec("scanmend.client.ophyd") is not None
    with pytest.raises(MissingExtra) as raised:
        importlib.import_module("scanmend.client.ophyd")
    assert "scanmend[bluesky]" in raised.value.mend
