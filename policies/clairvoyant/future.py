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
"""A sixteenth of the smallest piece is taken off the need that a rehearsal shows: the kernel's reserves shift with the
zones. Where that is too much, the plan's own rehearsal fails, and shows what was missing."""


_ALL: Final = -1
"""Instead of the number of a unit or block: all of the device."""


@dataclass(slots=True)
class _Piece:
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
        self._items: list[_Piece] = []
        self._units: dict[int, list[_Piece]] = {}
        self._steps: dict[int, list[tuple[int, int]]] = {}
        self._follow()
        block_pages = result.block_pages
        self._sizes = {device: max(result.device_groups[device].unit_pages, block_pages) for device in self._steps}
        self.future = Future(
            tuple(Item(piece.begin, piece.end, len(piece.most) * block_pages) for piece in self._items),
            tuple(Device(self._sizes[device], tuple(steps)) for device, steps in self._steps.items()),
            result.duration_us,
        )

    def _follow(self) -> None:
        """Follow what goes online and offline: pieces with a lifetime of their own, and steps of devices with units."""
        result, events = self._result, self._measured.events
        online: dict[tuple[int, int], _Piece] = {}
        signs = ONLINE_SIGN[events.kind]
        rows = np.flatnonzero((signs != 0) & (events.device != NO_DEVICE)).tolist()
        for row in rows:
            t_us, device = int(events.t_us[row]), int(events.device[row])
            group = result.device_groups[device]
            in_units = group.kind is GroupKind.DYNAMIC
            per_unit = max(1, group.unit_pages // result.block_pages)
            first = int(events.block[row])
            for block in range(first, first + int(events.blocks[row])):
                # A dynamic device consists of units, a static one is one piece, blocks without a group stand alone.
                number = block // per_unit if in_units else _ALL if group.kind is GroupKind.STATIC else block
                key = (device, number)
                piece = online.get(key)
                if signs[row] > 0:
                    if piece is None:
                        kernel = int(events.zone[row]) != ZONE_MOVABLE
                        piece = online[key] = _Piece(device, t_us, set(), set(), kernel)
                        if in_units:
                            self._units.setdefault(device, []).append(piece)
                            self._steps.setdefault(device, []).append((t_us, 1))
                        else:
                            self._items.append(piece)
                    piece.blocks.add(block)
                    piece.most.add(block)
                elif piece is not None:
                    piece.blocks.discard(block)
                    if not piece.blocks:
                        del online[key]
                        piece.end = t_us
                        if in_units:
                            self._steps[device].append((t_us, -1))
        for piece in online.values():
            piece.end = result.duration_us

    def kinds(self, plan: Plan | None = None) -> dict[int, list[tuple[int, bool]]]:
        """Return for each block when it is decided and whether it is then kernel memory, by ``plan`` or as it was."""
        pieces = [*self._items, *(piece for device in self._steps for piece in self._units[device])]
        kernel_memory = [piece.kernel for piece in pieces]
        if plan is not None:
            kernel_memory = [*plan.items, *(kernel for device in plan.devices for kernel in device)]
        kinds: dict[int, list[tuple[int, bool]]] = {}
        for piece, kernel in zip(pieces, kernel_memory, strict=True):
            for block in piece.most:
                kinds.setdefault(block, []).append((piece.begin, kernel))
        return {block: sorted(decided) for block, decided in kinds.items()}

    def needs(self) -> list[Need]:
        """Return the hotplugged kernel memory that the kernel needs over time.

        That is what there is, less what is free for kernel requests, less what user pages have borrowed: they are
        in kernel zones because ZONE_MOVABLE is full, and more of that instead would hold as many.
        """
        guest, series = self._result.guest, self._measured.series
        # A sample may be from before or after what else happened in its instant: what gives the smaller need counts.
        after = np.searchsorted(series.t_us, guest["t_us"], side="right") - 1
        before = np.maximum(np.searchsorted(series.t_us, guest["t_us"], side="left") - 1, 0)
        movable = np.minimum(series.movable[before], series.movable[after])
        kernel = np.minimum(series.hotplugged_kernel[before], series.hotplugged_kernel[after])
        borrowed = np.maximum(guest["user"] - np.maximum(movable - guest["free_movable"], 0), 0)
        need = kernel - guest["headroom_free"] - borrowed
        sizes = [*(len(piece.most) * self._result.block_pages for piece in self._items), *self._sizes.values()]
        need = np.maximum(need - min(sizes, default=0) // _DOUBT, 0)
        most: dict[int, int] = {}
        for t_us, pages in zip(guest["t_us"].tolist(), need.tolist(), strict=True):
            most[t_us] = max(most.get(t_us, 0), pages)
        return [Need(t_us, pages) for t_us, pages in most.items()]

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
