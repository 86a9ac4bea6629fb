"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest

MICROGRAPHS = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"


@pytest.fixture(scope="session")
def micrographs() -> list[Path]:
    """Real micrographs beside the project, or an empty list; a test must pass with either."""
    return sorted(MICROGRAPHS.glob("*.tif")) if MICROGRAPHS.is_dir() else []


@pytest.hookimpl(tryfirst=True)  # before the workers' own hook, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers: what starts a service or a browser in one of them, one after another; else file by file.

    Two services beside each other would take each other's time on a small machine, and some tests count on being
    heard within seconds.
    """
    for item in items:
        folder = Path(item.nodeid).parts[1]
        group = item.nodeid.partition("::")[0] if folder == "unit" else "service"
        item.add_marker(pytest.mark.xdist_group(group))
