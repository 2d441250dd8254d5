"""How many online sections each unit of a dynamic group has, per kind of zone, so that no decision walks a unit.

The rule of ``auto_movable_zone_for_pfn`` looks at every section of the unit around a block, whoever owns it. Units
are aligned in physical address space, so sections can be counted per (unit size, unit number) as they go online and
offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.blocks import BLOCK_ABSENT, BLOCK_OFFLINE
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.memory.blocks import BlockTable
    from sim.memory.zones import Zone


class UnitIndex:
    """Counts of online sections by unit. A unit size is indexed from the first question about it on.

    ``zone_type_at`` says which zone type a page is online in, None where it is not.
    """

    __slots__ = ("_block_pages", "_blocks", "_section_pages", "_zone_type_at", "sizes")

    def __init__(
        self, blocks: BlockTable, block_pages: int, section_pages: int, zone_type_at: Callable[[int], int | None]
    ) -> None:
        self._blocks = blocks
        self._block_pages = block_pages
        self._section_pages = section_pages
        self._zone_type_at = zone_type_at
        self.sizes: dict[int, dict[int, list[int]]] = {}

    def sections(self, unit_pages: int, page: int) -> tuple[int, int]:
        """Return the online sections of the unit around ``page`` as (in kernel zones, in ZONE_MOVABLE)."""
        units = self.sizes.get(unit_pages)
        if units is None:
            units = self._build(unit_pages)
        counts = units.get(page // unit_pages)
        return (counts[0], counts[1]) if counts is not None else (0, 0)

    def change(self, first: int, count: int, zone: Zone, sign: int) -> None:
        """Count ``count`` blocks of one zone that went online (``sign`` 1) or offline (-1)."""
        per_block = self._block_pages // self._section_pages * sign
        kind = 1 if zone.movable else 0
        for unit_pages, units in self.sizes.items():
            blocks_in_unit = unit_pages // self._block_pages
            block = first
            end = first + count
            while block < end:
                unit = block // blocks_in_unit
                stop = min(end, (unit + 1) * blocks_in_unit)
                units.setdefault(unit, [0, 0])[kind] += per_block * (stop - block)
                block = stop

    def _build(self, unit_pages: int) -> dict[int, list[int]]:
        block_pages = self._block_pages
        units: dict[int, list[int]] = {}
        for block, code in enumerate(self._blocks.where):
            if code in (BLOCK_ABSENT, BLOCK_OFFLINE):
                continue
            for page in range(block * block_pages, (block + 1) * block_pages, self._section_pages):
                zone_type = self._zone_type_at(page)
                if zone_type is not None:
                    units.setdefault(page // unit_pages, [0, 0])[1 if zone_type == ZONE_MOVABLE else 0] += 1
        self.sizes[unit_pages] = units
        return units
