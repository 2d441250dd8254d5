"""Which zone a block goes to: the fixed words, contig-zones, and auto-movable in its three stages."""

from __future__ import annotations

from tests.plain.machine import DMA, DMA32, MOVABLE, NORMAL, Group, Machine
from tests.plain.spans import intersects

#: The ratio is stored unsigned but read as a signed 32-bit number when a group is charged.
LARGEST_SIGNED_RATIO = 2**31 - 1


def choose(machine: Machine, word: str, node: int, group: Group | None, first: int, pages: int) -> str:
    """Zone of ``node`` for ``pages`` pages from page ``first``, onlined with ``word``."""
    machine.decisions += 1
    if word == "online_kernel":
        return default_kernel_zone(machine, node, first, pages)
    if word == "online_movable":
        return MOVABLE
    if machine.knobs.policy == "auto-movable":
        return auto_movable(machine, node, group, first, pages)
    return contig_zones(machine, node, first, pages)


def default_kernel_zone(machine: Machine, node: int, first: int, pages: int) -> str:
    """DMA or DMA32 if its present span touches the range, else Normal. No address limit is asked."""
    for zone in (DMA, DMA32):
        if intersects(machine.spans[node, zone], first, pages):
            return zone
    return NORMAL


def contig_zones(machine: Machine, node: int, first: int, pages: int) -> str:
    kernel = default_kernel_zone(machine, node, first, pages)
    in_kernel = intersects(machine.spans[node, kernel], first, pages)
    in_movable = intersects(machine.spans[node, MOVABLE], first, pages)
    if in_kernel and not in_movable:
        return kernel
    if in_movable and not in_kernel:
        return MOVABLE
    return MOVABLE if machine.knobs.movable_node else kernel


def auto_movable(machine: Machine, node: int, group: Group | None, first: int, pages: int) -> str:
    """Step A, B, C and D of the policy.

    The kernel reuses two variables: when it falls back to a kernel zone, the range it then asks the spans
    about is the one that the steps before have left in them, not always the block's own.
    """
    if machine.knobs.ratio == 0:
        return default_kernel_zone(machine, node, first, pages)
    group_seen = None if machine.knobs.stage == "A" else group
    kernel_held, place, left = how_many_must_fit(machine, group_seen, first, pages)
    if kernel_held or not fits(machine, None, group, left):
        return default_kernel_zone(machine, node, place, left)
    if machine.knobs.numa_aware and not fits(machine, node, group, left):
        return default_kernel_zone(machine, node, place, left)
    return MOVABLE


def how_many_must_fit(machine: Machine, group: Group | None, first: int, pages: int) -> tuple[bool, int, int]:
    """Whether kernel memory forces the kernel zone; the page position; and how many pages must fit.

    In the forced case the third number is not a demand but the length that the kernel still holds: one block.
    """
    if group is None:
        return False, first, pages
    if group.max_pages is not None:
        if machine.group_kernel(group.number) > 0:
            return True, first, pages
        return False, first, group.max_pages - machine.group_movable(group.number)
    assert group.unit_pages is not None
    if group.unit_pages == pages:
        return False, first, pages
    unit_first = first - first % group.unit_pages
    unit_end = unit_first + group.unit_pages
    counted = 0
    for section in range(unit_first, unit_end, machine.section_pages):
        part = machine.part_of_page(section)
        if part is None:
            continue
        if part.zone != MOVABLE:
            return True, section, pages
        counted += machine.section_pages
    return False, unit_end, group.unit_pages - counted


def fits(machine: Machine, scope: int | None, group: Group | None, want: int) -> bool:
    """Whether ``want`` more MOVABLE pages keep to the ratio in ``scope`` (a node, or None for all nodes)."""
    most = room(machine, scope, group)
    return most is not None and want <= most


def room(machine: Machine, scope: int | None, group: Group | None) -> int | None:
    """The most MOVABLE pages that may still come (below 0: already too many); None where the first test fails."""
    knobs = machine.knobs
    asked = (scope, group and group.number, knobs.ratio, knobs.stage)
    return machine.kept(asked, lambda: _room(machine, scope, group), by_knobs=True)


def _room(machine: Machine, scope: int | None, group: Group | None) -> int | None:
    ratio = machine.knobs.ratio
    early_kernel = kernel_early_pages(machine, scope)
    movable = movable_pages(machine, scope)
    if machine.knobs.stage != "C":
        return ratio * early_kernel // 100 - movable

    others = [
        other
        for other in machine.groups.values()
        if other.dynamic and (group is None or other.number != group.number) and (scope is None or other.node == scope)
    ]
    reserved = sum(reserved_early_pages(machine, other) for other in others)
    movable_of_others = sum(machine.group_movable(other.number) for other in others)
    if early_kernel <= reserved:
        return None
    allowance = early_kernel - reserved
    if group is not None and group.dynamic:
        allowance += machine.group_kernel(group.number)
    return ratio * allowance // 100 - (movable - movable_of_others)


def reserved_early_pages(machine: Machine, other: Group) -> int:
    """Early pages a group's MOVABLE memory needs beyond what its own kernel memory pays for."""
    ratio = machine.knobs.ratio
    needed = 100 * machine.group_movable(other.number) // ratio if ratio <= LARGEST_SIGNED_RATIO else 0
    return max(0, needed - machine.group_kernel(other.number))


def kernel_early_pages(machine: Machine, scope: int | None) -> int:
    """``KE``: boot memory online in kernel zones, less CMA."""
    early = machine.zone_pages(early_only=True)
    return sum(
        early[node, zone] - machine.cma(node, zone) for node, zone in _populated(machine, scope) if zone != MOVABLE
    )


def movable_pages(machine: Machine, scope: int | None) -> int:
    """``MV``: everything present in ZONE_MOVABLE, and CMA in kernel zones."""
    present = machine.zone_pages()
    return sum(
        present[node, zone] if zone == MOVABLE else machine.cma(node, zone) for node, zone in _populated(machine, scope)
    )


def _populated(machine: Machine, scope: int | None) -> list[tuple[int, str]]:
    return [home for home, pages in machine.zone_pages().items() if scope in (None, home[0]) and pages > 0]
