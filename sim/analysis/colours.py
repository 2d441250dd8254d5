"""Colours that people with any colour vision tell apart, and the same one for the same policy in every plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.memory.zones import ZoneType
from sim.record.blockmap import ABSENT, MIXED, OFFLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8a6a1c")
"""After Okabe and Ito, "Color Universal Design" (2008), without yellow, which does not show on white."""

ZONE_COLOURS: Final[Mapping[int, str]] = {
    ABSENT: "#ffffff",
    MIXED: "#8d99a6",
    int(ZoneType.DMA): "#16324f",
    int(ZoneType.DMA32): "#3f6a8f",
    int(ZoneType.NORMAL): "#1f4e79",
    int(ZoneType.MOVABLE): "#f2a93b",
    OFFLINE: "#c9ccd1",
}
"""Of a memory map: kernel zones are dark, MOVABLE is bright, which also shows in grey."""

ZONE_NAMES: Final[Mapping[int, str]] = {
    ABSENT: "not there",
    MIXED: "several zones",
    int(ZoneType.DMA): "DMA",
    int(ZoneType.DMA32): "DMA32",
    int(ZoneType.NORMAL): "Normal",
    int(ZoneType.MOVABLE): "MOVABLE",
    OFFLINE: "offline",
}


def policy_colours(policies: Sequence[str]) -> dict[str, str]:
    """Return the colour of each of an experiment's ``policies``, all of which must be given to keep colours stable."""
    return {label: PALETTE[number % len(PALETTE)] for number, label in enumerate(policies)}
