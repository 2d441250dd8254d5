"""Colours that people with any colour vision tell apart, and the same one for the same policy in every plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.record.blockmap import BlockState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8a6a1c")
"""After Okabe and Ito, "Color Universal Design" (2008), without yellow, which does not show on white."""

ZONE_COLOURS: Final[Mapping[int, str]] = {
    BlockState.ABSENT: "#ffffff",
    BlockState.SEVERAL_ZONES: "#8d99a6",
    BlockState.DMA: "#16324f",
    BlockState.DMA32: "#3f6a8f",
    BlockState.NORMAL: "#1f4e79",
    BlockState.MOVABLE: "#f2a93b",
    BlockState.OFFLINE: "#c9ccd1",
}
"""Of a memory map: kernel zones are dark, MOVABLE is bright, which also shows in grey."""

ZONE_NAMES: Final[Mapping[int, str]] = {
    BlockState.ABSENT: "not there",
    BlockState.SEVERAL_ZONES: "several zones",
    BlockState.DMA: "DMA",
    BlockState.DMA32: "DMA32",
    BlockState.NORMAL: "Normal",
    BlockState.MOVABLE: "MOVABLE",
    BlockState.OFFLINE: "offline",
}


def policy_colours(policies: Sequence[str]) -> dict[str, str]:
    """Return the colour of each of an experiment's ``policies``, all of which must be given to keep colours stable."""
    return {label: PALETTE[number % len(PALETTE)] for number, label in enumerate(policies)}
