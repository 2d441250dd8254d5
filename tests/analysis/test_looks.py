from __future__ import annotations

import json

import matplotlib as mpl
import pytest

from tests.analysis import looks

# Older ones choose other sizes and places for what nobody sets.
pytestmark = pytest.mark.skipif(mpl.__version_info__ < (3, 11), reason="kept as matplotlib 3.11 draws")


@pytest.fixture(scope="module")
def now() -> dict[str, list[str]]:
    return looks.looks()


@pytest.mark.parametrize("kind", ["memory", "ratio", "map", "scores", "tradeoff"])
def test_a_plot_looks_as_it_was_when_somebody_looked_at_it(kind: str, now: dict[str, list[str]]) -> None:
    kept = json.loads(looks.LOOKS.read_text("utf-8"))
    assert set(kept) == set(now)
    assert kept[kind] == now[kind]
