"""The report as people meet it: in a browser, with a mouse, a keyboard, on a phone, by night, and without scripts."""

from __future__ import annotations

import itertools
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from sim.record.series import run_series
from sim.report.page import write_report
from sim.results.cells import write_cell
from sim.results.frames import run_row
from sim.results.identity import CellId
from sim.results.rows import RowWriter
from sim.results.store import ResultStore
from sim.scores.registry import compute_scores
from tests.support import browser as browsers
from tests.support.real_runs import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

    from sim.record.run_result import RunResult
    from sim.record.series import RunSeries

pytestmark = pytest.mark.skipif(browsers.chromium() is None, reason=browsers.MISSING)

WIDTHS: Final = (390, 1400)
SCHEMES: Final = ("light", "dark")
HOSTILE: Final = "</script><img src=x onerror=alert(1)>&lt;'\"`${1}"


def experiment() -> dict[str, Any]:
    """Return guests that grow and are asked for all of it back: one policy fails, and one gives less back."""
    grows = {"name": "grow-and-return", "spread": 1.5}
    return {
        "name": "in-browser",
        "replications": 2,
        "baseline": "contig-zones",
        "guest": {"model": "linux", "sample_every": 20},
        "machines": [{"label": "small", "boot_memory": "1GiB"}],
        "policies": [
            {"name": "contig-zones"},
            {"name": "online-movable"},
            {"name": "auto-movable", "ratio": 150},
        ],
        "workloads": [
            grows | {"label": "DIMMs", "device": "dimm"},
            grows | {"label": "virtio-mem", "device": "virtio-mem"},
        ],
    }


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(simulated(experiment(), tmp_path_factory.mktemp("report")))


@contextmanager
def opened(chrome: Browser, file: Path, width: int = 1400, scheme: str = "light", **options: Any) -> Iterator[Page]:  # noqa: ANN401  of a context
    """Open ``file``, and see that nothing is complained of and nothing asked for but the file itself."""
    context = chrome.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)  # type: ignore[arg-type]
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: heard.append(request.url) if request.url != file.as_uri() else None)
    try:
        page.goto(file.as_uri())
        yield page
        assert heard == []
    finally:
        context.close()


def open_scenarios(page: Page, count: int = 99) -> None:
    page.evaluate(
        "count => [...document.querySelectorAll('details.scenario')].slice(0, count).map(d => d.open = true)", count
    )


def chart(page: Page, kind: str, scenario: str = "s1") -> Locator:
    """Return a chart that has begun."""
    figure = page.locator(f"#{scenario}-charts-{kind}")
    figure.scroll_into_view_if_needed()
    figure.locator(".chart-tools").wait_for()
    return figure


def block_map(page: Page, scenario: str = "s1") -> Locator:
    found = page.locator(f"#{scenario}-map.memory-map, #{scenario}-map .memory-map").first
    found.scroll_into_view_if_needed()
    found.locator("canvas").first.wait_for()
    return found


def view_of(figure: Locator) -> list[float]:
    return [float(each) for each in str(figure.locator(".inner").first.get_attribute("viewBox")).split()]


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
        assert page.locator("#s1-charts-memory .inner .line").count() == 6
        assert page.locator("#s1-charts-memory .plot").first.is_visible()
        assert page.get_by_text("The map is drawn by the page").first.is_visible()
        page.get_by_text("What was decided, how often, and why").first.click()
        assert "fits: MOVABLE" in page.locator("#s1").inner_text()
        assert not page.locator(".chart-tools").count()


def test_hostile_labels_are_text(chrome: Browser, report: Path, tmp_path: Path) -> None:
    """No experiment may have such labels, but results may come from anywhere. They have no manifest either."""
    store, hostile = ResultStore(report.parent), ResultStore(tmp_path)
    for labels in store.labels():
        if labels["workload"] == "DIMMs":
            machine, workload, policy = (f"{HOSTILE} {labels[name]}" for name in ("machine", "workload", "policy"))
            identity = CellId(labels["cell"], machine, workload, policy, labels["replication"], 1)
            hostile.write(identity, store.result(labels["cell"]))
    file = write_report(tmp_path)
    with opened(chrome, file) as page:
        open_scenarios(page)
        for kind in ("returned", "headroom", "memory", "scores", "differences"):
            figure = chart(page, kind)
            figure.locator(".panels").focus()
            page.keyboard.press("ArrowRight")
        page.locator("#s1-charts-memory summary").click()
        found = block_map(page)
        for select in found.locator("select").all():
            select.select_option(index=1)
        found.get_by_role("button", name="Next event").click()
        assert "no manifest" in found.inner_text()
        assert HOSTILE in page.locator("#s1-charts-memory").inner_text()
        assert page.locator("img").count() == 0


def crowd(report: Path, folder: Path) -> Path:
    """Write results of 12 policies and 100 scenarios into ``folder``: one run's, under many names."""
    store = ResultStore(report.parent)
    result = store.result(store.labels()[0]["cell"])
    series = run_series(result)
    scores = compute_scores(result, series)
    rows = RowWriter(folder)
    for number in range(1200):
        place, policy = divmod(number, 12)
        cell = CellId(f"{number:064x}", f"box{place // 10}", f"workload {place % 10}", f"policy {policy}", 0, 1)
        own = scores | {"returned_share": 100.0 * policy / 12, "headroom_min": float(2**20 * policy * (1 + place))}
        write = write_cell if place == 0 else run_row_only
        rows.add(cell.labels, 0, write(folder, cell, result, series, own))
    rows.flush()
    return folder


def run_row_only(_folder: Path, cell: CellId, result: RunResult, _series: RunSeries, scores: dict[str, float]) -> str:
    return run_row(cell, result, scores)


def test_a_page_of_twelve_policies_and_a_hundred_scenarios_can_be_read(
    chrome: Browser, report: Path, tmp_path: Path
) -> None:
    file = write_report(crowd(report, tmp_path))
    with opened(chrome, file, 390) as page:
        assert page.locator("details.scenario").count() == 100
        assert page.evaluate("document.documentElement.scrollHeight") < 80_000
        page.get_by_role("searchbox").first.fill("box7")
        shown = page.locator("table.filters").first.locator("tbody tr:visible").all_inner_texts()
        assert len(shown) == 10, shown[:2]
        page.get_by_role("searchbox").first.fill("")
        page.locator("table.filters tbody tr:visible a").first.click()
        page.wait_for_function("document.querySelectorAll('details.scenario[open]').length === 1")
        assert chart(page, "scores").locator(".mark").count() > 12
        assert chart(page, "memory").locator(".panel").count() == 12
        block_map(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_same_results_give_the_same_page(report: Path, tmp_path: Path) -> None:
    again = write_report(report.parent, tmp_path / "again.html")
    assert again.read_bytes() == report.read_bytes()
