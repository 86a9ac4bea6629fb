"""A real Chromium against the real web process, with a console beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from fake_acquire import FakeAcquire
from web_service import WebService, short_folder, web_service

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def find_chromium(playwright: Playwright) -> str:
    """The path of a Chromium: $CHROMIUM, one of the system's, or Playwright's own."""
    if given := os.environ.get("CHROMIUM"):
        assert Path(given).is_file(), f"$CHROMIUM names {given}, which is not a file"
        return given
    for name in NAMES:
        if found := shutil.which(name):
            return found
    own = playwright.chromium.executable_path
    if Path(own).is_file():
        return own
    raise AssertionError(
        "The browser tests need a Chromium and found none. Install one: `apt-get install chromium` or "
        "`playwright install chromium`; or name one in the variable CHROMIUM."
    )


expect.set_options(timeout=15_000)  # a busy machine is slow, and what does not come at all is told soon enough


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole run: while Playwright is open, its event loop runs in this thread, and pytest-asyncio's cannot.
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=find_chromium(playwright), args=FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def service() -> Iterator[WebService]:
    with short_folder() as folder, web_service(folder) as made:
        yield made


@pytest.fixture
def fake(service: WebService) -> Iterator[FakeAcquire]:
    with FakeAcquire(service.run_dir, size=128) as acquire:
        yield acquire


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, service: WebService) -> Iterator[OpenPage]:
    """Opens pages, and fails the test on any error that the browser's console shows.

    With `refused=True` requests may be answered with an error, which the console shows too.
    """
    wrong: list[str] = []
    contexts = []

    def open_one(
        query: str = "",
        *,
        token: str | None = None,
        size: tuple[int, int] = (1280, 800),
        url: str = "",
        refused: bool = False,
        **more: object,
    ) -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **more)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        passed = ("ERR_CONN", *(["Failed to load resource"] if refused else []))
        page.on(
            "console",
            lambda m: wrong.append(m.text) if m.type == "error" and not any(p in m.text for p in passed) else None,
        )
        given = service.token if token is None else token
        page.goto(f"{url or service.url}/{query}" + (f"#token={given}" if given else ""))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []
