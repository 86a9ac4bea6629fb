"""Several detectors on the page: which one is shown, and what is said of those that are not restored."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from fake_acquire import FakeAcquire
from page_views import painted, picture_part, standing, until
from scanmend.field import Channel
from web_service import WebService

pytestmark = pytest.mark.browser

WIDE = (1600, 800)
DETECTORS = (Channel(name="HAADF"), Channel(name="BF"), Channel(name="SE", units_per_electron=None))


def shows(page: Page, channel: str, *, restored: bool) -> None:
    """Wait until a channel is on the screen, and what is said of it."""
    expect(page.locator("#channel")).to_have_value(channel)
    expect(page.locator("#left h2")).to_contain_text(f"Raw {channel}")
    title = "Restored by pushpull — estimate, not data" if restored else "Not restored only HAADF is"
    expect(page.locator("#right h2")).to_have_text(title)
    expect(page.locator("#card")).to_be_hidden()


def test_a_session_with_one_detector_has_no_choice(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    expect(page.locator("#channels")).to_be_hidden()
    page.keyboard.press("n")
    expect(page.locator("#right h2")).to_contain_text("Restored")


def test_the_channel_is_chosen_by_pointer_and_by_key(fake: FakeAcquire, open_page: object) -> None:
    fake.channels = DETECTORS
    standing(fake)
    page = open_page(size=WIDE)  # type: ignore[operator]
    painted(page, 1)
    expect(page.locator("#channel option")).to_have_text(["HAADF, restored", "BF", "SE"])
    shows(page, "HAADF", restored=True)
    page.keyboard.press("1")
    until(page, "document.getElementById('zoom').value === '100 %'")
    upright = picture_part(page, "#left").mean(axis=2)
    page.locator("#channel").select_option("BF")
    shows(page, "BF", restored=False)
    expect(page.locator("#zoom")).to_have_text("100 %")
    for side in ("#left", "#right"):  # both sides have what the detector gave
        turned = picture_part(page, side).mean(axis=2)[::-1]
        middle = np.s_[len(turned) // 2 - 40 : len(turned) // 2 + 40]
        likeness = np.corrcoef(upright[middle, middle].ravel(), turned[middle, middle].ravel())[0, 1]
        assert likeness > 0.7, side
    expect(page.locator("#right .colourbar span").last).to_have_text(re.compile("e⁻$"))
    expect(page.locator("#model .light")).to_have_text("◇ classical")  # the session is restored as before
    page.locator("#stage").click()
    page.keyboard.press("n")
    shows(page, "SE", restored=False)
    expect(page.locator("#right .colourbar span").last).to_have_text(re.compile("units$"))
    page.keyboard.press("n")
    shows(page, "HAADF", restored=True)


def test_each_browser_and_each_snapshot_has_its_own_channel(
    fake: FakeAcquire, service: WebService, open_page: object
) -> None:
    fake.channels = DETECTORS
    first, second = open_page(), open_page(size=(1024, 768))  # type: ignore[operator]
    painted(first)
    painted(second)
    first.keyboard.press("n")
    shows(first, "BF", restored=False)
    shows(second, "HAADF", restored=True)
    done = [int(page.locator("#stage").get_attribute("data-painted") or 0) for page in (first, second)]
    painted(first, done[0] + 5)
    painted(second, done[1] + 5)
    first.keyboard.press("s")
    expect(first.locator("#toast")).to_contain_text("is kept")
    newest = max((service.data_dir / "snapshots").iterdir())
    about = json.loads((newest / "snapshot.json").read_text())
    assert about["picture"]["channel"] == "BF" and not about["picture"]["restored"]
    assert not list(service.run_dir.glob("raw-*")), "what was left for the page was not removed"


def test_the_choice_is_kept_for_the_next_session_that_has_it(service: WebService, open_page: object) -> None:
    with FakeAcquire(service.run_dir, ("one", "two"), size=32) as fake:
        fake.channels = DETECTORS
        page = open_page()  # type: ignore[operator]
        painted(page)
        page.locator("#channel").select_option("SE")
        shows(page, "SE", restored=False)
        page.locator("#session").select_option("two")
        expect(page.locator("#session")).to_have_value("two")
        shows(page, "SE", restored=False)
        fake.channels, fake.states["three"] = DETECTORS[:2], "open"
        fake.names.append("three")
        expect(page.locator("#session option")).to_have_count(3)
        page.locator("#session").select_option("three")
        shows(page, "HAADF", restored=True)
