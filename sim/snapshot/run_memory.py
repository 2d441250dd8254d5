"""A machine's memory as it was at some moment of a run, rebuilt from what the run recorded."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from sim.memory.groups import NO_GROUP
from sim.record.device_group import GroupKind
from sim.record.events import Events
from sim.record.recorder import NO_DEVICE, EventKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.machine.boot_layout import BootLayout
    from sim.memory.hotplug import Memory
    from sim.record.run_result import RunResult

_ADDS = (EventKind.PLUG, EventKind.ADD)
_ONLINES = (EventKind.PLUG, EventKind.ONLINE)
_OFFLINES = (EventKind.OFFLINE, EventKind.UNPLUG)
_REMOVES = (EventKind.REMOVE, EventKind.UNPLUG)
_WITHIN = (EventKind.SUBPLUG, EventKind.SUBUNPLUG)
_ABOUT_BLOCKS = (*_ADDS, EventKind.ONLINE, EventKind.OFFLINE, *_REMOVES, *_WITHIN)


def memory_at(
    result: RunResult, at_us: int, layout: BootLayout, undriven: Mapping[int, int] = MappingProxyType({})
) -> Memory:
    """Return the memory of ``layout``, changed by all that happened in the run ``result`` up to microsecond ``at_us``.

    ``undriven`` are the nodes of blocks that came without a device.
    Memory that hosts its own memmap counts as managed all the same: of which blocks do, nothing is recorded.
    """
    events = Events.of(result.events)
    _Replay(layout.memory, result, undriven).follow(
        events.where(events.of_kind(*_ABOUT_BLOCKS) & (events.t_us <= at_us))
    )
    return layout.memory


class _Replay:
    """Applies events to ``memory``."""

    def __init__(self, memory: Memory, result: RunResult, undriven: Mapping[int, int]) -> None:
        self._memory = memory
        self._undriven = undriven
        self._result = result
        self._groups: dict[int, int] = {NO_DEVICE: NO_GROUP}
        self._missing: dict[int, int] = {}
        """Pages that a virtio-mem device has not plugged, by block."""
        everything = Events.of(result.events)
        self._sizes = dict.fromkeys(range(len(result.device_names)), 0)
        """The most pages that were asked of each device: a DIMM's size."""
        for device, pages in zip(everything.device.tolist(), everything.requested.tolist(), strict=True):
            self._sizes[device] = max(self._sizes.get(device, 0), pages)

    def follow(self, events: Events) -> None:
        plugged = events.plugged_change().tolist()
        rows = zip(
            events.kind.tolist(),
            events.device.tolist(),
            events.block.tolist(),
            events.blocks.tolist(),
            events.zone.tolist(),
            plugged,
            strict=True,
        )
        for kind, device, first, count, zone, pages in rows:
            self._apply(kind, device, first, count, zone, pages)

    def _apply(self, kind: int, device: int, first: int, count: int, zone: int, pages: int) -> None:
        memory = self._memory
        if kind in _WITHIN:
            if not memory.blocks.flags[first] & memory.blocks.EARLY:  # what boot memory has is no device's
                self._missing[first] = self._missing.get(first, 0) - pages
                memory.adjust_managed(first, pages)
            return
        if kind in _ADDS:
            node = self._undriven.get(first, 0) if device == NO_DEVICE else self._result.device_nodes[device]
            memory.add(first, count, node=node, group_id=self._group(device, count))
            if device != NO_DEVICE and pages != count * memory.block_pages:  # of a single block only
                self._missing[first] = memory.block_pages - pages
        withheld = sum(self._missing.get(block, 0) for block in range(first, first + count)) if self._missing else 0
        if kind in _ONLINES:
            memory.online(first, zone, count, withheld)
        if kind in _OFFLINES:
            memory.offline(first, count, withheld)
        if kind in _REMOVES:
            memory.remove(first, count)
            for block in range(first, first + count) if self._missing else ():
                self._missing.pop(block, None)

    def _group(self, device: int, count: int) -> int:
        """Return the memory group of a device, registered when its first blocks come, ``count`` at once."""
        if device not in self._groups:
            registry, node = self._memory.groups, self._result.device_nodes[device]
            kind = self._result.device_groups[device]
            if kind.kind is GroupKind.DYNAMIC:
                self._groups[device] = registry.register_dynamic(node, kind.unit_pages).id
            elif kind.kind is GroupKind.STATIC:
                size = max(self._sizes[device], count * self._memory.block_pages)
                self._groups[device] = registry.register_static(node, size).id
            else:
                self._groups[device] = NO_GROUP
        return self._groups[device]
