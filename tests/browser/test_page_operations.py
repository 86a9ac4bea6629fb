"""The operations side of the page: commands, proposals, dose, alarm, trust, sessions, snapshots, tokens, themes."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from fake_acquire import FakeAcquire
from page_views import painted, until
from recordings import record
from scanmend.ipc.console import ProblemInfo, Refused
from web_service import WebService

pytestmark = pytest.mark.browser


def proposal(number: int) -> dict[str, object]:
    return {
        "proposal_id": number,
        "policy": "gain",
        "reason": "41 % of the dwell goes to the 12 % of the field that is least certain.",
        "points": 2048,
        "coverage": 0.125,
        "dose_e_per_nm2": 3.2,
        "duration_ms": 420.0,
        "sigma_now": 2.0,
        "sigma_expected": 1.5,
        "expires_unix_ns": time.time_ns() + 60_000_000_000,
        "awaits": "operator",
    }


def problem(code: str, level: str = "error") -> ProblemInfo:
    return ProblemInfo(level=level, code=code, text=f"It is {code}.", mend="Mend it.", since_unix_ns=time.time_ns())  # type: ignore[arg-type]


def view(page: Page, name: str) -> None:
    page.locator(f"#views a[data-view={name}]").click()
    expect(page.locator(f"#view-{name}")).to_be_visible()


def test_a_session_that_waits_is_started_once(fake: FakeAcquire, open_page: object) -> None:
    fake.states["demo"] = "waiting"
    page = open_page()  # type: ignore[operator]
    expect(page.locator("#state")).to_have_text("Waiting for Start")
    page.locator("#by").fill("Ada")
    page.locator("#start").dblclick()
    expect(page.locator("#commanded")).to_contain_text("Start by Ada")
    expect(page.locator("#toast")).to_contain_text("Start sent")
    assert [(c.action, c.by) for c in fake.commands] == [("start", "Ada")]
    fake.states["demo"] = "open"
    expect(page.locator("#state")).to_have_text("Acquiring")
    expect(page.locator("#start")).to_be_disabled()
    assert "does not wait" in (page.locator("#start").get_attribute("title") or "")
    page.reload()
    expect(page.locator("#by")).to_have_value("Ada")


def test_the_log_tells_another_browser_who_commanded_what(fake: FakeAcquire, open_page: object) -> None:
    first, second = open_page(), open_page(size=(1024, 768))  # type: ignore[operator]
    painted(first)
    painted(second)
    view(second, "log")
    first.locator("#by").fill("Grace")
    first.locator("#stop").dblclick()
    expect(second.locator("#commanded")).to_contain_text("Stop by Grace")
    expect(second.locator("#state")).to_have_text("Stopping")
    cells = second.locator("#view-log tbody tr").first.locator("td")
    expect(cells.nth(2)).to_have_text("stop")
    expect(cells.nth(1)).to_have_text("demo")
    expect(cells.nth(3)).to_have_text("Grace")
    expect(cells.nth(4)).to_have_text("operate")
    expect(cells.nth(5)).to_contain_text("sent")
    assert [c.action for c in fake.commands] == ["stop"]


def test_a_command_that_is_refused_says_why(fake: FakeAcquire, open_page: object) -> None:
    fake.recording, fake.refuse = "", Refused(ask=0, code="recording", reason="The disk is full.", mend="Make room.")
    page = open_page(refused=True)  # type: ignore[operator]
    painted(page)
    page.locator("#record").click()
    expect(page.locator("#toast")).to_have_text("The disk is full. Make room.")
    fake.refuse = None
    page.locator("#record").click()
    expect(page.locator("#toast")).to_contain_text("Recorded from now on")
    fake.recording = "demo"
    expect(page.locator("#record")).to_have_text("● Recorded")
    expect(page.locator("#record")).to_be_disabled()


def test_the_token_for_reading_lets_one_watch_only(fake: FakeAcquire, service: WebService, open_page: object) -> None:
    fake.rescan, fake.proposal = "gain", proposal(3)
    page = open_page(token=(service.data_dir / "read-token").read_text().strip())  # type: ignore[operator]
    painted(page)
    expect(page.locator("#watching")).to_be_visible()
    for name in ("start", "stop", "abort", "record", "snapshot", "accept", "decline"):
        expect(page.locator(f"#{name}")).to_be_disabled()
        assert "reading" in (page.locator(f"#{name}").get_attribute("title") or ""), name
    for key in ("Escape", "r", "s"):
        page.keyboard.press(key)
    expect(page.locator("#confirm")).to_be_hidden()
    assert fake.commands == []


def test_a_proposal_is_accepted_by_a_key_and_declined_by_a_click(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    band = page.locator("#proposal")
    expect(band).to_be_hidden()
    fake.rescan, fake.proposal = "gain", proposal(7)
    expect(band).to_contain_text("Rescan proposed by gain")
    expect(band).to_contain_text("13 % of the field, 2 048 points, +3.2 e⁻/nm², 0.42 s, σ 2 → 1.5 expected")
    expect(band).to_contain_text("41 % of the dwell")
    page.keyboard.press("r")
    page.keyboard.press("r")
    expect(page.locator("#toast")).to_contain_text("Accepted")
    expect(page.locator("#accept")).to_be_disabled()
    fake.proposal = proposal(8)
    expect(page.locator("#decline")).to_be_enabled()
    page.locator("#decline").click()
    expect(page.locator("#toast")).to_contain_text("Declined")
    assert [(c.action, c.proposal_id) for c in fake.commands] == [("accept", 7), ("decline", 8)]
    fake.proposal = {**proposal(9), "awaits": "microscope"}
    expect(band).to_be_hidden()
    expect(page.locator("#next")).to_contain_text("Rescan proposed by gain")


def test_policy_budget_and_approval_are_changed(fake: FakeAcquire, open_page: object) -> None:
    fake.rescan = "gain"
    page = open_page(refused=True)  # type: ignore[operator]
    painted(page)
    page.keyboard.press("d")
    dialog = page.locator("#dose-dialog")
    expect(dialog).to_contain_text("12.5 e⁻/nm²")
    expect(dialog).to_contain_text("31.3 %")
    expect(dialog).to_contain_text("37.5 e⁻/nm²")
    fake.refuse = Refused(ask=0, code="over_budget", reason="The budget may be 40 at most.", mend="Name a smaller one.")
    dialog.locator("[name=budget]").fill("50")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog).to_contain_text("The budget may be 40 at most. Name a smaller one.")
    fake.refuse = None
    dialog.locator("[name=budget]").fill("30")
    dialog.locator("[name=policy]").select_option("uncertainty")
    dialog.locator("[name=approval]").select_option("operator")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog).to_be_hidden()
    last = fake.commands[-1]
    assert (last.action, last.policy, last.budget_e_per_nm2, last.approval) == (
        "rescan",
        "uncertainty",
        30.0,
        "operator",
    )


def test_an_alarm_is_seen_heard_and_acknowledged(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    alarm, sound = page.locator("#alarm"), page.locator("#sound")
    fake.problems = [problem("slow", "warning")]
    expect(page.locator("#problems li.warning")).to_contain_text("It is slow.")
    expect(alarm).to_be_hidden()
    assert "ALARM" not in page.title()
    expect(sound).to_have_text("Sound off")
    sound.click()
    expect(sound).to_have_attribute("data-played", "1")
    first = problem("broken")
    fake.problems = [first, *fake.problems]
    expect(alarm.get_by_role("alert")).to_have_text("It is broken. Mend it.")
    expect(page).to_have_title("■ ALARM — demo — Scanmend")
    expect(page.locator("body")).to_have_class("alarm")
    until(page, "+document.getElementById('sound').dataset.played >= 2")
    page.keyboard.press("k")
    expect(alarm).to_be_hidden()
    expect(page.locator("#problems li.error")).to_contain_text("acknowledged")
    fake.problems = [first, problem("worse")]
    expect(alarm.get_by_role("alert")).to_contain_text("It is worse.")
    alarm.get_by_role("button").click()
    page.reload()
    painted(page)
    expect(page.locator("#problems li.error.seen")).to_have_count(2)
    expect(alarm).to_be_hidden()
    expect(sound).to_have_text("Sound on")


def test_the_light_and_the_card(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    light = page.locator("#model .light")
    for caution, kind, words in (
        (None, "", "◇ classical"),
        ("", "good", "● as trained"),
        ("it is dark", "warn", "▲ take care"),
    ):
        fake.caution = caution
        expect(light).to_have_text(words)
        assert kind in (light.get_attribute("class") or "").split(" ") or not kind
    page.locator("#open-card").click()
    card = page.locator("#card-dialog")
    expect(card).to_contain_text("Take care: it is dark.")
    expect(card).to_contain_text("Fills and smooths by a pyramid.")
    expect(card).to_contain_text("CPUExecutionProvider")
    card.get_by_role("link", name="All models").click()
    expect(card).to_be_hidden()
    expect(page.locator("#view-models [aria-current] b")).to_have_text("pushpull")
    fake.restored = False
    view(page, "live")
    expect(light).to_have_text("■ not restored")


def test_health_shows_lines_reasons_disk_and_provider(fake: FakeAcquire, open_page: object) -> None:
    fake.restored, fake.missing = False, 3
    page = open_page()  # type: ignore[operator]
    view(page, "health")
    health = page.locator("#view-health")
    expect(health.locator(".chart canvas")).to_have_count(3)
    expect(health.locator(".chart").nth(0)).to_contain_text("p50 13.2, p95 18.4")
    expect(health.locator(".chart").nth(1)).to_contain_text("in ")
    told = {row.split("\n")[0]: row.split("\n")[1] for row in _pairs(page)}
    assert told["Lost: numbers that never came"] == "3"
    assert "engine down" in told["Passed on unrestored"]
    assert told["Free for recordings"] == "40.0 GB"
    assert told["Restores on"] == "CPU (pushpull)"
    spark = page.locator("#latency canvas")
    expect(spark).to_have_attribute(
        "aria-label", "Latency of the last two minutes, at most 18 milliseconds for 19 of 20 frames"
    )


def _pairs(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#view-health dt')].map((e) => `${e.textContent}\\n${e.nextSibling.innerText}`)"
    )
    return found


def test_the_dose_is_mapped_by_area(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    page.locator("#open-dose").click()
    tiles = page.locator("#dose-dialog .areas span")
    expect(tiles).to_have_count(64)
    words = [tiles.nth(i).inner_text() for i in (0, 7, 31, 32, 63)]
    assert words == ["25", "25", "25", "0", "0"]
    expect(page.locator("#dose-dialog .areas")).to_have_attribute(
        "aria-label",
        "Dose by area: at most 25 in row 1 from the top, column 1; at least 0 electrons per square nanometre",
    )


def test_sessions_are_found_described_and_downloaded(fake: FakeAcquire, service: WebService, open_page: object) -> None:
    for i in range(32):
        record(service.data_dir, f"grid-{i:02}", range(1 if i else 3), began_ns=1_750_000_000_000_000_000 + i * 10**12)
    page = open_page()  # type: ignore[operator]
    painted(page)
    view(page, "sessions")
    rows, detail = page.locator("#panel-0 .rows button"), page.locator("#panel-0 .detail")
    expect(rows).to_have_count(30)
    page.get_by_role("button", name="More", exact=True).click()
    expect(rows).to_have_count(32)
    expect(rows.first.locator("img")).to_have_js_property("complete", True)
    page.get_by_label("Search").fill("grid-00")
    expect(rows).to_have_count(1)
    expect(page.locator("#panel-0")).to_contain_text("1 of 32 recorded sessions")
    expect(detail.locator("h2")).to_have_text("grid-00")
    expect(detail).to_contain_text("The scan was finished as planned.")
    expect(detail).to_contain_text("3 frames came, 3 of them are safe on the disk")
    expect(detail).to_contain_text("The account balances")
    detail.get_by_label("Tags").fill("gold keep")
    detail.get_by_label("A note").fill("drifted to the left")
    detail.get_by_role("button", name="Keep", exact=True).click()
    expect(detail.locator(".remarks")).to_contain_text("drifted to the left")
    expect(rows.locator(".tags")).to_have_text("goldkeep")
    page.get_by_label("Search").fill("")
    page.locator("summary", has_text="More filters").click()
    page.get_by_label("Tag", exact=True).fill("gold")
    expect(rows).to_have_count(1)
    with page.expect_download() as downloading:
        detail.get_by_role("button", name="Download as CSV").click()
    assert downloading.value.path().stat().st_size > 0
    assert "/api/v1/downloads/" in downloading.value.url, "a large file must not go through the page's memory"
    assert service.token not in downloading.value.url and downloading.value.suggested_filename == "grid-00.csv"
    expect(detail).to_contain_text("is saved by the browser")


def test_a_snapshot_is_kept_and_found(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    page.locator("#by").fill("Ada")
    page.locator("#by").press("Tab")
    page.keyboard.press("s")
    expect(page.locator("#toast")).to_contain_text("is kept")
    view(page, "sessions")
    page.get_by_role("tab", name="Snapshots").click()
    kept = page.locator(".snapshots li")
    expect(kept).to_have_count(1)
    expect(kept).to_contain_text("Ada")
    expect(kept).to_contain_text("restored by pushpull — estimate, not data")
    until(page, "document.querySelector('.snapshots img').naturalWidth > 0")
    with page.expect_download() as downloading:
        kept.get_by_role("button", name="TIFF of", exact=False).first.click()
    assert downloading.value.suggested_filename.endswith(".tif")


def rotate(service: WebService, role: str) -> str:
    request = urllib.request.Request(
        f"{service.url}/api/v1/tokens/rotate",
        json.dumps({"role": role}).encode(),
        {"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        token: str = json.load(answer)["token"]
        return token


def test_a_token_that_was_rotated_is_asked_for_and_the_view_stays(
    fake: FakeAcquire, service: WebService, open_page: object
) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    for _ in range(4):
        page.keyboard.press("+")
    zoom = page.locator("#zoom").inner_text()
    token = rotate(service, "operate")
    dialog = page.locator("#token")
    expect(dialog).to_contain_text("The access token was changed.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(page.locator("#right h2")).to_contain_text("pushpull")
    dialog.get_by_label("Access token").fill("not it")
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_contain_text("not the service’s token")
    dialog.get_by_label("Access token").fill(token)
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_be_hidden()
    done = int(page.locator("#stage").get_attribute("data-painted") or 0)
    painted(page, done + 2)
    expect(page.locator("#zoom")).to_have_text(zoom)
    expect(page.locator("#state")).to_have_text("Acquiring")


def test_the_theme_is_kept(fake: FakeAcquire, open_page: object) -> None:
    page = open_page(color_scheme="light")  # type: ignore[operator]
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "dark")
    for name in ("red", "light"):
        page.locator("#theme").select_option(name)
        expect(html).to_have_attribute("data-theme", name)
        page.reload()
        expect(html).to_have_attribute("data-theme", name)
    page.locator("#theme").select_option("system")
    expect(html).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-theme", "dark")


def test_other_views_ask_for_no_pictures(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    painted(page)
    view(page, "models")
    page.wait_for_timeout(500)
    before = fake.asked.count("AskPicture")
    page.wait_for_timeout(1000)
    assert fake.asked.count("AskPicture") - before <= 1
    done = int(page.locator("#stage").get_attribute("data-painted") or 0)
    view(page, "live")
    painted(page, done + 3)
