"""The report in a real browser, without a network: it draws, sorts, copies, prints, and can neither eval nor fetch."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import depth_fixture as deep
import numpy as np
import pytest
import report_fixture as fixture
from joined_fixture import every_record
from playwright.sync_api import Browser, Page, expect, sync_playwright

import pindown
from pindown.report.arrangements import write_arrangements_report
from pindown.report.audit import write_audit_report
from pindown.report.bitplanes import write_bitplanes_report
from pindown.report.choices import write_choices_report
from pindown.report.fermi import write_fermi_report
from pindown.report.joined import write_joined_report
from pindown.report.landscape import write_landscape_report
from pindown.report.registry import KINDS
from pindown.report.resources import write_resources_report
from pindown.report.study import write_study_report
from pindown.report.values import write_values_report
from pindown.values.choice_sources import Comparisons
from pindown.values.priors import Hypotheses, LinearValues
from pindown.values.reading_sources import Channel

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RECORDS = {
    "digits": fixture.digits_record,
    "hard": fixture.hard_record,
    "deep": deep.deep_record,
    "awkward": deep.awkward_record,
    "empty": lambda: fixture.audit_record([]),
}


RESULTS = Path(__file__).parents[2] / "docs" / "results"


def kept_study() -> dict[str, Any]:
    """The compression study as its kept records have it, all questions on one page."""
    files = [RESULTS / f"compression-question-{q}-full.json" for q in (1, 2, 3, 4)]
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return records[0] | {"answers": [a for r in records for a in r["answers"]]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium where there is one, else the one that Playwright installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for name, record in RECORDS.items():
        write_audit_report(record(), folder / f"{name}.html")
    write_bitplanes_report(deep.bitplanes("width 30"), folder / "planes.html")
    ring = pindown.Budgets([[1, 2, 3], [3, 1, 2], [2, 3, 1]], [[1, 0, 3], [3, 1, 0], [0, 3, 1]])
    write_choices_report(pindown.coherence(ring, particles=50, repeats=2).to_dict(), folder / "choices.html")
    log = pindown.Trades(["a", "a", "b", "c"], ["b", "c", "c", "b"], [1, 1, 0, 0])
    write_choices_report(pindown.subagents(log).to_dict(), folder / "committee.html")
    pad = Channel(np.eye(4)[np.arange(16) // 4 ^ np.arange(16) % 4][:, None, :], name="message")
    lost = pindown.ledger(pindown.ValueProblem(4, Hypotheses.encoded(4, 4), np.eye(4), [pad]))
    draws = np.random.default_rng(0)
    value = draws.normal(size=2000)
    curve = pindown.overoptimisation(value, value + draws.standard_t(2, size=2000))
    write_values_report(lost.to_dict(), folder / "values.html", curve.to_dict())
    taste = LinearValues(2, particles=60)
    who = pindown.ValueProblem(draws.normal(size=(10, 2)), taste, 0.2, [Comparisons(flip=0.1)])
    arranged = pindown.arrangements(who, levels=[0, 4, 16], episodes=30, shortlists=[1, 3], regions=False)
    write_arrangements_report(arranged.to_dict(), folder / "arrangements.html")
    estimated = pindown.fermi.estimate(pindown.fermi.human_values(), samples=1024, sensitivity=64)
    write_fermi_report(estimated.to_dict(), folder / "fermi.html")
    rules = {"ball": lambda x: x.square().sum(-1) - 1, "half": lambda x: -x[:, 0], "far": lambda x: x.sum(-1) - 9}
    searched = pindown.landscape(pindown.Box(-1, 1, dim=4), rules, starts=6, budget=128, repeats=2)
    write_landscape_report(searched.to_dict(), folder / "landscape.html")
    farm = pindown.LinearProgram([3, 2], [[1, 1], [1, 0]], high=[4, 9], maximise=True, rows=["land", "seed"])
    wanted = pindown.convergence(farm, ["positive", "single", "permuted"], objectives=60)
    write_resources_report(wanted.to_dict(), folder / "resources.html")
    write_study_report(kept_study(), folder / "study.html")
    write_joined_report({f"results/{name}.json": r for name, r in every_record().items()}, folder / "joined.html")
    more = (
        "planes", "choices", "committee", "values", "arrangements", "fermi", "landscape", "resources", "study",
        "joined",
    )  # fmt: skip
    return {name: folder / f"{name}.html" for name in (*RECORDS, *more)}


class Tab:
    """A page with the network off; anything on the console, any error, any request fails the test."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        options.setdefault("viewport", DESKTOP)
        self.context = browser.new_context(**options)
        self.context.set_offline(True)
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.complaints.append(f"error: {e}"))
        self.page.on(
            "request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or self.complaints.append(r.url)
        )
        self.page.goto(path.as_uri())
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert self.complaints == []


