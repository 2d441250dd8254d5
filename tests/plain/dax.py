"""A dax device bound to kmem: one static group for all its ranges, and the ``state`` that a device has since 7.3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.plain import linux
from tests.plain.machine import MOVABLE, LinuxError, Machine

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass
class Dax:
    """A device with ranges (first page, pages) of whole blocks. ``state`` None: not bound to kmem.

    ``there`` are the ranges of which the memory is added. A device is ``lost`` once it was unbound with memory online.
    """

    node: int
    ranges: list[tuple[int, int]]
    group: int | None = None
    state: str | None = None
    there: list[tuple[int, int]] = field(default_factory=list)
    lost: bool = False

    def blocks(self, machine: Machine) -> list[int]:
        return [block for entry in sorted(self.there) for block in blocks_in(machine, entry)]


def blocks_in(machine: Machine, entry: tuple[int, int]) -> range:
    first, pages = entry
    return range(first // machine.block_pages, (first + pages) // machine.block_pages)


def bind(machine: Machine, dax: Dax) -> None:
    """Probe the device: the system's default decides how its blocks start."""
    if dax.lost or dax.state is not None:
        raise LinuxError("EBUSY", "bound, or its memory is still there from last time")
    dax.group = linux.register_static(machine, dax.node, sum(pages for _, pages in dax.ranges))
    try:
        _add_all(machine, dax, machine.knobs.auto_online)
    except LinuxError:
        linux.unregister(machine, dax.group)
        dax.group = None
        raise
    dax.state = machine.knobs.auto_online


def _add_all(machine: Machine, dax: Dax, word: str) -> None:
    """Add each range with this word. One that cannot be added is passed over, but for the first that is tried."""
    default, machine.knobs.auto_online = machine.knobs.auto_online, word
    try:
        for first, pages in dax.ranges:
            try:
                linux.add(machine, first, pages, group=dax.group)
            except LinuxError as error:
                if not dax.there:
                    raise LinuxError("EBUSY" if error.name == "EEXIST" else error.name, str(error)) from error
            else:
                dax.there.append((first, pages))
    finally:
        machine.knobs.auto_online = default


def unbind(machine: Machine, dax: Dax) -> None:
    """Remove each range of which no block is online. Any that remains is lost to the driver, as is the device."""
    if dax.state is None:
        raise LinuxError("ENODEV", "not bound")
    dax.state = None
    for entry in list(dax.there):
        if not any(machine.blocks[number].online for number in blocks_in(machine, entry)):
            linux.remove(machine, *entry)
            dax.there.remove(entry)
    if dax.there:
        dax.lost = True
        raise LinuxError("EBUSY", "memory was online")
    assert dax.group is not None
    linux.unregister(machine, dax.group)
    dax.group = None


def online_memory(machine: Machine, dax: Dax, word: str) -> None:
    """A program writes ``word`` to each block that is offline, and complains in the end of the last that stayed so."""
    if word not in {"online", "online_kernel", "online_movable"}:
        raise LinuxError("EINVAL", "nothing that puts a block online")
    wrong = None
    for number in dax.blocks(machine):
        if not machine.blocks[number].online:
            try:
                linux.online(machine, number, word)
            except LinuxError as error:
                wrong = error
    if wrong is not None:
        raise wrong


def write_state(machine: Machine, dax: Dax, word: str, refusing: Collection[int] = ()) -> None:
    """User space writes ``word`` to the device's ``state``."""
    if dax.state is None:
        raise LinuxError("ENODEV", "not bound: there is no such file")
    if word not in {"unplugged", "online", "online_kernel", "online_movable"}:
        raise LinuxError("EINVAL", "not one of the four words that can be written")
    if word == dax.state:
        return
    if word == "unplugged":
        _unplug(machine, dax, refusing)
    elif dax.state == "unplugged":
        _add_all(machine, dax, word)
    else:
        raise LinuxError("EBUSY", "it has to be unplugged first")
    dax.state = word


def _unplug(machine: Machine, dax: Dax, refusing: Collection[int]) -> None:
    """Take all blocks that are online offline, ascending; one that refuses, and each goes back to the zone it had."""
    taken: list[tuple[int, str]] = []
    for number in dax.blocks(machine):
        if not machine.blocks[number].online:
            continue
        word = "online_movable" if machine.blocks[number].zone == MOVABLE else "online_kernel"
        try:
            linux.offline(machine, number, refuse=number in refusing)
        except LinuxError:
            for again, its_word in taken:
                linux.online(machine, again, its_word)
            raise
        taken.append((number, word))
    for entry in dax.there:
        linux.remove(machine, *entry)
    dax.there = []
