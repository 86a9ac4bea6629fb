"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

MICROGRAPHS = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"
INSTRUMENT_FILES = MICROGRAPHS.with_name("formats")


@pytest.fixture(scope="session")
def micrographs() -> list[Path]:
    """Real micrographs beside the project, or an empty list; a test must pass with either."""
    return sorted(MICROGRAPHS.glob("*.tif")) if MICROGRAPHS.is_dir() else []


@pytest.fixture(scope="session")
def instrument_files() -> list[Path]:
    """Files of real instruments beside the project, or an empty list; a test must pass with either."""
    return sorted(INSTRUMENT_FILES.iterdir()) if INSTRUMENT_FILES.is_dir() else []


class _OneServiceAtATime(LoadScopeScheduling):
    """What starts a service or a browser in one worker, one after another; all else file by file.

    Two services beside each other would take each other's time on a small machine, and some tests count on being
    heard within seconds.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if Path(path).parts[1] == "unit" else "service"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _OneServiceAtATime:
    """How several workers share the tests (`make test`)."""
    return _OneServiceAtATime(config, log)
