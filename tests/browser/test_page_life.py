"""The operator's page through its day: sessions, tokens, commands, problems, restarts."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from fake_acquire import FakeAcquire
from page_views import painted
from scanmend.field import Channel
from scanmend.ipc.console import ProblemInfo
from web_service import WebService, short_folder, web_service

AMBER = "rgb(245, 183, 84)"

pytestmark = pytest.mark.browser


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
        fake.states["first"], fake.ended = "ended", "stopped"
        expect(page.locator("#state")).to_have_text("Stopped")
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
    card = page.locator("#token")
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
    expect(page.locator("#alarm")).to_contain_text("no frames are taken")
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


def test_a_page_that_has_lost_the_service_for_long_is_an_alarm(browser: Browser, open_page: object) -> None:
    with short_folder() as folder, FakeAcquire(_made(folder / "run"), size=64):
        with web_service(folder) as service:
            page = open_page(url=service.url, token=service.token)  # type: ignore[operator]
            painted(page)
            port = service.port
        expect(page.locator("#state")).to_have_text("Disconnected")
        alarm = page.locator("#alarm")
        expect(alarm).to_be_hidden()
        page.clock.install()
        page.clock.fast_forward(8_000)
        page.locator("#theme").select_option("light")  # draws the page anew
        expect(alarm).to_be_hidden()
        page.clock.fast_forward(5_000)
        page.locator("#theme").select_option("dark")
        expect(alarm.get_by_role("alert")).to_contain_text("The page has lost the service. Look whether it runs")
        expect(page).to_have_title(re.compile("^■ ALARM — "))
        page.clock.resume()
        with web_service(folder, http_port=port):
            expect(alarm).to_be_hidden(timeout=20_000)
            expect(page.locator("#state")).to_have_text("Acquiring")
        page.close()


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_sparse_frames_that_are_passed_through_age_the_last_picture(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    fake.pictured = fake.number
    expect(page.locator("#state")).to_have_text("Acquiring, unrestored")
    for side in ("#left", "#right"):
        expect(page.locator(f"{side} h2")).to_contain_text("frames are passed through, engine down")
        expect(page.locator(f"{side} h2")).to_have_css("color", AMBER)
    expect(page.locator("#canvas")).to_have_css("opacity", "0.5")
    fake.pictured = None
    expect(page.locator("#right h2")).to_have_text("Restored by pushpull — estimate, not data")
    expect(page.locator("#canvas")).to_have_css("opacity", "1")
    expect(page.locator("#state")).to_have_text("Acquiring")


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
    # The microscope's software may use the same word for something else: both stand, the service's own above.
    fake.problems += [
        ProblemInfo(
            level="error",
            code="recording_failed",
            text="No <b>detector</b>.",
            reported_by="microscope",
            client="merlin",
        )
    ]
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).not_to_contain_text("reported by")
    expect(rows.nth(1)).to_contain_text("No <b>detector</b>.")
    expect(rows.nth(1)).to_contain_text("(reported by the microscope’s software, merlin)")
    fake.problems = []
    expect(rows).to_have_count(0)


def test_the_footer_tells_the_figures(fake: FakeAcquire, open_page: object) -> None:
    fake.missing = 3
    page = open_page()  # type: ignore[operator]
    expect(page.locator("#rate")).to_contain_text("20.0 in")
    expect(page.locator("#latency dd").first).to_have_text("13 · 18 ms")
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
    fake.channels = (Channel(name="HAADF"), Channel(name="BF"))
    page = open_page(size=size)  # type: ignore[operator]
    painted(page)
    page.wait_for_timeout(400)
    wide = page.evaluate(
        """() => [
            ...document.querySelectorAll('#views > *, header > *, header button, #tools > *, footer dl:not([hidden])'),
        ].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.left < -0.5 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5
              || (e.tagName === 'DL' && e.scrollWidth > e.clientWidth + 1);
        }).map((e) => e.id || e.tagName)"""
    )
    assert wide == []
    shown = "[...document.querySelectorAll('footer dl:not([hidden])')]"
    boxes = page.evaluate(f"{shown}.map((e) => e.getBoundingClientRect().toJSON())")
    for a, b in zip(boxes, boxes[1:], strict=False):
        assert a["right"] <= b["left"] + 0.5 or a["bottom"] <= b["top"] + 0.5
    page.keyboard.press("k")  # an alarm takes its room until somebody has seen it
    pane = page.locator("#left").bounding_box()
    assert pane and min(pane["width"], pane["height"]) > 220


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


def test_the_light_says_whether_a_frame_is_like_those_of_the_training(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    model, words = page.locator("#model"), page.locator("#right .caution")
    expect(model).not_to_contain_text("trained")  # nothing is known of a classical model
    expect(words).to_be_hidden()
    fake.caution = ""
    expect(model.locator(".good")).to_have_text("● as trained")
    expect(words).to_be_hidden()
    fake.caution = "the samples scatter 3.0 times as much as the channel's gain and read noise say"
    expect(model.locator(".warn")).to_have_text("▲ take care")
    expect(model).to_have_attribute("title", f"Take care: {fake.caution}.")
    expect(words).to_have_text(f"▲ Take care: {fake.caution}.")
    page.keyboard.press("Space")  # swaps the sides
    expect(page.locator("#left .caution")).to_be_visible()
    expect(words).to_be_hidden()
    fake.caution = None
    expect(model).not_to_contain_text("take care")
    expect(page.locator("#left .caution")).to_be_hidden()


def test_a_budget_that_is_used_as_planned_is_no_alarm(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    bar, problem = page.locator("#dose .bar"), page.locator("#problems")
    for rescan, dose, looks, said in (
        (None, 37.0, "bar warn", "92 % of the dose budget"),
        ("variance", 40.0, "bar ", ""),
        ("variance", 44.0, "bar bad", "110.0 % of the dose budget"),
        (None, 40.0, "bar bad", "100 % of the dose budget"),
    ):
        fake.rescan, fake.dose = rescan, dose
        expect(bar).to_have_attribute("class", looks)
        if said:
            expect(problem).to_contain_text(said, timeout=15_000)
        else:
            expect(problem).not_to_contain_text("dose budget", timeout=15_000)


def test_the_footer_tells_what_follows_a_pass_of_an_adaptive_scan(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    expect(page.locator("#next")).to_be_hidden()
    fake.rescan = "variance"
    fake.proposal = {
        "proposal_id": 7,
        "policy": "variance",
        "reason": "41 % of the dwell goes to the 12 % of the field that is least certain.",
        "points": 2048,
        "coverage": 0.125,
        "dose_e_per_nm2": 3.2,
        "duration_ms": 420.0,
        "sigma_now": 2.0,
        "sigma_expected": 1.5,
        "expires_unix_ns": time.time_ns() + 60_000_000_000,
    }
    expect(page.locator("#next")).to_contain_text("Rescan proposed by variance")
    expect(page.locator("#next dd")).to_have_text("13 % of the field, 3.2 e⁻/nm², 0.42 s")
    assert "Sigma 2 now, 1.5 expected after it." in (page.locator("#next").get_attribute("title") or "")
    fake.proposal, fake.enough = None, "The dose budget is used up: what is left of it is not worth a pass."
    expect(page.locator("#next dd")).to_contain_text("enough")
    expect(page.locator("#next")).to_have_attribute("title", fake.enough)
    fake.rescan, fake.enough = None, ""