def wait_until(page: Page, expression: str, seconds: float = 15.0) -> None:
    """Wait for a JavaScript expression to hold. Playwright's own waiting evals in the page, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(50)


def drawn(page: Page) -> list[dict[str, Any]]:
    """What each chart shows: its marks, and how far it reaches beside its box."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.plot')].map((plot) => ({
             marks: plot.querySelectorAll(
                '.scatterlayer .point, .scatterlayer .js-line, .errorbar, .barlayer .point, .heatmaplayer image'
            ).length,
             ticks: plot.querySelectorAll('.xtick').length,
             over: plot.querySelector('.main-svg').getBoundingClientRect().right - plot.getBoundingClientRect().right,
             label: plot.getAttribute('aria-label'),
           }))"""
    )


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("digits", 7),
        ("hard", 7),
        ("deep", 24),
        ("awkward", 11),
        ("planes", 3),
        ("choices", 3),
        ("committee", 2),
        ("values", 2),
        ("arrangements", 4),
        ("fermi", 9),
        ("landscape", 3),
        ("resources", 2),
        ("study", 16),
        ("joined", 60),
    ],
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_all_charts_are_drawn_and_nothing_scrolls_sideways(browser, reports, name, least, scheme, viewport):
    phone = viewport is PHONE
    with Tab(browser, reports[name], color_scheme=scheme, viewport=viewport, has_touch=phone, is_mobile=phone) as tab:
        charts = drawn(tab.page)
        assert len(charts) >= least
        for chart in charts:
            assert chart["marks"] > 0, chart
            assert chart["ticks"] > 0, chart
            assert chart["over"] < 1, chart
            assert chart["label"]
        wide, screen = tab.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= screen == viewport["width"]


HEAT = """() => [...document.querySelectorAll('.plot')].filter((p) => p.querySelector('.heatmaplayer image'))
  .map((plot) => ({
    size: plot.querySelector('.heatmaplayer image').getBoundingClientRect(),
    bar: plot.querySelector('.colorbar').getBoundingClientRect(),
    box: plot.getBoundingClientRect(),
    ticks: [...plot.querySelectorAll('.xtick text')].map((t) => t.textContent),
    scale: [...plot.querySelectorAll('.colorbar text')].map((t) => t.textContent),
  }))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_heat_maps_show_their_cells_their_scale_and_their_parts(browser, reports, scheme, viewport):
    with Tab(browser, reports["deep"], color_scheme=scheme, viewport=viewport) as tab:
        maps = tab.page.evaluate(HEAT)
        assert len(maps) == 2
        for shown in maps:
            assert shown["size"]["width"] > 150
            assert shown["size"]["height"] > 100
            assert shown["box"]["left"] <= shown["bar"]["left"]
            assert shown["bar"]["right"] <= shown["box"]["right"]
            assert shown["size"]["bottom"] < shown["bar"]["top"]
            assert {"±", "exponent", "mantissa"} <= set(shown["ticks"])
            assert {"ε/10", "ε", "10 ε"} <= set(shown["scale"])
        bars = tab.page.evaluate("[...document.querySelectorAll('.barlayer .point')].length")
        assert bars == 8  # four tensors of each network


def test_a_page_without_charts_opens_too(browser, reports):
    with Tab(browser, reports["empty"]) as tab:
        expect(tab.page.get_by_role("heading", name="How it was measured")).to_be_visible()


CONTRAST = """() => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  const worst = (selector, property) => {
    const styles = [...document.querySelectorAll(selector)].map((e) => getComputedStyle(e));
    const seen = styles.filter((s) => property !== 'stroke' || parseFloat(s.strokeWidth) > 0);
    return Math.min(...new Set(seen.map((s) => {
      const [a, b] = [luminance(s[property]), paper].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    })));
  };
  return {
    paper,
    text: worst('p, dt, dd, th, td, li, a, summary, h1, h2, h3, .interval, .status', 'color'),
    chart: worst('.plot text:not(.textpoint text):not(.bartext-inside)', 'fill'),
    lines: worst('.scatterlayer .js-line', 'stroke'),
  };
}"""  # relative luminance and contrast ratio: WCAG 2.2


