from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from policies.auto_movable import AutoMovable
from sim.guest.contract import OomKind
from sim.record.recorder import EventKind
from sim.results.docs_pages import PAGES
from sim.results.frames import RUN_DETAILS
from sim.results.identity import CellId
from sim.results.schema import TABLES
from sim.results.store import ResultStore
from sim.scores.registry import SCORES
from tests.support.cells import Script, run
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "run: make pages"


def test_every_score_column_and_kind_is_documented() -> None:
    scores, results = PAGES["scores.md"](), PAGES["results.md"]()
    for score in SCORES.values():
        assert f"`{score.name}`, in {score.unit.symbol};" in scores
    for layout in TABLES.values():
        for column in layout.columns:
            assert f"| `{column.name}` | {column.type} |" in results
    for kind in (*EventKind, *OomKind):
        assert f"| {int(kind)} | {kind.name} |" in results


def test_every_key_of_the_details_is_documented(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.write(CellId("k" * 32, "m", "w", "p", 0, 1), run(AutoMovable(), Script()))
    store.pack()
    (row,) = pq.read_table(tmp_path / "details").to_pylist()
    stored = json.loads(row["details"])
    assert stored.keys() == RUN_DETAILS.keys()
    results = PAGES["results.md"]()
    for key, meaning in RUN_DETAILS.items():
        assert f"| `{key}` | {meaning} |" in results
    for key in (*stored["boot"], *stored["counters"]):
        assert f"`{key}`" in RUN_DETAILS["boot"] + RUN_DETAILS["counters"]


def test_every_table_of_a_page_has_a_heading_and_rows_of_its_width() -> None:
    """A blank line in a table makes text of all rows below it."""
    faults = []
    for page in (*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"):
        above: list[str] = []
        code = False
        for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
            code ^= line.startswith("```")
            if code or not line.startswith("|"):
                above = []
                continue
            if len(above) == 1 and not re.fullmatch(r"\|( ?:?-+:? ?\|)+", line):
                faults.append(f"{page.name}:{number - 1}: no heading")
            cells = re.sub(r"`[^`]*`", "", line).replace(r"\|", "").count("|")
            if above and cells != re.sub(r"`[^`]*`", "", above[0]).replace(r"\|", "").count("|"):
                faults.append(f"{page.name}:{number}: another number of cells")
            above.append(line)
    assert faults == []
