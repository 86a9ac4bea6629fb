"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest

MICROGRAPHS = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"


@pytest.fixture(scope="session")
def micrographs() -> list[Path]:
    """Real micrographs beside the project, or an empty list; a test must pass with either."""
    return sorted(MICROGRAPHS.glob("*.tif")) if MICROGRAPHS.is_dir() else []
