"""What is written out for speed leaves what the long way leaves: blocks, counters, record, decisions and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy
from hypothesis import given
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel
from sim.guest.contract import OomEvent, OomKind
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.oom_log import OomLog
from sim.kernel.settings import KernelSettings
from sim.kernel.worker import Threads
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import HotplugError
from sim.memory.zones import OnlineType
from sim.record.recorder import NO_DEVICE, EventKind, Recorder
from sim.units import GIB
from tests.devices.rig import FakeGuest
from tests.memory.small_machine import everything
from tests.support.reach import Reach

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView

FIRST, B = 40, 32_768
SUB = 512
DEVICE = 7
KILL = OomEvent(OomKind.MIGRATION, "a", guest_died=False, done_share=0.0, zones=(), mem_available=5)

Step = tuple[str, int, int]


class Notes(AutoMovable):
    """Notes what it is asked about."""

    def __init__(self) -> None:
        super().__init__(ratio=40)
        self.asked: list[str] = []

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        self.asked.append(repr(request))
        return super().zone_for(request, memory)


class Owner:
    """A driver that has plugged a part of its blocks only."""

    granularity = 2 << 20

    def plugged_pages(self) -> int:
        return 0

    def __init__(self) -> None:
        self.withheld: dict[int, int] = {}

    def may_online(self, block: int) -> bool:
        return True

    def block_online(self, block: int, zone_type: int) -> None:
        """Nothing is kept."""

    def block_offline(self, block: int) -> None:
        """Nothing is kept."""

    def unplugged_pages(self, block: int) -> int:
        return self.withheld[block]


class Side:
    """A machine with two dynamic groups, to be changed one way or the other."""

    def __init__(self, *, guest: bool, auto_online: OnlineType, kernel_only: bool, memmap_on_memory: bool) -> None:
        layout = lay_out(MachineSpec((NodeSpec(4 * GIB),)))
        self.guest = FakeGuest() if guest else None
        self.recorder = Recorder()
        env = simpy.Environment()
        self.policy = Notes()
        threads = Threads()
        self.ooms = OomLog(env, self.recorder, threads)
        self.core = HotplugCore(
            env,
            layout.memory,
            OnlineKernel() if kernel_only else self.policy,
            self.recorder,
            settings=KernelSettings((6, 1), memmap_on_memory=memmap_on_memory),
            guest=self.guest,
            listener=self.ooms,
            threads=threads,
        )
        self.core.auto_online = int(auto_online)
        self.memory = layout.memory
        self.owner = Owner()
        for unit in (1, 4):
            self.core.register(self.memory.groups.register_dynamic(0, unit * B).id, NO_DEVICE, "virtio-mem", self.owner)

    def rows(self) -> list[tuple[int, ...]]:
        """What is recorded; a block unplugged in one go counts as one that goes offline and is then removed."""
        rows: list[tuple[int, ...]] = []
        for t, kind, device, block, count, zone, pages in self.recorder.table().tolist():
            if kind == EventKind.UNPLUG:
                rows.append((t, EventKind.OFFLINE, device, block, count, zone, 0))
                rows.append((t, EventKind.REMOVE, device, block, count, -1, pages))
            else:
                rows.append((t, kind, device, block, count, zone, pages))
        return rows

    def everything(self) -> tuple[object, ...]:
        core, guest = self.core, self.guest
        heard = None if guest is None else (guest.calls, guest.pages, guest.with_memmap, guest.memmap_blocks)
        return (
            everything(self.memory),
            self.rows(),
            (core.zone_choice.decisions, self.policy.asked, core.refusals, self.ooms.kills),
            heard,
        )


def plug(side: Side, block: int, group_id: int, plugged: int, *, short: bool) -> int:
    """Add a block; returns its zone, -1 where it stays offline."""
    side.owner.withheld[block] = B - plugged
    group = side.memory.groups.find(group_id)
    assert group is not None
    if short:
        return side.core.plug_block(DEVICE, block, group, plugged)
    side.core.add_memory(DEVICE, block * B, B, group_id=group_id, plugged=plugged)
    zone = side.memory.zone_of(block)
    return -1 if zone is None else zone.type


def unplug(side: Side, block: int, *, short: bool) -> int:
    """Take an online block offline and remove it; returns the pages that were moved."""
    withheld = side.owner.withheld[block]
    if short:
        return side.core.unplug_block(DEVICE, block, B - withheld, withheld)
    moved = side.core.offline_block(DEVICE, block)
    side.core.remove(DEVICE, block, 1, plugged=B - withheld)
    return moved


def outcome(side: Side, step: Step, *, short: bool) -> tuple[str, int]:
    """Do one step; returns what came of it: done or the error's name, with the zone or the pages moved."""
    verb, block, detail = step
    try:
        if verb == "plug":
            return "plugged", plug(side, block, detail % 2, (detail // 2 + 1) * SUB, short=short)
        return "unplugged", unplug(side, block, short=short)
    except HotplugError as error:
        return error.name, error.moved


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["plug", "unplug"]),
        st.integers(FIRST, FIRST + 7),
        st.one_of(st.integers(0, 127), st.sampled_from([126, 127])),
    ),
    min_size=8,
    max_size=40,
)
REACH = Reach(
    {
        "plugged": 150,
        "plugged, left offline": 5,
        "unplugged": 100,
        "unplugged, pages moved": 10,
        "EEXIST": 50,
        "ENOMEM": 10,
        "EBUSY": 20,
        "whole": 50,
    }
)


@REACH.test(examples=90)
@given(
    st.sampled_from([True, True, False]),
    st.sampled_from([OnlineType.ONLINE] * 3 + list(OnlineType)),
    st.booleans(),
    st.booleans(),
    STEPS,
    st.integers(2, 30),
)
def test_a_block_of_virtio_mem_is_plugged_and_unplugged_as_any_memory(
    guest: bool,  # noqa: FBT001
    auto_online: OnlineType,
    kernel_only: bool,  # noqa: FBT001
    memmap_on_memory: bool,  # noqa: FBT001
    steps: list[Step],
    memmap_blocks: int,
) -> None:
    short, long = (
        Side(guest=guest, auto_online=auto_online, kernel_only=kernel_only, memmap_on_memory=memmap_on_memory)
        for _ in range(2)
    )
    for side in (short, long):
        if side.guest is not None:
            side.guest.memmap_blocks = memmap_blocks
            side.guest.refusing = {FIRST + 3, FIRST + 6}
            side.guest.moves, side.guest.moves_in_vain, side.guest.kill = 11, 5, KILL
    for step in steps:
        if step[0] == "unplug" and not short.memory.blocks.is_online(step[1]):
            continue
        what, number = outcome(short, step, short=True)
        assert outcome(long, step, short=False) == (what, number)
        assert short.everything() == long.everything()
        REACH(what)
        REACH("plugged, left offline", (what, number) == ("plugged", -1))
        REACH("unplugged, pages moved", what == "unplugged" and number > 0)
        REACH("whole", what == "plugged" and step[2] // 2 == B // SUB - 1)
