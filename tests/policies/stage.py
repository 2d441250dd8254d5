"""A machine whose kernel memory at boot is so many pages, exactly, and devices that are put online block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.contract import ZoneRequest
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.view import MemoryUse, MemoryView
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.memory.groups import MemoryGroup
    from sim.memory.view import Meminfo

BLOCK = 32768
"""Pages of a memory block of 128 MiB."""

FIRMWARE = 1 + 97
"""Pages that the first node lacks at its start: page 0, the video memory and the BIOS."""
ACPI = 32
"""Pages that low memory lacks at its end, which the last node has here."""
FREE = 128
"""A block that is there on no machine of the tests."""


class Says:
    """A guest that says what it is told to: what the kernel can still get and who uses memory, by node."""

    def __init__(self, headroom: Mapping[int | None, int], use: Mapping[int | None, MemoryUse] | None = None) -> None:
        self._headroom = headroom
        self._use = {} if use is None else use

    def kernel_headroom(self, node: int | None = None) -> int:
        return self._headroom[node]

    def use(self, node: int | None = None) -> MemoryUse:
        return self._use.get(node, MemoryUse(0, 0, 0))


class Stage:
    """Memory with ``kernel`` pages of early kernel memory on each node, and no device yet.

    ``meminfo`` is what a guest says.
    """

    def __init__(self, *kernel: int, movable_node: bool = False, meminfo: Meminfo | None = None) -> None:
        missing = [0] * len(kernel)
        missing[0] += FIRMWARE
        missing[-1] += ACPI
        nodes = tuple(NodeSpec((pages + gone) * PAGE_SIZE) for pages, gone in zip(kernel, missing, strict=True))
        self.memory = lay_out(MachineSpec(nodes)).memory
        self.view = MemoryView(self.memory, movable_node=movable_node, meminfo=meminfo)
        assert [totals.early_kernel for totals in self.view.nodes.values()] == list(kernel)
        self._next = FREE

    def group(self, *, node: int = 0, size: int = 0, unit: int = 0) -> MemoryGroup:
        """Return a new static group of ``size`` pages, or a dynamic one with units of ``unit`` blocks."""
        groups = self.memory.groups
        return groups.register_dynamic(node, unit * BLOCK) if unit else groups.register_static(node, size)

    def plug(self, zones: Sequence[int], *, node: int = 0, group: MemoryGroup | None = None, span: int = 16) -> int:
        """Put new blocks online in these zones, at a place with room for ``span``. Return the block after them."""
        first, self._next = self._next, self._next + span
        for block, zone in enumerate(zones, first):
            self.memory.add(block, 1, node=node, group_id=-1 if group is None else group.id)
            self.memory.online(block, zone)
        return first + len(zones)

    def request(
        self, block: int, *, node: int = 0, group: MemoryGroup | None = None, pages: int = BLOCK
    ) -> ZoneRequest:
        """Return the question about a block."""
        return ZoneRequest(node, block * BLOCK, pages, None if group is None else group.view)
