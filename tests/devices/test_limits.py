"""Exactly at the limit and one step beyond: large device blocks, regions, usable memory, slots, addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineMovable
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EINVAL, ENODEV, ENOSPC
from sim.memory.hotplug import MAX_PHYSICAL_BYTES
from sim.memory.zones import OnlineType
from sim.record.device_group import STATIC_GROUP, dynamic_group
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec

MOVABLE, OFFLINE = int(OnlineType.ONLINE_MOVABLE), int(OnlineType.OFFLINE)


def places(rig: Rig) -> list[int]:
    """First block above boot memory of whatever was plugged, in order."""
    return [event[3] - FIRST for event in rig.events(EventKind.PLUG)]


def failures(rig: Rig) -> list[int]:
    return [int(row[5]) for row in rig.recorder.table() if row[1] == EventKind.FAILED]


def test_a_refused_request_names_the_device_that_it_was_for() -> None:
    rig = Rig(timing=Timing(dimm_add=1_000))
    assert rig.host.plug(DimmSpec("other", BLOCK))
    assert rig.host.plug(DimmSpec("d", BLOCK))
    assert rig.host.plug(VirtioMemSpec("v", GIB))
    assert not rig.host.unplug("d"), "the guest is still at work on it"
    assert not rig.host.resize("v", 2 * GIB)
    assert not rig.host.unplug("nobody")
    rig.env.run()
    failed = [row for row in rig.recorder.table().tolist() if row[1] == EventKind.FAILED]
    assert failed == [
        [0, EventKind.FAILED, 1, -1, 0, EBUSY, 0],
        [0, EventKind.FAILED, 2, -1, 0, EINVAL, 0],
        [0, EventKind.FAILED, -1, -1, 0, ENODEV, 0],
    ]


# Where the host puts large device blocks ----


@pytest.mark.parametrize(
    ("block_size", "first", "second"),
    [(2 * MIB, 1, 91), (BLOCK, 1, 91), (256 * MIB, 2, 92), (GIB, 8, 96), (2 * GIB, 8, 104), (4 * GIB, 24, 120)],
)
def test_a_device_begins_at_a_multiple_of_its_device_block(block_size: int, first: int, second: int) -> None:
    """Boot memory ends at 5 GiB, no multiple of 2 or 4; a DIMM of one block lies in the way before each device."""
    rig = Rig()
    for name in ("a", "b"):
        assert rig.host.plug(DimmSpec(f"dimm-{name}", BLOCK, address=rig.base + (0 if name == "a" else 90 * BLOCK)))
        assert rig.host.plug(VirtioMemSpec(name, 8 * GIB, block_size=block_size, requested=max(block_size, BLOCK)))
        rig.settle()
        assert places(rig)[-1] == {"a": first, "b": second}[name]


@pytest.mark.parametrize(("block_size", "first"), [(2 * MIB, 0), (GIB, 0), (2 * GIB, 8), (4 * GIB, 24), (8 * GIB, 24)])
def test_the_first_device_may_begin_above_the_end_of_boot_memory(block_size: int, first: int) -> None:
    rig = Rig(policy=OnlineMovable())
    assert rig.host.plug(VirtioMemSpec("v", 8 * GIB, block_size=block_size, requested=max(block_size, BLOCK)))
    rig.settle()
    assert places(rig)[0] == first


def test_a_size_is_requested_from_the_moment_it_is_asked_for() -> None:
    rig = Rig(timing=Timing(dimm_add=1_000, virtio_mem_plug=1_000))
    specs = (DimmSpec("d", GIB), DaxSpec("x", GIB), VirtioMemSpec("v", 4 * GIB, requested=GIB))
    for spec in specs:
        assert rig.host.plug(spec)
    assert [(rig.host.requested(spec.id), rig.host.plugged(spec.id)) for spec in specs] == [(GIB, 0)] * 3
    rig.env.run()
    assert [(rig.host.requested(spec.id), rig.host.plugged(spec.id)) for spec in specs] == [(GIB, GIB)] * 3


def test_what_follows_a_device_begins_at_a_multiple_of_its_own_block() -> None:
    """Behind 3 blocks: a device of 1 GiB blocks goes up to block 8, a DIMM after it into the gap."""
    rig = Rig()
    assert rig.host.plug(DimmSpec("d", 3 * BLOCK))
    assert rig.host.plug(VirtioMemSpec("v", 2 * GIB, block_size=GIB, requested=GIB))
    assert rig.host.plug(DimmSpec("e", 5 * BLOCK))
    assert rig.host.plug(DimmSpec("f", BLOCK))
    assert rig.host.plug(DaxSpec("x", GIB))
    rig.settle()
    assert places(rig) == [0, 8, 3, 24, 25]


def test_a_device_goes_into_a_gap_of_its_very_size_once_it_is_aligned() -> None:
    rig = Rig()
    for name, block in (("a", 0), ("b", 16), ("c", 33)):
        assert rig.host.plug(DimmSpec(name, BLOCK, address=rig.base + block * BLOCK))
    # From block 8 to 16 there is exactly 1 GiB; from 24 to 33 are nine blocks, from 40 on there is room.
    for name, size, place in (("v", GIB, 8), ("w", GIB, 24), ("x", GIB, 40), ("y", 7 * BLOCK, 1), ("z", 7 * BLOCK, 17)):
        large = size == GIB
        spec = VirtioMemSpec(name, size, block_size=GIB, requested=GIB) if large else DimmSpec(name, size)
        assert rig.host.plug(spec)
        rig.settle()
        assert places(rig)[-1] == place, name


@pytest.mark.parametrize(
    ("spec", "possible"),
    [
        (VirtioMemSpec("v", 3 * GIB, block_size=GIB), True),
        (VirtioMemSpec("v", 3 * GIB + 512 * MIB, block_size=GIB), False),
        (VirtioMemSpec("v", 3 * GIB, block_size=GIB, requested=3 * GIB), True),
        (VirtioMemSpec("v", 3 * GIB, block_size=GIB, requested=2 * GIB + 512 * MIB), False),
        (VirtioMemSpec("v", 3 * GIB, block_size=GIB, requested=4 * GIB), False),
        (VirtioMemSpec("v", 3 * GIB, block_size=GIB, address=7 * GIB), True),
        (VirtioMemSpec("v", 3 * GIB, block_size=GIB, address=7 * GIB + 512 * MIB), False),
        (VirtioMemSpec("v", 4 * MIB, block_size=MIB), True),
        (VirtioMemSpec("v", GIB, block_size=GIB, requested=GIB), True),
        (VirtioMemSpec("v", 3 * GIB, block_size=3 * GIB), False),
    ],
    ids=str,
)
def test_sizes_and_addresses_are_whole_device_blocks(spec: DeviceSpec, possible: bool) -> None:  # noqa: FBT001
    rig = Rig()
    assert rig.host.plug(spec) == possible
    assert failures(rig) == ([] if possible else [EINVAL])


def test_drivers_get_the_parameters_that_the_host_was_given() -> None:
    """``unplug_online`` off, big blocks forced and of 512 MiB: nothing online is given back."""
    rig = Rig(policy=Offline())
    spec = VirtioMemSpec("v", 4 * GIB, requested=GIB, unplug_online=False, force_bbm=True, bbm_block_size=512 * MIB)
    assert rig.host.plug(spec)
    rig.settle()
    assert [event[4] for event in rig.events(EventKind.ADD)] == [4, 4]
    for block in range(FIRST, FIRST + 4):
        rig.core.write_state(block, MOVABLE)
    assert rig.host.resize("v", 0)
    rig.settle()
    assert (rig.host.plugged("v"), rig.states(FIRST, 8)) == (512 * MIB, "Mx4 .x4")
    assert rig.recorder.device_groups == [dynamic_group(512 * MIB // 4096)]


def test_a_dax_device_gets_each_of_its_two_flags() -> None:
    for bug, self_host in ((True, False), (False, True)):
        rig = Rig(kernel="6.8", memmap_on_memory=True, policy=OnlineMovable())
        assert rig.host.plug(DaxSpec("x", 2 * BLOCK, bytes_for_pages=bug, self_host=self_host))
        rig.settle()
        group = rig.memory.groups.find(0)
        assert group is not None
        assert group.max_pages == (2 * BLOCK if bug else 2 * PAGES)
        movable = rig.memory.zone(0, 3)
        assert movable.present - movable.managed == (1024 if self_host else 0)


def test_virtio_mem_never_hosts_its_memmap_and_hands_over_what_is_plugged() -> None:
    guest = FakeGuest()
    rig = Rig(memmap_on_memory=True, kernel="6.8", guest=guest, policy=AutoMovable())
    device = rig.virtio_mem()
    device.resize(BLOCK + 10 * MIB)
    assert guest.pages == {(0, 3): (BLOCK + 10 * MIB) // 4096}
    assert [event[5] for event in rig.events(EventKind.PLUG)] == [PAGES, 2_560]
    assert [call[4] for call in guest.calls if call[0] == "add"] == [False, False]


def test_a_block_that_its_memmap_would_fill_does_not_host_it() -> None:
    """With ``force`` a memmap takes a pageblock of 2 MiB at least, which is all of a block of 2 MiB."""
    size = 2 * MIB
    rig = Rig(boot=256 * MIB, block=size, section=size, kernel="6.12", memmap_on_memory="force", policy=OnlineMovable())
    rig.dimm("d", (rig.base, 2 * size))
    movable = rig.memory.zone(0, 3)
    assert (movable.present, movable.managed) == (1024, 1024)


# Slots and addresses ----


def test_the_last_slot_is_a_slot_and_the_next_is_none() -> None:
    rig = Rig(slots=2)
    assert rig.host.plug(DimmSpec("last", BLOCK, slot=1))
    assert not rig.host.plug(DimmSpec("beyond", BLOCK, slot=2))
    assert rig.host.plug(DimmSpec("a", BLOCK))
    assert not rig.host.plug(DimmSpec("b", BLOCK))
    assert failures(rig) == [ENOSPC, ENOSPC]
    assert not Rig(slots=0).host.plug(DimmSpec("c", BLOCK))


def test_addresses_end_where_the_processors_do() -> None:
    block = 2 * GIB
    rig = Rig(boot=65 * GIB, block=block, section=block)
    top = MAX_PHYSICAL_BYTES
    assert not rig.host.plug(DimmSpec("a", 2 * block, address=top - block))
    assert rig.host.plug(DimmSpec("a", block, address=top - block))
    assert not rig.host.plug(VirtioMemSpec("v", top - rig.base, block_size=block)), "the last block is taken"
    assert rig.host.plug(VirtioMemSpec("v", top - rig.base - block, block_size=block))
    assert failures(rig) == [ENOSPC, ENOSPC]
    all_of_it = Rig(boot=65 * GIB, block=block, section=block)
    assert not all_of_it.host.plug(VirtioMemSpec("v", top - rig.base + block, block_size=block))
    assert all_of_it.host.plug(VirtioMemSpec("v", top - rig.base, block_size=block))


def test_a_wished_address_may_touch_boot_memory_and_its_neighbours() -> None:
    rig = Rig()
    for name, block in (("b", 1), ("a", 0), ("c", 2)):
        assert rig.host.plug(DimmSpec(name, BLOCK, address=rig.base + block * BLOCK))
    assert not rig.host.plug(DimmSpec("d", BLOCK, address=rig.base - BLOCK))
    rig.settle()
    assert rig.states(FIRST, 4) == "Mx3 .x1"


def test_a_dimm_takes_the_room_of_its_ranges_and_the_gaps_between_them() -> None:
    """2 + 1 + 1 blocks with two gaps of 3: ten blocks; where the size is more, that."""
    rig = Rig()
    assert rig.host.plug(DimmSpec("a", 4 * BLOCK, ranges=(2 * BLOCK, BLOCK, BLOCK), gap=3 * BLOCK))
    assert rig.host.plug(DimmSpec("b", BLOCK))
    assert rig.host.plug(DimmSpec("c", 4 * BLOCK, ranges=(BLOCK,)))
    assert rig.host.plug(DimmSpec("d", BLOCK))
    rig.settle()
    assert rig.states(FIRST, 17) == "Mx2 .x3 Mx1 .x3 Mx3 .x3 Mx1 .x1"
    assert places(rig) == [0, 5, 9, 10, 11, 15]


def test_what_a_unit_may_be_is_settled_exactly_at_its_share() -> None:
    """At ratio 100 a device may have as much MOVABLE memory as there is early kernel memory, to the page."""
    rig = Rig(policy=AutoMovable(ratio=100))
    early = rig.memory.system.early_kernel
    assert early // PAGES == 31
    device = rig.virtio_mem(size=8 * GIB)
    device.resize(32 * BLOCK)
    assert rig.states(FIRST, 32) == "Mx31 Nx1"


def test_a_device_lives_on_its_own_credit_once_another_has_used_up_the_budget() -> None:
    """The first takes all 96 blocks that 4 GiB of early memory allow; the second gets three for each kernel block."""
    rig = Rig()
    first = rig.virtio_mem("first", size=16 * GIB)
    second = rig.virtio_mem("second", size=16 * GIB, address=rig.base + 16 * GIB)
    first.resize(12 * GIB)
    second.resize(GIB)
    assert rig.states(FIRST, 96) == "Mx96"
    assert rig.states(FIRST + 128, 9) == "Nx1 Mx3 Nx1 Mx3 .x1"


def test_a_device_keeps_to_the_ratio_of_its_own_node() -> None:
    """Node 1 has 1 GiB of early memory: 24 blocks at 301 percent, where node 0 would have had room for more."""
    rig = Rig(nodes=(4 * GIB, GIB), policy=AutoMovable(numa_aware=True))
    device = rig.virtio_mem(size=16 * GIB, node=1)
    device.resize(4 * GIB)
    assert rig.states(rig.base // BLOCK, 32) == "Mx24 Nx1 Mx3 Nx1 Mx3"
    other = rig.virtio_mem("other", size=16 * GIB, node=0, address=rig.base + 16 * GIB)
    other.resize(BLOCK)
    assert rig.states(rig.base // BLOCK + 128, 1) == "Mx1"


def test_devices_are_recorded_when_they_come_and_when_they_are_gone() -> None:
    rig = Rig()
    for spec in (DimmSpec("d", BLOCK), DaxSpec("x", BLOCK), VirtioMemSpec("v", GIB)):
        assert rig.host.plug(spec)
    rig.settle()
    for name in ("x", "d"):
        assert rig.host.unplug(name)
        rig.settle()
    assert [event[2:5] for event in rig.events(EventKind.DEVICE)] == [
        (0, -1, 1), (1, -1, 1), (2, -1, 1), (1, -1, 0), (0, -1, 0),
    ]  # fmt: skip


def test_the_node_and_the_group_of_each_device_are_its_own() -> None:
    rig = Rig(nodes=(4 * GIB, 2 * GIB))
    for name, node in (("a", 1), ("b", 0)):
        assert rig.host.plug(VirtioMemSpec(name, GIB, node=node, requested=BLOCK))
    assert rig.host.plug(DimmSpec("c", BLOCK, node=1))
    assert rig.host.plug(DaxSpec("d", BLOCK, node=1))
    rig.settle()
    first = rig.base // BLOCK
    assert [rig.memory.blocks.node[first + block] for block in (0, 8, 16, 17)] == [1, 0, 1, 1]
    assert rig.recorder.device_nodes == [1, 0, 1, 1]
    assert rig.recorder.device_groups == [dynamic_group(PAGES)] * 2 + [STATIC_GROUP] * 2
