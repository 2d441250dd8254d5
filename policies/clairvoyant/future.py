"""What a rehearsed run says about the future: which memory comes when, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from policies.clairvoyant.plan import Device, Future, Item
from sim.memory.zones import ZONE_MOVABLE
from sim.record.device_group import GroupKind
from sim.record.events import ONLINE_SIGN, Events
from sim.record.recorder import NO_DEVICE

if TYPE_CHECKING:
    from policies.clairvoyant.plan import Plan
    from sim.record.run_result import RunResult

_ALL: Final = -1
"""Instead of the number of a unit or block: all of the device."""


@dataclass(slots=True)
class _Piece:
    """A static device or unit while it is online: its device, its blocks, since when, and which of all it was."""

    device: int
    begin: int
    number: int
    kernel: bool
    blocks: set[int]
    most: int = 0
    end: int = -1


class Outlook:
    """What one rehearsal shows. ``future`` is what a plan is made for; its pieces are decided one by one."""

    def __init__(self, result: RunResult) -> None:
        self._result = result
        self._pieces: list[_Piece] = []
        self._items: list[_Piece] = []
        self._units: dict[int, list[_Piece]] = {}
        self._steps: dict[int, list[tuple[int, int]]] = {}
        self._follow()
        block_pages = result.block_pages
        sizes = {device: max(result.device_groups[device].unit_pages, block_pages) for device in self._steps}
        self.future = Future(
            tuple(Item(piece.begin, piece.end, piece.most * block_pages) for piece in self._items),
            tuple(Device(sizes[device], tuple(steps)) for device, steps in self._steps.items()),
            result.duration_us,
        )

    def _follow(self) -> None:
        """Follow what goes online and offline: pieces with a lifetime of their own, and steps of devices with units."""
        result, events = self._result, Events.of(self._result.events)
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
                        piece = online[key] = _Piece(device, t_us, len(self._pieces), kernel, set())
                        self._pieces.append(piece)
                        if in_units:
                            self._units.setdefault(device, []).append(piece)
                            self._steps.setdefault(device, []).append((t_us, 1))
                        else:
                            self._items.append(piece)
                    piece.blocks.add(block)
                    piece.most = max(piece.most, len(piece.blocks))
                elif piece is not None:
                    piece.blocks.discard(block)
                    if not piece.blocks:
                        del online[key]
                        piece.end = t_us
                        if in_units:
                            self._steps[device].append((t_us, -1))
        for piece in online.values():
            piece.end = result.duration_us

    def script(self, plan: Plan | None = None) -> tuple[bool, ...]:
        """Return for each piece, as they come, whether it is kernel memory: by ``plan``, or as it was."""
        if plan is None:
            return tuple(piece.kernel for piece in self._pieces)
        pieces = [*self._items, *(piece for device in self._steps for piece in self._units[device])]
        kinds = [*plan.items, *(kernel for device in plan.devices for kernel in device)]
        by_number = {piece.number: kernel for piece, kernel in zip(pieces, kinds, strict=True)}
        return tuple(by_number[number] for number in range(len(self._pieces)))
