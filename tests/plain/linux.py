"""The operations: groups, adding, onlining, offlining and removing memory, the sysfs files of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plain import spans
from tests.plain.decide import choose
from tests.plain.machine import Block, Group, LinuxError, Machine, Part

if TYPE_CHECKING:
    from collections.abc import Collection

ONLINE_WORDS = ("online", "online_kernel", "online_movable")
ALL_WORDS = ("offline", *ONLINE_WORDS)

# Groups


def register_static(machine: Machine, node: int, max_pages: int) -> int:
    if max_pages == 0:
        raise LinuxError("EINVAL", "a static group of no pages")
    return _register(machine, node, max_pages=max_pages)


def register_dynamic(machine: Machine, node: int, unit_pages: int) -> int:
    if unit_pages == 0 or unit_pages & (unit_pages - 1) or unit_pages < machine.block_pages:
        raise LinuxError("EINVAL", "a unit is a power of two and at least one memory block")
    return _register(machine, node, unit_pages=unit_pages)


def _register(machine: Machine, node: int, max_pages: int | None = None, unit_pages: int | None = None) -> int:
    if node not in machine.possible_nodes:
        raise LinuxError("EINVAL", "no such node")
    number = 0
    while number in machine.groups:
        number += 1
    machine.groups[number] = Group(number, node, max_pages, unit_pages)
    return number


def unregister(machine: Machine, number: int) -> None:
    if number < 0 or number not in machine.groups:
        raise LinuxError("EINVAL", "no such group")
    if machine.blocks_of(number):
        raise LinuxError("EBUSY", "blocks remain in the group")
    del machine.groups[number]


def dynamic_groups(machine: Machine, node: int | None, excluded: int | None) -> list[int]:
    """Numbers of the dynamic groups (of one node, or of all), one of them left out."""
    return [
        group.number
        for group in machine.groups.values()
        if group.dynamic and node in (None, group.node) and group.number != excluded
    ]


# Adding and removing


def add(
    machine: Machine,
    first: int,
    pages: int,
    *,
    node: int | None = None,
    group: int | None = None,
    memmap_pages: int = 0,
    vetoed: Collection[int] = (),
) -> None:
    """Add ``pages`` pages from page ``first`` to a node, or by group; then online them if so set.

    ``vetoed``: blocks whose onlining a notifier refuses. ``memmap_pages``: memmap that each block holds
    of itself.
    """
    numbers = range(first // machine.block_pages, (first + pages) // machine.block_pages)
    node = _check_range(machine, first, pages, node, group)
    for number in numbers:
        machine.blocks[number] = Block(number, node, early=False, group=group, memmap_pages=memmap_pages)
    if machine.knobs.auto_online == "offline":
        return
    for number in numbers:
        try:
            online(machine, number, machine.knobs.auto_online, veto=number in vetoed)
        except LinuxError:
            break


def _check_range(machine: Machine, first: int, pages: int, node: int | None, group: int | None) -> int:
    """The node that the range goes to, if it can be added."""
    if first + pages > machine.addressable_pages:
        raise LinuxError("E2BIG", "beyond what the machine can address")
    if any(machine.first_page(b) < first + pages and first < machine.end_page(b) for b in machine.blocks):
        raise LinuxError("EEXIST", "there is memory already")
    if pages == 0 or first % machine.block_pages or pages % machine.block_pages:
        raise LinuxError("EINVAL", "not whole memory blocks")
    if group is not None:
        if group not in machine.groups:
            raise LinuxError("EINVAL", "no such group")
        node = machine.groups[group].node
    if node is None or node not in machine.possible_nodes:
        raise LinuxError("EINVAL", "no such node")
    return node


def remove(machine: Machine, first: int, pages: int) -> None:
    """Remove blocks that are all offline."""
    numbers = range(first // machine.block_pages, (first + pages) // machine.block_pages)
    if first % machine.block_pages or pages % machine.block_pages or pages == 0:
        raise LinuxError("EINVAL", "not whole memory blocks")
    if any(number not in machine.blocks for number in numbers):
        raise LinuxError("EINVAL", "no such block")
    if any(machine.blocks[number].online for number in numbers):
        raise LinuxError("EBUSY", "a block is online")
    for number in numbers:
        del machine.blocks[number]


def offline_and_remove(machine: Machine, first: int, pages: int, refusing: Collection[int] = ()) -> None:
    """Offline what is online, ascending, then remove; on failure put back each block with the type it had."""
    taken: list[tuple[int, str]] = []
    try:
        for number in range(first // machine.block_pages, (first + pages) // machine.block_pages):
            block = machine.blocks[number]
            if block.online:
                word = "online_movable" if block.zone == "Movable" else "online_kernel"
                offline(machine, number, refuse=number in refusing)
                taken.append((number, word))
    except LinuxError:
        for number, word in taken:
            online(machine, number, word)
        raise
    remove(machine, first, pages)


# Onlining and offlining


def online(machine: Machine, number: int, word: str, *, veto: bool = False) -> str:
    """Online an offline block; returns the zone. Whatever the outcome, no word stays stored on the block."""
    block = machine.blocks[number]
    block.left_over_word = None
    group = None if block.group is None else machine.groups[block.group]
    first = machine.first_page(number)
    zone = choose(machine, word, block.node, group, first, machine.block_pages)
    spans.grow(machine, block.node, zone, number)
    if veto:
        spans.shrink(machine, block.node, zone, number)
        raise LinuxError("EINVAL", "a notifier vetoed")
    block.parts = (Part(first, machine.end_page(number), block.node, zone),)
    return zone


def offline(machine: Machine, number: int, *, refuse: bool = False) -> None:
    """Take an online block offline. ``refuse``: pages on it cannot move."""
    block = machine.blocks[number]
    zone = block.zone
    if zone is None:
        raise LinuxError("EINVAL", "the block mixes zones or nodes")
    if block.has_holes:
        raise LinuxError("EINVAL", "pages are missing from the block")
    if refuse:
        raise LinuxError("EBUSY", "unmovable pages")
    block.parts = ()
    spans.shrink(machine, block.node, zone, number)


# The files of a memory block


def write_state(machine: Machine, number: int, word: str, *, refuse: bool = False, veto: bool = False) -> None:
    """User space writes ``word`` to ``memoryN/state``."""
    block = machine.blocks[number]
    if word not in ALL_WORDS:
        raise LinuxError("EINVAL", "not one of the four words")
    if word == "offline":
        if not block.online:
            raise LinuxError("EINVAL", "it is offline already")
        offline(machine, number, refuse=refuse)
        return
    if block.online:
        block.left_over_word = word
        raise LinuxError("EINVAL", "it is online already")
    online(machine, number, word, veto=veto)


def write_online(machine: Machine, number: int, *, value: bool, refuse: bool = False, veto: bool = False) -> None:
    """User space writes 1 or 0 to ``memoryN/online``. What it is already is a success."""
    block = machine.blocks[number]
    if value and not block.online:
        online(machine, number, block.left_over_word or "online", veto=veto)
    if not value and block.online:
        offline(machine, number, refuse=refuse)


def valid_zones(machine: Machine, number: int) -> list[str]:
    """The words of ``memoryN/valid_zones``."""
    block = machine.blocks[number]
    if block.online:
        return [block.zone or "none"]
    group = None if block.group is None else machine.groups[block.group]
    first = machine.first_page(number)
    words: list[str] = []
    for word in ONLINE_WORDS:
        zone = choose(machine, word, block.node, group, first, machine.block_pages)
        if zone not in words[:1]:
            words.append(zone)
    return words
