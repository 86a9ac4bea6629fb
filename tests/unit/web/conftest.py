"""An application on a real console, and the real process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from fake_acquire import FakeAcquire
from web_app import running, until_ready
from web_service import WebService, short_folder, web_service


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def fake(folder: Path) -> Iterator[FakeAcquire]:
    with FakeAcquire(folder, size=64) as acquire:
        yield acquire


@pytest.fixture
async def client(fake: FakeAcquire, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(folder) as made:
        await until_ready(made)
        yield made


@pytest.fixture(scope="module")
def service() -> Iterator[WebService]:
    """The real process, with a console beside it."""
    with short_folder() as folder, web_service(folder) as made, FakeAcquire(made.run_dir, size=64) as acquire:
        made.acquire = acquire  # type: ignore[attr-defined]
        yield made
