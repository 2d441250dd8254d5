"""dax devices given to kmem: alignment, the bytes-for-pages bug, unbinding, self-hosted memmap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineMovable
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EINVAL, ENOMEM
from sim.memory.groups import NO_GROUP
from sim.memory.zones import ZONE_MOVABLE, OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig

if TYPE_CHECKING:
    from sim.devices.dax import Dax

BASE = FIRST * BLOCK


def bind(
    rig: Rig, *ranges: tuple[int, int], node: int = 0, bytes_for_pages: bool = False, self_host: bool = False
) -> Dax:
    dax = rig.unplugged_dax(*ranges, node=node, bytes_for_pages=bytes_for_pages, self_host=self_host)
    dax.plug()
    rig.settle()
    return dax


def give_back(rig: Rig, dax: Dax) -> None:
    dax.eject()
    rig.settle()


def test_ranges_shrink_inward_to_whole_blocks() -> None:
    rig = Rig()
    dax = bind(rig, (BASE + 2 * MIB, 4 * BLOCK), (BASE + 8 * BLOCK, BLOCK - 1), (BASE + 10 * BLOCK, 2 * BLOCK + MIB))
    assert dax.ranges == [(BASE + BLOCK, 3 * BLOCK), (BASE + 10 * BLOCK, 2 * BLOCK)]
    assert rig.states(FIRST, 13) == ".x1 Mx3 .x6 Mx2 .x1"
    group = rig.memory.groups.find(dax.group_id)
    assert group is not None
    assert (group.max_pages, group.is_dynamic) == (5 * PAGES, False)
    assert dax.plugged_pages == 5 * PAGES


def test_a_device_without_a_whole_block_is_refused() -> None:
    rig = Rig()
    dax = bind(rig, (BASE + MIB, BLOCK))
    assert dax.error is not None
    assert (dax.error.errno, dax.group_id, len(rig.memory.groups)) == (EINVAL, NO_GROUP, 0)
    give_back(rig, dax)
    assert dax.gone


def test_a_negative_node_is_refused() -> None:
    rig = Rig()
    dax = bind(rig, (BASE, BLOCK), node=-1)
    assert dax.error is not None
    assert dax.error.errno == EINVAL


@pytest.mark.parametrize(("bug", "zones"), [(True, "Nx512"), (False, "Mx512")])
def test_bytes_taken_for_pages_make_a_device_look_4096_times_too_large(bug: bool, zones: str) -> None:  # noqa: FBT001
    """64 GiB on a host of 1 TiB: with the bug the group is 68719476736 pages, beyond any limit (W29)."""
    rig = Rig(boot=1024 * GIB)
    dax = bind(rig, (rig.base, 64 * GIB), bytes_for_pages=bug)
    group = rig.memory.groups.find(dax.group_id)
    assert group is not None
    assert group.max_pages == (64 * GIB if bug else 64 * GIB // 4096)
    assert rig.states(rig.base // BLOCK, 512) == zones


def test_the_largest_device_that_passes_with_the_bug() -> None:
    """Its bytes have to stay below 3.01 times the early pages: 770 MiB for 1 TiB, where it should be 3 TiB."""
    rig = Rig(boot=1024 * GIB)
    limit = 301 * rig.memory.system.early_kernel // 100
    blocks = limit // BLOCK
    assert blocks == 6
    bind(rig, (rig.base, blocks * BLOCK), bytes_for_pages=True)
    assert rig.states(rig.base // BLOCK, blocks) == f"Mx{blocks}"
    other = Rig(boot=1024 * GIB)
    bind(other, (other.base, (blocks + 1) * BLOCK), bytes_for_pages=True)
    assert other.states(other.base // BLOCK, blocks + 1) == f"Nx{blocks + 1}"


def test_it_is_judged_as_one_static_device() -> None:
    rig = Rig(policy=AutoMovable(ratio=301))
    bind(rig, (BASE, 8 * GIB), (BASE + 16 * GIB, 8 * GIB))
    assert rig.states(FIRST, 192) == "Nx64 .x64 Nx64", "16 GiB do not fit, though the first 8 GiB alone would"


def test_a_range_in_use_fails_the_first_and_is_skipped_later() -> None:
    rig = Rig()
    rig.dimm("d", (BASE, BLOCK))
    dax = bind(rig, (BASE, 2 * BLOCK), (BASE + 4 * BLOCK, BLOCK))
    assert dax.error is not None
    assert (dax.error.errno, dax.group_id) == (EBUSY, NO_GROUP)
    assert rig.states(FIRST, 5) == "Mx1 .x4"
    later = bind(rig, (BASE + 4 * BLOCK, BLOCK), (BASE, 2 * BLOCK), (BASE + 6 * BLOCK, BLOCK))
    assert later.error is None
    assert rig.states(FIRST, 7) == "Mx1 .x3 Mx1 .x1 Mx1"
    assert later.added == [(FIRST + 4, 1), (FIRST + 6, 1)]
    group = rig.memory.groups.find(later.group_id)
    assert group is not None
    assert group.max_pages == 4 * PAGES, "the skipped range still counts"


def test_no_memory_for_the_memmap_fails_the_probe_or_the_range() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 1
    rig = Rig(guest=guest)
    first = bind(rig, (BASE, 2 * BLOCK), (BASE + 4 * BLOCK, BLOCK))
    assert first.error is not None
    assert (first.error.errno, len(rig.memory.groups)) == (ENOMEM, 0)
    second = bind(rig, (BASE, BLOCK), (BASE + 4 * BLOCK, BLOCK))
    assert (second.error, second.added) == (None, [(FIRST, 1)])


def test_giving_back_goes_from_the_highest_block_down_and_then_unbinds() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    dax = bind(rig, (BASE, 3 * BLOCK), (BASE + 5 * BLOCK, 2 * BLOCK))
    give_back(rig, dax)
    assert guest.asked("offline") == [FIRST + block for block in (6, 5, 2, 1, 0)]
    assert dax.gone
    assert (len(rig.memory.groups), rig.states(FIRST, 7)) == (0, ".x7")
    assert [event[4] for event in rig.events(EventKind.REMOVE)] == [3, 2]


def test_the_driver_never_takes_blocks_offline_itself() -> None:
    """A block that user space could not take offline keeps all: nothing is removed, and the others stay offline."""
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=OnlineMovable())
    dax = bind(rig, (BASE, 4 * BLOCK))
    guest.refusing = {FIRST + 1}
    give_back(rig, dax)
    assert not dax.gone
    assert rig.states(FIRST, 4) == "-x1 Mx1 -x2"
    assert dax.plugged_pages == 4 * PAGES
    assert [int(row[5]) for row in rig.recorder.table() if row[1] == EventKind.FAILED] == [EBUSY]
    rig.core.write_state(FIRST + 3, int(OnlineType.ONLINE_MOVABLE))
    guest.refusing = set()
    give_back(rig, dax)
    assert (dax.gone, rig.states(FIRST, 4)) == (True, ".x4")


@pytest.mark.parametrize(("kernel", "hosted"), [("6.1", False), ("6.8", True)])
def test_self_hosted_memmap_of_a_whole_device(kernel: str, hosted: bool) -> None:  # noqa: FBT001
    rig = Rig(kernel=kernel, memmap_on_memory=True)
    bind(rig, (BASE, 2 * BLOCK), self_host=True)
    movable = rig.memory.zone(0, ZONE_MOVABLE)
    assert movable.present - movable.managed == (1024 if hosted else 0)


def test_time_is_taken_block_by_block_and_others_may_get_in_between() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest, timing=Timing(dimm_add=9_000, offline=4_000, migrate=128_000, virtio_mem_plug=1_000))
    dax = rig.unplugged_dax((BASE, 4 * BLOCK))
    dax.plug()
    rig.run_for(4 * 9_000)
    assert rig.states(FIRST, 4) == "Mx4"
    device = rig.virtio_mem(address=BASE + 16 * BLOCK)
    guest.moves = PAGES // 128
    dax.eject()
    device.resize(2 * BLOCK)
    rig.env.run()
    order = [(event[0] - 36_000, event[1]) for event in rig.events(EventKind.OFFLINE, EventKind.PLUG, EventKind.REMOVE)]
    # Block by block in turn: 4 ms to take one offline, 1 ms to move its pages, then 1 ms to plug one.
    assert order[1:] == [
        (4_000, "OFFLINE"),
        (6_000, "PLUG"),
        (10_000, "OFFLINE"),
        (12_000, "PLUG"),
        (16_000, "OFFLINE"),
        (21_000, "OFFLINE"),
        (22_000, "REMOVE"),
    ]
    assert dax.gone
