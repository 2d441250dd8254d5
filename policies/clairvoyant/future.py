"""What a rehearsed run says about the future: what comes when, what the kernel needs of it, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from policies.clairvoyant.plan import Device, Future, Item, Need
from sim.guest.contract import OomKind
from sim.memory.zones import ZONE_MOVABLE
from sim.record.device_group import GroupKind
from sim.record.events import ONLINE_SIGN
from sim.record.recorder import NO_DEVICE
from sim.scores.measured import Measured, integral
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from policies.clairvoyant.plan import Plan
    from sim.record.run_result import RunResult

_DOUBT: Final = 16
"""The need that a rehearsal shows is trusted but for a sixteenth of the smallest whole: reserves shift with the zones.
What that is too little, a failed rehearsal shows."""


_ALL: Final = -1
"""Instead of the number of a unit or block: all of the device."""


@dataclass(slots=True)
class _Whole:
    """A static device or unit while it is online: its device, its blocks and since when."""

    device: int
    begin: int
    blocks: set[int]
    most: set[int]
    kernel: bool
    end: int = -1


class Outlook:
    """What one rehearsal with a modelled guest shows. ``future`` is what a plan is made for."""

    def __init__(self, result: RunResult) -> None:
        self._result = result
        self._measured = Measured(result)
        self._items: list[_Whole] = []
        self._units: dict[int, list[_Whole]] = {}
        self._steps: dict[int, list[tuple[int, int]]] = {}
        self._follow()
        block_pages = result.block_pages
        self._sizes = {device: max(result.device_groups[device].unit_pages, block_pages) for device in self._steps}
        self.future = Future(
            tuple(Item(whole.begin, whole.end, len(whole.most) * block_pages) for whole in self._items),
            tuple(Device(self._sizes[device], tuple(steps)) for device, steps in self._steps.items()),
            result.duration_us,
        )

    def _follow(self) -> None:
        """Follow what goes online and offline: wholes with a lifetime of their own, and steps of devices with units."""
        result, events = self._result, self._measured.events
        online: dict[tuple[int, int], _Whole] = {}
        signs = ONLINE_SIGN[events.kind]
        rows = np.flatnonzero((signs != 0) & (events.device != NO_DEVICE)).tolist()
        for row in rows:
            t_us, device = int(events.t_us[row]), int(events.device[row])
            group = result.device_groups[device]
            in_units = group.kind is GroupKind.DYNAMIC
            per_unit = max(1, group.unit_pages // result.block_pages)
            first = int(events.block[row])
            for block in range(first, first + int(events.blocks[row])):
                # A dynamic device consists of units, a static one is whole, blocks without a group stand alone.
                number = block // per_unit if in_units else _ALL if group.kind is GroupKind.STATIC else block
                key = (device, number)
                whole = online.get(key)
                if signs[row] > 0:
                    if whole is None:
                        kernel = int(events.zone[row]) != ZONE_MOVABLE
                        whole = online[key] = _Whole(device, t_us, set(), set(), kernel)
                        if in_units:
                            self._units.setdefault(device, []).append(whole)
                            self._steps.setdefault(device, []).append((t_us, 1))
                        else:
                            self._items.append(whole)
                    whole.blocks.add(block)
                    whole.most.add(block)
                elif whole is not None:
                    whole.blocks.discard(block)
                    if not whole.blocks:
                        del online[key]
                        whole.end = t_us
                        if in_units:
                            self._steps[device].append((t_us, -1))
        for whole in online.values():
            whole.end = result.duration_us

    def kinds(self, plan: Plan | None = None) -> dict[int, list[tuple[int, bool]]]:
        """Return for each block when it is decided and whether it is then kernel memory, by ``plan`` or as it was."""
        wholes = [*self._items, *(whole for device in self._steps for whole in self._units[device])]
        as_planned = [whole.kernel for whole in wholes]
        if plan is not None:
            as_planned = [*plan.items, *(kernel for device in plan.devices for kernel in device)]
        found: dict[int, list[tuple[int, bool]]] = {}
        for whole, kernel in zip(wholes, as_planned, strict=True):
            for block in whole.most:
                found.setdefault(block, []).append((whole.begin, kernel))
        return {block: sorted(kinds) for block, kinds in found.items()}

    def needs(self) -> list[Need]:
        """Return the hotplugged kernel memory that the kernel needs over time.

        That is what there is, less what kernel requests could still take, less what user pages have borrowed: they are
        in kernel zones because ZONE_MOVABLE is full, and more of that instead would hold as many.
        """
        guest, series = self._result.guest, self._measured.series
        # A sample may be from before or after what else happened in its instant: what gives the smaller need counts.
        after = np.searchsorted(series.t_us, guest["t_us"], side="right") - 1
        before = np.maximum(np.searchsorted(series.t_us, guest["t_us"], side="left") - 1, 0)
        movable = np.minimum(series.movable[before], series.movable[after])
        kernel = np.minimum(series.hotplugged_kernel[before], series.hotplugged_kernel[after])
        borrowed = np.maximum(guest["user"] - np.maximum(movable - guest["free_movable"], 0), 0)
        need = kernel - guest["headroom"] - borrowed
        sizes = [*(len(whole.most) * self._result.block_pages for whole in self._items), *self._sizes.values()]
        need = np.maximum(need - min(sizes, default=0) // _DOUBT, 0)
        found: dict[int, int] = {}
        for t_us, pages in zip(guest["t_us"].tolist(), need.tolist(), strict=True):
            found[t_us] = max(found.get(t_us, 0), pages)
        return [Need(t_us, pages) for t_us, pages in found.items()]

    @cached_property
    def _failures(self) -> list[int]:
        """Rows of the events in which the kernel lacked memory."""
        events = self._measured.events
        return [int(row) for row in np.flatnonzero(events.ooms(OomKind.KERNEL) | events.failed_adds())]

    @property
    def kernel_failures(self) -> int:
        """How often a kernel request or an addition of memory failed."""
        return len(self._failures)

    @property
    def ooms(self) -> int:
        """How often the out-of-memory killer ran, for whatever reason."""
        return int(self._measured.events.ooms().sum())

    @property
    def failure(self) -> Need | None:
        """What ruled this run out: at the moment of its first failure more than this was needed. None if it held."""
        if not self._failures:
            return None
        row, events = self._failures[0], self._measured.events
        before = events.take(np.arange(row))
        to_kernel = (before.device != NO_DEVICE) & (before.zone != ZONE_MOVABLE)
        blocks = int(before.online_change()[to_kernel].sum())
        # What comes in the same instant comes too late: a block's memmap is taken before the block can help.
        return Need(max(0, int(events.t_us[row]) - 1), blocks * self._result.block_pages + 1)

    @property
    def movable_page_seconds(self) -> float:
        """Hotplugged MOVABLE memory over time."""
        series = self._measured.series
        return integral(series.hotplugged_movable, series.dt_us) / MICROSECONDS
