"""Event tables made up by a small model of blocks, for whatever reads events: no engine, no policy, any order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sim.guest_link import SERIES
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.observe import EventKind
from sim.run_result import BootMemory, RunResult

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK_PAGES = 32768
Run = tuple[int, int, int | str | None]  # first block, blocks, their state
UNITS = (0, 0, BLOCK_PAGES, 4 * BLOCK_PAGES, 16 * BLOCK_PAGES, -1)


@dataclass
class Machine:
    """The blocks of boot memory and devices, and a way to let something valid happen to them."""

    rng: random.Random
    boot_runs: list[tuple[int, int, int, int]]
    devices: list[tuple[int, int]]
    state: dict[int, int | str] = field(default_factory=dict)
    rows: list[tuple[int, ...]] = field(default_factory=list)
    t_us: int = 0

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
        return [first + i for first, count, _, _ in self.boot_runs for i in range(count)]

    def change(
        self, kind: EventKind, device: int, run: tuple[int, int, int | str | None], state: int | str | None
    ) -> None:
        first, count, _ = run
        zone = state if kind in (EventKind.PLUG, EventKind.ONLINE) else run[2]
        plugs = kind not in (EventKind.ONLINE, EventKind.OFFLINE)
        self.emit(kind, device, first, count, zone if isinstance(zone, int) else -1, plugs * count * BLOCK_PAGES)
        for block in range(first, first + count):
            if state is None:
                self.state.pop(block, None)
            else:
                self.state[block] = state

    def step(self) -> None:  # noqa: C901, PLR0912  one branch for each kind of event
        """Let one thing happen."""
        rng = self.rng
        self.t_us += rng.choice((0, 0, 1, 7, 1000, 3_000_000))
        device = rng.randrange(-1, len(self.devices))
        zone = rng.choice((ZONE_NORMAL, ZONE_MOVABLE, ZONE_MOVABLE))
        boot = device < 0
        kind = rng.choice(list(EventKind))
        if kind in (EventKind.PLUG, EventKind.ADD) and not boot:
            if run := self.run_of(device, {None}):
                self.change(kind, device, run, zone if kind == EventKind.PLUG else "offline")
        elif kind == EventKind.ONLINE:
            if run := self.run_of(device, {"offline"}):
                self.change(kind, device, run, zone)
        elif kind == EventKind.OFFLINE or (kind == EventKind.UNPLUG and not boot):
            if run := self.run_of(device, {0, 1, 2, 3}):
                self.change(kind, device, run, "offline" if kind == EventKind.OFFLINE else None)
        elif kind == EventKind.REMOVE and not boot:
            if run := self.run_of(device, {"offline"}):
                self.change(kind, device, run, None)
        elif kind in (EventKind.SUBPLUG, EventKind.SUBUNPLUG) and not boot:
            if run := self.run_of(device, {"offline", 2, 3}):
                self.emit(kind, device, run[0], 1, -1, rng.randrange(1, 512))
        elif kind == EventKind.REQUEST and not boot:
            self.emit(kind, device, pages=rng.randrange(20) * BLOCK_PAGES)
        elif kind == EventKind.REFUSED:
            if run := self.run_of(device, {2, 3}):
                self.emit(kind, device, run[0], run[1], int(run[2] or 0))
        elif kind == EventKind.FAILED:
            self.emit(kind, device, zone=rng.choice((12, 16)))
        elif kind == EventKind.OOM:
            self.emit(kind, -1, 0, 1, rng.randrange(3), rng.randrange(1000))
        elif kind == EventKind.DEVICE and not boot:
            self.emit(kind, device, count=rng.randrange(2))


def seeded_run(seed: int, steps: int = 60) -> RunResult:
    """Return the run that :func:`random_run` makes of ``seed``."""
    return random_run(random.Random(seed), steps)  # noqa: S311  nothing is kept secret


def random_run(rng: random.Random, steps: int = 60) -> RunResult:
    """Return a run in which up to ``steps`` random but valid things happen to random devices."""
    normal = rng.randrange(1, 8)
    movable = rng.choice((0, 0, 3))
    boot_runs = [(0, 1, -1, 0), (1, normal, ZONE_NORMAL, 0)]
    if movable:
        boot_runs.append((1 + normal + 2, movable, ZONE_MOVABLE, 0))
    cma = rng.choice((0, 0, 4096))
    first = 40
    devices = []
    for _ in range(rng.randrange(1, 5)):
        count = rng.choice((1, 4, 40))
        devices.append((first, count))
        first += count + rng.choice((0, 8))
    machine = Machine(rng, boot_runs, devices)
    machine.state = {first + i: zone for first, count, zone, _ in boot_runs for i in range(count)}
    for _ in range(rng.randrange(steps + 1)):
        machine.step()
    duration_us = machine.t_us + rng.choice((0, 1, 5_000_000))
    # Block 0 lacks the pages of a hole, as the first block of a PC does.
    kernel = (normal + 1) * BLOCK_PAGES - 97
    return RunResult(
        events=np.array(machine.rows, dtype=np.int64).reshape(-1, 7),
        device_names=tuple(f"device{i}" for i in range(len(devices))),
        device_nodes=tuple(0 for _ in devices),
        device_units=tuple(rng.choice(UNITS) for _ in devices),
        block_pages=BLOCK_PAGES,
        duration_us=duration_us,
        boot=BootMemory(tuple(boot_runs), kernel, movable * BLOCK_PAGES + cma, kernel - cma),
        configured_ratio=rng.choice((None, 0, 100, 301, 4_294_967_295)),
        counters={
            "decisions": rng.randrange(100),
            "failed_requests": rng.randrange(3),
            "failed_operations": rng.randrange(3),
        },
        guest=_samples(rng, duration_us),
    )


def _samples(rng: random.Random, duration_us: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return what a guest may look like inside, several samples at some instants; nothing in every third run."""
    if not rng.randrange(3):
        return {}
    times = sorted([0, *(rng.randrange(duration_us + 1) for _ in range(rng.randrange(20)))])
    times += rng.sample(times, len(times) // 3)
    columns = {name: [rng.randrange(40 * BLOCK_PAGES) for _ in times] for name in SERIES}
    return {name: np.array(values, dtype=np.int64) for name, values in {"t_us": sorted(times), **columns}.items()}