@pytest.mark.parametrize("name", ["hard", "joined"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_have_contrast_in_light_and_dark(browser, reports, scheme, name):
    with Tab(browser, reports[name], color_scheme=scheme) as tab:
        found = tab.page.evaluate(CONTRAST)
        assert found["paper"] > 0.8 if scheme == "light" else found["paper"] < 0.05
        assert found["text"] >= 4.5
        assert found["chart"] >= 4.5
        assert found["lines"] >= 3.0


def test_charts_follow_the_scheme_while_the_page_is_open(browser, reports):
    with Tab(browser, reports["digits"], color_scheme="light") as tab:
        fill = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
        before = tab.page.evaluate(fill)
        tab.page.emulate_media(color_scheme="dark")
        wait_until(tab.page, f"{fill} !== {before!r}")
        tab.ready()
        assert tab.page.evaluate(CONTRAST)["chart"] >= 4.5


PROBE = """
window.probe = {blocked: []};
document.addEventListener('securitypolicyviolation', (e) => window.probe.blocked.push(e.effectiveDirective));
const attempt = (name, action) => {
  try { action(); window.probe[name] = 'ran'; } catch (e) { window.probe[name] = e.name; }
};
attempt('eval', () => eval('1 + 1'));
attempt('Function', () => new Function('return 1')());
setTimeout('window.probe.timer = "ran"', 0);
const inline = document.createElement('script');
inline.textContent = 'window.probe.inline = "ran"';
document.head.append(inline);
const image = new Image();
image.onload = () => { window.probe.image = 'ran'; };
image.onerror = () => { window.probe.image = 'blocked'; };
image.src = 'ADDRESS/image.png';
const remote = document.createElement('script');
remote.src = 'ADDRESS/remote.js';
document.head.append(remote);
const asked = fetch('ADDRESS/fetch').then(() => 'ran', (e) => e.name);
asked.then((outcome) => { window.probe.fetch = outcome; });
"""


@pytest.mark.parametrize("report", ["digits", "joined"])
def test_a_probe_inside_the_page_can_neither_eval_nor_reach_a_server(browser, reports, tmp_path, report):
    """The probe is let in by its own hash; a server on this machine, which the browser could reach, hears nothing."""
    heard: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        probe = PROBE.replace("ADDRESS", address)
        digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
        html = reports[report].read_text(encoding="utf-8")
        policed = html.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
        policed = policed.replace("</body>", f"<script>{probe}</script></body>")
        policy = re.search(r"<meta http-equiv=\"Content-Security-Policy\".*?>", policed)
        assert policy is not None
        outcomes: dict[str, dict[str, Any]] = {}
        for name, page_html in {"policed": policed, "open": policed.replace(policy.group(), "")}.items():
            path = tmp_path / f"{name}.html"
            path.write_text(page_html, encoding="utf-8")
            page = browser.new_page()  # with the network on: the page's own policy must do the blocking
            page.goto(path.as_uri())
            wait_until(page, "window.probe && window.probe.fetch && window.probe.image")
            page.wait_for_timeout(200)
            outcomes[name] = {**page.evaluate("window.probe"), "heard": sorted(heard)}
            heard.clear()
            page.close()
        server.shutdown()
        thread.join()
    inside, outside = outcomes["policed"], outcomes["open"]
    assert inside["eval"] == inside["Function"] == "EvalError"
    assert inside["fetch"] == "TypeError"
    assert inside["image"] == "blocked"
    assert "timer" not in inside
    assert "inline" not in inside
    assert inside["heard"] == []
    assert {"script-src", "connect-src", "img-src"} <= {d.removesuffix("-elem") for d in inside["blocked"]}
    # The same probe without the policy gets through: the silence above is the policy's doing.
    assert outside["eval"] == outside["Function"] == outside["timer"] == outside["inline"] == "ran"
    assert {"/image.png", "/remote.js", "/fetch"} <= set(outside["heard"])


def first_column(page: Page, caption: str, column: int) -> list[str]:
    rows = page.get_by_role("region", name=caption).locator("tbody tr").all()
    return [row.locator("> *").nth(column).inner_text().split("\n")[0] for row in rows]


def test_a_table_sorts_by_keyboard(browser, reports):
    with Tab(browser, reports["hard"]) as tab:
        region = tab.page.get_by_role("region", name="Every tolerance that was measured")
        head = region.get_by_role("columnheader", name="tolerance t")
        head.get_by_role("button").focus()
        tab.page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        up = [float(t) for t in first_column(tab.page, "Every tolerance", 2)]
        assert up == sorted(up)
        tab.page.keyboard.press("Space")
        assert head.get_attribute("aria-sort") == "descending"
        assert [float(t) for t in first_column(tab.page, "Every tolerance", 2)] == sorted(up, reverse=True)
        expect(tab.page.locator("#live")).to_contain_text("descending")


def test_what_was_not_measured_sorts_last_both_ways(browser, reports):
    with Tab(browser, reports["hard"]) as tab:
        button = tab.page.get_by_role("region", name="Every tolerance").get_by_role("button", name="λ")
        for _ in range(2):
            button.press("Enter")
            values = first_column(tab.page, "Every tolerance", 4)
            known = [v for v in values if v != "–"]
            assert values == known + ["–"] * (len(values) - len(known))
            assert 0 < len(known) < len(values)


def test_every_control_can_be_reached_by_tab(browser, reports):
    with Tab(browser, reports["digits"]) as tab:
        seen: set[str] = set()
        for _ in range(200):
            tab.page.keyboard.press("Tab")
            here = tab.page.evaluate("(document.activeElement.textContent || '').trim().slice(0, 40)")
            outline = tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            if tab.page.evaluate("document.activeElement === document.body"):
                break
            assert outline != "none", here
            seen.add(here)
        assert "Skip to the results" in seen
        assert {"Copy as CSV", "The figures behind this chart", "How this was measured", "Bits pinned down"} <= seen


@pytest.mark.parametrize("allowed", [True, False])
def test_a_table_is_copied_as_csv_in_the_order_shown(browser, reports, allowed):
    permissions = ["clipboard-read", "clipboard-write"] if allowed else []
    with Tab(browser, reports["hard"], permissions=permissions) as tab:
        if not allowed:
            tab.page.evaluate(
                "() => { const refuse = () => Promise.reject(new DOMException('no', 'NotAllowedError'));"
                " navigator.clipboard.writeText = refuse; }"
            )
        region = tab.page.get_by_role("region", name="Every tolerance that was measured")
        region.get_by_role("button", name="tolerance t").press("Enter")
        tab.page.get_by_role("button", name="Copy as CSV: Every tolerance that was measured").press("Enter")
        if allowed:
            expect(tab.page.get_by_text("rows", exact=False).filter(has_text="Copied").first).to_be_visible()
            text = tab.page.evaluate("navigator.clipboard.readText()")
        else:
            text = tab.page.get_by_label("CSV to copy").input_value()
        rows = list(csv.DictReader(io.StringIO(text)))
        tolerances = [float(row["tolerance t"]) for row in rows]
        assert tolerances == sorted(tolerances)
        names = {row["subject"] for row in rows}
        assert {fixture.HOSTILE, "unreached", "apart", "regression"} == names
        record = fixture.hard_record()["subjects"]
        for subject in record[:4]:
            for point in subject["measurements"][0]["sweep"]:
                (row,) = [
                    r
                    for r in rows
                    if r["subject"] == subject["name"]
                    and r["loss"] == subject["measurements"][0]["loss"]
                    and float(r["tolerance t"]) == point["tolerance"]
                ]
                assert float(row["bits"]) == point["bits"]["value"]
                assert row["bits: kind"] == point["bits"]["kind"]
                assert row["bits: status"] == point["bits"]["status"]


def test_it_prints_in_light_colours_with_every_chart_and_comes_back(browser, reports, tmp_path):
    with Tab(browser, reports["digits"], color_scheme="dark") as tab:
        before = tab.page.evaluate("document.querySelector('.plot .main-svg').getBoundingClientRect().width")
        tab.page.emulate_media(media="print", color_scheme="dark")
        tab.page.wait_for_selector("html.printing", state="attached")
        found = tab.page.evaluate(CONTRAST)
        assert found["paper"] > 0.8
        assert found["chart"] >= 4.5
        assert all(chart["marks"] > 0 for chart in drawn(tab.page))
        assert tab.page.evaluate("[...document.querySelectorAll('details.method')].every((d) => d.open)")
        tab.page.emulate_media(media="screen", color_scheme="dark")
        tab.page.wait_for_selector("html:not(.printing)", state="attached")
        tab.ready()
        wait_until(tab.page, f"document.querySelector('.plot .main-svg').getBoundingClientRect().width === {before}")
        assert not tab.page.evaluate("[...document.querySelectorAll('details.method')].some((d) => d.open)")
        pdf = tab.page.pdf(format="A4")
        assert pdf.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) in range(4, 13)


def test_each_chart_has_its_figures_as_a_table(browser, reports):
    with Tab(browser, reports["digits"]) as tab:
        for figure in tab.page.locator("figure").all():
            figure.locator("summary").press("Enter")
            expect(figure.get_by_role("table")).to_be_visible()
            assert figure.locator("tbody tr").count() > 0


def test_a_chart_is_saved_as_svg_by_keyboard(browser, reports):
    with Tab(browser, reports["digits"]) as tab:
        plot = tab.page.locator(".plot").first
        with tab.page.expect_download() as download:
            plot.get_by_role("button", name="Download plot").press("Enter")
        assert "<svg" in download.value.path().read_text(encoding="utf-8")
        assert plot.locator("svg.main-svg:not([aria-hidden=true])").count() == 0


def test_charts_fit_again_after_the_window_changes(browser, reports):
    with Tab(browser, reports["digits"]) as tab:
        tab.page.set_viewport_size({"width": 500, "height": 900})
        wait_until(
            tab.page, "[...document.querySelectorAll('.plot')].every((p) => Number(p.dataset.drawn) === p.clientWidth)"
        )
        assert all(chart["over"] < 1 for chart in drawn(tab.page))


def test_without_javascript_the_figures_are_still_there(browser, reports):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(reports["digits"].as_uri())
    page.locator("figure summary").first.click()
    expect(page.locator("figure table").first).to_be_visible()
    expect(page.get_by_text("923.3 ± 2.1").first).to_be_visible()
    context.close()


def test_a_joined_page_leads_to_each_of_its_parts_by_keyboard(browser, reports):
    with Tab(browser, reports["joined"]) as tab:
        links = tab.page.locator(".nav-part a").all()
        assert len(links) == len(KINDS) + 1
        for link in (links[0], links[len(links) // 2], links[-1]):
            link.press("Enter")
            name = link.inner_text()
            heading = tab.page.get_by_role("heading", name=name, exact=True, level=2)
            expect(heading).to_be_in_viewport()
        card = tab.page.locator(".card-title a").nth(3)
        card.press("Enter")
        expect(tab.page.get_by_role("heading", name=card.inner_text(), exact=True, level=2)).to_be_in_viewport()


def test_the_contents_of_a_joined_page_fit_a_phone(browser, reports):
    with Tab(browser, reports["joined"], viewport=PHONE, is_mobile=True, has_touch=True) as tab:
        expect(tab.page.locator(".nav-part a").first).to_be_visible()
        assert tab.page.locator("nav ol.of-part:visible").count() == 0
        height = tab.page.locator("nav").bounding_box()["height"]
        assert height < 1.6 * PHONE["height"]


@pytest.mark.parametrize("name", ["digits", "joined"])
def test_no_table_is_wider_than_the_paper(browser, reports, name):
    """Chromium shrinks a page to its widest table: 680 CSS pixels is A4 less its margins."""
    with Tab(browser, reports[name], viewport={"width": 680, "height": 960}) as tab:
        tab.page.emulate_media(media="print")
        tab.page.wait_for_selector("html.printing", state="attached")
        wide = tab.page.evaluate(
            """() => [...document.querySelectorAll('table, .plot, .cards, .notice, .facts')]
                .filter((e) => e.offsetParent && e.getBoundingClientRect().right > 681)
                .map((e) => [e.tagName, e.className, e.getBoundingClientRect().right, e.innerText.slice(0, 60)])"""
        )
        assert wide == []


def test_all_results_sort_and_copy_in_one_table(browser, reports):
    with Tab(browser, reports["joined"], permissions=["clipboard-read", "clipboard-write"]) as tab:
        region = tab.page.get_by_role("region", name="Every result (scrolls sideways)")
        region.get_by_role("button", name="figures").press("Enter")
        tab.page.get_by_role("button", name="Copy as CSV: Every result").press("Enter")
        expect(tab.page.get_by_text(f"Copied {len(KINDS)} rows")).to_be_visible()
        rows = list(csv.DictReader(io.StringIO(tab.page.evaluate("navigator.clipboard.readText()"))))
        assert {row["schema"] for row in rows} == {kind.schema for kind in KINDS}
        counts = [int(row["figures"]) for row in rows]
        assert counts == sorted(counts)
        assert sum(counts) > 300
