"""Compares the model's blocks, zones and devices with what was recorded after a step, and notes what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.devices.dax import Dax
from sim.devices.specs import DAX_STATE_SINCE
from sim.devices.virtio_mem import VirtioMem
from sim.memory.blocks import BLOCK_ABSENT
from sim.memory.zones import ZONE_LABELS, OnlineType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.devices.dimm import Dimm
    from sim.kernel.hotplug_core import HotplugCore
    from sim.replay.report import ReplayReport
    from sim.replay.trace_format import DeviceEntry, Snapshot, Step

_ZONE_FIGURES: Final = ("present_pages", "start_pfn", "spanned_pages", "cma_pages")


class SnapshotComparison:
    """Compares snapshots with the memory of ``core`` as it is at the moment, and notes in ``report`` what differs."""

    def __init__(self, core: HotplugCore, report: ReplayReport) -> None:
        self._core = core
        self._memory = core.memory
        self._report = report

    def blocks(self, step: int, snapshot: Snapshot) -> None:
        """Compare every block: whether it is there and online, its zone and node, and where ``online`` would put it."""
        blocks, report = self._memory.blocks, self._report
        compared = 0
        for run in snapshot.blocks:
            for block in range(run.start, run.start + run.count):
                compared += 1
                if not blocks.exists(block):
                    report.differs_in_block(step, block, _in_words(run.state, run.zone), "absent")
                    continue
                recorded: tuple[object, ...] = (run.state, run.zone, run.node)
                state = "online" if blocks.is_online(block) else "offline"
                simulated: tuple[object, ...] = (state, self._memory.zone_label(block), blocks.node[block])
                if run.state == state == "offline" and run.valid_zones:
                    recorded += (run.valid_zones.split()[0],)
                    simulated += (ZONE_LABELS[self._core.zone_choice.choose(int(OnlineType.ONLINE), block)],)
                if recorded != simulated:
                    report.differs_in_block(step, block, list(recorded), list(simulated))
        report.blocks_compared += compared
        # Counting comes first, for a set of all blocks is slow to make and is seldom needed.
        if compared != len(blocks.where) - blocks.where.count(BLOCK_ABSENT):
            listed = {block for run in snapshot.blocks for block in range(run.start, run.start + run.count)}
            for block in blocks.ids():
                if block not in listed:
                    report.differs_in_block(step, block, "absent", self._memory.zone_label(block) or "offline")

    def zones_of_online_blocks(self, step: int, snapshot: Snapshot) -> None:
        """Compare the zone of every block that is online in the recording and in the model."""
        blocks = self._memory.blocks
        for run in snapshot.blocks:
            for block in range(run.start, run.start + run.count):
                if run.state == "online" and blocks.is_online(block):
                    self._report.blocks_compared += 1
                    recorded, simulated = (run.zone, run.node), (self._memory.zone_label(block), blocks.node[block])
                    if recorded != simulated:
                        self._report.differs_in_block(step, block, list(recorded), list(simulated))

    def zones(self, step: int, snapshot: Snapshot) -> None:
        """Compare present pages, span and CMA of every zone of every node."""
        recorded = {
            (zone.node, zone.zone): (
                zone.present_pages,
                zone.start_pfn if zone.spanned_pages else 0,
                zone.spanned_pages,
                zone.cma_pages,
            )
            for zone in snapshot.zones
            if zone.zone != "Device"
        }
        simulated = {
            (node.id, ZONE_LABELS[zone.type]): (zone.present, zone.start, zone.spanned, zone.cma if zone.present else 0)
            for node in self._memory.nodes.values()
            for zone in node.zones
            if zone is not None
        }
        for node, zone in sorted(recorded.keys() | simulated.keys()):
            theirs, ours = recorded.get((node, zone), (0,) * 4), simulated.get((node, zone), (0,) * 4)
            if theirs != ours:
                figures = (dict(zip(_ZONE_FIGURES, values, strict=True)) for values in (theirs, ours))
                self._report.differs_in_zone(step, f"{node}/{zone}", *figures)

    def plugged_sizes(
        self, step: int, entries: Iterable[DeviceEntry], devices: Mapping[str, Dimm | VirtioMem | Dax]
    ) -> None:
        """Compare what every virtio-mem device has plugged."""
        for entry in entries:
            device = devices.get(entry.id)
            if entry.type == "virtio-mem" and entry.size is not None:
                simulated = device.plugged if isinstance(device, VirtioMem) else None
                if simulated != entry.size:
                    self._report.differs_in_size(step, entry.id, entry.size, simulated)

    def addresses(self, step: int, recorded: Iterable[DeviceEntry], placed: Mapping[str, DeviceEntry]) -> None:
        """Compare which devices are attached, and where the machine has put each."""
        theirs = {entry.id: entry.start for entry in recorded if entry.start is not None}
        ours = {name: entry.start for name, entry in placed.items()}
        for name in sorted(theirs.keys() | ours.keys()):
            if theirs.get(name) != ours.get(name):
                self._report.differs_in_address(step, name, theirs.get(name), ours.get(name))

    def dax_states(self, step: int, recorded: Step, devices: Mapping[str, Dimm | VirtioMem | Dax]) -> None:
        """Compare the ``state`` of every dax device where the kernel has one, and whether a word was refused."""
        if self._core.series < DAX_STATE_SINCE:
            return
        for entry in recorded.devices or ():
            device = devices.get(entry.id)
            if isinstance(device, Dax) and "dax_state" in entry.model_fields_set and device.state != entry.dax_state:
                self._report.differs_in_state(step, entry.id, entry.dax_state, device.state)
        device = devices.get(recorded.id or "")
        if recorded.op == "set_dax_state" and isinstance(device, Dax):
            simulated = "ok" if device.error is None else "error"
            if recorded.result != simulated:
                self._report.differs_in_state(step, device.name, recorded.result, simulated)


def _in_words(state: str, zone: str | None) -> str:
    return state if zone is None else f"{state} {zone}"
