"""That a request costs the same whatever the machine has: blocks, devices, and what a block takes of memory."""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.ratios import ratio
from benchmarks.runs import BLOCK, cpu_in
from policies.fixed import OnlineMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from benchmarks.runs import Clock
    from workloads.contract import Host

SECOND = 1_000_000
MANY, FEW = 131_072, 128


def one_block_at(blocks: int, *, guest: bool) -> float:
    """Return what 2,000 requests cost that add a block to so many, or take it away."""
    requests = 2_000
    filled_us, pause_us = 4_000 * SECOND, 30 * SECOND

    def script(host: Host, clock: Clock) -> Generator[simpy.Event, object, None]:
        host.plug(VirtioMemSpec("device", (blocks + 1) * BLOCK, requested=blocks * BLOCK))
        yield host.env.timeout(filled_us)
        assert host.plugged("device") == blocks * BLOCK
        clock.start()
        for number in range(requests):
            host.resize("device", (blocks + 1 - number % 2) * BLOCK)
            yield host.env.timeout(pause_us)
        clock.stop()

    return cpu_in(script, filled_us + (requests + 1) * pause_us, guest=guest)


def test_many_blocks_without_guest(goal: Callable[[float], None]) -> None:
    goal(ratio(partial(one_block_at, MANY, guest=False), partial(one_block_at, FEW, guest=False), rounds=5))


def test_many_blocks_with_guest(goal: Callable[[float], None]) -> None:
    goal(ratio(partial(one_block_at, MANY, guest=True), partial(one_block_at, FEW, guest=True), rounds=5))


def dimm_unplugged(blocks: int, *, guest: bool) -> float:
    """Return what unplugging a DIMM costs, all of it movable and free, as one of 30 times."""
    turns, wait_us = 30, 200 * SECOND

    def script(host: Host, clock: Clock) -> Generator[simpy.Event, object, None]:
        for _ in range(turns):
            host.plug(DimmSpec("dimm", blocks * BLOCK))
            yield host.env.timeout(wait_us)
            assert host.plugged("dimm") == blocks * BLOCK
            clock.start()
            host.unplug("dimm")
            yield host.env.timeout(wait_us)
            clock.stop()
            assert not host.present("dimm")

    # So long that it is sampled once in that time, whatever the DIMM's size.
    return cpu_in(script, 5_000 * wait_us, guest=guest, boot_memory=(32 * GIB,), policy=OnlineMovable) / turns


def test_dimm_unplugged_without_guest(goal: Callable[[float], None]) -> None:
    goal(ratio(partial(dimm_unplugged, 8192, guest=False), partial(dimm_unplugged, 1, guest=False), rounds=5))


def test_dimm_unplugged_with_guest(goal: Callable[[float], None]) -> None:
    goal(ratio(partial(dimm_unplugged, 8192, guest=True), partial(dimm_unplugged, 1, guest=True), rounds=5))


def attached(first: int) -> float:
    """Return what attaching fifty devices of a block costs when ``first`` are there, the plugging of it included."""
    wait_us = SECOND

    def script(host: Host, clock: Clock) -> Generator[simpy.Event, object, None]:
        for number in range(first + 50):
            if number == first:
                clock.start()
            host.plug(VirtioMemSpec(f"device{number}", BLOCK, requested=BLOCK))
            yield host.env.timeout(wait_us)
        clock.stop()
        assert host.plugged(f"device{first}") == BLOCK

    return cpu_in(script, (first + 51) * wait_us, guest=False)


def test_many_devices(goal: Callable[[float], None]) -> None:
    goal(ratio(partial(attached, 4_975), partial(attached, 75), rounds=3))


def bytes_a_block(*, guest: bool) -> float:
    """Return the bytes that a block takes which virtio-mem has plugged into a running machine, its record included."""
    blocks = 32_768
    seen = []

    def script(host: Host, _clock: Clock) -> Generator[simpy.Event, object, None]:
        host.plug(VirtioMemSpec("device", blocks * BLOCK))
        yield host.env.timeout(10 * SECOND)
        tracemalloc.start()
        host.resize("device", blocks * BLOCK)
        yield host.env.timeout(1_000 * SECOND)
        assert host.plugged("device") == blocks * BLOCK
        seen.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()

    # So long that samples are few in that time.
    cpu_in(script, 1_000_000 * SECOND, guest=guest)
    return seen[0] / blocks


def test_bytes_a_block_without_guest(goal: Callable[[float], None]) -> None:
    goal(bytes_a_block(guest=False))


def test_bytes_a_block_with_guest(goal: Callable[[float], None]) -> None:
    goal(bytes_a_block(guest=True))
