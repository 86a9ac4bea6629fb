"""What browsers cost the microscope, and how fast the page paints: a real service, real Chromiums, frames of noise.

Turns with and without browsers follow each other, and each round gives ratios, since a machine's speed drifts. The
browsers that watch run on this machine at the lowest priority, because an operator's browser runs on a computer of its
own; what remains is what the service itself spends on them. The page whose painting is timed runs as usual.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scanmend.bench.stream import Frames
from scanmend.client import Client
from scanmend.errors import ConfigurationError, ScanmendError
from scanmend.field import Channel, Field
from scanmend.settings import Settings
from scanmend.supervisor import ServiceState, Supervisor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
PATIENCE_S = 120.0
"""How long the first picture may take on a machine that is busy."""

LOOKED_AT_PER_S = 60.0
"""Frames a second while it is measured how fast the page paints."""

SHARE_OF_FULL = 0.5
"""The paced microscope sends this share of what the service restores when nothing else is asked of it."""

_LOWEST_PRIORITY = """#!/bin/sh
[ -w /proc/$$/autogroup ] && echo 19 > /proc/$$/autogroup
exec nice -n 19 {path} "$@"
"""
"""Playwright starts a browser in a session of its own, and Linux shares out time among sessions before it looks at
`nice`: without the first line the browsers had half of the machine."""

_WATCH = """(seconds) => new Promise((done) => {
  const stage = document.getElementById("stage");
  const start = performance.now(), first = +stage.dataset.painted;
  let frames = 0, last = start, longest = 0;
  const tick = () => {
    const now = performance.now();
    frames++; longest = Math.max(longest, now - last); last = now;
    if (now - start < 1000 * seconds) return requestAnimationFrame(tick);
    const s = (now - start) / 1000;
    done({pictures_per_s: (+stage.dataset.painted - first) / s, frames_per_s: frames / s, longest_ms: longest});
  };
  requestAnimationFrame(tick);
})"""
"""Pictures painted and frames of the screen a second; the page's own painting goes on meanwhile."""

_KEY = """() => new Promise((done) => {
  const hear = (event) => {
    document.removeEventListener("keydown", hear, true);
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - event.timeStamp)));
  };
  document.addEventListener("keydown", hear, true);
})"""
"""Milliseconds from a key's own time stamp until after the frame that answers it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the microscope."""

    restored_per_s: float
    sent: int
    restored: int
    p95_ms: float
    """From the sending of a frame to its answer."""


def bench_page(
    *,
    model: str = "pushpull",
    size: int = 512,
    browsers: int = 4,
    rounds: int = 3,
    seconds: float = 6.0,
    threads: int = 1,
    data_dir: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Run the comparison.

    Args:
        model: Name in the catalogue.
        size: Side of a frame in pixels; samples are u16.
        browsers: How many watch.
        rounds: How often there is a turn without browsers, one with them, and one with a browser that hangs.
        seconds: How long a turn lasts.
        threads: Of the runtime.
        data_dir: Of the service; a temporary folder where it is None.
        report: Gets a line a turn.

    Returns:
        `flat_out` and `paced`: restored frames with browsers over those without, by round; `stalled`: the same for
        one browser that hangs; `page`: pictures and frames of the screen a second, key to paint in milliseconds.

    Raises:
        ConfigurationError: Playwright or a Chromium is missing.
        ScanmendError: The service or the page did not start.
    """
    frames = np.random.default_rng(1).poisson(20, (8, size, size)).astype(np.uint16)
    with (
        tempfile.TemporaryDirectory(prefix="scanmend-bench-") as temporary,
        _chromiums(Path(temporary)) as (slow, usual),
    ):
        settings = Settings(
            port=0, http_port=0, data_dir=data_dir or Path(temporary) / "data", threads=threads, tune_s=0,
            runtimes=("onnxruntime",), log_level="error", allow_recording=False,
        )  # fmt: skip
        with _service(settings) as (address, page_address):

            def turn(rate: float | None, name: str) -> Turn:
                made = microscope(address, model, frames, seconds, rate)
                report(f"{name}: {made.restored_per_s:.1f} frames/s, p95 {made.p95_ms:.0f} ms")
                return made

            turn(None, "warming up")
            ratios: dict[str, list[float]] = {"flat_out": [], "paced": [], "stalled": []}
            alone = []
            for round_ in range(rounds):
                bare = turn(None, f"round {round_ + 1} flat out, no browser")
                rate = SHARE_OF_FULL * bare.restored_per_s
                paced = turn(rate, f"round {round_ + 1} paced, no browser")
                with _watching(slow, page_address, browsers):
                    full = turn(None, f"round {round_ + 1} flat out, {browsers} browsers")
                    watched = turn(rate, f"round {round_ + 1} paced, {browsers} browsers")
                with _watching(slow, page_address, 1) as pages:
                    _hang(pages[0])
                    hung = turn(rate, f"round {round_ + 1} paced, a browser that hangs")
                alone.append(bare.restored_per_s)
                ratios["flat_out"].append(full.restored_per_s / bare.restored_per_s)
                ratios["paced"].append(watched.restored / max(1, paced.restored))
                ratios["stalled"].append(hung.restored / max(1, paced.restored))
            page = _look(usual, page_address, address, frames, seconds)
    return {
        "model": model, "shape": [size, size], "browsers": browsers, "rounds": rounds,
        "restored_per_s_alone": statistics.median(alone),
        **{name: _spread(values) for name, values in ratios.items()},
        "page": page,
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def microscope(
    address: str, model: str, frames: Frames, seconds: float, rate: float | None, over: threading.Event | None = None
) -> Turn:
    """One session of full rasters.

    Args:
        address: Of the service.
        model: Name in the catalogue.
        frames: `(n, ny, nx)` u16, sent in turn.
        seconds: How long.
        rate: Frames a second; None for as fast as credit allows.
        over: Ends it early when set.
    """
    ny, nx = frames.shape[1:]
    begun_s: list[float] = []
    latency_ms: list[float] = []
    restored = 0
    with (
        Client(address) as client,
        client.session(
            f"bench-{secrets.token_hex(6)}", Field(shape=(ny, nx), pixel_size_nm=1.0),
            channels=[Channel(name="HAADF")], model=model, returns="estimate", record=False, delivery="received",
            hold_timeout_s=PATIENCE_S,
        ) as session,
    ):  # fmt: skip

        def take(wait_s: float) -> bool:
            nonlocal restored
            answer = session.receive(wait_s)
            if answer is None:
                return False
            latency_ms.append((time.perf_counter() - begun_s[len(latency_ms)]) * 1e3)
            restored += answer.restored
            return True

        start = time.perf_counter()
        while (now := time.perf_counter() - start) < seconds and not (over is not None and over.is_set()):
            if rate is None or len(begun_s) < rate * now:
                begun_s.append(time.perf_counter())
                session.send(frames[len(begun_s) % len(frames)], copy=False)
                while take(0.0):
                    pass
            else:
                take(0.01)
        while len(latency_ms) < len(begun_s):
            if not take(PATIENCE_S):
                raise ScanmendError("The service did not answer within two minutes.", mend="Look at its log.")
        elapsed = time.perf_counter() - start
    p95_ms = float(np.percentile(latency_ms, 95)) if latency_ms else 0.0
    return Turn(restored / elapsed, len(begun_s), restored, p95_ms)


@contextlib.contextmanager
def _service(settings: Settings) -> Iterator[tuple[str, str]]:
    """A running service; gives the address for microscopes and that of the page, with the token."""
    supervisor = Supervisor(settings)
    supervisor.startup()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while supervisor.state is ServiceState.STARTING and time.monotonic() < deadline:
            supervisor.turn()
        if supervisor.state is not ServiceState.RUNNING:
            raise ScanmendError("The service did not start within two minutes.", mend="Try `scanmend check`.")
        token = (settings.data_dir / "access-token").read_text().strip()
        yield supervisor.address, f"http://127.0.0.1:{supervisor.http_port}/#token={token}"
    finally:
        supervisor.shutdown()


# Browsers -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _chromiums(folder: Path) -> Iterator[tuple[Browser, Browser]]:
    """Two headless Chromiums, the first at the lowest priority."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigurationError(
            "The benchmark of the page needs Playwright, which is not installed.",
            mend="Run `pip install playwright`; a Chromium of the system is used where there is one.",
        ) from error
    with sync_playwright() as playwright:
        path = _find_chromium(playwright.chromium.executable_path)
        nice = folder / "chromium-nice"
        nice.write_text(_LOWEST_PRIORITY.format(path=shlex.quote(path)))
        nice.chmod(0o755)
        with (
            playwright.chromium.launch(executable_path=nice, args=list(FLAGS)) as slow,
            playwright.chromium.launch(executable_path=path, args=list(FLAGS)) as usual,
        ):
            yield slow, usual


