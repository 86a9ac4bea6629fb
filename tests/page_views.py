"""Looking at the page as it is on the screen."""

from __future__ import annotations

import io
import time

import numpy as np
from PIL import Image
from playwright.sync_api import Page

from fake_acquire import FakeAcquire

SIZE = 128
BLUE = (14, 27, 47)


def pixels(page: Page, selector: str) -> np.ndarray:
    """What is on the screen there, as int (ny, nx, 3)."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def until(page: Page, expression: str, seconds: float = 20) -> None:
    """Wait until an expression holds. The page's policy forbids eval, so it is not the page that polls."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"
        page.wait_for_timeout(50)


def painted(page: Page, least: int = 2) -> None:
    """Wait for pictures."""
    until(page, f"+document.getElementById('stage').dataset.painted >= {least}")


def shown_number(page: Page) -> int:
    return int(page.locator("#stage").get_attribute("data-number") or 0)


def standing(fake: FakeAcquire) -> None:
    """Let the picture stand still."""
    fake.rate = 0.0


def picture_part(page: Page, selector: str) -> np.ndarray:
    """The part of a pane with the picture in it, without labels: the fitted square's middle."""
    seen = pixels(page, selector)
    side = min(seen.shape[:2])
    top, left = (seen.shape[0] - side) // 2, (seen.shape[1] - side) // 2
    return seen[top : top + side, left : left + side]


def share_of(seen: np.ndarray, colour: tuple[int, int, int], within: int = 6) -> float:
    return float((np.abs(seen - np.array(colour)).max(axis=2) <= within).mean())
