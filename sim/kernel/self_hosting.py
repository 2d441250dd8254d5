"""Whether the memmap of added memory lies in that memory itself: ``memory_hotplug.memmap_on_memory``.

Follows ``mhp_supports_memmap_on_memory`` of ``mm/memory_hotplug.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.memory.hotplug import Memory

_SPLIT_SELF_HOSTED_SINCE: Final = (6, 8)
"""Kernel series from which on a range of several blocks can host its memmap block by block."""


def altmap_pages(memory: Memory, memmap_on_memory: bool | str) -> int:  # noqa: FBT001 - the parameter's value
    """Return the pages that a block which hosts its own memmap never hands out."""
    if memmap_on_memory == "force":
        return memory.geometry.whole_pageblocks(memory.memmap_pages)
    return memory.memmap_pages


def can_self_host(memory: Memory, memmap_on_memory: bool | str, series: tuple[int, int], count: int) -> bool:  # noqa: FBT001
    """Whether the blocks of a range of ``count`` can host their memmap, and are to."""
    if not memmap_on_memory or (count > 1 and series < _SPLIT_SELF_HOSTED_SINCE):
        return False
    vmemmap = altmap_pages(memory, memmap_on_memory)
    return vmemmap % memory.geometry.pageblock_pages == 0 and 0 < vmemmap < memory.block_pages
