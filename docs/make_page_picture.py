"""Makes docs/page.png again: the real page of a real demo with a drawn specimen, in a headless Chromium.

    .venv/bin/python docs/make_page_picture.py [--specimen nanoparticles:seed=3] [--out docs/page.png]

Needs the extra `dev`; the Chromium is the one that the browser tests take.
"""

from __future__ import annotations

import argparse
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FIND_CHROMIUM = Path(__file__).resolve().parents[1] / "tests/browser/find_chromium.sh"
SIZE = {"width": 1280, "height": 800}
PICTURES = 60
"""So many pictures are let go by first: levels and rates have settled then."""
CALM_S = 240
"""Frames that waited while the browser started count for two minutes: the page warns of them, and the picture waits."""


def page_address(demo: subprocess.Popen[str]) -> str:
    """The address that the demo prints when it is ready."""
    if demo.stderr is None:
        raise SystemExit("The demo has no standard error.")
    for line in demo.stderr:
        if line.startswith("Page:"):
            return line.split()[1]
    raise SystemExit("The demo ended before it was ready.")


def wait_for_pictures(page: Page, least: int) -> None:
    """Wait until the page has painted so many."""
    stage = page.locator("#stage")
    for _ in range(1200):
        if int(stage.get_attribute("data-painted") or 0) >= least:
            return
        page.wait_for_timeout(100)
    raise SystemExit("The page does not paint.")


def take(address: str) -> Image.Image:
    """The page as it is on the screen."""
    found = subprocess.run([FIND_CHROMIUM], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        wait_for_pictures(page, PICTURES)
        problems = page.locator("#problems li")
        ends_s = time.monotonic() + CALM_S
        while problems.count() and time.monotonic() < ends_s:
            page.wait_for_timeout(1000)
        page.mouse.move(0.71 * SIZE["width"], 0.4 * SIZE["height"])  # a value and its uncertainty are read
        page.wait_for_timeout(600)
        amiss = problems.all_text_contents()
        shot = page.screenshot()
        browser.close()
    if amiss:
        raise SystemExit(f"Not a picture to show; try again on a quiet machine: {' '.join(amiss)}")
    return Image.open(io.BytesIO(shot)).convert("RGB")


def main() -> None:
    """Run the demo, look at its page, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimen", default="nanoparticles:seed=3")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("page.png"))
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "scanmend.cli", "demo", "--port", "0", "--http-port", "0"]
    command += ["--specimen", arguments.specimen]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as demo:
        try:
            picture = take(page_address(demo))
        finally:
            demo.send_signal(signal.SIGINT)
    # Not by the median cut: it gives all colours to the greys and none to the small green dot of the state.
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(arguments.out, optimize=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
