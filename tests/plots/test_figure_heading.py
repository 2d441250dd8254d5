from __future__ import annotations

import pytest

from sim.plots.figure_heading import dead_note
from tests.plots.by_hand import score_scenario


@pytest.mark.parametrize("died", [[0.0, 0.0], [0.0, 1.0]])
def test_it_is_said_what_is_drawn_of_guests_that_died_where_one_did(died: list[float]) -> None:
    note = dead_note(score_scenario({"a": {"died": [0.0, 0.0]}, "b": {"died": died}}))
    assert note == ("a guest that died keeps the memory that it had" if any(died) else "")
