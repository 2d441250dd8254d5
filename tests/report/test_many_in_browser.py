"""Reports in a browser that are large, or mean harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from sim.record.recorder import EventKind
from sim.record.series import run_series
from sim.report.environment import framed, rendered
from sim.report.memory_map.encoding import encoded
from sim.report.memory_map.scenario_maps import SCRIPTS, STYLES
from sim.report.page import write_report
from sim.report.section import Section
from sim.results.cells import write_cell
from sim.results.identity import CellId
from sim.results.store import ResultStore
from sim.scores.registry import compute_scores
from tests.report.browsing import block_map, chart, open_scenarios, opened
from tests.support import browser as browsers
from tests.support.made_by_hand import made_by_hand

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(browsers.chromium() is None, reason=browsers.MISSING)

HOSTILE: Final = "</script><img src=x onerror=alert(1)>&lt;'\"`${1}"


def crowd(report: Path, folder: Path, scenarios: int) -> Path:
    """Write results of 12 policies and so many scenarios into ``folder``: one run's, under many names."""
    store = ResultStore(report.parent)
    result = store.result(store.labels()[0]["cell"])
    series = run_series(result)
    scores = compute_scores(result, series)
    for number in range(12 * scenarios):
        place, policy = divmod(number, 12)
        cell = CellId(f"{number:064x}", f"box{place // 10}", f"workload {place % 10}", f"policy {policy}", 0, 1)
        own = scores | {"returned_share": 100.0 * policy / 12, "headroom_min": float(2**20 * policy * (1 + place))}
        write_cell(folder, cell, result, series, own, tables=place == 0)
    ResultStore(folder).pack()
    return folder


@pytest.mark.parametrize("scenarios", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_a_page_of_twelve_policies_and_many_scenarios_can_be_read(
    chrome: Browser, report: Path, tmp_path: Path, scenarios: int
) -> None:
    file = write_report(crowd(report, tmp_path, scenarios))
    with opened(chrome, file, 390) as page:
        assert page.locator("details.scenario").count() == scenarios
        assert page.evaluate("document.documentElement.scrollHeight") < 80_000
        page.get_by_role("searchbox").first.fill("box1")
        shown = page.locator("table.filters").first.locator("tbody tr:visible").all_inner_texts()
        assert len(shown) == 10, shown[:2]
        page.get_by_role("searchbox").first.fill("")
        page.locator("table.filters tbody tr:visible a").first.click()
        page.wait_for_function("document.querySelectorAll('details.scenario[open]').length === 1")
        assert chart(page, "scores").locator(".mark").count() > 12
        assert chart(page, "memory").locator(".panel").count() == 12
        block_map(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_map_of_a_hundred_thousand_blocks_works(chrome: Browser, tmp_path: Path) -> None:
    pages = 1000 * 32768
    plugs = tuple(
        (1000 * dimm, int(EventKind.PLUG), 0, 1000 * (1 + dimm), 1000, 2 + dimm % 2, pages) for dimm in range(100)
    )
    gone = tuple(
        (200_000 + dimm, int(EventKind.UNPLUG), 0, 1000 * (1 + dimm), 1000, 3, pages) for dimm in range(1, 100, 2)
    )
    made = encoded(made_by_hand((*plugs, *gone)), (), 20_000)
    assert made is not None
    runs = [made | {"policy": name, "label": name, "unknown": ""} for name in ("one", "other")]
    words = {"title": "many", "note": "", "legend": (), "replication": 0, "unknown": (), "rows": ()}
    html = rendered("memory_map", anchor="m", **words)
    section = Section("m", "Map", html, {"m-data": {"runs": runs, "left": 0, "right": 1}}, SCRIPTS, STYLES)
    file = tmp_path / "map.html"
    file.write_text(framed("many", [section]))
    with opened(chrome, file, 390) as page:
        found = block_map(page, "m")
        assert "Blocks " in found.locator(".map-told").first.inner_text()
        found.get_by_role("slider").press("Home")
        took = page.evaluate(
            "() => { const map = document.querySelector('.memory-map').map, begun = performance.now();"
            " for (let step = 0; step < 20; step += 1) { map.go(step * 5); } return performance.now() - begun; }"
        )
        assert took < 20_000
        found.get_by_role("button", name="Where they part").click()
        assert "never" in found.locator(".map-happens").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


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
