"""The pictures on the operator's page: what they show, and how they are looked at."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from fake_acquire import FakeAcquire, movie
from page_views import BLUE, SIZE, painted, picture_part, pixels, share_of, shown_number, standing, until
from web_service import WebService

pytestmark = pytest.mark.browser

WIDE = (1600, 800)
"""A window whose panes are as high as they are wide, beside the open column of tools."""


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
    page = open_page(size=WIDE)  # type: ignore[operator]
    painted(page)
    raw = picture_part(page, "#left")
    assert 0.6 < share_of(raw, BLUE) < 0.85, "four fifths are not sampled"
    assert share_of(picture_part(page, "#right"), BLUE) < 0.01
    expect(page.locator("#left .legend")).to_be_visible()
    expect(page.locator("#right .legend")).to_be_hidden()
    fake.raster = True
    expect(page.locator("#left .legend")).to_be_hidden()
    assert share_of(picture_part(page, "#left"), BLUE) < 0.01


def test_sparse_samples_are_binned_until_they_are_large_on_the_screen(service: WebService, open_page: object) -> None:
    with FakeAcquire(service.run_dir, size=256) as fake:
        page = open_page(size=WIDE)  # type: ignore[operator]
        painted(page)
        standing(fake)
        title, button = page.locator("#left h2"), page.locator("#bins")
        expect(title).to_have_text("Raw 20 % sampled, shown in bins of 2 × 2")
        assert share_of(picture_part(page, "#left"), BLUE) < 0.5
        page.mouse.move(320, 300)
        expect(page.locator("#left .readout")).to_contain_text(re.compile("in its bin|not sampled"))
        page.keyboard.press("b")
        expect(title).to_have_text("Raw 20 % sampled")
        expect(button).to_have_attribute("aria-pressed", "false")
        page.wait_for_timeout(200)
        assert share_of(picture_part(page, "#left"), BLUE) > 0.6
        button.click()
        expect(title).to_contain_text("bins of 2 × 2")
        for _ in range(4):
            page.keyboard.press("+")
        expect(title).to_have_text("Raw 20 % sampled")
        page.keyboard.press("0")
        for _ in range(4):
            page.keyboard.press("-")
        expect(title).to_contain_text("bins of 3 × 3")
        fake.raster, fake.rate = True, 20.0
        expect(button).to_be_hidden()


def test_bins_hold_the_mean_of_their_samples(fake: FakeAcquire, open_page: object) -> None:
    page = open_page()  # type: ignore[operator]
    found = page.evaluate(
        """async () => {
            const { bin, binWidth, density } = await import('/static/binning.js');
            const drawn = [4, 9, 9, 9, 6,  9, 9, 9, 9, 9,  9, 9, 9, 3, 9];
            const numbers = new Uint16Array(drawn.map((n) => n === 9 ? 65535 : n));
            const plane = { numbers, width: 5, height: 3, scale: 2, add: 1, missing: 65535 };
            const made = bin(plane, 2);
            const full = bin({ ...plane, numbers: numbers.map((n) => n === 65535 ? 8 : n) }, 2);
            const zooms = [1, 3, 4, 0.3, 0.3, 1];
            const widths = [0.05, 0.05, 0.05, 0.2, 0.6, 0].map((share, i) => binWidth(share, zooms[i]));
            const { width, height, extent, missing } = made;
            return [[...made.numbers], width, height, extent, missing, [...full.numbers], full.missing,
              density(plane), widths];
        }"""
    )
    none = 65535
    assert found == [
        [4, none, 6, none, 3, none], 3, 2, [2.5, 1.5], none, [7, 8, 7, 8, 6, 8], None,
        pytest.approx(0.2), [4, 2, 1, 3, 1, 1],
    ]  # fmt: skip


def test_values_have_a_unit(service: WebService, open_page: object) -> None:
    for gain, unit in ((1.0, "e⁻"), (None, "units")):
        with FakeAcquire(service.run_dir, size=64) as fake:
            fake.gain = gain
            page = open_page()  # type: ignore[operator]
            painted(page)
            page.keyboard.press("u")
            expect(page.locator(".ramp span").last).to_have_text(re.compile(rf"^[0-9.]+ {unit}$"))
            expect(page.locator("#white-value")).to_have_text(re.compile(rf"{unit}$"))
            page.mouse.move(960, 300)
            expect(page.locator("#right .readout")).to_have_text(re.compile(rf" ± [0-9.]+ {unit}$"))


def test_a_restored_picture_says_which_model_made_it(fake: FakeAcquire, open_page: object) -> None:
    page = open_page(size=WIDE)  # type: ignore[operator]
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
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
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
    page = open_page(size=WIDE)  # type: ignore[operator]
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
    expect(page.locator("#overlay")).to_have_value("sigma")
    page.locator("#overlay").select_option("none")
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
