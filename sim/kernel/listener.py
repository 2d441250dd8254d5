"""Who is told what happens in a hotplug core: one listener, given to the core when it is made, or several as one.

Beside it, each memory group may have an owner, a driver that is told of its own blocks and may veto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from policies.contract import Explanation
    from sim.guest.contract import OomEvent
    from sim.kernel.hotplug_core import HotplugCore
    from sim.memory.errors import HotplugError


class CoreListener:
    """Is told what happens in a core, while it happens. Does nothing: a listener overrides what it wants to know.

    ``wants_reasons`` is looked at when the core is made: decisions are explained, one by one, only for who asks.
    """

    wants_reasons = False

    def decided(self, online_type: int, block: int, reason: Explanation) -> None:
        """Told why ``block``, about to go online with ``online_type`` (an OnlineType number), goes where it goes."""

    def memmap_taken(self) -> None:
        """Told that the memmap of memory that is being added was taken, before any of that memory goes online.

        Not told of single blocks of a dynamic device that go online at once, with their hot path: they take little.
        """

    def added(self) -> None:
        """Told that all of the memory is there whose memmap :meth:`memmap_taken` told of."""

    def left_offline(self, core: HotplugCore, first: int, count: int) -> None:
        """Told of ``count`` blocks from ``first`` that were added to ``core`` and left offline."""

    def missed(self, first: int, count: int) -> None:
        """Told of ``count`` new blocks from ``first`` of which user space does not hear: its buffer is full."""

    def refused(self, block: int, zone_type: int) -> None:
        """Told of a block that was to go offline and stays in its zone."""

    def put_back(self, block: int) -> None:
        """Told of a block that was taken offline for a removal that has failed, and is about to go online again."""

    def failed(self, device: str, error: HotplugError) -> None:
        """Told of an add or a removal that a driver gives up, and of what the host refuses by itself."""

    def out_of_memory(self, kills: tuple[OomEvent, ...]) -> None:
        """Told of kills while memory was asked back, in their order.

        Kills by a demand that found no room, or of a bystander, go from :class:`sim.kernel.guest_link.GuestLink` to
        :class:`sim.kernel.oom_log.OomLog`, which keeps all of them.
        """

    def starved(self) -> None:
        """Told that an add has failed for want of memory, and has left the kernel none."""


NOBODY: Final = CoreListener()
"""Does nothing."""


class Listeners(CoreListener):
    """Several listeners as one. Each is told everything, in the order given here."""

    def __init__(self, *listeners: CoreListener) -> None:
        self._listeners = listeners
        self.wants_reasons = any(listener.wants_reasons for listener in listeners)

    def decided(self, online_type: int, block: int, reason: Explanation) -> None:
        """Tell those who want reasons."""
        for listener in self._listeners:
            if listener.wants_reasons:
                listener.decided(online_type, block, reason)

    def memmap_taken(self) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.memmap_taken()

    def added(self) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.added()

    def left_offline(self, core: HotplugCore, first: int, count: int) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.left_offline(core, first, count)

    def missed(self, first: int, count: int) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.missed(first, count)

    def refused(self, block: int, zone_type: int) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.refused(block, zone_type)

    def put_back(self, block: int) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.put_back(block)

    def failed(self, device: str, error: HotplugError) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.failed(device, error)

    def out_of_memory(self, kills: tuple[OomEvent, ...]) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.out_of_memory(kills)

    def starved(self) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.starved()


class BlockOwner(Protocol):
    """A driver that wants to know what happens to its blocks (virtio-mem's memory notifier). Times are the core's.

    ``granularity``: bytes of the smallest piece that the device can give back, a part of a block or several blocks.
    """

    granularity: int

    def may_online(self, block: int) -> bool:
        """Whether the block may go online now; False vetoes it."""

    def block_online(self, block: int, zone_type: int) -> None:
        """Tell that the block has gone online."""

    def block_offline(self, block: int) -> None:
        """Tell that the block has gone offline and is still there."""

    def plugged_pages(self) -> int:
        """Return the pages that the device has plugged."""

    def unplugged_pages(self, block: int) -> int:
        """Return the block's pages that the device has not plugged."""
