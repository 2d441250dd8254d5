from __future__ import annotations

import json

import matplotlib as mpl
import pytest

from tests.plots import looks

# Older ones choose other sizes and places for what nobody sets.
pytestmark = pytest.mark.skipif(mpl.__version_info__ < (3, 11), reason="kept as matplotlib 3.11 draws")


def test_every_kind_of_plot_is_kept() -> None:
    assert set(json.loads(looks.LOOKS.read_text("utf-8"))) == set(looks.FIGURES)


@pytest.mark.parametrize("kind", looks.FIGURES)
def test_a_plot_looks_as_it_was_when_somebody_looked_at_it(kind: str) -> None:
    # Each is drawn by its own test: which test runs through a function is how mutants find who may notice them.
    assert looks.looks(kind) == json.loads(looks.LOOKS.read_text("utf-8"))[kind]
