"""What has to add up at the end of every device test: the events, the series, drivers, memory and the guest.

Each of them keeps its own account of what is plugged; here they are laid side by side, by plain loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.virtio_mem import VirtioMem
from sim.memory.blocks import BlockTable
from sim.memory.zones import NR_ZONES
from sim.record.recorder import EventKind
from sim.record.run_result import RunResult
from sim.record.series import device_series, run_series
from tests.support.invariants import CHECKS

if TYPE_CHECKING:
    from tests.devices.rig import Rig
    from workloads.contract import Host

_GIVES = (EventKind.PLUG, EventKind.ADD, EventKind.SUBPLUG)
_TAKES = (EventKind.REMOVE, EventKind.UNPLUG, EventKind.SUBUNPLUG)
_COMES_ONLINE = (EventKind.PLUG, EventKind.ONLINE)
_LEAVES_ZONE = (EventKind.OFFLINE, EventKind.UNPLUG)
_COMES_OFFLINE = (EventKind.ADD, EventKind.OFFLINE)
_WITHOUT_ZONE = (
    EventKind.ADD,
    EventKind.REMOVE,
    EventKind.SUBPLUG,
    EventKind.SUBUNPLUG,
    EventKind.REQUEST,
    EventKind.DEVICE,
)


def check_books(rig: Rig) -> None:
    """Raise AssertionError where two accounts of the same memory differ."""
    check_record(rig)
    check_series(rig)
    check_drivers(rig)
    check_managed(rig)
    check_guest(rig)
    check_work(rig)
    for check in CHECKS.values():
        check(rig.subject)


def check_work(rig: Rig) -> None:
    """Those who are at work are counted as the devices say."""
    threads = rig.core.threads
    assert threads.at_work == sum(worker.busy for worker in threads._workers)  # noqa: SLF001
    assert threads.at_rest == (not threads.due and not any(device.busy for device in rig.host.devices.values()))


def check_record(rig: Rig) -> None:
    """Played back from boot on, the events lead to the zone of every block that there is, and to no other."""
    zones: dict[int, int | str] = {}
    for first, count, zone, _ in rig.boot.runs:
        zones |= dict.fromkeys(range(first, first + count), "offline" if zone == NR_ZONES else zone)
    for _, number, device, first, count, zone, _ in rig.recorder.table().tolist():
        kind = EventKind(number)
        assert -1 <= device < len(rig.recorder.device_names), f"{kind.name} of device {device}, which is none"
        assert zone == -1 or kind not in _WITHOUT_ZONE, f"{kind.name} in zone {zone}, which does not apply"
        blocks = range(first, first + count)
        if kind in _LEAVES_ZONE:
            assert {zones[block] for block in blocks} == {zone}, f"{kind.name} of block {first} names the zone it left"
        if kind in _COMES_ONLINE:
            zones |= dict.fromkeys(blocks, zone)
        elif kind in _COMES_OFFLINE:
            zones |= dict.fromkeys(blocks, "offline")
        elif kind in {EventKind.REMOVE, EventKind.UNPLUG}:
            for block in blocks:
                del zones[block]
    memory = rig.memory
    found: dict[int, int | str] = {}
    for block in memory.blocks.ids():
        home = memory.zone_of(block)
        mixed: int | str = -1 if memory.blocks.is_online(block) else "offline"
        found[block] = mixed if home is None else home.type
    assert zones == found


def check_result(result: RunResult, host: Host) -> None:
    """What a whole run leaves behind agrees with its host: plugged by events, in the series and as the host sees it.

    Counters are the numbers of the events that they count.
    """
    plugged = _summed_up(result.events.tolist(), len(result.device_names))
    assert run_series(result).plugged[-1] == sum(plugged)
    for index, name in enumerate(result.device_names):
        assert device_series(result, index).plugged[-1] == plugged[index]
        if name not in result.device_names[index + 1 :]:
            assert host.plugged(name) == plugged[index] * result.page_size, name
    kinds = result.events[:, 1].tolist()
    counters = result.counters
    assert kinds.count(EventKind.FAILED) == counters["failed_requests"] + counters["failed_operations"]
    assert kinds.count(EventKind.REFUSED) == counters["refused_offlines"]
    assert result.events[:, 0].tolist() == sorted(result.events[:, 0].tolist())
    assert result.events[-1:, 0].tolist() <= [result.duration_us]


def plugged_by_events(rig: Rig) -> list[int]:
    """Pages that each device has plugged, summed up event by event."""
    return _summed_up(rig.recorder.table().tolist(), len(rig.recorder.device_names))


def _summed_up(events: list[list[int]], devices: int) -> list[int]:
    plugged = [0] * devices
    for _, number, device, _, _, _, pages in events:
        if device < 0:
            assert not pages or number not in (*_GIVES, *_TAKES)
        elif number in _GIVES:
            plugged[device] += pages
        elif number in _TAKES:
            plugged[device] -= pages
        assert device < 0 or plugged[device] >= 0
    return plugged


def plugged_in_blocks(rig: Rig) -> list[int]:
    """Pages that each device has plugged, by the blocks of its group and what its driver has not plugged of them."""
    memory, core = rig.memory, rig.core
    plugged = [0] * len(rig.recorder.device_names)
    for block in memory.blocks.ids():
        group = memory.blocks.group[block]
        if group >= 0:
            owner = core.owners.get(group)
            plugged[core.device_of[group]] += memory.block_pages - (owner.unplugged_pages(block) if owner else 0)
    return plugged


def check_drivers(rig: Rig) -> None:
    """Events, blocks, drivers and the host agree about what every device has plugged."""
    plugged = plugged_by_events(rig)
    if not rig.behind_the_drivers_back:
        assert plugged == plugged_in_blocks(rig)
        for device in rig.made:
            assert plugged[device.index] == device.plugged_pages, device.name
    names = rig.recorder.device_names
    for index, name in enumerate(names):
        if rig.host.present(name) and name not in names[index + 1 :]:
            assert rig.host.plugged(name) == plugged[index] * rig.context.page_bytes, name
    assert rig.context.failures == sum(number == EventKind.FAILED for number in rig.recorder.table()[:, 1].tolist()) - (
        rig.host.failed_requests
    )
    if rig.until_next() == float("inf"):
        assert not rig.core.lock.held, "nothing will ever happen any more, and somebody holds the lock"
        assert not any(device.busy for device in rig.made)


def check_series(rig: Rig) -> None:
    """The series end with what the devices have plugged and were asked for last."""
    recorder = rig.recorder
    result = RunResult(
        events=recorder.table(),
        device_names=tuple(recorder.device_names),
        device_nodes=tuple(recorder.device_nodes),
        device_groups=tuple(recorder.device_groups),
        block_pages=rig.memory.block_pages,
        duration_us=int(rig.env.now),
        boot=rig.boot,
        configured_ratio=None,
        counters={},
    )
    series = run_series(result)
    plugged = plugged_by_events(rig)
    assert series.plugged[-1] == sum(plugged)
    system = rig.memory.system
    assert (series.auto_movable[-1], series.kernel[-1]) == (system.movable, system.kernel)
    offline = sum(not rig.memory.blocks.is_online(block) for block in rig.memory.blocks.ids())
    assert series.offline[-1] == offline * rig.memory.block_pages
    for device in rig.made:
        own = device_series(result, device.index)
        assert own.plugged[-1] == plugged[device.index]
        if isinstance(device, VirtioMem):
            assert own.requested[-1] * rig.context.page_bytes == device.requested


def check_managed(rig: Rig) -> None:
    """A zone manages what boot left beside whole blocks, and of its blocks what is plugged and holds no memmap."""
    memory, core = rig.memory, rig.core
    managed = dict(rig.managed_at_boot)
    for _, count, zone_type, node in rig.boot.runs:
        if 0 <= zone_type < NR_ZONES:
            managed[node, zone_type] -= count * memory.block_pages
    for block in memory.blocks.ids():
        home = memory.zone_of(block)
        if home is not None:
            owner = core.owners.get(memory.blocks.group[block])
            pages = memory.block_pages - (0 if owner is None else owner.unplugged_pages(block))
            hosts = memory.blocks.flags[block] & BlockTable.SELF_HOSTED
            managed[home.node, home.type] = (
                managed.get((home.node, home.type), 0) + pages - (memory.altmap_pages if hosts else 0)
            )
    for zone in memory.zone_by_code:
        if zone is not None:
            assert zone.managed == managed.get((zone.node, zone.type), 0)


def check_guest(rig: Rig) -> None:
    """A zone was handed what it manages more than at boot, and the guest holds a memmap for every block added."""
    guest, memory = rig.guest, rig.memory
    if guest is None:
        return
    for zone in memory.zone_by_code:
        if zone is None:
            continue
        hosted = sum(
            memory.blocks.where[block] == zone.code and bool(memory.blocks.flags[block] & BlockTable.SELF_HOSTED)
            for block in memory.blocks.ids()
        )
        grown = zone.managed - rig.managed_at_boot.get((zone.node, zone.type), 0)
        assert guest.pages.get((zone.node, zone.type), 0) == grown + hosted * memory.altmap_pages
    added = {block for block in memory.blocks.ids() if not memory.blocks.flags[block] & BlockTable.EARLY}
    assert guest.with_memmap == added
