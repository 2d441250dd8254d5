"""A guest in a run that starts from a state: what was plugged before has cost it what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.experiment.load import load
from sim.faults import InputError
from sim.kernel.context import DriverContext
from sim.kernel.guest_link import GuestLink, GuestSpec
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.settings import KernelSettings
from sim.kernel.timing import Timing
from sim.kernel.worker import Threads, settle
from sim.machine.boot_layout import lay_out
from sim.machine.current_state import starting_from
from sim.machine.host import MachineHost
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import AttachedDevice, BlockRun, MachineState, ZoneBounds
from sim.record.blockmap import BlockState
from sim.record.recorder import Recorder
from sim.units import GIB, MIB
from tests.experiment.examples import small
from tests.machine.test_going_on import answers, counters
from tests.support.reach import Reach

if TYPE_CHECKING:
    from policies.contract import Policy

BLOCK = 128 * MIB


class Stage:
    """A machine with a guest in it, as the engine makes it. Nothing takes time."""

    def __init__(self, machine: MachineSpec, policy: Policy, **guest: float) -> None:
        self.machine = machine
        layout = lay_out(machine)
        self.env, self.memory, recorder, threads = simpy.Environment(), layout.memory, Recorder(), Threads()
        ooms = OomLog(self.env, recorder, threads)
        present = layout.present_zones()
        self.link = GuestLink(self.env, self.memory, present, layout.options, GuestSpec(guest), policy, ooms)
        self.core = HotplugCore(
            self.env,
            self.memory,
            policy,
            recorder,
            settings=KernelSettings(machine.kernel_series, machine.movable_node, machine.memmap_on_memory),
            guest=self.link.hotplug_side,
            meminfo=self.link.model.meminfo,
            listener=Listeners(ooms, self.link),
            threads=threads,
        )
        self.link.connect(self.core)
        context = DriverContext(self.env, self.core, recorder, Timing.instant())
        self.host = MachineHost(context, machine, guest=self.link)
        self.host.boot()
        self.settle()

    def settle(self) -> None:
        settle(self.env)

    def amounts(self) -> dict[tuple[int, int], tuple[int, int, int]]:
        """Managed, free and memmap pages of every zone."""
        return {
            key: (zone.managed, zone.free, zone.memmap)
            for key, zone in sorted(self.link.model.zones.items())
            if zone.managed
        }


NODES = st.integers(0, 1)
BLOCKS = st.integers(1, 9)
PIECES = st.integers(0, 16 * 64)


@dataclass(frozen=True)
class Request:
    """Something plugged, resized or asked back."""

    verb: str
    node: int
    blocks: int
    pieces: int

    def make(self, stage: Stage, number: int) -> None:
        host, size, there = stage.host, self.blocks * BLOCK, sorted(stage.host.devices)
        match self.verb:
            case "dimm":
                host.plug(DimmSpec(f"dimm{number}", size, self.node))
            case "dax":
                host.plug(DaxSpec(f"dax{number}", size, self.node, self_host=True))
            case "virtio-mem":
                host.plug(VirtioMemSpec(f"mem{number}", 16 * BLOCK, self.node, requested=self.pieces * 2 * MIB))
            case _ if there:
                name = there[self.pieces % len(there)]
                if not host.unplug(name):
                    host.resize(name, self.pieces * 2 * MIB)
        stage.settle()


def requests(*verbs: str) -> st.SearchStrategy[list[Request]]:
    return st.lists(st.builds(Request, st.sampled_from(verbs), NODES, BLOCKS, PIECES), max_size=8)


PLUGGED = requests("dimm", "dax", "virtio-mem")
MACHINES = st.builds(
    lambda gib, second, hosted: MachineSpec(
        (NodeSpec(gib * GIB), NodeSpec(second * GIB)), memmap_on_memory=hosted, kernel="6.12"
    ),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 1),
    st.booleans(),
)
POLICIES = st.sampled_from([AutoMovable, ContigZones, OnlineMovable, Offline])
REACH = Reach({"memmap": 20, "a partly plugged block": 15, "offline memory": 10, "something was asked back": 15})


def went_on(machine: MachineSpec, policy: type[Policy], made: list[Request]) -> tuple[Stage, Stage]:
    """A guest after requests, and another one that starts from the state that it came to."""
    was = Stage(machine, policy())
    for number, request in enumerate(made):
        request.make(was, number)
    now = Stage(starting_from(machine, was.host.state()), policy())
    now.link.model.check()
    assert now.host.state() == was.host.state()
    assert counters(now.memory) == counters(was.memory)
    assert answers(now) == answers(was)
    REACH("memmap", any(memmap for _, _, memmap in was.amounts().values()))
    REACH("a partly plugged block", any(device.partly for device in was.host.state().devices))
    REACH("offline memory", any(run.state == BlockState.OFFLINE for run in was.host.state().blocks))
    return was, now


@REACH.test(examples=54)
@given(MACHINES, POLICIES, PLUGGED, requests("dimm", "dax", "virtio-mem", "back", "back"))
def test_memory_has_cost_what_it_cost(
    machine: MachineSpec, policy: type[Policy], plugged: list[Request], mixed: list[Request]
) -> None:
    was, now = went_on(machine, policy, plugged)
    assert now.amounts() == was.amounts()
    assert now.link.mem_available() == was.link.mem_available()

    # What has gone again leaves traces in a guest that no state shows: a few kernel pages, and what lies on CPU lists.
    was, now = went_on(machine, policy, mixed)
    REACH("something was asked back", any(request.verb == "back" for request in mixed))
    for key, (managed, free, memmap) in was.amounts().items():
        assert now.amounts()[key][::2] == (managed, memmap)
        assert abs(now.amounts()[key][1] - free) <= 1024


def test_amounts_that_are_known_are_those_of_the_guest() -> None:
    """To the page: what the allocator manages of boot memory is what is known, less what is plugged."""
    state = MachineState(
        blocks=(
            BlockRun(0, 1, 0, BlockState.SEVERAL_ZONES, boot=True),
            BlockRun(1, 15, 0, BlockState.DMA32, boot=True),
            BlockRun(32, 4, 0, BlockState.NORMAL, boot=False),
            BlockRun(36, 8, 0, BlockState.MOVABLE, boot=False),
        ),
        zones=(
            ZoneBounds(0, BlockState.DMA, 1, 4095, 3998, 3840, 0),
            ZoneBounds(0, BlockState.DMA32, 4096, 520160, 520160, 480000, 0),
            ZoneBounds(0, BlockState.NORMAL, 1048576, 131072, 131072, 131072 - 64 * 512, 0),
        ),
        devices=(
            AttachedDevice(VirtioMemSpec("vm0", GIB // 2, requested=512 * MIB, address=4 * GIB), plugged=384 * MIB),
            AttachedDevice(DimmSpec("dimm0", GIB, address=4 * GIB + 512 * MIB)),
        ),
    )
    stage = Stage(MachineSpec((NodeSpec(2 * GIB),), block_size=BLOCK, state=state), ContigZones())

    memmap = 12 * 512
    managed = {key: zone.managed for key, zone in stage.link.model.zones.items() if zone.managed}
    assert managed == {(0, 0): 3840, (0, 1): 480000, (0, 2): 98304, (0, 3): 262144}
    assert {key: stage.memory.zone(*key).managed for key in managed} == managed
    assert sum(memmap for _, _, memmap in stage.amounts().values()) == memmap
    stage.link.model.check()


def test_a_guest_that_could_not_have_got_there_is_a_fault() -> None:
    blocks = [
        {"blocks": "0", "zone": "None"},
        {"blocks": "1-7", "zone": "DMA32"},
        {"blocks": "32-1055", "zone": "Movable"},
    ]
    devices = [{"id": "dimm0", "kind": "dimm", "address": "4GiB", "size": "128GiB"}]
    machine = {"boot_memory": "1GiB", "block_size": "128MiB", "state": {"blocks": blocks, "devices": devices}}
    with pytest.raises(InputError) as caught:
        load(small(machines=[machine], guest={"model": "linux"}))
    (fault,) = caught.value.faults
    assert str(fault) == (
        "machines[0].state: the guest has no kernel memory left for the memmap of blocks 32-1055, so that this is no"
        " state it could be in"
    )


@pytest.mark.parametrize(("zone", "returnable"), [(BlockState.NORMAL, 0), (BlockState.MOVABLE, 262144)])
def test_what_could_be_returned_is_known_of_memory_below_boot_memory_too(zone: int, returnable: int) -> None:
    """Node 1's boot memory lies above a DIMM of node 0; if that is the first in Normal, kernel pages settle in it."""
    blocks = (
        BlockRun(0, 1, 0, BlockState.SEVERAL_ZONES, boot=True),
        BlockRun(1, 15, 0, BlockState.DMA32, boot=True),
        BlockRun(32, 8, 0, zone, boot=False),
        BlockRun(100, 16, 1, BlockState.NORMAL, boot=True),
    )
    dimm = AttachedDevice(DimmSpec("dimm0", GIB, address=4 * GIB))
    state = MachineState(blocks, devices=(dimm,))
    stage = Stage(MachineSpec((NodeSpec(2 * GIB), NodeSpec(2 * GIB)), block_size=BLOCK, state=state), ContigZones())
    stage.link.start_sampling(1)
    stage.settle()
    assert set(stage.link.series()["returnable"].tolist()) == {returnable}
