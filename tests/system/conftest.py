"""A real service for all tests of this folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from running import RunningService

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """`scanmend serve` on free ports; at the end it must stop cleanly and leave no run directory."""
    with RunningService(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


@pytest.fixture
def scanmend(tmp_path: Path) -> Command:
    """Runs `scanmend WORDS…` in an empty folder."""

    def run(*words: str | Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scanmend.cli", *map(str, words)]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s
        )

    return run


@pytest.fixture
def one_object() -> Callable[[str], dict[str, Any]]:
    """Reads text that must be one line with one JSON object."""

    def read(text: str) -> dict[str, Any]:
        assert text.count("\n") == 1, text
        found = json.loads(text)
        assert isinstance(found, dict)
        return found

    return read
