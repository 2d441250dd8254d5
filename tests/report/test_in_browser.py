"""The report as people meet it: in a browser, with a mouse, a keyboard, on a phone, by night, and without scripts."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

import pytest

from sim.report.page import write_report
from sim.results.store import ResultStore
from tests.report.browsing import block_map, chart, open_scenarios, opened, view_of
from tests.report.conftest import experiment
from tests.support import browser as browsers
from tests.support.real_runs import simulated

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


pytestmark = pytest.mark.skipif(browsers.chromium() is None, reason=browsers.MISSING)

WIDTHS: Final = (390, 1400)
SCHEMES: Final = ("light", "dark")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_keeps_people_out_and_nothing_scrolls_sideways(
    chrome: Browser, report: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(chrome, report, width, scheme) as page:
        open_scenarios(page, 1)
        for kind in ("returned", "headroom", "memory", "scores"):
            chart(page, kind)
        block_map(page).locator("summary").click()
        page.locator("#s1-charts-ratio summary").click()
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        grave = [each for each in found if each["impact"] in {"serious", "critical"}]
        assert [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in grave] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_table_sorts_and_filters(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        table = page.locator("table.filters").first
        names = table.locator("tbody tr th").all_inner_texts()
        assert len(names) == 2
        button = table.locator("thead button").first
        for expected in (sorted(names), sorted(names, reverse=True)):
            button.focus()
            page.keyboard.press("Enter")
            assert table.locator("tbody tr th").all_inner_texts() == expected
        page.get_by_role("searchbox").first.fill("dimms")
        assert table.locator("tbody tr:visible").count() == 1


def test_a_chart_zooms_by_every_means(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        open_scenarios(page)
        figure = chart(page, "headroom")
        whole = view_of(figure)
        labels = figure.locator("text.x").all_inner_texts()
        plot = figure.locator(".plot").first
        box = plot.bounding_box()
        assert box is not None
        left, middle = box["x"], box["y"] + box["height"] / 2
        page.mouse.move(left + box["width"] * 0.25, middle)
        page.mouse.down()
        page.mouse.move(left + box["width"] * 0.75, middle, steps=4)
        page.mouse.up()
        dragged = view_of(figure)
        assert dragged[0] == pytest.approx(whole[2] / 4, rel=0.02)
        assert dragged[2] == pytest.approx(whole[2] / 2, rel=0.02)
        assert figure.locator("text.x").all_inner_texts() != labels
        figure.get_by_role("button", name="Show all").click()
        assert view_of(figure) == whole
        assert figure.locator("text.x").all_inner_texts() == labels
        figure.get_by_role("button", name="Zoom in").click()
        assert view_of(figure)[2] == pytest.approx(whole[2] / 2)
        figure.get_by_role("button", name="Zoom out").click()
        assert view_of(figure)[2] == pytest.approx(whole[2])
        page.mouse.move(left + box["width"] / 2, middle)
        page.mouse.wheel(0, -100)
        assert view_of(figure)[2] == pytest.approx(whole[2])  # the page scrolls
        figure.locator(".panels").focus()
        for key, wide in (("+", 0.5), ("=", 0.25), ("-", 0.5), ("0", 1.0)):
            page.keyboard.press(key)
            assert view_of(figure)[2] == pytest.approx(whole[2] * wide), key
        plot.dispatch_event("wheel", {"ctrlKey": True, "deltaY": -100, "clientX": left + 10, "clientY": middle})
        assert view_of(figure)[2] == pytest.approx(whole[2] * 0.8)


@pytest.mark.parametrize("width", [320, 1400])
def test_numbers_below_an_axis_never_touch(chrome: Browser, report: Path, width: int) -> None:
    with opened(chrome, report, width) as page:
        open_scenarios(page, 1)
        for kind in ("headroom", "memory", "scores", "differences"):
            axes = chart(page, kind).evaluate(
                "figure => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done("
                "[...figure.querySelectorAll('.ticks')].map(axis => [...axis.querySelectorAll('.x')].map(text => {"
                " const box = text.getBoundingClientRect(); return [box.left, box.right, text.textContent]; }))))))"
            )
            assert len(axes) > 2 or kind == "headroom"
            for axis in axes:
                assert axis
                for one, other in itertools.pairwise(sorted(axis)):
                    assert one[1] < other[0], (kind, axis)


def test_two_fingers_zoom(chrome: Browser, report: Path) -> None:
    with opened(chrome, report, 390, has_touch=True) as page:
        open_scenarios(page)
        figure = chart(page, "headroom")
        whole = view_of(figure)[2]
        plot = figure.locator(".plot").first
        box = plot.bounding_box()
        assert box is not None

        def finger(kind: str, number: int, share: float) -> None:
            where = {"clientX": box["x"] + share * box["width"], "clientY": box["y"] + 40}
            plot.dispatch_event(f"pointer{kind}", where | {"pointerId": number, "pointerType": "touch"})

        finger("down", 1, 0.4)
        finger("down", 2, 0.6)
        finger("move", 1, 0.2)
        finger("move", 2, 0.8)
        finger("up", 1, 0.2)
        finger("up", 2, 0.8)
        assert view_of(figure)[2] == pytest.approx(whole / 3, rel=0.01)


def test_a_reading_says_what_is_stored(chrome: Browser, report: Path) -> None:
    store = ResultStore(report.parent)
    runs = store.runs()
    own = runs[(runs["workload"] == "DIMMs") & (runs["policy"] == "contig-zones")]
    last = store.series(set(own["cell"])).groupby("cell").tail(1)["kernel_bytes"].mean() / 2**30
    with opened(chrome, report) as page:
        open_scenarios(page)
        figure = chart(page, "memory")
        panels = figure.locator(".panels")
        panels.focus()
        page.keyboard.press("End")
        told = figure.locator("[role=status]").inner_text()
        kernel = told.partition("contig-zones (baseline): KERNEL ")[2].split()[0]
        assert float(kernel) == pytest.approx(last, rel=0.01)
        page.keyboard.press("ArrowLeft")
        assert figure.locator("[role=status]").inner_text() != told
        spread = chart(page, "headroom")
        said = spread.evaluate(
            "f => [...Array(101).keys()].map(step => { f.chart.read(step / 100); return f.chart.words(); })"
        )
        assert "undefined" not in "".join(said)
        found = re.findall(r"([\d.,]+) [GM]iB \(([\d.,]+) to ([\d.,]+)\)", "".join(said))
        assert found
        for row in found:
            mean, low, high = (float(each.replace(",", "")) for each in row)
            assert 0.99 * low <= mean <= 1.01 * high
        box = figure.locator(".plot").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        assert "KERNEL" in figure.locator(".panel-title .value").first.inner_text()
        figure.locator("summary").click()
        rows = figure.locator("tbody tr")
        rows.last.wait_for()
        assert rows.count() == 13
        assert float(rows.last.locator("td").first.inner_text()) == pytest.approx(last, rel=0.01)


def test_marks_are_read_by_mouse_and_keyboard(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        open_scenarios(page)
        figure = chart(page, "returned")
        figure.locator(".panels").focus()
        page.keyboard.press("ArrowRight")
        first = figure.locator("[role=status]").inner_text()
        assert first.startswith("1 contig-zones")
        page.keyboard.press("ArrowRight")
        assert "online-movable" in figure.locator("[role=status]").inner_text()
        assert "guest died" in figure.locator("[role=status]").inner_text()
        box = figure.locator(".mark path").nth(2).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert "auto-movable" in figure.locator(".reading").inner_text()


def test_a_policy_can_be_taken_out_of_a_chart(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        open_scenarios(page)
        figure = chart(page, "ratio")
        button = figure.locator(".legend button").nth(1)
        before = view_of(figure)
        button.press("Space")
        assert button.get_attribute("aria-pressed") == "false"
        assert view_of(figure)[3] < before[3]  # the others fill the height now
        button.press("Space")
        assert view_of(figure) == before


def test_the_map_is_scrubbed_with_mouse_and_keyboard(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        open_scenarios(page)
        found = block_map(page)
        slider, clock = found.get_by_role("slider"), found.locator(".map-clock")
        end = clock.inner_text()
        slider.focus()
        page.keyboard.press("Home")
        assert clock.inner_text().startswith("0 s of")
        start = found.locator(".map-facts").first.inner_text()
        page.keyboard.press("ArrowRight")
        after = clock.inner_text()
        assert after not in {end, "0 s of"}
        assert "event 2 of" in str(slider.get_attribute("aria-valuetext"))
        box = slider.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert found.locator(".map-facts").first.inner_text() != start
        found.get_by_role("button", name="Next event").click()
        found.get_by_role("button", name="Event before").click()
        found.get_by_role("button", name="Play").click()
        page.wait_for_function(
            "text => document.querySelector('.map-clock').textContent !== text", arg=clock.inner_text()
        )
        found.get_by_role("button", name="Play").click()


def test_the_map_tells_the_decision_and_its_reason(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        open_scenarios(page)
        found = block_map(page)
        assert "policies fail" in found.locator(".muted").first.inner_text()
        found.locator("select").nth(0).select_option(index=2)
        found.locator("select").nth(1).select_option(index=0)
        found.get_by_role("button", name="Where they part").click()
        left, right = found.locator(".map-told").all_inner_texts()
        assert "Movable since" in left
        assert "Normal since" in right
        assert "Why: online: " in left
        assert re.search(r"MOVABLE .* <= limit [\d.]+ GiB", left)  # pages are told as sizes
        assert left.split(",")[0] == right.split(",")[0]  # one block, under both
        page.keyboard.press("ArrowRight")
        assert found.locator(".map-told").first.inner_text() != left
        canvas = found.locator("canvas").nth(1)
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 3, box["y"] + 3)
        assert found.locator(".map-told").first.inner_text().startswith("Block 0 at ")
        assert "boot memory" in found.locator(".map-told").first.inner_text()


def test_the_map_says_when_the_guest_dies(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        open_scenarios(page)
        found = block_map(page)
        found.locator("select").nth(0).select_option(index=1)
        found.get_by_role("slider").press("End")
        assert found.locator(".map-facts").first.inner_text().startswith("The guest died at ")


def test_tab_goes_through_the_page_in_its_order(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        tops = []
        for _ in range(12):
            page.keyboard.press("Tab")
            box = page.evaluate(
                "(() => { const box = document.activeElement.getBoundingClientRect();"
                " return [box.top + window.scrollY, document.activeElement.tagName]; })()"
            )
            tops.append(box)
        assert all(tag != "BODY" for _, tag in tops)
        heights = [top for top, _ in tops[1:]]  # the first is the link that skips the navigation
        assert all(after >= before - 60 for before, after in itertools.pairwise(heights))


def test_colours_change_with_the_switch(chrome: Browser, report: Path) -> None:
    with opened(chrome, report) as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        page.locator("#colours").click()
        assert page.evaluate(ground) != light
        with opened(chrome, report, scheme="dark") as night:
            assert night.evaluate(ground) == page.evaluate(ground)


def test_without_javascript_charts_and_decisions_stand(chrome: Browser, report: Path) -> None:
    with opened(chrome, report, java_script_enabled=False) as page:
        page.locator("#s1 > summary").click()
        assert page.locator("#s1-charts-memory .inner .line").count() == 9
        assert page.locator("#s1-charts-memory .plot").first.is_visible()
        assert page.get_by_text("The map is drawn by the page").first.is_visible()
        page.get_by_text("What was decided, how often, and why").first.click()
        assert "fits: MOVABLE" in page.locator("#s1").inner_text()
        assert not page.locator(".chart-tools").count()


def test_the_same_results_give_the_same_page(report: Path, tmp_path: Path) -> None:
    again = write_report(report.parent, tmp_path / "again.html")
    assert again.read_bytes() == report.read_bytes()


_ASKED = """root => {
  const view = root.map.views.find(view => view.run.asked.some(asked => asked >= 0));
  const at = view.run.asked.findIndex(asked => asked >= 0), size = view.size, ratio = window.devicePixelRatio;
  const x = at % view.columns * size, y = Math.floor(at / view.columns) * size;
  const pixels = view.canvas.getContext("2d").getImageData(x * ratio, y * ratio, size * ratio, size * ratio).data;
  const colours = [];
  for (let pixel = 0; pixel < pixels.length; pixel += 4) { colours.push([...pixels.slice(pixel, pixel + 3)]); }
  const parts = colour => colour.match(/[0-9]+/g).map(Number);
  return [colours, ...["--bad", "--ground", "--zone-2"].map(name => parts(root.map.palette()[name]))];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_refused_block_has_a_rim_between_its_mark_and_its_zone(scheme: str, report: Path, chrome: Browser) -> None:
    """Dark red on navy has a contrast of 1.1 to 1: the mark of what stays would not be seen."""
    with opened(chrome, report, scheme=scheme) as page:
        open_scenarios(page, 1)
        colours, *wanted = block_map(page).evaluate(_ASKED)
        for wanted_colour in wanted:
            assert any(max(abs(a - b) for a, b in zip(each, wanted_colour, strict=True)) < 9 for each in colours)


def test_a_mark_where_the_axes_meet_covers_no_number(report: Path, chrome: Browser) -> None:
    with opened(chrome, report, width=390) as page:
        open_scenarios(page, 1)
        figure = chart(page, "returned")
        for zoomed in (False, True):
            if zoomed:
                figure.locator(".panels").press("+")
                figure.locator(".panels").press("0")
            gap = figure.evaluate(
                """figure => {
                  const box = part => part.getBoundingClientRect(), mark = box(figure.querySelector(".mark.dead path"));
                  const apart = text => Math.max(mark.left - box(text).right, box(text).left - mark.right,
                                                 mark.top - box(text).bottom, box(text).top - mark.bottom);
                  return Math.min(...[...figure.querySelectorAll(".ticks text")].map(apart));
                }"""
            )
            assert gap >= 1.5  # half of the width of its line


def test_zones_differ_where_colours_are_forced(report: Path, chrome: Browser) -> None:
    with opened(chrome, report, forced_colors="active") as page:
        open_scenarios(page, 1)
        palette = block_map(page).evaluate("root => root.map.palette()")
        assert len({palette[f"--zone-{zone}"] for zone in range(4)} | {palette["--bad"], palette["--ground"]}) == 6


def test_a_print_has_what_the_screen_opens_on_demand(report: Path, chrome: Browser) -> None:
    with opened(chrome, report) as page:
        count = "document.querySelectorAll('details.scenario[open]').length"
        page.evaluate(f"window.addEventListener('beforeprint', () => {{ window.printed = {count}; }})")
        page.pdf()
        assert [page.evaluate("window.printed"), page.evaluate(count)] == [2, 0]
        open_scenarios(page, 1)
        page.pdf()
        assert [page.evaluate("window.printed"), page.evaluate(count)] == [2, 1]


def test_nothing_is_cut_off_on_paper_and_what_was_decided_stands_for_a_map(report: Path, chrome: Browser) -> None:
    a4 = 718  # pixels between the margins of a sheet
    with opened(chrome, report, a4) as page:
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.documentElement.scrollWidth") <= a4
        found = page.locator("#s2 .memory-map")
        assert found.locator("table").is_visible()
        assert not found.locator(".map-legend").is_visible()
        assert not found.locator(".map-needs").is_visible()
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


def test_a_map_begins_with_two_policies_even_where_they_do_the_same(tmp_path: Path, chrome: Browser) -> None:
    tables = experiment() | {"name": "same", "replications": 1, "workloads": [{"name": "steps"}]}
    with opened(chrome, write_report(simulated(tables, tmp_path))) as page:
        open_scenarios(page)
        chosen = block_map(page).locator("select").evaluate_all("all => all.map(each => each.selectedIndex)")
        assert chosen == [0, 1]
