"""The page without a mouse, and what axe finds in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from test_page_operations import problem, proposal, view

from fake_acquire import FakeAcquire
from page_views import painted
from recordings import record
from scanmend.field import Channel
from web_service import WebService

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "vendor/axe-core/axe.min.js"
SERIOUS = ("serious", "critical")


def findings(page: Page) -> list[str]:
    """What axe calls serious or critical on the page as it is."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", "red", "light"])
def test_axe_finds_nothing_serious(fake: FakeAcquire, service: WebService, open_page: object, theme: str) -> None:
    if theme == "dark":
        record(service.data_dir, "axed", range(2))
    fake.rescan, fake.proposal, fake.caution = "gain", proposal(1), "the picture is dark"
    fake.channels = (Channel(name="HAADF"), Channel(name="BF"))
    fake.problems = [problem("slow", "warning"), problem("broken"), problem("worse")]
    page = open_page()  # type: ignore[operator]
    page.locator("#theme").select_option(theme)
    painted(page)
    expect(page.locator("#alarm")).to_be_visible()
    assert findings(page) == []
    for name in ("sessions", "models", "health", "log"):
        view(page, name)
        if name in ("sessions", "models"):
            expect(page.locator(f"#view-{name} .detail h2")).to_be_visible()
        assert findings(page) == [], name
    view(page, "live")
    for key, dialog in (("?", "#keys"), ("d", "#dose-dialog"), ("Escape", "#confirm")):
        page.keyboard.press(key)
        expect(page.locator(dialog)).to_be_visible()
        assert findings(page) == [], dialog
        page.keyboard.press("Escape")
    page.locator("#open-card").click()
    expect(page.locator("#card-dialog")).to_contain_text("version")
    assert findings(page) == []


FOCUSED = """() => {
    const e = document.activeElement;
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    const after = getComputedStyle(e, '::after');
    return {
        name: e.id || (e.dataset.view && `view ${e.dataset.view}`) || e.textContent.trim().slice(0, 30) || e.tagName,
        seen: box.width > 0 && box.height > 0,
        outlined: style.outlineStyle !== 'none' || after.outlineStyle !== 'none' || e.matches('.dual input'),
        body: e === document.body,
    };
}"""


def test_everything_is_reached_by_tab_in_order(fake: FakeAcquire, open_page: object) -> None:
    fake.rescan, fake.proposal = "gain", proposal(2)
    fake.channels = (Channel(name="HAADF"), Channel(name="BF"))
    fake.problems = [problem("broken")]
    page = open_page()  # type: ignore[operator]
    painted(page)
    expect(page.locator("#alarm")).to_be_visible()
    expect(page.locator("#proposal")).to_be_visible()
    reached = []
    for _ in range(90):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if now["body"] or (reached and now["name"] == reached[0]):
            break
        assert now["seen"], f"the focus is not seen: {now['name']}"
        assert now["outlined"], f"the focus has no outline: {now['name']}"
        reached.append(now["name"])
    wanted = [f"view {name}" for name in ("live", "sessions", "models", "health", "log")]
    wanted += ["by", "sound", "theme", "help", "session", "stop", "abort"]
    wanted += ["snapshot", "acknowledge", "accept", "decline", "open-dose", "open-card"]
    assert [name for name in reached if name in wanted] == wanted
    assert {"channel", "overlay", "swap", "fit"} <= set(reached)


def test_a_day_without_a_mouse(fake: FakeAcquire, service: WebService, open_page: object) -> None:
    record(service.data_dir, "walked", range(2))
    fake.states["demo"] = "waiting"
    page = open_page()  # type: ignore[operator]
    expect(page.locator("#state")).to_have_text("Waiting for Start")
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#commanded")).to_contain_text("Start")
    fake.states["demo"] = "open"
    painted(page)
    page.locator("#views a[data-view=sessions]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#panel-0 .rows button").first).to_be_visible()
    page.locator("#panel-0 .rows button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#panel-0 .detail")).to_be_focused()
    page.locator("#tab-0").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#panel-1")).to_be_visible()
    expect(page.locator("#tab-1")).to_be_focused()
    page.locator("#views a[data-view=live]").focus()
    page.keyboard.press("Enter")
    page.locator("#open-dose").focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#dose-dialog")
    expect(dialog).to_be_visible()
    for _ in range(12):  # the dialog keeps the focus, and what is under it is not reached
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#open-dose")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#confirm")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Aborting")
    assert [c.action for c in fake.commands] == ["start", "abort"]


def test_live_regions_do_not_chatter(fake: FakeAcquire, open_page: object) -> None:
    fake.problems = [problem("broken"), problem("slow", "warning")]
    page = open_page()  # type: ignore[operator]
    painted(page, 4)
    expect(page.locator("#alarm")).to_be_visible()
    page.evaluate(
        """() => {
            window.spoken = 0;
            for (const e of document.querySelectorAll('[role=status], [role=alert], [aria-live]'))
                new MutationObserver((all) => { window.spoken += all.length; })
                    .observe(e, {childList: true, characterData: true, subtree: true});
        }"""
    )
    done = int(page.locator("#stage").get_attribute("data-painted") or 0)
    painted(page, done + 10)
    assert page.evaluate("window.spoken") == 0
