"""What became of a machine by the files that a run has left, read row by row: the slow plain second way to say it.

It knows nothing of how ``sim.what_if`` looks at a run. Pages throughout.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.record.recorder import EVENT_COLUMNS, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.record.run_result import RunResult

LABELS = {-1: "several zones", 0: "DMA", 1: "DMA32", 2: "Normal", 3: "Movable"}


@dataclass
class Machine:
    """Blocks by id with what they are, and by device what is plugged and what was asked for last."""

    blocks: dict[int, str]
    plugged: Counter[str] = field(default_factory=Counter)
    requested: dict[str, int] = field(default_factory=dict)
    movable: int = 0
    kernel: int = 0


@dataclass
class Window:
    """What happened between two moments: errno numbers of failures, refused blocks, kills, a death."""

    failures: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    kills: int = 0
    died: bool = False
    last_us: int | None = None


class Reread:
    """A run, gone through once: :meth:`until` moves ``machine`` on and tells what happened on the way."""

    def __init__(self, result: RunResult) -> None:
        blocks: dict[int, str] = {}
        for first, count, zone, _ in result.boot.runs:
            blocks.update(dict.fromkeys(range(first, first + count), LABELS[zone]))
        self.machine = Machine(blocks, movable=result.boot.movable_pages, kernel=result.boot.kernel_pages)
        self._result = result
        self._rows = self._read(result)
        self._next = next(self._rows, None)

    @staticmethod
    def _read(result: RunResult) -> Iterator[dict[str, int]]:
        for row in result.events:
            yield dict(zip(EVENT_COLUMNS, map(int, row), strict=True))

    def until(self, t_us: int | None) -> Window:
        """Go on to what happens at ``t_us`` (not including it; to the end where None)."""
        window = Window()
        while self._next is not None and (t_us is None or self._next["t_us"] < t_us):
            self._take(self._next, window)
            self._next = next(self._rows, None)
        return window

    def _take(self, row: dict[str, int], window: Window) -> None:
        window.last_us = row["t_us"]
        self._take_blocks(row)
        self._take_devices(row)
        match EventKind(row["kind"]):
            case EventKind.FAILED:
                window.failures[row["zone"]] += 1
            case EventKind.REFUSED:
                window.refused += row["count"]
            case EventKind.OOM:
                window.kills += 1
            case EventKind.DEATH:
                window.died = True

    def _take_blocks(self, row: dict[str, int]) -> None:
        blocks = self.machine.blocks
        ids = range(row["block"], row["block"] + row["count"])
        match EventKind(row["kind"]):
            case EventKind.PLUG | EventKind.ONLINE:
                blocks.update(dict.fromkeys(ids, LABELS[row["zone"]]))
                self._present(row["zone"], row["count"])
            case EventKind.ADD:
                blocks.update(dict.fromkeys(ids, "offline"))
            case EventKind.OFFLINE:
                blocks.update(dict.fromkeys(ids, "offline"))
                self._present(row["zone"], -row["count"])
            case EventKind.REMOVE:
                self._gone(ids)
            case EventKind.UNPLUG:
                self._gone(ids)
                self._present(row["zone"], -row["count"])

    def _take_devices(self, row: dict[str, int]) -> None:
        device = self._result.device_names[row["device"]] if row["device"] >= 0 else ""
        match EventKind(row["kind"]):
            case EventKind.REQUEST:
                self.machine.requested[device] = row["pages"]
            case EventKind.PLUG | EventKind.ADD | EventKind.SUBPLUG:
                self.machine.plugged[device] += row["pages"]
            case EventKind.REMOVE | EventKind.UNPLUG | EventKind.SUBUNPLUG:
                self.machine.plugged[device] -= row["pages"]
            case EventKind.DEVICE if row["count"] == 0:
                self.machine.plugged.pop(device, None)

    def _gone(self, ids: range) -> None:
        for block in ids:
            del self.machine.blocks[block]

    def _present(self, zone: int, blocks: int) -> None:
        pages = blocks * self._result.block_pages
        if zone == 3:
            self.machine.movable += pages
        else:
            self.machine.kernel += pages
