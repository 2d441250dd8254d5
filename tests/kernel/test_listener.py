"""Listeners of a core: each is told everything in turn, and decisions are explained for those who ask only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simpy

from policies.auto_movable import AutoMovable
from policies.contract import Explanation
from policies.fixed import Offline
from sim.guest.contract import OomEvent, OomKind
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import NOBODY, CoreListener, Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.worker import Threads
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EBUSY, HotplugError
from sim.memory.zones import OnlineType, ZoneType
from sim.record.recorder import EventKind, Recorder
from sim.units import GIB

if TYPE_CHECKING:
    from policies.contract import Policy

FIRST = 40
BLOCK = 32_768
KILL = OomEvent(OomKind.GUEST_FULL, "a", guest_died=False, done_share=0.5, zones=(), mem_available=77)

Heard = list[tuple[object, ...]]


class Notes(CoreListener):
    """Notes all it hears under its name, in a list that may be shared."""

    def __init__(self, name: str, heard: Heard, *, wants_reasons: bool = False) -> None:
        self.name = name
        self.heard = heard
        self.wants_reasons = wants_reasons

    def decided(self, online_type: int, block: int, reason: Explanation) -> None:
        self.heard.append((self.name, "decided", online_type, block, reason.zone))

    def left_offline(self, core: HotplugCore, first: int, count: int) -> None:
        self.heard.append((self.name, "left offline", core, first, count))

    def out_of_memory(self, kills: tuple[OomEvent, ...]) -> None:
        self.heard.append((self.name, "out of memory", kills))

    def starved(self) -> None:
        self.heard.append((self.name, "starved"))


def core_told_to(listener: CoreListener, policy: Policy) -> HotplugCore:
    layout = lay_out(MachineSpec((NodeSpec(4 * GIB),)))
    return HotplugCore(simpy.Environment(), layout.memory, policy, Recorder(), listener=listener)


def test_several_are_told_one_after_the_other_and_reasons_go_to_those_who_want_them() -> None:
    heard: Heard = []
    both = Listeners(Notes("a", heard), Notes("b", heard, wants_reasons=True))
    assert both.wants_reasons
    core = core_told_to(NOBODY, Offline())
    both.decided(2, 7, Explanation(ZoneType.DMA32, "", {}))
    both.left_offline(core, 8, 9)
    both.out_of_memory((KILL,))
    both.starved()
    assert heard == [
        ("b", "decided", 2, 7, ZoneType.DMA32),
        *((name, "left offline", core, 8, 9) for name in "ab"),
        *((name, "out of memory", (KILL,)) for name in "ab"),
        *((name, "starved") for name in "ab"),
    ]
    assert not Listeners(Notes("a", heard), NOBODY).wants_reasons
    assert not Listeners().wants_reasons


def test_a_core_tells_of_every_block_that_it_adds_and_leaves_offline() -> None:
    heard: Heard = []
    core = core_told_to(Notes("n", heard, wants_reasons=True), Offline())
    core.add_memory(-1, FIRST * BLOCK, 3 * BLOCK)
    core.add_memory(-1, (FIRST + 5) * BLOCK, BLOCK, online_type=OnlineType.ONLINE_KERNEL)
    assert heard == [
        ("n", "left offline", core, FIRST, 3),
        ("n", "decided", OnlineType.ONLINE_KERNEL, FIRST + 5, ZoneType.NORMAL),
    ]


@pytest.mark.parametrize("wants_reasons", [True, False])
def test_a_run_is_decided_block_by_block_where_reasons_are_wanted(wants_reasons: bool) -> None:  # noqa: FBT001
    heard: Heard = []
    core = core_told_to(Notes("n", heard, wants_reasons=wants_reasons), AutoMovable(ratio=50))
    core.add_memory(-1, FIRST * BLOCK, 20 * BLOCK)
    rows = len(core.memory.blocks.where[FIRST:].rstrip(bytes(1)))
    assert (rows, core.zone_choice.decisions) == (20, 20)
    zones = [zone.type for block in range(FIRST, FIRST + 20) if (zone := core.memory.zone_of(block)) is not None]
    assert set(zones) == {ZoneType.NORMAL, ZoneType.MOVABLE}
    told = [("n", "decided", 1, FIRST + number, zone) for number, zone in enumerate(zones)]
    assert heard == (told if wants_reasons else [])


def test_kills_are_recorded_with_their_time_and_kept_in_full() -> None:
    env, recorder = simpy.Environment(), Recorder()
    log = OomLog(env, recorder, Threads())
    env.run(until=5)
    other = OomEvent(OomKind.MIGRATION, None, guest_died=True, done_share=0.0, zones=(), mem_available=0)
    log.out_of_memory((KILL, other))
    env.run(until=9)
    log.out_of_memory((KILL,))
    assert log.kills == [(5, KILL), (5, other), (9, KILL)]
    assert recorder.table().tolist() == [
        [5, EventKind.OOM, -1, 0, 1, OomKind.GUEST_FULL, 77],
        [5, EventKind.OOM, -1, 0, 1, OomKind.MIGRATION, 0],
        [5, EventKind.DEATH, -1, -1, 0, OomKind.MIGRATION, 0],
        [9, EventKind.OOM, -1, 0, 1, OomKind.GUEST_FULL, 77],
    ]


class Jealous:
    """An owner that never lets a block go online."""

    granularity = 2 << 20

    def plugged_pages(self) -> int:
        return 0

    def may_online(self, block: int) -> bool:
        del block
        return False

    def block_online(self, block: int, zone_type: int) -> None:
        raise AssertionError

    def block_offline(self, block: int) -> None:
        raise AssertionError

    def unplugged_pages(self, block: int) -> int:
        del block
        return 0


def test_an_owner_vetoes_for_its_own_group_and_only_while_that_is_registered() -> None:
    core = core_told_to(NOBODY, Offline())
    groups = [core.memory.groups.register_dynamic(0, BLOCK) for _ in range(2)]
    core.register(groups[0].id, 3, "virtio-mem", Jealous())
    core.register(groups[1].id, 4, "dimm")
    assert core.device_of == {0: 3, 1: 4}
    for number, group in enumerate(groups):
        core.add_memory(3, (FIRST + number) * BLOCK, BLOCK, group_id=group.id)
    with pytest.raises(HotplugError, match=f"the driver of block {FIRST} vetoes") as caught:
        core.write_state(FIRST, OnlineType.ONLINE_MOVABLE)
    assert caught.value.errno == EBUSY
    core.write_state(FIRST + 1, OnlineType.ONLINE_MOVABLE)

    core.unregister(groups[0].id)
    assert core.device_of == {1: 4}
    core.write_state(FIRST, OnlineType.ONLINE_MOVABLE)
    assert [core.memory.zone_label(FIRST + number) for number in range(2)] == ["Movable", "Movable"]