def _find_chromium(own: str) -> str:
    """The path of a Chromium: $CHROMIUM, one of the system's, or Playwright's own."""
    given = os.environ.get("CHROMIUM")
    for path in (given, *(shutil.which(name) for name in NAMES), own):
        if path and Path(path).is_file():
            return path
    raise ConfigurationError(
        "The benchmark of the page needs a Chromium, and none was found.",
        mend="Install one (`apt-get install chromium` or `playwright install chromium`), or name it in CHROMIUM.",
    )


@contextlib.contextmanager
def _watching(browser: Browser, address: str, count: int) -> Iterator[list[Page]]:
    """So many pages, each in a profile of its own, connected to the service."""
    contexts = [browser.new_context(viewport={"width": 1280, "height": 800}) for _ in range(count)]
    try:
        pages = [context.new_page() for context in contexts]
        for page in pages:
            page.goto(address)
            page.wait_for_selector("#stage")
        yield pages
    finally:
        for context in contexts:
            with contextlib.suppress(Exception):  # a page that hangs may be gone
                context.close()


def _hang(page: Page) -> None:
    """Let a page compute for ever: its socket stays open and nobody reads it."""
    page.evaluate("() => { setTimeout(() => { for (;;); }, 50); }")


def _look(browser: Browser, page_address: str, address: str, frames: Frames, seconds: float) -> dict[str, float]:
    """How fast one page paints while frames come as fast as they do, and answers keys."""
    over = threading.Event()
    scan = (address, "identity", frames, 10 * PATIENCE_S, LOOKED_AT_PER_S, over)
    thread = threading.Thread(target=microscope, args=scan, daemon=True)
    thread.start()
    try:
        with _watching(browser, page_address, 1) as (page,):
            deadline = time.monotonic() + PATIENCE_S
            while int(page.locator("#stage").get_attribute("data-painted") or 0) < 5:
                if time.monotonic() > deadline:
                    raise ScanmendError("The page does not paint.", mend="Open it in a browser and look.")
                page.wait_for_timeout(50)
            found: dict[str, float] = page.evaluate(_WATCH, seconds)
            keys_ms = []
            for _ in range(20):
                page.evaluate(f"() => {{ window.answered = ({_KEY})(); }}")
                page.keyboard.press("Space")
                keys_ms.append(float(page.evaluate("() => window.answered")))
            found |= {"key_p50_ms": statistics.median(keys_ms), "key_most_ms": max(keys_ms)}
            return found
    finally:
        over.set()
        thread.join(PATIENCE_S)
