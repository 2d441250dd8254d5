from __future__ import annotations

import pytest

from sim.record.recorder import EventKind
from sim.results.docs_pages import PAGES
from sim.results.schema import TABLES
from sim.scores.registry import SCORES
from tests.support.places import ROOT

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
    for kind in EventKind:
        assert f"| {int(kind)} | {kind.name} |" in results
