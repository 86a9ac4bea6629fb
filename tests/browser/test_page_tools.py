"""The tools on the page's pictures: levels, colours, overlays, marks, cross, FFT, line profile, region."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from fake_acquire import FakeAcquire
from page_views import painted, pixels
from scanmend.field import Channel, DetectorKind
from web_service import WebService

pytestmark = pytest.mark.browser

SIDE = 128
NM = 1.95
WIDE = (1600, 900)
"""A window with the column of tools open."""
MISSING = np.float32(np.nan)


class Lab(FakeAcquire):
    """A microscope whose pictures and channels a test gives."""

    def show(self, raw: np.ndarray, estimate: np.ndarray, sigma: np.ndarray) -> None:
        """From now on, show these; `(SIDE, SIDE)` each, NaN in `raw` where not sampled."""
        planes = [plane.astype("<f4").tobytes() for plane in (raw, estimate, sigma)]
        self._movie = [(planes[0], b"", planes[1], planes[2])]


@pytest.fixture
def lab(service: WebService) -> Iterator[Lab]:
    with Lab(service.run_dir, size=SIDE, rate=2.0) as made:  # what is looked at stands still
        yield made


def stairs() -> np.ndarray:
    """Eight bars of 16 pixels: 0, 10, … 70."""
    return np.repeat(np.arange(8) * 10.0, 16)[None, :].repeat(SIDE, axis=0)


def place(page: Page, side: str, x: float, y: float) -> tuple[float, float]:
    """Where a point of the picture is on the screen, while the whole field is shown."""
    box = page.locator(side).bounding_box()
    assert box
    zoom = min(box["width"], box["height"]) / SIDE
    return (
        box["x"] + box["width"] / 2 + (x - SIDE / 2) * zoom,
        box["y"] + box["height"] / 2 + (y - SIDE / 2) * zoom,
    )


def colour_at(page: Page, side: str, x: float, y: float) -> np.ndarray:
    """The colour of a point of the picture on the screen."""
    seen = pixels(page, "body")
    at_x, at_y = place(page, side, x, y)
    return np.asarray(seen[int(at_y), int(at_x)])


def bars(page: Page, side: str = "#right") -> np.ndarray:
    """The colours of the eight bars of `stairs`, `(8, 3)`."""
    seen = pixels(page, "body")
    spots = [place(page, side, 16 * i + 8, 64) for i in range(8)]
    return np.array([seen[int(y), int(x)] for x, y in spots])


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def number(locator: Locator) -> float:
    found = re.search(r"-?[0-9][0-9.]*", locator.inner_text())
    assert found, locator.inner_text()
    return float(found[0])


def drawn(page: Page) -> None:
    """Wait until what was asked for is on the screen."""
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def open_on(open_page: object, lab: Lab, raw: np.ndarray, estimate: np.ndarray, sigma: np.ndarray) -> Page:
    lab.show(raw, estimate, sigma)
    page: Page = open_page(size=WIDE)  # type: ignore[operator]
    painted(page, 1)
    return page


def test_limits_dragged_on_the_histogram_are_the_ends_of_the_greys(lab: Lab, open_page: object) -> None:
    page = open_on(open_page, lab, stairs(), stairs(), np.ones((SIDE, SIDE)))
    box = page.locator("#histogram").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    drag(page, (box["x"] + 2, middle), (box["x"] + 0.3 * box["width"], middle))
    expect(page.locator("#follow")).to_have_text("Held")
    drag(page, (box["x"] + box["width"] - 2, middle), (box["x"] + 0.7 * box["width"], middle))
    black, white = number(page.locator("#black-value")), number(page.locator("#white-value"))
    assert 10 < black < 35 < white < 60
    drawn(page)
    wanted = np.clip((np.arange(8) * 10 - black) / (white - black), 0, 1)
    assert np.abs(bars(page)[:, 0] / 255 - wanted).max() < 0.02
    assert np.abs(bars(page, "#left")[:, 0] / 255 - wanted).max() < 0.02, "both sides have the same levels"
    held = page.locator("#white-value").inner_text()
    page.keyboard.press("Shift+ArrowLeft")  # the limit that was dragged has the focus
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#white-value")).not_to_have_text(held)
    assert number(page.locator("#white-value")) < white
    page.keyboard.press("g")
    drawn(page)
    white = number(page.locator("#white-value"))
    share = np.clip((np.arange(8) * 10 - black) / (white - black), 0, 1)
    assert np.abs(bars(page)[:, 0] / 255 - np.log1p(100 * share) / np.log1p(100)).max() < 0.02
    expect(page.locator("#log")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#right .colourbar")).to_contain_text("log")
    page.keyboard.press("a")
    expect(page.locator("#white-value")).to_have_text("70 e⁻")


def test_colour_maps_have_a_scale_and_stay_chosen(lab: Lab, open_page: object) -> None:
    page = open_on(open_page, lab, stairs(), stairs(), np.ones((SIDE, SIDE)))
    assert np.ptp(bars(page), axis=1).max() <= 2, "grey at first"
    page.locator("#map").select_option("viridis")
    drawn(page)
    seen = bars(page)
    assert np.abs(seen[0] - (0x44, 0x01, 0x54)).max() <= 3
    assert np.abs(seen[7] - (0xFD, 0xE7, 0x25)).max() <= 3
    bar = page.locator("#right .colourbar")
    expect(bar).to_have_text(re.compile(r"^\s*0\s*70 e⁻\s*$"))
    expect(bar).to_have_attribute("aria-label", "Colours: viridis from 0 to 70 e⁻")
    shown = pixels(page, "#right .colourbar canvas")
    assert np.abs(shown[5, 2] - (0x44, 0x01, 0x54)).max() < 16
    assert np.abs(shown[5, -3] - (0xFD, 0xE7, 0x25)).max() < 16
    page.reload()
    painted(page, 1)
    expect(page.locator("#map")).to_have_value("viridis")


def test_overlays_lie_over_the_restored_picture_only(lab: Lab, open_page: object) -> None:
    sigma = np.where(np.arange(SIDE) < 64, 1.0, 4.0)[None, :].repeat(SIDE, axis=0)
    raw = stairs().copy()
    raw[:, 100:] = MISSING
    page = open_on(open_page, lab, raw, np.full((SIDE, SIDE), 5.0), sigma)
    plain = colour_at(page, "#right", 120, 64)
    page.keyboard.press("u")
    ramp = page.locator(".ramp")
    expect(ramp).to_have_text(re.compile(r"σ 0\s*4 e⁻"))
    drawn(page)
    wanted = plain + 0.72 * (np.array((0xFD, 0xE7, 0x25)) - plain)
    assert np.abs(colour_at(page, "#right", 120, 64) - wanted).max() <= 4, "the most uncertain is yellow"
    assert np.ptp(colour_at(page, "#left", 30, 64)) <= 2
    page.locator("#overlay").select_option("sampled")
    expect(ramp).to_have_text(re.compile("where sampled, 20 %"))
    drawn(page)
    assert np.abs(colour_at(page, "#right", 120, 64) - plain).max() <= 2, "nothing was sampled there"
    cyan = plain + 0.72 * (np.array((64, 224, 255)) - plain)
    assert np.abs(colour_at(page, "#right", 50, 64) - cyan).max() <= 4
    page.locator("h1").click()  # away from the list: keys are the page's again
    page.keyboard.press("o")
    expect(page.locator("#overlay")).to_have_value("dose")
    expect(ramp).to_have_text(re.compile(r"dose 0\s*25 e⁻/nm²"))  # the upper half had it all
    drawn(page)
    assert np.abs(colour_at(page, "#right", 60, 40) - wanted).max() <= 4
    assert np.abs(colour_at(page, "#right", 60, 90) - plain).max() <= 2
    page.mouse.move(*place(page, "#right", 60, 40))
    expect(page.locator("#right .readout")).to_contain_text("dose 25 e⁻/nm²")
    page.keyboard.press("o")
    expect(page.locator("#overlay")).to_have_value("proposal")
    expect(ramp).to_have_text(re.compile("Proposal: none is open"))
    page.keyboard.press("o")
    expect(ramp).to_be_hidden()


COUNTING = Channel(name="HAADF", units_per_electron=2.0, offset_units=10.0, saturation_units=130.0)
ANALOGUE = Channel(
    name="HAADF",
    kind=DetectorKind.ANALOGUE,
    units_per_electron=2.0,
    offset_units=10.0,
    saturation_units=70.0,
    reference_dwell_ns=500,  # half of the dwell that the pictures stand for: a level means twice as many electrons
)


@pytest.mark.parametrize(("channel", "black"), [(COUNTING, -5.0), (ANALOGUE, -10.0)])
def test_saturated_and_clipped_samples_are_marked_in_patterns(
    lab: Lab, open_page: object, channel: Channel, black: float
) -> None:
    lab.channels = (channel, Channel(name="BF"))
    raw = stairs()
    raw[40:60, 8:24] = black  # the detector gave 0, below its offset
    page = open_on(open_page, lab, raw, stairs(), np.ones((SIDE, SIDE)))
    expect(page.locator("#left h2")).to_contain_text("HAADF")
    page.keyboard.press("x")
    marked = page.locator("#right .marked")
    expect(marked).to_contain_text("saturated: 4 096 px")  # 60 e⁻ and more: two bars
    expect(marked).to_contain_text("clipped at black: 320 px")
    drawn(page)
    seen = pixels(page, "body")
    for side in ("#left", "#right"):
        x0, y0 = place(page, side, 100, 80)
        x1, y1 = place(page, side, 120, 100)
        patch = seen[int(y0) : int(y1), int(x0) : int(x1)].reshape(-1, 3)
        red = (np.abs(patch - (255, 48, 48)).max(axis=1) < 40).mean()
        white = (np.abs(patch - (255, 235, 235)).max(axis=1) < 40).mean()
        assert 0.3 < red < 0.6 and 0.3 < white < 0.6, "a chequer"
        assert np.ptp(colour_at(page, side, 50, 100)) <= 2, "what is neither is left as it was"
    page.keyboard.press("x")
    expect(marked).to_be_hidden()


def test_the_cross_is_moved_by_keys_and_reads_values(lab: Lab, open_page: object) -> None:
    rng = np.random.default_rng(5)
    estimate = rng.integers(20, 90, (SIDE, SIDE)).astype(float)
    sigma = rng.integers(1, 9, (SIDE, SIDE)).astype(float)
    raw = estimate + 1
    raw[60, 74] = MISSING
    page = open_on(open_page, lab, raw, estimate, sigma)
    page.keyboard.press("c")
    for key, times in (("Shift+ArrowRight", 1), ("ArrowUp", 4)):
        for _ in range(times):
            page.keyboard.press(key)
    y, x = 60, 74
    where = f"x {float(f'{x * NM:.3g}'):g} nm, y {float(f'{y * NM:.3g}'):g} nm"
    expect(page.locator("#right .readout")).to_have_text(f"{where}: {estimate[y, x]:g} ± {sigma[y, x]:g} e⁻")
    expect(page.locator("#left .readout")).to_have_text(f"{where}: not sampled")
    expect(page.locator("#announce")).to_contain_text("not sampled; restored")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#left .readout")).to_contain_text(f": {raw[y, x - 1]:g} e⁻")
    page.keyboard.press("c")
    expect(page.locator("#right .readout")).to_be_empty()


def test_the_fft_of_a_known_lattice_peaks_at_its_period(lab: Lab, open_page: object) -> None:
    _, x = np.mgrid[:SIDE, :SIDE]
    period_px = 9.3
    lattice = 50 + 20 * np.cos(2 * np.pi * x / period_px)
    noisy = np.random.default_rng(2).poisson(lattice).astype(float)
    page = open_on(open_page, lab, noisy, np.random.default_rng(1).normal(50, 1, (SIDE, SIDE)), np.ones((SIDE, SIDE)))
    expect(page.locator("#fft-of")).to_have_value("raw")
    peak = page.locator("#fft-peak")
    expect(peak).to_contain_text("strongest")
    expect(page.locator("#fft-note")).to_contain_text("Of the detector’s samples.")
    per_nm = 1 / (period_px * NM)
    found = re.search(r"strongest ([0-9.]+) nm \(([0-9.]+) 1/nm\)", peak.inner_text())
    assert found
    assert float(found[1]) == pytest.approx(period_px * NM, rel=0.01)
    assert float(found[2]) == pytest.approx(per_nm, rel=0.01)
    canvas = page.locator("#fft")
    box = canvas.bounding_box()
    assert box
    nyquist = 0.5 / NM
    spot = box["x"] + (0.5 + 0.5 / SIDE + 0.5 * per_nm / nyquist) * box["width"]
    seen = pixels(page, "#fft").max(axis=2)
    column = int(spot - box["x"])
    row = int(box["height"] / 2)
    assert seen[row - 4 : row + 5, column - 4 : column + 5].max() > 190, "it is bright where it lies"
    assert np.median(seen) < 60
    page.mouse.move(spot, box["y"] + (0.5 + 0.5 / SIDE) * box["height"])
    at = re.search(r"\(([0-9.]+) 1/nm\), ([0-9]+)°", page.locator("#fft-at").inner_text())
    assert at and float(at[1]) == pytest.approx(per_nm, rel=0.03)
    before = page.locator("#fft-at").inner_text()
    page.locator("#fft-zoom").select_option("4")
    expect(page.locator("#fft-at")).not_to_have_text(before)
    page.locator("#fft-of").select_option("restored")
    expect(page.locator("#fft-note")).to_contain_text("estimate, not data")
    expect(peak).to_have_text("no peak stands out")
    canvas.focus()
    before = page.locator("#fft-at").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#fft-at")).not_to_have_text(before)


def test_the_fft_of_sparse_samples_says_what_the_gaps_do(lab: Lab, open_page: object) -> None:
    rng = np.random.default_rng(3)
    raw = np.where(rng.random((SIDE, SIDE)) < 0.2, rng.poisson(30, (SIDE, SIDE)), MISSING)
    page = open_on(open_page, lab, raw, np.full((SIDE, SIDE), 30.0), np.ones((SIDE, SIDE)))
    expect(page.locator("#fft-of")).to_have_value("restored")
    page.locator("#fft-of").select_option("raw")
    expect(page.locator("#fft-note")).to_contain_text(re.compile(r"(19|20|21) % of the pixels; gaps count as the mean"))
    expect(page.locator("#fft-peak")).to_have_text("no peak stands out")


def test_the_profile_of_a_known_edge(lab: Lab, open_page: object) -> None:
    edge = np.where(np.arange(SIDE) < 70, 20.0, 80.0)[None, :].repeat(SIDE, axis=0)
    raw = edge.copy()
    raw[:, ::2] = MISSING
    page = open_on(open_page, lab, raw, edge, np.full((SIDE, SIDE), 3.0))
    page.keyboard.press("l")
    expect(page.locator("#profile-note")).to_contain_text("restored by pushpull with ± σ — estimate, not data")
    drag(page, place(page, "#right", 60.5, 64.5), place(page, "#right", 80.5, 64.5))
    at = page.locator("#profile-at")
    expect(at).to_contain_text(re.compile(r"^(39|38\.[0-9]+|39\.[0-9]+) nm long$"))
    chart = page.locator("#profile")
    chart.focus()
    values = {}
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")  # to the line's beginning
    for _ in range(19):
        page.keyboard.press("ArrowRight")
        found = re.fullmatch(
            r"([0-9.]+) nm: (not sampled|raw [0-9.]+), restored ([0-9.]+) ± ([0-9.]+) e⁻", at.inner_text()
        )
        assert found, at.inner_text()
        assert float(found[4]) == 3
        values[float(found[1])] = (found[2], float(found[3]))
    low = [nm for nm, (_, restored) in values.items() if restored == 20]
    high = [nm for nm, (_, restored) in values.items() if restored == 80]
    assert max(low) < min(high)
    assert (max(low) + min(high)) / 2 == pytest.approx((70 - 60.5) * NM, abs=2.5)
    assert {seen for seen, _ in values.values()} == {"not sampled", "raw 20", "raw 80"}
    assert pixels(page, "#profile").std() > 10
    page.locator("#profile-width").fill("4")  # wide across the line, which runs along a row: gaps stay
    expect(at).to_contain_text("restored 80")
    handle = page.get_by_role("button", name=re.compile("End of the profile")).first
    handle.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.mouse.move(10, 10)
    page.locator("#profile").dispatch_event("pointerleave")
    expect(at).to_have_text(re.compile(r"^5[789](\.[0-9]+)? nm long$"))
    page.get_by_role("button", name="Clear").first.click()
    expect(handle).to_be_hidden()


def test_the_figures_of_a_region_are_those_of_numpy(lab: Lab, open_page: object) -> None:
    rng = np.random.default_rng(4)
    raw = np.where(rng.random((SIDE, SIDE)) < 0.3, rng.poisson(40, (SIDE, SIDE)), MISSING)
    estimate, sigma = rng.normal(40, 3, (SIDE, SIDE)), rng.uniform(2, 4, (SIDE, SIDE))
    page = open_on(open_page, lab, raw, estimate, sigma)
    page.keyboard.press("m")
    drag(page, place(page, "#left", 20, 30), place(page, "#left", 90, 100))
    note = page.locator("#region-note")
    expect(note).to_contain_text("(70 × 70 px)")
    expect(note).to_contain_text("estimate, not data")
    inside = np.s_[30:100, 20:90]
    seen, made, spread = raw[inside], estimate[inside], sigma[inside]
    n = np.isfinite(seen).sum()
    row = dict(
        zip(page.locator("#region tbody th").all_inner_texts(), page.locator("#region tbody tr").all(), strict=True)
    )

    def cell(name: str, column: int) -> float:
        return number(row[name].locator("td").nth(column))

    assert cell("Mean", 0) == pytest.approx(np.nanmean(seen), rel=1e-3)
    assert cell("Mean", 1) == pytest.approx(made.mean(), rel=1e-3)
    assert cell("SD", 0) == pytest.approx(np.nanstd(seen, ddof=1), rel=1e-3)
    assert cell("SD", 1) == pytest.approx(made.std(ddof=1), rel=1e-3)
    assert cell("Least", 0) == np.nanmin(seen)
    assert cell("Most", 1) == pytest.approx(made.max(), rel=1e-3)
    assert cell("Standard error", 0) == pytest.approx(np.nanstd(seen, ddof=1) / np.sqrt(n), rel=0.05)
    assert cell("Standard error", 1) == pytest.approx(np.sqrt((spread**2).mean() / spread.size), rel=0.05)
    expect(row["Dose, mean"].locator("td").first).to_have_text("12.1 e⁻/nm²")  # 25 in 34 of its 70 rows
    share = 100 * n / seen.size
    expect(row["Sampled"].locator("td").first).to_have_text(f"{n:,}, {share:.2g} %".replace(",", " ", 1))
    handle = page.get_by_role("button", name=re.compile("Second corner of the region")).first
    handle.focus()
    page.keyboard.press("ArrowRight")
    expect(note).to_contain_text("(71 × 70 px)")


def test_the_column_folds_by_key_and_stays_as_it_was_left(lab: Lab, open_page: object) -> None:
    page = open_on(open_page, lab, stairs(), stairs(), np.ones((SIDE, SIDE)))
    column, levels = page.locator("#column"), page.locator("#column #levels")
    expect(column).to_be_visible()
    expect(levels).to_be_visible()
    page.locator("#tools-open").click()
    expect(column).to_be_hidden()
    expect(page.locator("#tools #levels")).to_be_visible()
    expect(page.locator("#tools-open")).to_have_attribute("aria-expanded", "false")
    page.reload()
    painted(page, 1)
    expect(column).to_be_hidden()
    page.keyboard.press("h")
    expect(levels).to_be_visible()
    for key, tool, open_now in (("f", "fft", True), ("l", "profile", False), ("m", "region", False)):
        for there in (not open_now, open_now):
            page.keyboard.press(key)
            expect(page.locator(f"#tool-{tool} .note")).to_be_visible(visible=there)
    page.keyboard.press("?")
    for about in ("FFT", "Line profile", "Measure a region", "Gamma, or logarithmic", "Cross"):
        expect(page.locator("#keys")).to_contain_text(about)


def test_of_what_is_asked_of_the_worker_the_newest_is_computed(lab: Lab, open_page: object) -> None:
    page = open_on(open_page, lab, stairs(), stairs(), np.ones((SIDE, SIDE)))
    found = page.evaluate(
        """async () => {
            const { Worksheet } = await import('/static/tools/worksheet.js');
            const worksheet = new Worksheet();
            const numbers = new Uint16Array(512 * 512).fill(7);
            const plane = { numbers, width: 512, height: 512, scale: 1, add: 0, missing: null };
            const done = [];
            for (let i = 1; i <= 6; i++) {
                const box = { x0: 0, y0: 0, x1: i, y1: 1 };
                await new Promise((next) => setTimeout(next));
                worksheet.ask('region', { planes: { raw: plane }, box }, ({ pixels }) => done.push(pixels));
            }
            while (done.at(-1) !== 6) await new Promise((next) => setTimeout(next, 10));
            return [done, numbers.length];
        }"""
    )
    assert found[0][0] == 1 and found[0][-1] == 6 and len(found[0]) < 6, "what was overtaken is not computed"
    assert found[1] == 512 * 512, "the page keeps its own plane"
