"""The web application in the test's own loop, called without a network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from scanmend.settings import Settings
from scanmend.web.access import Access
from scanmend.web.app import build_app

TOKEN = "a-token-for-tests-that-is-long-enough-0123"
READ_TOKEN = "a-token-that-may-look-and-is-long-enough-4"
PORT = 7580
BASE = f"http://127.0.0.1:{PORT}"


@contextlib.asynccontextmanager
async def running(run_dir: Path, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """The application between lifespan startup and shutdown, behind a client that sends the right token.

    Its data folder is `run_dir/data`, where nothing else is said.
    """
    app_settings = Settings(**{"data_dir": run_dir / "data", **settings})
    put_tokens(app_settings.data_dir)
    app = build_app(app_settings, run_dir=run_dir, access=Access(app_settings.data_dir), port=PORT)
    to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=headers) as client:
            yield client
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await life


def put_tokens(data_dir: Path) -> None:
    """Have the service use the tokens of the tests."""
    data_dir.mkdir(parents=True, exist_ok=True)
    for name, token in (("access-token", TOKEN), ("read-token", READ_TOKEN)):
        (data_dir / name).touch(mode=0o600)
        (data_dir / name).write_text(token + "\n")


async def until_ready(client: httpx.AsyncClient, code: int = 200, seconds: float = 10) -> None:
    """Wait until /readyz answers with `code`."""
    for _ in range(int(seconds / 0.05)):
        if (await client.get("/readyz")).status_code == code:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"/readyz did not turn {code}")
