"""What virtio-mem's two modes see of their device, and the driver's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sim.units import MIB

if TYPE_CHECKING:
    from sim.kernel.context import DriverContext
    from sim.kernel.hotplug_core import HotplugCore
    from sim.memory.groups import MemoryGroup
    from sim.pages import PageGeometry

_SMALL_SUB_BLOCKS_SINCE: Final = (6, 1)
"""Series from which on a sub-block is a pageblock; 5.15 takes the page allocator's largest chunk."""


@dataclass(frozen=True, slots=True)
class VirtioMemParameters:
    """Module parameters of the driver, and what differs between machines of the device.

    ``bbm_block_size`` in bytes, 0 for the smallest possible; ``usable_extent``: bytes beyond the request that QEMU lets
    the guest use, twice the largest section or huge page. Without a ``driver`` in the guest nobody hears of requests.
    """

    unplug_online: bool = True
    force_bbm: bool = False
    bbm_block_size: int = 0
    usable_extent: int = 256 * MIB
    driver: bool = True


class Piece(NamedTuple):
    """What a device is plugged and unplugged by: ``bytes`` of a sub-block, or of a ``big`` block."""

    bytes: int
    big: bool


def piece_of(
    block_size: int,
    parameters: VirtioMemParameters,
    *,
    block_bytes: int,
    geometry: PageGeometry,
    series: tuple[int, int],
) -> Piece:
    """Return what the driver of kernel ``series`` takes for a device block of ``block_size`` bytes.

    ``block_bytes`` are those of a memory block (``virtio_mem_init_hotplug``).
    """
    pages = geometry.pageblock_pages if series >= _SMALL_SUB_BLOCKS_SINCE else geometry.chunk_pages
    sub_block = max(pages * geometry.size, block_size)
    if sub_block < block_bytes and not parameters.force_bbm:
        return Piece(sub_block, big=False)
    big_block = max(block_size, block_bytes)
    parameter = parameters.bbm_block_size
    if parameter >= big_block and parameter & (parameter - 1) == 0:
        big_block = parameter
    return Piece(big_block, big=True)


class ModeDevice(Protocol):
    """A virtio-mem device as its mode sees it. Sizes and addresses in bytes; ``plugged`` is the mode's to change."""

    context: DriverContext
    core: HotplugCore
    parameters: VirtioMemParameters
    group: MemoryGroup
    index: int
    address: int
    max_size: int
    usable: int
    requested: int
    plugged: int
    threshold_pages: int
    config_changed: bool

    @property
    def busy(self) -> bool:
        """Whether the worker is at work."""

    def kick(self) -> None:
        """Have the worker look at the request now."""

    def steps(self, wait: int) -> int:
        """Return how many waits of ``wait`` microseconds, one after the other, nothing else happens in between."""

    def admits(self, amount: int) -> bool:
        """Whether the device lets the guest plug ``amount`` more bytes."""
