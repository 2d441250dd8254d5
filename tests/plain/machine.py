"""What exists: boot zones, memory blocks, memory groups, and the sums over them.

All counts are base pages. A page belongs to a zone only while its block is online.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

DMA = "DMA"
DMA32 = "DMA32"
NORMAL = "Normal"
MOVABLE = "Movable"

#: Zone order inside a node, as the kernel numbers them.
ZONES = (DMA, DMA32, NORMAL, MOVABLE)

#: The span search looks at one page in each of these: 2 MiB, with pages of 4 KiB.
SUBSECTION_PAGES = 512

#: Everything the kernel computes in ``unsigned long``.
TWO_TO_64 = 2**64


class LinuxError(Exception):
    """A request that Linux refuses; ``name`` is the errno's name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


@dataclass(frozen=True)
class Part:
    """Pages ``first`` up to (not including) ``end`` that lie in one zone of one node."""

    first: int
    end: int
    node: int
    zone: str


@dataclass(frozen=True)
class BootZone:
    """One zone as the kernel set it up at boot. ``start`` and ``spanned`` are its span, holes included."""

    node: int
    zone: str
    start: int
    spanned: int
    present: int
    cma: int = 0


@dataclass
class Block:
    """One memory block.

    ``parts`` is empty while it is offline; parts of several zones or nodes make it a mixed block.
    """

    number: int
    node: int
    early: bool
    group: int | None = None
    parts: tuple[Part, ...] = ()
    has_holes: bool = False
    memmap_pages: int = 0
    left_over_word: str | None = None

    @property
    def online(self) -> bool:
        return bool(self.parts)

    @property
    def zone(self) -> str | None:
        """Its zone, or None when it is offline or mixes zones or nodes."""
        if not self.parts:
            return None
        home = self.parts[0]
        for part in self.parts:
            if part.zone != home.zone or part.node != home.node:
                return None
        return home.zone


@dataclass(frozen=True)
class Group:
    """One memory group: exactly one of ``max_pages`` (static) and ``unit_pages`` (dynamic) is given."""

    number: int
    node: int
    max_pages: int | None = None
    unit_pages: int | None = None

    @property
    def dynamic(self) -> bool:
        return self.unit_pages is not None


@dataclass
class Knobs:
    """What can be set at boot or run time. ``stage`` picks the patch after which the policy is looked at.

    ``A``: after patch 2/9, ``B``: after 8/9, ``C``: final (after 9/9).
    """

    policy: str = "contig-zones"
    ratio: int = 301
    numa_aware: bool = True
    auto_online: str = "offline"
    movable_node: bool = False
    stage: str = "C"


