"""Event tables made up by a small model of blocks, for whatever reads events: no engine, no policy, any order."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, dynamic_group
from sim.record.guest_series import GUEST_SERIES
from sim.record.recorder import EventKind
from sim.record.run_result import SEVERAL_ZONES, BootMemory, BootRun, RunResult
from tests.support.reach import LONG

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK_PAGES = 32768
Run = tuple[int, int, int | str | None]  # first block, blocks, their state
GROUPS = (
    STATIC_GROUP,
    STATIC_GROUP,
    *(dynamic_group(blocks * BLOCK_PAGES) for blocks in (1, 4, 16)),
    WITHOUT_GROUP,
)

CHANGES = (EventKind.PLUG, EventKind.ADD, EventKind.ONLINE, EventKind.OFFLINE, EventKind.REMOVE, EventKind.UNPLUG,
           EventKind.REQUEST, EventKind.SUBPLUG)  # fmt: skip
"""What happens twice as often as the rest."""

ASKED = (EventKind.REQUEST, EventKind.FAILED, EventKind.DEVICE)
"""What the host alone does."""

SEEDS = range(2000 if LONG else 100)
"""Of the runs on which whatever reads events is compared with something plainer."""


@dataclass
class Machine:
    """The blocks of boot memory and devices, and a way to let something valid happen to them."""

    rng: random.Random
    boot_runs: list[BootRun]
    devices: list[tuple[int, int]]
    state: dict[int, int | str] = field(default_factory=dict)
    plugged: Counter[int] = field(default_factory=Counter)
    """Pages by device."""
    held: Counter[int] = field(default_factory=Counter)
    """Plugged pages by block; boot memory has none."""
    asked: dict[int, int] = field(default_factory=dict)
    rows: list[tuple[int, ...]] = field(default_factory=list)
    t_us: int = 0
    lasts: bool = True
    """Whether time goes on at all."""
    lives: bool = True
    """Whether the guest does: a dead one is asked, and does nothing."""

    def emit(
        self, kind: EventKind, device: int, block: int = -1, count: int = 0, zone: int = -1, pages: int = 0
    ) -> None:
        self.rows.append((self.t_us, int(kind), device, block, count, zone, pages))

    def run_of(self, device: int, wanted: set[int | str | None]) -> Run | None:
        """Return a random run (first, count, state) of adjacent blocks of the device that share one of these states."""
        blocks = self.blocks_of(device)
        fitting = [block for block in blocks if self.state.get(block) in wanted]
        if not fitting:
            return None
        first = self.rng.choice(fitting)
        count = 1
        longest = self.rng.choice((1, 1, 2, 8, len(blocks)))
        while count < longest and first + count in blocks and self.state.get(first + count) == self.state.get(first):
            count += 1
        return first, count, self.state.get(first)

    def blocks_of(self, device: int) -> range | list[int]:
        if device >= 0:
            first, count = self.devices[device]
            return range(first, first + count)
        return [run.first + i for run in self.boot_runs for i in range(run.blocks)]

    def change(
        self, kind: EventKind, device: int, run: tuple[int, int, int | str | None], state: int | str | None
    ) -> None:
        first, count, _ = run
        zone = state if kind in (EventKind.PLUG, EventKind.ONLINE) else run[2]
        pages = 0
        in_each = BLOCK_PAGES if count > 1 else self.rng.choice((BLOCK_PAGES, BLOCK_PAGES // 4, 512))
        for block in range(first, first + count):
            if kind in (EventKind.PLUG, EventKind.ADD):
                pages += in_each
                self.held[block] = in_each
            elif kind in (EventKind.REMOVE, EventKind.UNPLUG):
                pages += self.held.pop(block, 0)  # some of it may have gone page by page before
        self.emit(kind, device, first, count, zone if isinstance(zone, int) else -1, pages)
        self.plugged[device] += pages if kind in (EventKind.PLUG, EventKind.ADD) else -pages
        for block in range(first, first + count):
            if state is None:
                self.state.pop(block, None)
            else:
                self.state[block] = state

    def step(self) -> None:
        """Let one thing happen: of any kind, to any device, where it can."""
        self.t_us += self.lasts * self.rng.choice((0, 0, 1, 7, 1000, 3_000_000))
        kinds: list[EventKind] = [*EventKind, *CHANGES] if self.lives else list(ASKED)
        devices = [-1, *range(len(self.devices))]
        for kind in self.rng.sample(kinds, len(kinds)):
            for device in self.rng.sample(devices, len(devices)):
                if self.happens(kind, device):
                    return

    def happens(self, kind: EventKind, device: int) -> bool:
        """Let something of this kind happen to this device, if it can."""
        if device >= 0 or kind in (EventKind.ONLINE, EventKind.OFFLINE, EventKind.REFUSED):
            wanted: dict[EventKind, set[int | str | None]] = {
                EventKind.PLUG: {None},
                EventKind.ADD: {None},
                EventKind.ONLINE: {"offline"},
                EventKind.OFFLINE: {0, 1, 2, 3},
                EventKind.UNPLUG: {0, 1, 2, 3},
                EventKind.REMOVE: {"offline"},
                EventKind.SUBPLUG: {"offline", 2, 3},
                EventKind.SUBUNPLUG: {"offline", 2, 3},
                EventKind.REFUSED: {2, 3},
            }
            if kind in wanted:
                run = self.run_of(device, wanted[kind])
                return run is not None and self.blocks_change(kind, device, run)
        if kind in (EventKind.FAILED, EventKind.OOM, EventKind.DEATH) or device >= 0:
            return self.no_block_changes(kind, device)
        return False

    def blocks_change(self, kind: EventKind, device: int, run: Run) -> bool:
        rng = self.rng
        zone = rng.choice((ZONE_NORMAL, ZONE_MOVABLE, ZONE_MOVABLE))
        if kind == EventKind.REFUSED:
            self.emit(kind, device, run[0], run[1], int(run[2] or 0))
        elif kind in (EventKind.SUBPLUG, EventKind.SUBUNPLUG):
            block = rng.randrange(run[0], run[0] + run[1])
            most = BLOCK_PAGES - self.held[block] if kind == EventKind.SUBPLUG else self.held[block]
            if not most:
                return False
            pages = rng.choice((most, rng.randrange(most) + 1))
            self.emit(kind, device, block, 1, -1, pages)
            self.held[block] += pages if kind == EventKind.SUBPLUG else -pages
            self.plugged[device] += pages if kind == EventKind.SUBPLUG else -pages
        else:
            new: dict[EventKind, int | str] = {
                EventKind.PLUG: zone,
                EventKind.ONLINE: zone,
                EventKind.ADD: "offline",
                EventKind.OFFLINE: "offline",
            }
            self.change(kind, device, run, new.get(kind))
        return True

    def no_block_changes(self, kind: EventKind, device: int) -> bool:
        rng = self.rng
        if kind == EventKind.REQUEST:
            some = rng.randrange(20) * BLOCK_PAGES
            had = self.plugged[device]
            pages = rng.choice((some, self.asked.get(device, some), had, had // 2, max(0, had - BLOCK_PAGES)))
            self.asked[device] = pages
            self.emit(kind, device, pages=pages)
        elif kind == EventKind.FAILED:
            self.emit(kind, device, zone=rng.choice((12, 16)))
        elif kind == EventKind.OOM:
            self.emit(kind, -1, 0, 1, rng.randrange(3), rng.randrange(1000))
        elif kind == EventKind.DEATH:
            if rng.randrange(20):
                return False
            cause, available = rng.randrange(3), rng.randrange(1000)
            self.emit(EventKind.OOM, -1, 0, 1, cause, available)
            self.emit(kind, -1, zone=cause, pages=available)
            self.lives = False
        elif kind == EventKind.DEVICE:
            self.emit(kind, device, count=rng.randrange(2) if self.lives else 1)
        return True


def seeded_run(seed: int, steps: int = 80) -> RunResult:
    """Return the run that :func:`random_run` makes of ``seed``."""
    return random_run(random.Random(seed), steps)  # noqa: S311  nothing is kept secret


def random_run(rng: random.Random, steps: int = 80) -> RunResult:
    """Return a run in which up to ``steps`` random but valid things happen to random devices."""
    normal = rng.randrange(1, 8)
    movable = rng.choice((0, 0, 3))
    boot_runs = [BootRun(0, 1, SEVERAL_ZONES, 0), BootRun(1, normal, ZONE_NORMAL, 0)]
    if movable:
        boot_runs.append(BootRun(1 + normal + 2, movable, ZONE_MOVABLE, 0))
    cma = rng.choice((0, 0, 4096))
    first = 40
    devices = []
    for _ in range(rng.randrange(1, 4)):
        count = rng.choice((1, 4, 40))
        devices.append((first, count))
        first += count + rng.choice((0, 8))
    machine = Machine(rng, boot_runs, devices, lasts=rng.randrange(20) > 0)
    machine.state = {run.first + i: run.zone for run in boot_runs for i in range(run.blocks)}
    for _ in range(rng.randrange(steps + 1)):
        machine.step()
    duration_us = machine.t_us + machine.lasts * rng.choice((0, 1, 5_000_000))
    # Block 0 lacks the pages of a hole, as the first block of a PC does.
    kernel = (normal + 1) * BLOCK_PAGES - 97
    return RunResult(
        events=np.array(machine.rows, dtype=np.int64).reshape(-1, 7),
        device_names=tuple(f"device{i}" for i in range(len(devices))),
        device_nodes=tuple(0 for _ in devices),
        device_groups=tuple(rng.choice(GROUPS) for _ in devices) if rng.randrange(10) else (),
        block_pages=BLOCK_PAGES,
        duration_us=duration_us,
        boot=BootMemory(tuple(boot_runs), kernel, movable * BLOCK_PAGES, cma),
        configured_ratio=rng.choice((None, 0, 100, 301, 4_294_967_295)),
        counters={
            "decisions": rng.randrange(100),
            "failed_requests": rng.randrange(3),
            "failed_operations": rng.randrange(3),
        }
        if rng.randrange(10)
        else {},
        guest=_samples(rng, duration_us),
    )


def _samples(rng: random.Random, duration_us: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return what a guest may look like inside, several samples at some instants; nothing in every third run."""
    if not rng.randrange(3):
        return {}
    times = sorted([0, *(rng.randrange(duration_us + 1) for _ in range(rng.randrange(20)))])
    times += rng.sample(times, len(times) // 3)
    columns = {name: [rng.randrange(40 * BLOCK_PAGES) for _ in times] for name in GUEST_SERIES}
    return {name: np.array(values, dtype=np.int64) for name, values in {"t_us": sorted(times), **columns}.items()}
