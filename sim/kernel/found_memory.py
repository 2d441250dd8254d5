"""Memory that is there when a run starts from a state: added and put online as it is found, without asking a policy.

All else is as for memory that is plugged: groups, counters, what its memmap costs the guest, what is recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from sim.faults import Fault, InputError
from sim.memory.blocks import named_blocks
from sim.memory.groups import NO_GROUP
from sim.record.recorder import NO_DEVICE, NO_ZONE, EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.guest.contract import Guest
    from sim.kernel.hotplug_core import HotplugCore


class FoundRun(NamedTuple):
    """Adjacent blocks that are alike: ``blocks`` from ``first`` on, in ``zone`` or offline (NO_ZONE)."""

    first: int
    blocks: int
    zone: int


class FoundBlock(NamedTuple):
    """A block of which not all is plugged: ``sub_blocks`` has a bit for each piece of ``pages`` pages that is."""

    sub_blocks: int
    pages: int

    @property
    def plugged(self) -> int:
        """Pages that are plugged."""
        return self.sub_blocks.bit_count() * self.pages


def find(
    core: HotplugCore,
    device: int,
    runs: Sequence[FoundRun],
    *,
    node: int,
    group_id: int = NO_GROUP,
    self_host: bool = False,
    at_once: bool = True,
    partly: Mapping[int, FoundBlock] | None = None,
) -> None:
    """Add ``runs``, each online in its zone or offline, for ``device`` (an index of the record, or NO_DEVICE).

    ``at_once``: they were added as one range, as a DIMM's; else block by block. ``partly`` has the blocks that are
    not fully plugged. Raises InputError where the guest has no room for the memmap.
    """
    hosted = self_host and core.self_hosts(sum(run.blocks for run in runs))
    for run in runs:
        core.memory.add(run.first, run.blocks, node=node, group_id=group_id, self_hosted=hosted)
        if at_once and core.guest is not None:
            _take_memmap(core.guest, node, run.first, run.blocks, hosted=hosted)
    alone = sorted(partly or ())
    for run in runs:
        for part in _cut(run, alone):
            _find_alike(core, device, part, node, (partly or {}).get(part.first), at_once=at_once)


def _cut(run: FoundRun, alone: Sequence[int]) -> list[FoundRun]:
    """Return ``run`` with each block of ``alone``, which ascend, on its own."""
    parts, at = [], run.first
    end = run.first + run.blocks
    for block in alone[bisect_left(alone, run.first) : bisect_left(alone, end)]:
        parts += [FoundRun(at, block - at, run.zone), FoundRun(block, 1, run.zone)]
        at = block + 1
    return [part for part in (*parts, FoundRun(at, end - at, run.zone)) if part.blocks]


def _find_alike(
    core: HotplugCore, device: int, run: FoundRun, node: int, partly: FoundBlock | None, *, at_once: bool
) -> None:
    memory, guest = core.memory, core.guest
    block_pages = memory.block_pages
    plugged = run.blocks * block_pages if partly is None else partly.plugged
    online = run.zone != NO_ZONE
    if online:
        memory.online(run.first, run.zone, run.blocks, run.blocks * block_pages - plugged)
    if guest is not None:
        # Block by block the memmap of each may lie in those that came before.
        steps = [(run.first, run.blocks)] if at_once else [(run.first + at, 1) for at in range(run.blocks)]
        for first, count in steps:
            if not at_once:
                _take_memmap(guest, node, first, count, hosted=False)
            if online and partly is None:
                guest.online(run.zone, node, first, count, block_pages)
            elif online and partly is not None:
                _hand_over(guest, run, node, partly)
    if device == NO_DEVICE:
        plugged = 0  # of no device
    kind = EventKind.PLUG if online else EventKind.ADD
    core.record((core.env.now, int(kind), device, run.first, run.blocks, run.zone, plugged))


def _hand_over(guest: Guest, run: FoundRun, node: int, partly: FoundBlock) -> None:
    """Hand the plugged pages of one block to the guest: those from its start on, and then the others."""
    mask = partly.sub_blocks
    start = (mask + 1 & ~mask).bit_length() - 1
    guest.online(run.zone, node, run.first, 1, start * partly.pages)
    if mask >> start:
        guest.take_subblocks(run.zone, node, run.first, mask >> start << start, partly.pages)


def _take_memmap(guest: Guest, node: int, first: int, count: int, *, hosted: bool) -> None:
    if not guest.add_memory(node, first, count, hosted):
        what = (
            f"the guest has no kernel memory left for the memmap of {named_blocks(first, count)}, so that this is no"
            " state it could be in"
        )
        raise InputError("machine", [Fault("state", what)])
