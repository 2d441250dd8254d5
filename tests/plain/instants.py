"""What there is at every moment of a run, block by block, straight from its events."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.plain.run_files import (
    ADD,
    DEVICE,
    MOVABLE,
    OFFLINE,
    ONLINE,
    PLUG,
    REMOVE,
    REQUEST,
    SUBPLUG,
    SUBUNPLUG,
    UNPLUG,
)

if TYPE_CHECKING:
    from tests.plain.run_files import PlainRun

STATIC = 0
"""Among the units of devices: the device has a static group."""


@dataclass
class Instant:
    """Everything there is at one moment; it lasts ``dt`` microseconds. Pages throughout."""

    t: int
    dt: int
    zones: dict[int, object]
    movable: int
    kernel: int
    MV: int
    KE: int
    hotplugged: int
    hotplugged_movable: int
    hotplugged_kernel: int
    offline: int
    plugged: int
    online: int
    requested: int
    arrived: int
    not_given: int
    wanted_movable: int
    mixed_groups: int
    mixed_units: int
    zone_changes: int


@dataclass
class Machine:
    """What a run's events have done so far: zones of blocks (or "offline"), and what devices have and are asked for."""

    run: PlainRun
    zones: dict[int, object]
    boot: set[int]
    owner: dict[int, int]
    plugged: dict[int, int]
    asked: dict[int, int]
    held: dict[int, int]
    """Pages of each block that its device has plugged."""

    def happens(self, kind: int, device: int, block: int, count: int, zone: int, pages: int) -> None:  # noqa: C901
        """Let one event happen."""
        blocks = range(block, block + count)
        if kind in (PLUG, ONLINE):
            self.zones |= dict.fromkeys(blocks, zone)
        elif kind in (ADD, OFFLINE):
            self.zones |= dict.fromkeys(blocks, "offline")
        elif kind in (REMOVE, UNPLUG):
            for gone in blocks:
                del self.zones[gone]
                self.held.pop(gone, None)
        if kind in (PLUG, ADD):
            self.owner |= dict.fromkeys(blocks, device)
        if kind in (PLUG, ADD, SUBPLUG):
            self.plugged[device] = self.plugged.get(device, 0) + pages
            self.held |= {block: self.held.get(block, 0) + pages // count for block in blocks if device >= 0}
        elif kind in (REMOVE, UNPLUG, SUBUNPLUG):
            self.plugged[device] = self.plugged.get(device, 0) - pages
            if kind == SUBUNPLUG:
                self.held[block] -= pages
        elif kind == REQUEST:
            self.asked[device] = pages
        elif kind == DEVICE and count == 0:
            self.asked[device] = 0

    def look(self, t: int) -> Instant:
        """Return what there is now."""
        run, size = self.run, self.run.block_pages
        online_of: dict[int, int] = {}
        movable_of: dict[int, int] = {}
        for block, state in self.zones.items():
            device = self.owner.get(block, -1)
            if state != "offline" and block in self.held:
                online_of[device] = online_of.get(device, 0) + self.held[block]
            if state == MOVABLE and device >= 0:
                movable_of[device] = movable_of.get(device, 0) + size
        # What boot memory lacks of whole blocks (holes, zones that share a block) is the same at all times.
        boot_zones = [zone for _, count, zone, _ in run.boot_runs for _ in range(count)]
        kernel_off = run.kernel_pages - size * sum(zone != MOVABLE for zone in boot_zones)
        movable_off = run.movable_pages - size * sum(zone == MOVABLE for zone in boot_zones)
        early = [state for block, state in self.zones.items() if block in self.boot]
        hot = [state for block, state in self.zones.items() if block not in self.boot]
        movable = size * (early.count(MOVABLE) + hot.count(MOVABLE)) + movable_off
        groups, units = self.mixed()
        online = [self.zones[block] == MOVABLE for block in sorted(self.zones) if self.zones[block] != "offline"]
        return Instant(
            t=t, dt=0, zones=dict(self.zones), movable=movable,
            kernel=size * (_kernel(early) + _kernel(hot)) + kernel_off, MV=movable + run.cma_pages,
            KE=size * _kernel(early) + kernel_off - run.cma_pages,
            hotplugged=size * len(hot), hotplugged_movable=size * hot.count(MOVABLE),
            hotplugged_kernel=size * _kernel(hot),
            offline=size * (early.count("offline") + hot.count("offline")),
            plugged=sum(self.plugged.values()), online=sum(online_of.values()), requested=sum(self.asked.values()),
            arrived=sum(min(size, online_of.get(device, 0)) for device, size in self.asked.items()),
            not_given=sum(max(0, self.plugged.get(device, 0) - size) for device, size in self.asked.items()),
            wanted_movable=sum(min(pages, self.asked.get(device, pages)) for device, pages in movable_of.items()),
            mixed_groups=groups, mixed_units=units, zone_changes=sum(a != b for a, b in pairwise(online)),
        )  # fmt: skip

    def mixed(self) -> tuple[int, int]:
        """Return how many static groups, and units of dynamic ones, are in both kinds of zones."""
        run = self.run
        groups: dict[int, set[bool]] = {}
        units: dict[tuple[int, int], set[bool]] = {}
        for block, state in self.zones.items():
            if state == "offline" or block in self.boot or not run.units:
                continue
            device = self.owner[block]
            unit = run.units[device]
            if unit == STATIC:
                groups.setdefault(device, set()).add(state == MOVABLE)
            elif unit > run.block_pages:
                units.setdefault((device, block * run.block_pages // unit), set()).add(state == MOVABLE)
        return sum(len(kinds) == 2 for kinds in groups.values()), sum(len(kinds) == 2 for kinds in units.values())


def _kernel(states: list[object]) -> int:
    """Return how many of ``states`` are kernel zones; SEVERAL zones that share a block are."""
    return len(states) - states.count("offline") - states.count(MOVABLE)


def instants(run: PlainRun) -> list[Instant]:
    """Return what there is from each moment at which something happened (and from 0) to the next."""
    zones = {first + i: zone for first, count, zone, _ in run.boot_runs for i in range(count)}
    machine = Machine(run, dict(zones), set(zones), {}, {}, {}, {})
    found = [machine.look(0)]
    for row, after in pairwise([*run.events, None]):
        assert row is not None
        machine.happens(*row[1:])
        if after is None or after[0] > row[0]:
            look = machine.look(row[0])
            if found[-1].t == look.t:
                found[-1] = look
            else:
                found.append(look)
    for now, then in pairwise(found):
        now.dt = then.t - now.t
    found[-1].dt = run.duration_us - found[-1].t
    return found