@dataclass
class Machine:
    """A machine right after boot, and what has become of it since."""

    block_pages: int
    section_pages: int
    possible_nodes: frozenset[int]
    boot_zones: tuple[BootZone, ...]
    boot_blocks: tuple[Block, ...]
    knobs: Knobs = field(default_factory=Knobs)
    addressable_pages: int = 2**40
    subsection_pages: int = SUBSECTION_PAGES
    blocks: dict[int, Block] = field(init=False)
    groups: dict[int, Group] = field(init=False)
    spans: dict[tuple[int, str], tuple[int, int]] = field(init=False)
    decisions: int = field(init=False, default=0)
    _kept: dict[object, tuple[Callable[[], object] | None, object]] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.block_pages % self.section_pages or self.section_pages % self.subsection_pages:
            raise ValueError("a block is whole sections, a section whole sub-sections")
        self.blocks = {block.number: block for block in self.boot_blocks}
        self.groups = {}
        self.spans = {(node, zone): (0, 0) for node in self.possible_nodes for zone in ZONES}
        for boot in self.boot_zones:
            if boot.spanned:
                self.spans[boot.node, boot.zone] = (boot.start, boot.start + boot.spanned)
        self._outside_whole_blocks = {
            (node, zone): self._boot_present(node, zone) - self.block_pages * sum(1 for _ in self.blocks_in(node, zone))
            for node in self.possible_nodes
            for zone in ZONES
        }

    def _boot_present(self, node: int, zone: str) -> int:
        return sum(boot.present for boot in self.boot_zones if (boot.node, boot.zone) == (node, zone))

    # Blocks and pages

    def first_page(self, number: int) -> int:
        return number * self.block_pages

    def end_page(self, number: int) -> int:
        return (number + 1) * self.block_pages

    def part_of_page(self, page: int) -> Part | None:
        """Where an online page lies; None for a page that is missing or offline."""
        block = self.blocks.get(page // self.block_pages)
        if block is None:
            return None
        for part in block.parts:
            if part.first <= page < part.end:
                return part
        return None

    def blocks_in(self, node: int, zone: str) -> Iterator[Block]:
        """The online blocks that lie wholly in this zone."""
        for block in self.blocks.values():
            if block.zone == zone and block.parts[0].node == node:
                yield block

    # Sums over all blocks

    def zone_pages(self, *, early_only: bool = False) -> dict[tuple[int, str], int]:
        """Present pages of every (node, zone), or those of boot memory only.

        Boot pages that do not fill whole blocks (or are missing from them) never change.
        """
        return self.kept(("zones", early_only), lambda: self._zone_pages(early_only=early_only))

    def _zone_pages(self, *, early_only: bool) -> dict[tuple[int, str], int]:
        pages = dict(self._outside_whole_blocks)
        for block in self.blocks.values():
            zone = block.zone if block.early or not early_only else None
            if zone is not None:
                pages[block.parts[0].node, zone] += self.block_pages
        return pages

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within, the same sum is made once: no block may change there, which is looked after at the end."""
        self._kept = {}
        try:
            yield
            kept, self._kept = self._kept, {}
            assert all(fresh is None or fresh() == value for fresh, value in kept.values()), "something has changed"
        finally:
            self._kept = None

    def kept(self, key: object, fresh: Callable[[], T], *, by_knobs: bool = False) -> T:
        """What ``fresh`` sums up; while the machine is at rest, what it was when it was asked for first.

        ``by_knobs``: it goes by knobs too, which ``key`` names, and which may be turned at rest.
        """
        if self._kept is None:
            return fresh()
        if key not in self._kept:
            self._kept[key] = (None if by_knobs else fresh, fresh())
        return cast("T", self._kept[key][1])

    def present(self, node: int, zone: str) -> int:
        """Present pages of one zone."""
        return self.zone_pages()[node, zone]

    def present_early(self, node: int, zone: str) -> int:
        """Present pages of boot memory that is online in this zone now."""
        return self.zone_pages(early_only=True)[node, zone]

    def cma(self, node: int, zone: str) -> int:
        return sum(boot.cma for boot in self.boot_zones if (boot.node, boot.zone) == (node, zone))

    def managed_by_hotplug(self, node: int, zone: str) -> int:
        """Pages that the allocator got from whole blocks of this zone: all but self-hosted memmaps."""
        return sum(self.block_pages - block.memmap_pages for block in self.blocks_in(node, zone))

    def node_present(self, node: int) -> int:
        pages = self.zone_pages()
        return sum(pages[node, zone] for zone in ZONES)

    def node_span(self, node: int) -> tuple[int, int]:
        """Hull of the non-empty zone spans, as (start, end); (0, 0) if there is none."""
        spans = [self.spans[node, zone] for zone in ZONES if self.spans[node, zone] != (0, 0)]
        return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else (0, 0)

    # Sums over all groups

    def blocks_of(self, group: int) -> list[Block]:
        return [block for block in self.blocks.values() if block.group == group]

    def group_kernel(self, group: int) -> int:
        """Present pages of the group in kernel zones (``K``)."""
        mine = self.kept(("group", group), lambda: [block.zone for block in self.blocks_of(group) if block.online])
        return self.block_pages * sum(zone != MOVABLE for zone in mine)

    def group_movable(self, group: int) -> int:
        """Present pages of the group in ZONE_MOVABLE (``Mg``)."""
        mine = self.kept(("group", group), lambda: [block.zone for block in self.blocks_of(group) if block.online])
        return self.block_pages * sum(zone == MOVABLE for zone in mine)
