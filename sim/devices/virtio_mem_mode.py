"""What virtio-mem's two modes see of their device, and the driver's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sim.units import MIB

if TYPE_CHECKING:
    from sim.kernel.context import DriverContext
    from sim.kernel.hotplug_core import HotplugCore
    from sim.memory.groups import MemoryGroup


@dataclass(frozen=True, slots=True)
class VirtioMemParameters:
    """Module parameters of the driver, and what differs between machines of the device.

    ``bbm_block_size`` in bytes, 0 for the smallest possible; ``usable_extent``: bytes beyond the request that QEMU lets
    the guest use, twice the largest section or huge page.
    """

    unplug_online: bool = True
    force_bbm: bool = False
    bbm_block_size: int = 0
    usable_extent: int = 256 * MIB


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

    def admits(self, amount: int) -> bool:
        """Whether the device lets the guest plug ``amount`` more bytes."""
