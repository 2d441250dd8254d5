"""What the devices could give back at this moment, in units that they can give.

The guest knows which of its blocks hold kernel pages, and no devices; groups and their owners know units, and not what
is in them. Here both are brought together: a static device goes whole or not at all, of a dynamic one its pieces.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.bits import per_subblock

if TYPE_CHECKING:
    from sim.guest import GuestModel
    from sim.kernel.hotplug_core import HotplugCore

_ALL: Final = -1
"""Instead of the number of a piece: all of a static device."""


class _Stuck(NamedTuple):
    """What a block with kernel pages keeps: ``pages`` of a piece of a device, which other blocks may keep as well."""

    group: int
    piece: int
    pages: int


class Returnable:
    """Follows what kernel pages keep of the devices of ``core``, block by block, as they come and go in ``model``."""

    def __init__(self, model: GuestModel, core: HotplugCore) -> None:
        self._model = model
        self._memory = core.memory
        self._owners = core.owners
        self._threads = core.threads
        self._page_size = core.memory.geometry.size
        self._pageblock = core.memory.geometry.pageblock_pages
        self._stuck: dict[int, _Stuck] = {}
        """By block."""
        self._blocks_of: Counter[tuple[int, int]] = Counter()
        """By group and piece: how many blocks keep it."""
        self._kept: Counter[int] = Counter()
        """By dynamic group: pages of the pieces that are kept."""
        self._whole: Counter[int] = Counter()
        """By size in pages: static devices that nothing keeps."""
        self._whole_pages = 0
        self._counted: dict[int, int] = {}
        """Pages that each of them counts with, by group."""
        self._groups_seen = -1
        self._plugged: list[int] = []
        """What the owners had plugged when last asked."""
        self._begun = -1
        """How often work had begun by then, if nobody was at work: until somebody is, they plug nothing."""
        self._all_pages = 0
        self._pieces: list[tuple[int, int]] = []
        """Pages of all that nothing keeps, and what that comes to in pieces: (pages, number), the largest first."""

    def recount(self) -> None:
        """Count static devices afresh when next asked: one of them has grown."""
        self._groups_seen = -1

    def may_differ(self) -> bool:
        """Whether another amount may come back than when last asked, though nothing has changed in the guest itself."""
        if self._memory.groups.changes != self._groups_seen:
            return True
        if self._threads.begun == self._begun:
            return False
        if self._plugged != self._all_plugged():
            return True
        self._note_rest()
        return False

    def _note_rest(self) -> None:
        self._begun = -1 if self._threads.at_work else self._threads.begun

    def _all_plugged(self) -> list[int]:
        return [owner.plugged_pages() for owner in self._owners.values()]

    def pages(self, room: int) -> int:
        """Return the plugged pages that would come back if all were asked for: no kernel page in the way, and no kill.

        User pages in them must find ``room`` in what stays; the memmap that goes with memory is not counted as such.
        Where they do not, as many pieces come back, the largest first, as leave room for what all of them hold.
        """
        if self._follow() or self.may_differ():
            self._count()
        if self._all_pages <= room:
            return self._all_pages
        left = room
        for size, number in self._pieces:
            most = left // size
            left -= size * (number if number < most else most)  # noqa: FURB136 - for every sample: spares a call
        return room - left

    def _count(self) -> None:
        """Count the pieces that nothing keeps anew."""
        groups = self._memory.groups
        if groups.changes != self._groups_seen:
            self._count_static()
            self._groups_seen = groups.changes
        self._note_rest()
        self._plugged = self._all_plugged()
        self._all_pages, pieces = self._whole_pages, dict(self._whole)
        for (group, owner), plugged in zip(self._owners.items(), self._plugged, strict=True):
            # A block may hold kernel pages from going online on, before its device counts it as plugged.
            pages = max(0, plugged - self._kept.get(group, 0))
            piece = owner.granularity // self._page_size
            self._all_pages += pages
            pieces[piece] = pieces.get(piece, 0) + pages // piece
        self._pieces = sorted(pieces.items(), reverse=True)

    def _count_static(self) -> None:
        """Count anew the static devices that came, went, or have other blocks, or are kept now or no longer."""
        groups = self._memory.groups
        for number in groups.resized:
            before = self._counted.pop(number, 0)
            group = groups.find(number)
            now = 0
            if group is not None and not group.is_dynamic and (number, _ALL) not in self._blocks_of:
                now = group.blocks * self._memory.block_pages
            if before:
                self._whole[before] -= 1
            if now:
                self._whole[now] += 1
                self._counted[number] = now
            self._whole_pages += now - before
        groups.resized.clear()

    def _follow(self) -> bool:
        """Take note of the blocks in which kernel pages came or went; return whether there were any."""
        changed = self._model.changed_blocks()
        if not changed:
            return False
        for block, busy in changed:
            before = self._stuck.pop(block, None)
            if before is not None:
                self._change(before, -1)
            now = self._what_it_keeps(block, busy) if busy else None
            if now is not None:
                self._stuck[block] = now
                self._change(now, 1)
        return True

    def _what_it_keeps(self, block: int, busy: int) -> _Stuck | None:
        """Return what a block keeps in which the pageblocks of a bitmap hold kernel pages; None where it has no device.

        A piece of a dynamic device that is smaller than a block is kept with all others of the block that are.
        """
        group = self._memory.groups.find(self._memory.blocks.group[block])
        if group is None:
            return None
        owner = self._owners.get(group.id)
        if owner is None:
            return _Stuck(group.id, _ALL, 0)
        pages = owner.granularity // self._page_size
        blocks = pages // self._memory.block_pages
        if blocks:
            return _Stuck(group.id, block // blocks, pages)
        pieces = per_subblock(busy, pages // self._pageblock)
        return _Stuck(group.id, block, pieces.bit_count() * pages)

    def _change(self, stuck: _Stuck, by: int) -> None:
        """Count a block more or less that keeps a piece."""
        group, piece, pages = stuck
        key = group, piece
        self._blocks_of[key] += by
        count = self._blocks_of[key]
        if not count:
            del self._blocks_of[key]
        if count == (by > 0):  # the first of its blocks, or none any more
            self._kept[group] += by * pages
            if piece == _ALL:
                self._memory.groups.resized.add(group)
                self.recount()
