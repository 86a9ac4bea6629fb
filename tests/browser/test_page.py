"""The operator's page, by looking, clicking and typing."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from fake_acquire import FakeAcquire, movie
from scanmend.ipc.console import ProblemInfo
from web_service import WebService, short_folder, web_service

pytestmark = pytest.mark.browser

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


def test_moving_pictures_of_the_specimen(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    first, number = pixels(page, "#right"), shown_number(page)
    until(page, f"+document.getElementById('stage').dataset.number > {number + 3}")
    assert np.abs(pixels(page, "#right") - first).mean() > 2
    standing(fake)
    page.wait_for_timeout(400)
    grey = picture_part(page, "#right").mean(axis=2)
    small = np.asarray(Image.fromarray(grey.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BOX), float)
    middle = np.s_[20:-20, :]
    likeness = [
        np.corrcoef(small[middle].ravel(), np.frombuffer(estimate, "<f4").reshape(SIZE, SIZE)[middle].ravel())[0, 1]
        for _, _, estimate, _ in movie(SIZE)
    ]
    assert max(likeness) > 0.97


def test_what_was_not_sampled_looks_different_from_black(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    raw = picture_part(page, "#left")
    assert 0.6 < share_of(raw, BLUE) < 0.85, "four fifths are not sampled"
    assert share_of(picture_part(page, "#right"), BLUE) < 0.01
    expect(page.locator("#left .legend")).to_be_visible()
    expect(page.locator("#right .legend")).to_be_hidden()
    fake.raster = True
    expect(page.locator("#left .legend")).to_be_hidden()
    assert share_of(picture_part(page, "#left"), BLUE) < 0.01


def test_a_restored_picture_says_which_model_made_it(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    expect(page.locator("#right h2")).to_have_text("Restored by pushpull — estimate, not data")
    expect(page.locator("#left h2")).to_have_text("Raw 20 % sampled")
    fake.restored = False
    expect(page.locator("#right h2")).to_have_text("Not restored passed through, engine down")
    expect(page.locator("#right h2")).to_have_css("color", "rgb(245, 183, 84)")
    expect(page.locator("#losses")).to_contain_text("unrestored")


def test_zoom_and_pan_are_linked_and_survive_new_pictures(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    left = page.locator("#left").bounding_box()
    right = page.locator("#right").bounding_box()
    assert left and right
    fitted = page.locator("#zoom").inner_text()
    page.mouse.move(left["x"] + 200, left["y"] + 250)
    before = page.locator("#left .readout").inner_text().split(":")[0]
    for _ in range(4):
        page.mouse.wheel(0, -240)
    page.wait_for_timeout(150)
    zoomed = page.locator("#zoom").inner_text()
    assert zoomed != fitted
    assert page.locator("#left .readout").inner_text().split(":")[0] == before, "the point under the cursor stays"
    page.mouse.move(right["x"] + 200, right["y"] + 250)
    assert page.locator("#right .readout").inner_text().split(":")[0] == before, "both panes show the same part"
    page.mouse.down()
    page.mouse.move(right["x"] + 260, right["y"] + 250, steps=4)
    page.mouse.up()
    page.mouse.move(left["x"] + 260, left["y"] + 250)
    assert page.locator("#left .readout").inner_text().split(":")[0] == before, "the drag took the point along"
    number = shown_number(page)
    until(page, f"+document.getElementById('stage').dataset.number > {number + 5}")
    assert page.locator("#zoom").inner_text() == zoomed
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text(fitted)


def test_the_scale_bar_is_right_at_any_zoom(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    units = {"pm": 1e-3, "nm": 1.0, "µm": 1e3}
    lengths = set()
    for key in ["0", *["+"] * 12, *["-"] * 24]:
        page.keyboard.press(key)
        page.wait_for_timeout(60)
        zoom = float(page.evaluate("document.getElementById('zoom').value.replace('%','')")) / 100
        text = page.locator("#left .scalebar span").inner_text()
        number, unit = text.split()
        nm = float(number) * units[unit]
        bar = page.locator("#left .scalebar i").bounding_box()
        assert bar
        assert bar["width"] * 1.95 / zoom == pytest.approx(nm, rel=0.02), text
        assert re.fullmatch(r"[125]0*(\.0*)?|0\.0*[125]", number), text
        assert 30 < bar["width"] <= 232
        assert page.locator("#right .scalebar span").inner_text() == text
        lengths.add(text)
    assert len(lengths) >= 5


def test_swap_and_uncertainty(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    page.keyboard.press("Space")
    expect(page.locator("#left h2 b")).to_have_text("Restored")
    expect(page.locator("#swap")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(200)
    assert share_of(picture_part(page, "#right"), BLUE) > 0.6
    page.keyboard.press("Space")
    grey = picture_part(page, "#right")
    assert np.ptp(grey, axis=2).mean() < 3
    page.keyboard.press("u")
    expect(page.locator("#right .ramp")).to_be_visible()
    page.wait_for_timeout(200)
    assert np.ptp(picture_part(page, "#right"), axis=2).mean() > 40
    page.locator("#uncertainty").click()
    expect(page.locator(".ramp")).to_be_hidden()


def test_levels_follow_until_they_are_held(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    before = picture_part(page, "#right").mean()
    expect(page.locator("#follow")).to_have_text("Follow")
    page.locator("#white").evaluate("(e) => { e.value = 300; e.dispatchEvent(new Event('input')); }")
    expect(page.locator("#follow")).to_have_text("Held")
    held = page.locator("#white-value").inner_text()
    page.wait_for_timeout(500)
    assert picture_part(page, "#right").mean() > before + 15, "a lower white level brightens"
    assert page.locator("#white-value").inner_text() == held
    page.keyboard.press("a")
    page.wait_for_timeout(200)
    assert page.locator("#white-value").inner_text() != held
    expect(page.locator("#follow")).to_have_text("Held")
    page.keyboard.press("Shift+A")
    expect(page.locator("#follow")).to_have_text("Follow")
    dark = picture_part(page, "#right").mean()
    page.locator("#gamma").evaluate("(e) => { e.value = 100; e.dispatchEvent(new Event('input')); }")
    expect(page.locator("#gamma-value")).to_have_text("3.2")
    page.wait_for_timeout(200)
    assert picture_part(page, "#right").mean() > dark + 20


def test_both_painters_paint_the_same(fake: FakeAcquire, open_page: object) -> None:
    standing(fake)
    seen = []
    for painter, name in (("2d", "Painter2d"), ("gl", "GlPainter")):
        page = open_page(f"?painter={painter}")  # type: ignore[operator]
        until(page, f"document.getElementById('stage').dataset.painter === '{name}'")
        painted(page, 1)
        page.keyboard.press("1")  # a screen pixel for a pixel: no painter may resample
        page.keyboard.press("u")
        page.wait_for_timeout(1000)
        seen.append((pixels(page, "#left"), pixels(page, "#right")))
    for flat, shaded in zip(*seen, strict=True):
        assert np.abs(flat - shaded).mean() < 2.5


def test_stop_and_abort_reach_the_microscope(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    page.locator("#abort").click()
    expect(page.locator("#confirm")).to_contain_text("session demo")
    page.get_by_role("button", name="Go on").click()
    assert fake.commands == []
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    assert fake.commands == []
    page.locator("#stop").click()
    expect(page.locator("#toast")).to_contain_text("Stop sent")
    expect(page.locator("#state")).to_have_text("Stopping")
    expect(page.locator("#stop")).to_be_disabled()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Aborting")
    assert [c.action for c in fake.commands] == ["stop", "abort"]


def test_a_second_browser_sees_what_the_first_commanded(fake: FakeAcquire, open_page: object) -> None:
    first, second = open_page(), open_page(size=(1024, 768))  # type: ignore[operator]
    painted(first)
    painted(second)
    first.locator("#stop").click()
    expect(second.locator("#state")).to_have_text("Stopping")
    expect(second.locator("#stop")).to_be_disabled()


def test_no_session_says_how_to_start_one(service: WebService, open_page: object) -> None:
    with FakeAcquire(service.run_dir, (), size=32) as fake:
        page = open_page()  # type: ignore[operator]
        card = page.locator("#card")
        expect(card).to_contain_text("scanmend demo")
        expect(card).to_contain_text("scanmend simulate")
        expect(page.locator("#state")).to_have_text("Stopped")
        expect(page.locator("#stop")).to_be_disabled()
        fake.states["late"] = "open"
        fake.names.append("late")
        painted(page)
        expect(card).to_be_hidden()
        expect(page.locator("#session")).to_have_value("late")


def test_sessions_are_chosen_and_the_choice_is_kept(service: WebService, open_page: object) -> None:
    with FakeAcquire(service.run_dir, ("first", "second"), size=32) as fake:
        page = open_page()  # type: ignore[operator]
        painted(page)
        page.locator("#session").select_option("first")
        page.wait_for_timeout(600)
        expect(page.locator("#session")).to_have_value("first")
        assert page.title().startswith("first")
        fake.states["first"] = "ended"
        expect(page.locator("#state")).to_have_text("Ended")
        expect(page.locator("#session")).to_have_value("first")


def test_the_page_goes_on_with_the_next_session(service: WebService, open_page: object) -> None:
    with FakeAcquire(service.run_dir, ("first",), size=32) as fake:
        page = open_page()  # type: ignore[operator]
        painted(page)
        fake.states["first"] = "ended"
        expect(page.locator("#state")).to_have_text("Ended")
        fake.states["next"] = "open"
        fake.names.append("next")
        expect(page.locator("#session")).to_have_value("next")
        expect(page.locator("#state")).to_have_text("Acquiring")


def test_the_token_is_taken_from_the_address_and_leaves_it(
    fake: FakeAcquire, service: WebService, open_page: object
) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    assert page.url == f"{service.url}/"
    page.reload()
    painted(page)
    assert service.token not in page.content()


@pytest.mark.parametrize("token", ["", "x" * 43])
def test_without_the_right_token_the_page_asks_for_it(
    fake: FakeAcquire, service: WebService, open_page: object, token: str
) -> None:
    page = open_page(token=token)  # type: ignore[operator]
    card = page.locator("#card")
    expect(card).to_contain_text("token")
    assert page.locator("#stage").get_attribute("data-number") is None
    card.locator("input").fill("wrong")
    card.locator("button").click()
    expect(card).to_contain_text("not the service’s token")
    card.locator("input").fill(service.token)
    card.locator("input").press("Enter")
    painted(page)
    expect(card).to_be_hidden()


def test_acquire_dies_and_comes_back(service: WebService, open_page: object) -> None:
    with FakeAcquire(service.run_dir, size=64):
        page = open_page()  # type: ignore[operator]
        painted(page)
    expect(page.locator("#state")).to_have_text("Unreachable")
    expect(page.locator("#card")).to_contain_text("acquire process does not answer")
    expect(page.locator("#problems li.error")).to_contain_text("no frames are taken")
    expect(page.locator("#stop")).to_be_disabled()
    with FakeAcquire(service.run_dir, size=64):
        expect(page.locator("#state")).to_have_text("Acquiring")
        expect(page.locator("#card")).to_be_hidden()
        done = int(page.locator("#stage").get_attribute("data-painted") or 0)
        painted(page, done + 5)


def test_the_page_finds_a_service_that_was_started_again(browser: Browser, open_page: object) -> None:
    with short_folder() as folder, FakeAcquire(_made(folder / "run"), size=64):
        with web_service(folder) as service:
            page = open_page(url=service.url, token=service.token)  # type: ignore[operator]
            painted(page)
            port = service.port
        expect(page.locator("#state")).to_have_text("Disconnected")
        expect(page.locator("body")).to_have_class("stale")
        with web_service(folder, http_port=port):
            expect(page.locator("#state")).to_have_text("Acquiring")
            done = int(page.locator("#stage").get_attribute("data-painted") or 0)
            painted(page, done + 3)
        page.close()


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_problems_are_listed_with_mend_and_time(fake: FakeAcquire, open_page: object) -> None:
    fake.problems = [
        ProblemInfo(
            level="error",
            code="recording_failed",
            text="Nothing can be recorded.",
            mend="Make room on the disk.",
            since_unix_ns=time.time_ns() - 180 * 10**9,
        ),
        ProblemInfo(level="warning", code="else", text="<b>Not</b> mine.", session="another"),
    ]
    page = open_page()  # type: ignore[operator]
    rows = page.locator("#problems li")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Nothing can be recorded.")
    expect(rows).to_contain_text("Make room on the disk.")
    expect(rows.locator("time")).to_have_text("3 min")
    fake.problems = []
    expect(rows).to_have_count(0)


def test_the_footer_tells_the_figures(fake: FakeAcquire, open_page: object) -> None:
    fake.missing = 3
    page = open_page()  # type: ignore[operator]
    expect(page.locator("#rate")).to_contain_text("20.0 in")
    expect(page.locator("#latency dd")).to_have_text("13 · 18 ms")
    expect(page.locator("#losses .bad")).to_have_text("3 lost")
    expect(page.locator("#dose dd").first).to_have_text("12.5 of 40 e⁻/nm²")
    assert page.locator("#dose .bar i").evaluate("e => e.style.width") == "31.25%"
    expect(page.locator("#model")).to_contain_text("pushpull")


def test_the_keys_are_shown_on_a_question_mark(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Swap the sides")
    page.keyboard.press("Enter")
    expect(page.locator("#keys")).to_be_hidden()


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (1024, 768), (768, 1024)])
def test_nothing_is_cut_off_or_overlaps(fake: FakeAcquire, open_page: object, size: tuple[int, int]) -> None:
    fake.missing, fake.restored, fake.rate = 1234, False, 4000.0
    page = open_page(size=size)  # type: ignore[operator]
    painted(page)
    page.wait_for_timeout(400)
    wide = page.evaluate(
        """() => [...document.querySelectorAll('header > *, header button, #tools > *, footer dl')].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.left < -0.5 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5
              || (e.tagName === 'DL' && e.scrollWidth > e.clientWidth + 1);
        }).map((e) => e.id || e.tagName)"""
    )
    assert wide == []
    boxes = page.evaluate("[...document.querySelectorAll('footer dl')].map((e) => e.getBoundingClientRect().toJSON())")
    for a, b in zip(boxes, boxes[1:], strict=False):
        assert a["right"] <= b["left"] + 0.5 or a["bottom"] <= b["top"] + 0.5
    pane = page.locator("#left").bounding_box()
    assert pane and min(pane["width"], pane["height"]) > 250


def test_the_status_page_needs_no_javascript(fake: FakeAcquire, open_page: object) -> None:
    page = open_page("status", token="", java_script_enabled=False)  # type: ignore[operator]
    expect(page.locator("body")).to_contain_text("Ready: frames are recorded and restored.")


def test_a_stalled_page_asks_for_nothing(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    page.evaluate("window.requestAnimationFrame = () => 0")
    page.wait_for_timeout(500)
    before = fake.asked.count("AskPicture")
    page.wait_for_timeout(1000)
    assert fake.asked.count("AskPicture") - before <= 1


def test_the_page_keeps_up(fake: FakeAcquire, open_page: object) -> None:
    fake.rate = 30.0
    page = open_page()  # type: ignore[operator]
    painted(page, 5)
    begun = page.evaluate("[+document.getElementById('stage').dataset.painted, performance.now()]")
    page.wait_for_timeout(2000)
    ended = page.evaluate("[+document.getElementById('stage').dataset.painted, performance.now()]")
    assert (ended[0] - begun[0]) / (ended[1] - begun[1]) * 1e3 > 5, json.dumps([begun, ended])
