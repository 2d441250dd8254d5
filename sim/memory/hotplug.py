"""Add, online, offline, remove: the only place where blocks change state and present pages are accounted, after boot.

The first values are set by :mod:`sim.memory.boot`; present pages change in ``Memory._account`` alone. State and
counters only: who calls it, and in which order, is :mod:`sim.kernel.hotplug_core`.
Follows ``mm/memory_hotplug.c`` (``add_memory_resource``, ``online_pages``, ``offline_pages``, ``try_remove_memory``,
``adjust_present_page_count``) and ``drivers/base/memory.c``. This room knows neither policies
nor time: callers name the zone.

Where ``count == 1`` is set apart, it is because a byte is set 300 ns, and looked at 200 ns, faster than a slice of one
(``benchmarks/bench_written_out.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.memory.blocks import BLOCK_ABSENT, BLOCK_MIXED, BLOCK_OFFLINE, FIRST_ZONE_CODE, MAX_ZONES, BlockTable
from sim.memory.errors import E2BIG, EBUSY, EEXIST, EINVAL, EPERM, HotplugError
from sim.memory.groups import NO_GROUP, GroupRegistry, MemoryGroup
from sim.memory.spans import Spans
from sim.memory.unit_index import UnitIndex
from sim.memory.zones import ZONE_LABELS, ZONE_NORMAL, Node, ScopeTotals, Zone
from sim.pages import PAGES_4K, PageGeometry

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PHYSICAL_BYTES: Final = 1 << 46
"""Addressable bytes of x86-64 with four-level paging (``MAX_PHYSMEM_BITS``)."""


class Memory:
    """The memory of one machine: nodes, zones, blocks, groups.

    ``block_pages`` and ``section_pages`` are powers of two, a block being one or more whole sections. ``nodes`` are
    the possible node ids. ``geometry`` says what a page is.
    """

    __slots__ = (
        "_units",
        "altmap_pages",
        "block_pages",
        "blocks",
        "geometry",
        "groups",
        "max_blocks",
        "memmap_pages",
        "nodes",
        "section_pages",
        "spans",
        "system",
        "zone_by_code",
    )

    def __init__(
        self, *, block_pages: int, section_pages: int, nodes: Iterable[int], geometry: PageGeometry = PAGES_4K
    ) -> None:
        if block_pages <= 0 or block_pages & (block_pages - 1) or section_pages <= 0 or block_pages % section_pages:
            raise ValueError(
                f"a block of {block_pages} pages is not a power of two of whole sections ({section_pages} pages)"
            )
        self.geometry = geometry
        self.block_pages = block_pages
        self.section_pages = section_pages
        self.nodes: dict[int, Node] = {nid: Node(nid) for nid in nodes}
        # On a machine with one node its totals are the system's: the same object, counted once.
        self.system = next(iter(self.nodes.values())).totals if len(self.nodes) == 1 else ScopeTotals()
        self.blocks = BlockTable()
        self.groups = GroupRegistry(block_pages, self.nodes)
        self.zone_by_code: list[Zone | None] = [None] * FIRST_ZONE_CODE
        self.max_blocks = MAX_PHYSICAL_BYTES // geometry.size // block_pages
        self.memmap_pages = geometry.memmap_pages(block_pages)
        """Pages that the memmap of one block takes."""
        self.altmap_pages = self.memmap_pages
        """Pages that a block which hosts its own memmap never hands out; whole pageblocks with ``force``."""
        self.spans = Spans(self.blocks, block_pages, geometry.subsection_pages)
        self._units = UnitIndex(self.blocks, block_pages, section_pages, self.zone_type_at)

    # Zones -----------------------------------------------------------------------------------------------------------

    def zone(self, node: int, zone_type: int) -> Zone:
        """Return the zone of this type on ``node``, made empty where it has never had pages."""
        home = self.nodes[node]
        zone = home.zones[zone_type]
        if zone is None:
            code = len(self.zone_by_code)
            if code - FIRST_ZONE_CODE >= MAX_ZONES:
                raise ValueError(f"more than {MAX_ZONES} zones with memory on one machine are not supported")
            zone = home.zones[zone_type] = Zone(node, zone_type, code, home.totals)
            self.zone_by_code.append(zone)
        return zone

    # Add and remove --------------------------------------------------------------------------------------------------

    def add(  # noqa: C901 - a list of checks
        self, first: int, count: int, *, node: int, group_id: int = NO_GROUP, self_hosted: bool = False
    ) -> None:
        """Create ``count`` offline blocks from id ``first``, ascending, in ``group_id`` (the node is then the group's).

        ``first`` and ``count`` are whole blocks: the caller has refused what is not aligned. Raises E2BIG beyond the
        addressable range, EEXIST over existing blocks, EINVAL for no blocks, an unknown group or an impossible node;
        nothing is created then.
        """
        blocks = self.blocks
        end = first + count
        if count <= 0 or first < 0:
            raise HotplugError(EINVAL, "there is nothing to add")
        if end > self.max_blocks:
            raise HotplugError(E2BIG, f"blocks {first}-{end - 1} lie beyond the addressable range")
        if count == 1:
            if first < len(blocks.where) and blocks.where[first]:
                raise HotplugError(EEXIST, f"block {first} is there already")
        elif not blocks.all_absent(first, count):
            raise HotplugError(EEXIST, f"some of blocks {first}-{end - 1} are there already")
        if group_id != NO_GROUP:
            group = self.groups.find(group_id)
            if group is None:
                raise HotplugError(EINVAL, f"there is no memory group {group_id}")
            node = group.node
            group.blocks += count
            self.groups.resized.add(group_id)
        elif node not in self.nodes:
            raise HotplugError(EINVAL, f"node {node} is not possible on this machine")
        if end > len(blocks.where):
            blocks.reserve(end)
        flags = BlockTable.SELF_HOSTED if self_hosted else 0
        if count == 1:
            blocks.where[first] = BLOCK_OFFLINE
            blocks.flags[first] = flags
            blocks.node[first] = node
            blocks.group[first] = group_id
        else:
            blocks.where[first:end] = bytes([BLOCK_OFFLINE]) * count
            blocks.flags[first:end] = bytes([flags]) * count
            blocks.node[first:end] = type(blocks.node)("H", [node]) * count
            blocks.group[first:end] = type(blocks.group)("i", [group_id]) * count

    def odd_range(self, first_page: int, pages: int) -> HotplugError:
        """Return the error for adding a range that is not whole blocks. As in the kernel, a taken address wins."""
        first, last = first_page // self.block_pages, (first_page + pages - 1) // self.block_pages
        if last >= self.max_blocks:
            return HotplugError(E2BIG, f"blocks up to {last} lie beyond the addressable range")
        # Boot memory may end in the first block, below the range: that address is not taken.
        taken = first + (self.spans.sections_end.get(first, first_page + 1) <= first_page)
        if pages > 0 and not self.blocks.all_absent(taken, last - taken + 1):
            return HotplugError(EEXIST, f"some of blocks {taken}-{last} are there already")
        page = self.geometry.size
        return HotplugError.unaligned(first_page * page, pages * page, self.block_pages * page)

    def add_one(self, block: int, group: MemoryGroup) -> None:
        """Create one offline block of ``group``, as :meth:`add` does. Raises E2BIG or EEXIST."""
        # Inlined from add() because it saves 150 ns a block (benchmarks/bench_written_out.py): the group is known.
        blocks = self.blocks
        where = blocks.where
        if block >= self.max_blocks:
            raise HotplugError(E2BIG, f"block {block} lies beyond the addressable range")
        if block >= len(where):
            blocks.reserve(block + 1)
        elif where[block]:
            raise HotplugError(EEXIST, f"block {block} is there already")
        where[block] = BLOCK_OFFLINE
        blocks.flags[block] = 0
        blocks.node[block] = group.node
        blocks.group[block] = group.id
        group.blocks += 1

    def remove(self, first: int, count: int = 1) -> None:
        """Remove ``count`` blocks from ``first``: all exist (else EINVAL) and are offline (else EBUSY)."""
        blocks = self.blocks
        end = first + count
        if first < 0 or count <= 0 or blocks.where[first:end] != bytes([BLOCK_OFFLINE]) * count:
            raise self._not_offline(first, count)
        members = blocks.group[first:end]
        # Compared as a whole before they are looked at one by one: nearly always all are of one device.
        alike = members == members[:1] * count
        for group_id in members[:1] if alike else set(members):
            group = self.groups.find(group_id)
            if group is not None:
                group.blocks -= count if alike else members.count(group_id)
                self.groups.resized.add(group_id)
        blocks.group[first:end] = type(members)("i", [NO_GROUP]) * count
        blocks.where[first:end] = bytes(count)
        if blocks.left_over:
            for block in range(first, end):
                blocks.left_over.pop(block, None)

    def remove_one(self, block: int) -> None:
        """Remove one block that has just been taken offline, as :meth:`remove` does."""
        # Inlined from remove() because it saves 1,000 ns a block (benchmarks/bench_written_out.py): no slices.
        blocks = self.blocks
        blocks.where[block] = BLOCK_ABSENT
        group = self.groups.find(blocks.group[block])
        if group is not None:
            group.blocks -= 1
            blocks.group[block] = NO_GROUP
        if blocks.left_over:
            blocks.left_over.pop(block, None)

    def _not_offline(self, first: int, count: int) -> HotplugError:
        if first < 0 or count <= 0:
            return HotplugError(EINVAL, "there is nothing to remove")
        chunk = self.blocks.where[first : first + count]
        missing = chunk.find(BLOCK_ABSENT)
        if missing >= 0 or len(chunk) < count:
            return HotplugError(EINVAL, f"block {first + (missing if missing >= 0 else len(chunk))} does not exist")
        online = next(first + at for at, code in enumerate(chunk) if code >= BLOCK_MIXED)
        return HotplugError(EBUSY, f"block {online} is online")

    # Online and offline ----------------------------------------------------------------------------------------------

    def online(self, first: int, zone_type: int, count: int = 1, withheld: int = 0) -> None:
        """Put ``count`` adjacent offline blocks of one node and group online in the node's ``zone_type``.

        ``withheld`` pages in all are not handed to the page allocator (virtio-mem sub-blocks that are not plugged):
        they count as present and not as managed, as does a self-hosted memmap. The caller vouches that the blocks are
        offline.
        """
        blocks = self.blocks
        pages = count * self.block_pages
        start = first * self.block_pages
        end = start + pages
        nid = blocks.node[first]
        node = self.nodes[nid]
        zone = node.zones[zone_type] or self.zone(nid, zone_type)
        group_id = blocks.group[first]
        flags = blocks.flags[first]
        if end > zone.end or start < zone.start:
            if zone_type >= ZONE_NORMAL and start >= zone.start and zone.end:
                # Inlined from grow_span() because it saves 30 ns a block (benchmarks/bench_events.py, plugging): most
                # blocks are plugged above those that are there.
                zone.end = end
            else:
                zone.grow_span(start, end)
                if zone_type < ZONE_NORMAL:
                    node.update_low_end()
        if count == 1:
            blocks.where[first] = zone.code
        else:
            blocks.where[first : first + count] = bytes([zone.code]) * count
        zone.managed += pages - withheld
        early = 0
        if flags:
            early = flags & BlockTable.EARLY
            if flags & BlockTable.SELF_HOSTED:
                zone.managed -= self.altmap_pages * count
        self._account(zone, self.groups.find(group_id) if group_id >= 0 else None, early, pages)
        if self._units.sizes:
            self._units.change(first, count, zone, 1)

    def offline(self, block: int, count: int = 1, withheld: int = 0) -> Zone:
        """Take ``count`` adjacent blocks of one zone, node and group offline, and return the zone they left.

        Whether their pages can move is the caller's question; what the block itself forbids is refused here: EINVAL
        for a block that is not online, spans zones, or has holes; EPERM for one that the architecture keeps, EBUSY for
        one with CMA in it.
        """
        blocks = self.blocks
        code = blocks.where[block]
        zone = self.zone_by_code[code] if code >= FIRST_ZONE_CODE else None
        flags = blocks.flags[block]
        if zone is None or flags & BlockTable.STAYS:
            raise self._cannot_offline(block)
        pages = count * self.block_pages
        if count == 1:
            blocks.where[block] = BLOCK_OFFLINE
        else:
            blocks.where[block : block + count] = bytes([BLOCK_OFFLINE]) * count
        group_id = blocks.group[block]
        zone.managed -= pages - withheld
        early = 0
        if flags:
            early = flags & BlockTable.EARLY
            if flags & BlockTable.SELF_HOSTED:
                zone.managed += self.altmap_pages * count
        self._account(zone, self.groups.find(group_id) if group_id >= 0 else None, early, -pages)
        start = block * self.block_pages
        if zone.start == start or zone.end == start + pages:
            self.spans.shrink(zone, block, count)
            if zone.type < ZONE_NORMAL:
                self.nodes[zone.node].update_low_end()
        if self._units.sizes:
            self._units.change(block, count, zone, -1)
        return zone

    def _cannot_offline(self, block: int) -> HotplugError:
        code = self.blocks.where[block]
        if code == BLOCK_MIXED:
            return HotplugError(EINVAL, f"block {block} spans several zones and can never go offline")
        flags = self.blocks.flags[block]
        if code >= FIRST_ZONE_CODE and flags & BlockTable.VETOED and not flags & BlockTable.HAS_HOLES:
            return HotplugError(EPERM, f"block {block} is boot memory, which this architecture never takes offline")
        if code >= FIRST_ZONE_CODE and flags & BlockTable.HAS_CMA and not flags & BlockTable.HAS_HOLES:
            return HotplugError(EBUSY, f"block {block} holds CMA and can never go offline")
        if code >= FIRST_ZONE_CODE:
            return HotplugError(EINVAL, f"block {block} has missing pages and can never go offline")
        return HotplugError(EINVAL, f"block {block} is not online")

    def _account(  # noqa: C901, PLR0912 - the one primitive, without calls: it runs at every change
        self, zone: Zone, group: MemoryGroup | None, early: int, pages: int
    ) -> None:
        """Change present pages everywhere at once: zone, node, system and group (``adjust_present_page_count``)."""
        zone.present += pages
        dynamic = group is not None and group.is_dynamic
        local = zone.totals
        system = self.system
        if zone.movable:
            local.movable += pages
            if dynamic:
                local.dynamic_movable += pages
            if system is not local:
                system.movable += pages
                if dynamic:
                    system.dynamic_movable += pages
            if early:
                zone.present_early += pages
            if group is not None:
                group.movable += pages
        else:
            local.kernel += pages
            if system is not local:
                system.kernel += pages
            if early:
                zone.present_early += pages
                local.early_kernel += pages
                if system is not local:
                    system.early_kernel += pages
            if zone.cma:
                self._account_cma(zone, pages)
            if group is not None:
                group.kernel += pages
        if dynamic:
            groups = self.groups
            if groups.touched is not group:
                groups.settle()
                groups.touched = group

    def scopes(self, zone: Zone) -> tuple[ScopeTotals, ...]:
        """Return the totals that a zone's pages count in."""
        return (self.system,) if zone.totals is self.system else (self.system, zone.totals)

    def _account_cma(self, zone: Zone, pages: int) -> None:
        """Count CMA areas only while their zone has present pages, as the kernel's loop over populated zones does."""
        before = zone.present - pages
        change = zone.cma if before == 0 else -zone.cma if zone.present == 0 else 0
        for totals in self.scopes(zone):
            totals.movable += change
            totals.early_kernel -= change

    # Sub-blocks, units, words ----------------------------------------------------------------------------------------

    def adjust_managed(self, block: int, pages: int) -> None:
        """Count pages of an online block as handed to (positive) or taken from the page allocator."""
        zone = self.zone_by_code[self.blocks.where[block]]
        if zone is not None:
            zone.managed += pages

    def unit_sections(self, unit_pages: int, page: int) -> tuple[int, int]:
        """Return (kernel, movable): online sections of the unit around ``page``, whoever owns them.

        See :class:`UnitIndex`.
        """
        return self._units.sections(unit_pages, page)

    def zone_type_at(self, page: int) -> int | None:
        """Return the zone type that the page belongs to, None where it is not online."""
        block = page // self.block_pages
        if not self.blocks.is_online(block):
            return None
        zone = self.zone_by_code[self.blocks.where[block]]
        if zone is not None:
            return zone.type if page < self.spans.sections_end.get(block, page + 1) else None
        for candidate in self.zone_by_code:
            if candidate is not None and any(start <= page < end for start, end in candidate.mixed_parts):
                return candidate.type
        return None

    def zone_of(self, block: int) -> Zone | None:
        """Return the zone of an online block; None where it is offline, absent or spans several zones."""
        return self.zone_by_code[self.blocks.where[block]] if self.blocks.is_online(block) else None

    def zone_label(self, block: int) -> str | None:
        """Return the name of an online block's zone, ``"none"`` where it spans several, None where it is not online."""
        if not self.blocks.is_online(block):
            return None
        zone = self.zone_of(block)
        return "none" if zone is None else ZONE_LABELS[zone.type]
