"""What an add was short of, in words for who reads the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.errors import ENOMEM, HotplugError
from sim.units import MIB

if TYPE_CHECKING:
    from sim.memory.hotplug import Memory
    from sim.memory.view import MemoryView


def kernel_room(view: MemoryView) -> int | None:
    """Return the pages that kernel requests could get now; None where no guest is modelled."""
    return None if view.kernel_headroom is None else view.kernel_headroom(None)


def no_memory_for_memmap(memory: Memory, view: MemoryView, count: int, room: int | None = None) -> HotplugError:
    """Return the error of an add of ``count`` blocks whose memmap found no room, with what it takes and what there was.

    ``room``: the pages that kernel requests could get before it. Where None, as many as they can get now: of a single
    block nothing stays taken. Known where a guest is modelled.
    """
    if room is None:
        room = kernel_room(view)
    blocks = "1 block" if count == 1 else f"{count} blocks"
    reason = f"no memory for the memmap of {blocks}, {_mib(count * memory.memmap_pages, memory)}"
    if room is not None:
        reason += f": kernel requests could get {_mib(room, memory)}"
    return HotplugError(ENOMEM, reason)


def _mib(pages: int, memory: Memory) -> str:
    return f"{pages * memory.geometry.size / MIB:,.1f} MiB"
