"""How zone spans grow and shrink. A span is (start, end) in pages; an empty one is (0, 0)."""

from __future__ import annotations

from tests.plain.machine import TWO_TO_64, Machine


def intersects(span: tuple[int, int], first: int, pages: int) -> bool:
    """Half-open overlap of a span with ``pages`` pages from ``first``; never true for an empty span.

    ``pages`` may be zero or "negative" (a static group that got more than it announced): the sum is then
    taken as the kernel's unsigned arithmetic takes it.
    """
    start, end = span
    if start == end:
        return False
    return first < end and (first + pages) % TWO_TO_64 > start


def grow(machine: Machine, node: int, zone: str, number: int) -> None:
    first, end = machine.first_page(number), machine.end_page(number)
    old = machine.spans[node, zone]
    if old == (0, 0):
        machine.spans[node, zone] = (first, end)
    else:
        machine.spans[node, zone] = (min(old[0], first), max(old[1], end))


def shrink(machine: Machine, node: int, zone: str, number: int) -> None:
    """Take back what block ``number``, whose pages have just left the zone, was the edge of."""
    first, end = machine.first_page(number), machine.end_page(number)
    start, stop = machine.spans[node, zone]
    if start == first:
        lowest = _lowest_page(machine, node, zone, end, stop)
        machine.spans[node, zone] = (0, 0) if lowest is None else (lowest, stop)
    elif stop == end:
        highest = _highest_page(machine, node, zone, start, first)
        machine.spans[node, zone] = (0, 0) if highest is None else (start, highest + 1)


def _lowest_page(machine: Machine, node: int, zone: str, low: int, high: int) -> int | None:
    """First page of a sub-section in ``low .. high`` that is online in the zone, from below."""
    for number in sorted(n for n, block in machine.blocks.items() if block.online):
        for page in range(machine.first_page(number), machine.end_page(number), machine.subsection_pages):
            if low <= page < high and _lies_in(machine, page, node, zone):
                return page
    return None


def _highest_page(machine: Machine, node: int, zone: str, low: int, high: int) -> int | None:
    """Last page of a sub-section in ``low .. high`` that is online in the zone, from above."""
    for number in sorted((n for n, block in machine.blocks.items() if block.online), reverse=True):
        for page in range(machine.end_page(number) - 1, machine.first_page(number) - 1, -machine.subsection_pages):
            if low <= page < high and _lies_in(machine, page, node, zone):
                return page
    return None


def _lies_in(machine: Machine, page: int, node: int, zone: str) -> bool:
    part = machine.part_of_page(page)
    return part is not None and (part.node, part.zone) == (node, zone)
