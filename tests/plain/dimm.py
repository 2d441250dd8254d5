"""An ACPI memory device (DIMM): adding its ranges under one static group, and the two-pass eject."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.plain import linux
from tests.plain.machine import LinuxError, Machine

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass
class Dimm:
    """A device with ranges (first page, pages) in firmware order."""

    node: int
    ranges: list[tuple[int, int]]
    group: int | None = None
    enabled: list[tuple[int, int]] = field(default_factory=list)

    def bound_blocks(self, machine: Machine) -> list[int]:
        return sorted(
            number
            for first, pages in self.enabled
            for number in range(first // machine.block_pages, -(-(first + pages) // machine.block_pages))
        )


def plug(
    machine: Machine, dimm: Dimm, memmap_pages: int = 0, vetoed: Collection[int] = (), *, long_too: bool = True
) -> None:
    """Register the group and add each range; ranges that cannot be added are passed over.

    ``memmap_pages``: memmap that each block holds of itself; unless ``long_too``, in ranges of one block only.
    """
    total = sum(pages for _, pages in dimm.ranges)
    if total == 0:
        raise LinuxError("EINVAL", "a device without memory")
    dimm.group = linux.register_static(machine, dimm.node, total)
    for first, pages in dimm.ranges:
        if pages == 0:
            continue
        try:
            held = memmap_pages if long_too or pages == machine.block_pages else 0
            linux.add(machine, first, pages, group=dimm.group, memmap_pages=held, vetoed=vetoed)
        except LinuxError as error:
            if error.name != "EEXIST":
                continue
        dimm.enabled.append((first, pages))
    if not dimm.enabled:
        _drop_group(machine, dimm)
        raise LinuxError("EINVAL", "no range could be added")


def eject(machine: Machine, dimm: Dimm, refusing: Collection[int] = ()) -> None:
    """Offline all in up to two passes, then remove; or put back what this attempt took (EBUSY)."""
    if dimm.group is None:
        return
    numbers = dimm.bound_blocks(machine)
    taken: set[int] = set()
    failed = False
    for number in numbers:
        failed |= not _try_offline(machine, number, refusing, taken)
    if failed:
        failed = False
        for number in numbers:
            if not _try_offline(machine, number, refusing, taken):
                failed = True
                break
    if failed:
        for number in numbers:
            if number in taken:
                linux.write_online(machine, number, value=True)
        raise LinuxError("EBUSY", "a block did not go offline")
    for first, pages in dimm.enabled:
        linux.remove(machine, first, pages)
    dimm.enabled = []
    _drop_group(machine, dimm)


def _drop_group(machine: Machine, dimm: Dimm) -> None:
    """Unregister the group; where blocks remain in it, it stays and nobody is told."""
    assert dimm.group is not None
    with contextlib.suppress(LinuxError):
        linux.unregister(machine, dimm.group)
        dimm.group = None


def _try_offline(machine: Machine, number: int, refusing: Collection[int], taken: set[int]) -> bool:
    if not machine.blocks[number].online:
        return True
    try:
        linux.offline(machine, number, refuse=number in refusing)
    except LinuxError:
        return False
    taken.add(number)
    return True
