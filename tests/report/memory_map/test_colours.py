"""The page's map has the colours of the plot of the same name."""

from __future__ import annotations

import re

import pytest

from sim.plots.colours import ZONE_COLOURS
from sim.record.blockmap import BlockState
from sim.report.environment import asset

NAMES = {
    BlockState.SEVERAL_ZONES: "several",
    BlockState.DMA: "0",
    BlockState.DMA32: "1",
    BlockState.NORMAL: "2",
    BlockState.MOVABLE: "3",
}
"""What is offline or not there is drawn as a line or a dot, for which the plot's colours are too light."""


@pytest.mark.parametrize("state", NAMES)
def test_a_zone_has_its_colour_by_day(state: BlockState) -> None:
    found = re.search(rf"--zone-{NAMES[state]}: light-dark\((#\w+),", asset("memory-map.css"))
    assert found is not None
    assert found[1] == ZONE_COLOURS[state]
