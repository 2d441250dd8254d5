"""The zone and the node of each block, where the list of blocks leaves them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.memory.zones import NR_ZONES, ZONE_BY_LABEL, ZONE_DMA, ZONE_DMA32, ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.account import Assumed
from sim.snapshot.block_map import shown_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.machine.architecture import Architecture
    from sim.readers.facts import ZoneView
    from sim.snapshot.block_map import Block, BlockMap
    from sim.snapshot.boot_blocks import Split
    from sim.snapshot.evidence import Evidence

_ALL_COLUMNS: Final = "run lsmem --output-all"


class Place(NamedTuple):
    """A block's ``node`` and ``state``: a zone's number, SEVERAL_ZONES, or NR_ZONES where it is offline."""

    node: int
    state: int


class Spans(NamedTuple):
    """Zones whose bounds are known: (first byte, end, node, zone), ascending."""

    bounds: tuple[tuple[int, int, int, int], ...]

    @classmethod
    def of(cls, zones: Sequence[ZoneView], page_size: int) -> Spans:
        """Return those of ``zones`` that have a start and pages."""
        return cls(
            tuple(
                sorted(
                    (zone.start * page_size, (zone.start + zone.spanned) * page_size, zone.node, number)
                    for zone in zones
                    if zone.start is not None and zone.spanned and (number := zone_number(zone.zone)) is not None
                )
            )
        )

    def within(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the (node, zone) of every zone that has bytes of [start, end) in its span."""
        return [(node, zone) for low, high, node, zone in self.bounds if low < end and start < high]


def zone_number(name: str) -> int | None:
    """Return the number of a zone that memory hotplug knows, None for others (HighMem, Device)."""
    zone = ZONE_BY_LABEL.get(name)
    return None if zone is None else int(zone)


def places(
    blocks: BlockMap,
    split: Split,
    spans: Spans,
    nodes_by_host: Mapping[int, int],
    architecture: Architecture,
    evidence: Evidence,
    *,
    added_zone: int | None,
) -> dict[int, Place]:
    """Return where each block is. What no file says is assumed, and said.

    ``nodes_by_host`` has the nodes of blocks that the host tells; ``added_zone`` is where somebody says that added
    blocks without a zone are.
    """
    found: dict[int, Place] = {}
    no_node: list[int] = []
    by_address: list[int] = []
    by_word: list[int] = []
    for block, known in blocks.blocks.items():
        start, end = block * blocks.block_size, (block + 1) * blocks.block_size
        near = spans.within(start, end)
        node = nodes_by_host.get(block, _only_node(near)) if known.node is None else known.node
        if node is None:
            no_node.append(block)
            node = 0
        state = _zone(known, near, node)
        if state is None and block in split.boot:
            by_address.append(block)
            state = _by_address(start, end, architecture)
        elif state is None:
            by_word.append(block)
            state = ZONE_NORMAL if added_zone is None else added_zone
        found[block] = Place(node, state)
    assumed = evidence.account.assumed
    if no_node:
        assumed.append(Assumed("all blocks are on node 0", _ALL_COLUMNS))
    if by_address:
        assumed.append(Assumed("blocks of boot memory are in the zones that their addresses belong to", _ALL_COLUMNS))
    if by_word and added_zone is None:
        what = f"in ZONE_NORMAL, of what was added after boot: {shown_blocks(by_word)}"
        assumed.append(Assumed(what, f"{_ALL_COLUMNS}, or --zone Movable"))
    return found


def _only_node(near: Iterable[tuple[int, int]]) -> int | None:
    nodes = {node for node, _ in near}
    return nodes.pop() if len(nodes) == 1 else None


def _zone(known: Block, near: Sequence[tuple[int, int]], node: int) -> int | None:
    if not known.online:
        return NR_ZONES
    if known.zone is not None:
        return known.zone
    zones = {zone for own, zone in near if own == node}
    return zones.pop() if len(zones) == 1 else None


def _by_address(start: int, end: int, architecture: Architecture) -> int:
    """Return the zone of boot memory by its addresses alone."""
    dma, dma32 = architecture.dma_end, max(architecture.dma_end, architecture.dma32_end)
    zones = {
        zone
        for zone, low, high in ((ZONE_DMA, 0, dma), (ZONE_DMA32, dma, dma32), (ZONE_NORMAL, dma32, end))
        if max(low, start) < min(high, end)
    }
    return zones.pop() if len(zones) == 1 else SEVERAL_ZONES


def movable_bytes(zones: Sequence[ZoneView], page_size: int) -> int:
    """Return the bytes that are present in ZONE_MOVABLE of all nodes."""
    label = ZONE_LABELS[ZONE_MOVABLE]
    return sum((zone.present or 0) * page_size for zone in zones if zone.zone == label)
