"""Whole cells: the same bytes twice, the same traffic for every policy, rules of user space, words of the boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.udev import Udev
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.kernel.diary import Decided
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, ZoneType
from sim.record.device_group import STATIC_GROUP
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.cells import DEVICES, FIRST, Script, rows, run
from workloads.random_mix import RandomMix
from workloads.virtio_mem_resize import VirtioMemResize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from policies.contract import Policy
    from sim.kernel.diary import Note


# What a run leaves behind ----


def test_a_cell_and_its_record() -> None:
    result = run(AutoMovable(ratio=301), Script(DimmSpec("d", GIB)), timing=Timing(dimm_add=10_000))
    assert rows(result, EventKind.DEVICE, EventKind.PLUG) == [
        (1_000_000, EventKind.DEVICE, 0, -1, 1, -1, 0),
        (1_080_000, EventKind.PLUG, 0, FIRST, 8, ZONE_MOVABLE, 8 * 32768),
    ]
    assert (result.device_names, result.device_nodes, result.device_groups) == (("d",), (0,), (STATIC_GROUP,))
    assert (result.duration_us, result.block_pages, result.configured_ratio) == (100_000_000, 32768, 301)
    assert result.counters == {
        "decisions": 8,
        "refused_offlines": 0,
        "failed_requests": 0,
        "failed_operations": 0,
        "streams_drawn": 0,
    }
    assert result.guest == {}
    assert result.boot.runs[-1] == (32, 8, ZONE_NORMAL, 0)


def test_the_run_ends_when_the_workload_says_so() -> None:
    result = run(AutoMovable(), Script(DimmSpec("d", GIB), seconds=1.05), timing=Timing(dimm_add=10_000))
    assert rows(result, EventKind.PLUG) == [], "the blocks would have come at 1.08 s"


@pytest.mark.parametrize("policy", [AutoMovable, ContigZones, Udev], ids=lambda policy: policy.__name__)
def test_the_same_cell_twice_is_the_same_bytes(policy: type[Policy]) -> None:
    machine = MachineSpec((NodeSpec(4 * GIB), NodeSpec(4 * GIB)))
    first, second = (simulate(machine, policy(), RandomMix(nodes=(0, 1)), Streams(7, 3)) for _ in range(2))
    assert first.events.tobytes() == second.events.tobytes()
    assert first.counters == second.counters
    assert len(first.events) > 60
    other = simulate(machine, policy(), RandomMix(nodes=(0, 1)), Streams(8, 3))
    assert other.events.tobytes() != first.events.tobytes()


def test_two_policies_see_the_same_requests() -> None:
    def requests(policy: Policy) -> list[tuple[int, ...]]:
        result = run(policy, VirtioMemResize(shape="bursts", maximum=48 * GIB, duration=4_000.0))
        return rows(result, EventKind.REQUEST)

    by_policy = [requests(policy) for policy in (AutoMovable(), OnlineKernel(), OnlineMovable(), Udev(), ContigZones())]
    assert len(by_policy[0]) > 5
    assert all(seen == by_policy[0] for seen in by_policy)


def test_the_log_gets_every_decision_with_its_reason() -> None:
    log: list[tuple[int, int, int, int, str]] = []

    def note(t_us: int, told: Note) -> None:
        assert isinstance(told, Decided)
        log.append((t_us, told.word, told.block, told.why.zone, told.why.reason))

    quiet = run(AutoMovable(ratio=20), Script(DimmSpec("d", 8 * 128 * MIB)))
    told = run(AutoMovable(ratio=20), Script(DimmSpec("d", 8 * 128 * MIB)), log=note)
    assert [entry[1:4] for entry in log] == [(1, FIRST + block, ZoneType.NORMAL) for block in range(8)]
    assert "MOVABLE 0 + rest of static group 0 262144 > limit" in log[0][4]
    assert told.counters == quiet.counters
    assert Events.of(told.events).blocks.sum() == Events.of(quiet.events).blocks.sum()


# User space ----


def test_a_rule_of_user_space_acts_after_its_delay_block_by_block() -> None:
    udev = Udev(state="online_movable", delay=0.5)
    result = run(udev, Script(DimmSpec("d", 2 * 128 * MIB)), timing=Timing(dimm_add=10_000, online=5_000))
    assert rows(result, EventKind.ADD, EventKind.ONLINE) == [
        (1_020_000, EventKind.ADD, 0, FIRST, 2, -1, 2 * 32768),
        (1_525_000, EventKind.ONLINE, 0, FIRST, 1, ZONE_MOVABLE, 0),
        (1_530_000, EventKind.ONLINE, 0, FIRST + 1, 1, ZONE_MOVABLE, 0),
    ]


def test_user_space_wakes_a_device_that_waits_at_its_threshold() -> None:
    """8 blocks may be offline; as the rule puts them online the device goes on, until all of 4 GiB is there."""
    result = run(Udev(state="online", delay=2.0), Script(VirtioMemSpec("v", 4 * GIB, requested=4 * GIB)))
    added = rows(result, EventKind.ADD)
    online = rows(result, EventKind.ONLINE)
    assert (len(added), len(online)) == (32, 32)
    assert sum(row[0] < online[0][0] for row in added) == 8
    assert {row[5] for row in online} == {ZONE_NORMAL}, "a plain online asks contig-zones"


def test_without_a_rule_added_blocks_stay_offline() -> None:
    result = run(Offline(), Script(DimmSpec("d", GIB)))
    assert len(rows(result, EventKind.ADD)) == 1
    assert rows(result, EventKind.ONLINE, EventKind.PLUG, EventKind.FAILED) == []


def test_blocks_that_are_gone_before_the_rule_acts_are_left_alone() -> None:
    result = run(Udev(delay=5.0), Script(DimmSpec("d", GIB), then=lambda host: host.unplug("d")))
    kinds = [row[1] for row in rows(result) if row[1] != EventKind.REQUEST]
    assert kinds == [EventKind.DEVICE, EventKind.ADD, EventKind.REMOVE, EventKind.DEVICE]


# Machines ----


@pytest.mark.parametrize(
    ("options", "zone"),
    [({}, ZONE_NORMAL), ({"movable_node": True}, ZONE_MOVABLE)],
    ids=["without movable_node", "with movable_node"],
)
def test_the_machines_boot_words_reach_the_policy(options: dict[str, bool], zone: int) -> None:
    machine = MachineSpec((NodeSpec(4 * GIB),), **options)  # type: ignore[arg-type]
    result = run(ContigZones(), Script(DEVICES["a DIMM"]), machine=machine)
    assert {row[5] for row in rows(result, EventKind.PLUG)} == {zone}


class TwoNodes(Script):
    """A DIMM for a node without boot memory, and one for the other."""

    name: ClassVar[str] = "two-nodes"

    def node_capacity(self) -> Iterable[int]:
        return (0, 1)


@pytest.mark.parametrize(("numa_aware", "zones"), [(True, [3, 2]), (False, [3, 3])])
def test_a_node_without_boot_memory_gets_movable_memory_only_where_nodes_do_not_count(
    numa_aware: bool,  # noqa: FBT001
    zones: list[int],
) -> None:
    machine = MachineSpec((NodeSpec(4 * GIB), NodeSpec(0)))
    workload = TwoNodes(DimmSpec("a", GIB), DimmSpec("b", GIB, node=1))
    result = run(AutoMovable(numa_aware=numa_aware), workload, machine=machine)
    assert [row[5] for row in rows(result, EventKind.PLUG)] == zones
    assert result.device_nodes == (0, 1)
