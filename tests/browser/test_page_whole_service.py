"""The page of a whole service: a rescan that is really proposed, and a replay that the page begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from page_views import painted, picture_part, until
from running import RunningService
from scanmend_sim.instrument import Instrument, RunOptions
from scanmend_sim.instrument_thread import InstrumentThread
from scanmend_sim.scenario import Scenario, load_scenario

pytestmark = pytest.mark.browser

WIDE = (1600, 900)
NAME = "adaptive-by-hand"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("whole") / "data", "--no-export") as running:
        yield running


def small(name: str) -> Scenario:
    scenario = load_scenario(name)
    return msgspec.structs.replace(scenario, field=msgspec.structs.replace(scenario.field, shape=(96, 96)))


def open_whole(open_page: object, whole: RunningService) -> Page:
    address, _, token = whole.page.partition("/#token=")
    page: Page = open_page(url=address, token=token, size=WIDE)  # type: ignore[operator]
    return page


def test_a_real_proposal_is_seen_over_the_picture_and_accepted(whole: RunningService, open_page: object) -> None:
    page = open_whole(open_page, whole)
    options = RunOptions(session=NAME, approval="operator", model="pushpull", frames=3)
    with InstrumentThread(Instrument(small("adaptive"), whole.address, options)) as scan:
        band = page.locator("#proposal")
        expect(band).to_be_visible(timeout=60_000)
        expect(page.locator("#state")).to_have_text("Rescan proposed")
        painted(page, 1)
        plain = picture_part(page, "#right")
        assert np.ptp(plain, axis=2).mean() < 3, "grey"
        page.locator("#overlay").select_option("proposal")
        expect(page.locator("#right .ramp")).to_contain_text("more dwell 0")
        until(page, "document.querySelector('#right .ramp canvas').checkVisibility()")
        page.locator("#right").hover()
        expect(page.locator("#right .readout")).to_contain_text("; proposal")
        page.mouse.move(5, 5)
        page.wait_for_timeout(200)
        assert np.ptp(picture_part(page, "#right"), axis=2).mean() > 10, "the proposal lies over it in colours"
        assert np.ptp(picture_part(page, "#left"), axis=2).mean() < 3, "and not over raw"
        received = int(page.locator("#losses .received b").inner_text())
        page.keyboard.press("r")
        expect(page.locator("#toast")).to_contain_text("Accepted")
        until(page, f"+document.querySelector('#losses .received b').innerText > {received}")
        assert scan.result(60).receipt is not None
    expect(page.locator("#state")).to_have_text("Finished")


def test_a_replay_begins_from_the_page_and_is_watched(whole: RunningService, open_page: object, tmp_path: Path) -> None:
    options = RunOptions(session="to-be-replayed", model="pushpull", frames=4, rate="max", record=True)
    with InstrumentThread(Instrument(small("quiet"), whole.address, options)) as scan:
        assert scan.result(60).receipt is not None
    page = open_whole(open_page, whole)
    page.locator("#views a[data-view=sessions]").click()
    page.get_by_label("Search").fill("to-be-replayed")
    detail = page.locator("#panel-0 .detail")
    expect(detail.locator("h2")).to_have_text("to-be-replayed")
    detail.get_by_label("Speed").select_option("max")
    detail.get_by_role("button", name="Replay", exact=True).dblclick()
    told = detail.get_by_role("status").last
    expect(told).to_contain_text("Replayed as session", timeout=60_000)
    detail.get_by_role("button", name="Show it").click()
    expect(page.locator("#view-live")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Finished")
    expect(page.locator("#losses")).to_contain_text("4 received")
    page.locator("#views a[data-view=log]").click()
    rows = page.locator("#view-log tbody tr td:nth-child(3)")
    expect(rows.first).to_have_text("replay")
