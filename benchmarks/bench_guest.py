"""What the guest model costs: events with it against events without, at any memory size. Run with ``make bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simpy

from benchmarks.ratios import ratio, timed
from policies.auto_movable import AutoMovable
from policies.fixed import OnlineMovable
from policies.headroom import Headroom
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.kernel.context import DriverContext
from sim.kernel.guest_link import GuestLink, GuestSpec
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import NOBODY, Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.worker import Threads
from sim.machine.boot_layout import lay_out
from sim.machine.host import MachineHost
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import Recorder
from sim.units import GIB, MIB, TIB, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Policy

BLOCK = 128 * MIB
SIZES = (4 * GIB, 4 * TIB)
MOST = 2.0
"""How much more an event may cost with the guest model."""


def machine(size: int, policy: Policy, *, modelled: bool) -> tuple[simpy.Environment, MachineHost]:
    """Return a guest of ``size``: a quarter at boot, the rest on a virtio-mem device, all of it in use to one half."""
    spec = MachineSpec((NodeSpec(size // 4),))
    env, recorder, layout = simpy.Environment(), Recorder(), lay_out(spec)
    threads = Threads()
    ooms = OomLog(env, recorder, threads)
    link = None
    if modelled:
        link = GuestLink(env, layout.memory, layout.present_zones(), layout.options, GuestSpec(), policy, ooms)
    core = HotplugCore(
        env,
        layout.memory,
        policy,
        recorder,
        guest=None if link is None else link.hotplug_side,
        listener=NOBODY if link is None else Listeners(ooms, link),
        threads=threads,
    )
    host = MachineHost(DriverContext(env, core, recorder), spec, guest=link)
    host.plug(VirtioMemSpec("device", 2 * size))
    host.resize("device", size * 3 // 4)
    env.run()
    assert host.plugged("device") == size * 3 // 4
    host.set_demand("programs", "anonymous", size * 3 // 8)
    host.set_demand("files", "page-cache", size // 16)
    host.set_demand("kernel", "kernel", size // 32)
    return env, host


def plug_and_unplug(size: int, *, modelled: bool, blocks: int = 16, turns: int = 40) -> Callable[[], float]:
    """Return a function that gives the seconds of one block's plugging and unplugging at the top of a guest."""
    env, host = machine(size, AutoMovable(), modelled=modelled)
    base = host.plugged("device")

    def work() -> None:
        for _ in range(turns):
            host.resize("device", base + blocks * BLOCK)
            env.run()
            host.resize("device", base)
            env.run()

    def cost() -> float:
        seconds = timed(work) / (turns * blocks)
        assert host.plugged("device") == base
        return seconds

    return cost


@pytest.mark.parametrize("size", SIZES, ids=format_size)
def test_a_block_plugged_and_unplugged_costs_at_most_twice_as_much(
    size: int, report: Callable[[str, float, float], None]
) -> None:
    with_guest, without = plug_and_unplug(size, modelled=True), plug_and_unplug(size, modelled=False)
    report(
        f"a block plugged and unplugged at {format_size(size)}, with the guest to without",
        ratio(with_guest, without),
        MOST,
    )


@pytest.mark.parametrize("size", SIZES, ids=format_size)
def test_growing_costs_at_most_twice_as_much(size: int, report: Callable[[str, float, float], None]) -> None:
    blocks = size // BLOCK if size < TIB else 8 * 1024

    def grow(*, modelled: bool) -> Callable[[], float]:
        def once() -> float:
            env, host = machine(size, AutoMovable(), modelled=modelled)
            base = host.plugged("device")
            host.resize("device", base + blocks * BLOCK)
            seconds = timed(env.run)
            assert host.plugged("device") == base + blocks * BLOCK
            return seconds

        # So few blocks are over at once: the least disturbed of several times counts.
        return once if size >= TIB else lambda: min(once() for _ in range(15))

    rounds = 9 if size < TIB else 5
    figure = ratio(grow(modelled=True), grow(modelled=False), rounds)
    report(f"{blocks} blocks plugged at {format_size(size)}, with the guest to without", figure, MOST)


@pytest.mark.parametrize("size", SIZES, ids=format_size)
def test_a_dimm_costs_at_most_twice_as_much(size: int, report: Callable[[str, float, float], None]) -> None:
    def dimms(*, modelled: bool) -> Callable[[], float]:
        env, host = machine(size, OnlineMovable(), modelled=modelled)  # with others, the first kernel DIMM would stay
        dimm = size // 32

        def work() -> None:
            for _ in range(60):
                host.plug(DimmSpec("dimm", dimm))
                env.run()
                host.unplug("dimm")
                env.run()

        def cost() -> float:
            seconds = timed(work)
            assert not host.present("dimm")
            return seconds

        return cost

    figure = ratio(dimms(modelled=True), dimms(modelled=False))
    report(f"a DIMM of {format_size(size // 32)} plugged and unplugged, with the guest to without", figure, MOST)


def test_an_event_does_not_grow_with_memory(report: Callable[[str, float, float], None]) -> None:
    large, small = plug_and_unplug(SIZES[1], modelled=True), plug_and_unplug(SIZES[0], modelled=True)
    report("a block with the guest, at 4 TiB against 4 GiB", ratio(large, small), 1.3)


def test_what_asking_the_guest_costs_the_policy_headroom(report: Callable[[str, float, float], None]) -> None:
    """For information: this policy looks at the guest's zones at each decision, auto-movable at totals."""

    def grow(policy: type[Policy]) -> Callable[[], float]:
        def cost() -> float:
            env, host = machine(64 * GIB, policy(), modelled=True)
            host.resize("device", 96 * GIB)
            return timed(env.run)

        return cost

    report("a block under headroom, against auto-movable", ratio(grow(Headroom), grow(AutoMovable)), 4)
