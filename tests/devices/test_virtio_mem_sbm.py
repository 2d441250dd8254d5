"""virtio-mem's sub-block mode: geometry, orders, thresholds, vetoes, leftovers, and what differs between series."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.devices.sub_block_states import (
    SBM_KERNEL,
    SBM_KERNEL_PARTIAL,
    SBM_MOVABLE,
    SBM_MOVABLE_PARTIAL,
    SBM_OFFLINE,
    SBM_OFFLINE_PARTIAL,
    SBM_UNUSED,
)
from sim.devices.virtio_mem_mode import VirtioMemParameters
from sim.devices.virtio_mem_sbm import SubBlockMode
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EEXIST, ENOMEM, ENOSPC
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig, fails_with

SUB = 2 * MIB
PER_BLOCK = 64
KERNEL_WORD, MOVABLE_WORD, OFFLINE_WORD = (
    int(OnlineType.ONLINE_KERNEL),
    int(OnlineType.ONLINE_MOVABLE),
    int(OnlineType.OFFLINE),
)


def mode_of(device: object) -> SubBlockMode:
    mode = getattr(device, "mode", None)
    assert isinstance(mode, SubBlockMode)
    return mode


def by_hand(zones: str, **options: object) -> Rig:
    """A rig with a device whose blocks were put online by hand, as ``zones`` says (``-``: left offline)."""
    rig = Rig(policy=Offline(), **options)  # type: ignore[arg-type]
    device = rig.virtio_mem()
    rig.devices["v"] = device
    device.resize(len(zones) * BLOCK)
    for block, letter in enumerate(zones):
        if letter != "-":
            rig.core.write_state(FIRST + block, KERNEL_WORD if letter == "N" else MOVABLE_WORD)
    rig.settle()
    assert device.plugged == len(zones) * BLOCK
    return rig


# Geometry ----


@pytest.mark.parametrize(
    ("kernel", "block_size", "granularity"),
    [
        ("5.15", MIB, 4 * MIB),
        ("5.15", 8 * MIB, 8 * MIB),
        ("6.1", MIB, 2 * MIB),
        ("6.12", 2 * MIB, 2 * MIB),
        ("6.12", 64 * MIB, 64 * MIB),
    ],
)
def test_sub_block_sizes(kernel: str, block_size: int, granularity: int) -> None:
    mode = mode_of(Rig(kernel=kernel).virtio_mem(block_size=block_size))
    assert (mode.granularity, mode.unit_pages) == (granularity, PAGES)


def test_the_group_is_dynamic_with_a_unit_of_one_block_on_the_devices_node() -> None:
    rig = Rig(nodes=(2 * GIB, 2 * GIB))
    device = rig.virtio_mem(node=1)
    group = device.group
    assert (group.is_dynamic, group.unit_pages, group.max_pages, group.node) == (True, PAGES, 0, 1)
    device.resize(BLOCK)
    assert rig.memory.blocks.node[rig.base // BLOCK] == 1


def test_a_start_between_blocks_loses_a_piece_at_either_end() -> None:
    """Ids from the start rounded up to the end rounded down: 4 GiB of region hold 31 blocks."""
    rig = Rig()
    device = rig.virtio_mem(size=4 * GIB, address=rig.base + 6 * MIB)
    device.resize(4 * GIB)
    rig.settle()
    assert rig.states(FIRST, 34) == ".x1 Mx31 .x2"
    assert device.plugged == 31 * BLOCK
    assert device.stalled == ENOSPC
    assert not device.broken


def test_the_usable_region_follows_the_largest_request_so_far() -> None:
    rig = Rig()
    device = rig.virtio_mem(size=4 * GIB, address=rig.base + 64 * MIB)
    assert device.usable == 0
    device.resize(512 * MIB)
    assert (device.usable, device.plugged) == (768 * MIB, 512 * MIB)
    device.resize(128 * MIB)
    assert device.usable == 768 * MIB
    device.resize(4 * GIB)
    assert device.usable == 4 * GIB
    odd = rig.virtio_mem("odd", size=GIB, block_size=64 * MIB, address=rig.base + 64 * GIB)
    odd.resize(64 * MIB)
    assert odd.usable == 320 * MIB


def test_a_request_can_end_at_the_usable_region() -> None:
    """Both sub-blocks of the lost first piece are missing at the end: the region ends 256 MiB behind the request."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(size=8 * GIB, address=rig.base + 64 * MIB)
    device.resize(GIB)
    assert (device.plugged, device.stalled) == (GIB, 0)
    assert rig.states(FIRST, 12) == ".x1 -x8 .x3"


def test_what_is_less_than_a_sub_block_is_ignored() -> None:
    rig = Rig()
    device = rig.virtio_mem(block_size=MIB)
    device.resize(5 * MIB)
    assert (device.plugged, device.stalled) == (4 * MIB, 0)
    device.resize(3 * MIB)
    assert (device.plugged, device.stalled) == (4 * MIB, 0)


@pytest.mark.parametrize("requested", [-2 * MIB, MIB, 17 * GIB])
def test_requests_that_the_device_refuses(requested: int) -> None:
    device = Rig().virtio_mem(size=16 * GIB)
    assert not device.resize(requested)
    assert device.requested == 0


# Plugging ----


def test_growing_block_by_block_and_its_record() -> None:
    rig = Rig()
    device = rig.virtio_mem()
    device.resize(2 * BLOCK + 10 * SUB)
    assert rig.states(FIRST, 4) == "Mx3 .x1"
    assert device.plugged == 2 * BLOCK + 10 * SUB
    assert device.group.movable == 3 * PAGES, "a partly plugged block counts as present"
    assert rig.memory.zone(0, ZONE_MOVABLE).managed == 2 * PAGES + 10 * 512
    assert [event[5] for event in rig.events(EventKind.PLUG)] == [PAGES, PAGES, 10 * 512]
    assert bytes(mode_of(device).states.of_block[:4]) == bytes([SBM_MOVABLE, SBM_MOVABLE, SBM_MOVABLE_PARTIAL, 0])
    assert mode_of(device).states.masks == {2: (1 << 10) - 1}
    device.resize(3 * BLOCK)
    assert [event[1:] for event in rig.events(EventKind.SUBPLUG)] == [("SUBPLUG", device.index, FIRST + 2, 1, 54 * 512)]
    assert rig.memory.zone(0, ZONE_MOVABLE).managed == 3 * PAGES
    assert mode_of(device).states.masks == {}


def test_partly_plugged_blocks_are_filled_first_kernel_then_movable_then_offline() -> None:
    guest = FakeGuest()
    rig = by_hand("MNMNMN--", guest=guest)
    device = rig.devices["v"]
    mode = mode_of(device)
    guest.keeps = {FIRST + block: 1 for block in range(6)}
    device.resize(2 * SUB)  # every online block keeps one sub-block; the two offline ones go
    assert device.plugged == 6 * SUB
    assert bytes(mode.states.of_block[:8]) == bytes([SBM_MOVABLE_PARTIAL, SBM_KERNEL_PARTIAL] * 3 + [SBM_UNUSED] * 2)
    device.resize(7 * SUB)
    device.resize(8 * SUB)  # the fills
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {0: 1, 1: 3, 2: 1, 3: 1, 4: 1, 5: 1}
    rig.core.write_state(FIRST + 0, OFFLINE_WORD)
    assert mode.states.of_block[0] == SBM_OFFLINE_PARTIAL
    fill = 61 + 63 + 63  # all three kernel blocks
    device.resize(8 * SUB + fill * SUB)
    assert sorted(mode.states.masks) == [0, 2, 4]
    device.resize(8 * SUB + (fill + 2 * 63 - 1) * SUB)
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {0: 1, 4: 63}
    device.resize(8 * SUB + (fill + 2 * 63 + 5) * SUB)
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {0: 6}
    device.resize(6 * BLOCK + SUB)
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {6: 1}, (
        "then a block that was removed, anew"
    )
    assert mode.states.of_block[0] == SBM_OFFLINE


def test_the_lowest_free_sub_blocks_are_filled_first() -> None:
    guest = FakeGuest()
    rig = by_hand("N", guest=guest)
    device = rig.devices["v"]
    guest.keeps = {FIRST: (1 << 40) | (1 << 3)}
    device.resize(0)
    assert mode_of(device).states.masks == {0: (1 << 40) | (1 << 3)}
    device.resize(6 * SUB)
    assert mode_of(device).states.masks == {0: (1 << 40) | 0b11111}


def test_removed_blocks_are_reused_ascending_before_anything_is_appended() -> None:
    rig = by_hand("MMMMMM")
    device = rig.devices["v"]
    device.resize(2 * BLOCK)
    assert rig.states(FIRST, 7) == "Mx2 .x5"
    assert bytes(mode_of(device).states.of_block[:7]) == bytes([SBM_MOVABLE] * 2 + [SBM_UNUSED] * 4 + [0])
    device.resize(7 * BLOCK)
    assert [event[3] for event in rig.events(EventKind.ADD)] == [
        FIRST + block for block in (0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6)
    ]


def test_each_new_block_asks_the_policy_anew() -> None:
    rig = Rig()
    device = rig.virtio_mem(size=64 * GIB)
    device.resize(16 * GIB)
    assert rig.states(FIRST, 128) == "Mx96 " + " ".join(["Nx1 Mx3"] * 8)
    device.resize(4 * GIB)
    assert rig.states(FIRST, 128).startswith("Mx24 .x72 Nx1 .x3")
    device.resize(16 * GIB)
    assert rig.states(FIRST, 128) == "Mx96 " + " ".join(["Nx1 Mx3"] * 8)


def test_no_memory_for_the_memmap_arms_the_timer() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 3
    rig = Rig(guest=guest)
    device = rig.virtio_mem()
    device.resize(5 * BLOCK)
    assert (device.plugged, device.stalled, device.broken) == (3 * BLOCK, ENOMEM, False)
    assert bytes(mode_of(device).states.of_block[:5]) == bytes([SBM_MOVABLE] * 3 + [SBM_UNUSED, 0])
    assert device.group.blocks == 3, "what could not be added has left the group again"
    assert rig.states(FIRST, 5) == "Mx3 .x2"
    guest.memmap_blocks = 1
    rig.run_for(50_000_000)
    assert device.plugged == 4 * BLOCK
    guest.memmap_blocks = None
    rig.run_for(100_000_000)
    assert (device.plugged, device.stalled) == (5 * BLOCK, 0)


def test_an_address_that_is_taken_breaks_the_device_for_good() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    rig.dimm("d", (rig.base + 2 * BLOCK, BLOCK))
    device = rig.virtio_mem()
    device.resize(4 * BLOCK)
    assert (device.plugged, device.stalled, device.broken) == (2 * BLOCK, EEXIST, True)
    assert ("remove", FIRST + 2, 1) not in guest.calls, "the other device's memmap stays"
    assert device.resize(0)
    rig.env.run()
    assert device.plugged == 2 * BLOCK


# The offline threshold ----


def test_adding_stops_at_a_gigabyte_offline_and_resumes_at_half() -> None:
    """8 blocks of 128 MiB; the 4th one put online brings 4 new ones (W31)."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(12 * BLOCK)
    assert (rig.states(FIRST, 12), device.stalled) == ("-x8 .x4", ENOSPC)
    assert rig.until_next() == float("inf"), "no timer: onlining wakes the worker"
    for block in range(3):
        rig.core.write_state(FIRST + block, MOVABLE_WORD)
        assert mode_of(device).offline_pages == (7 - block) * PAGES
    assert rig.states(FIRST, 12) == "Mx3 -x5 .x4"
    rig.core.write_state(FIRST + 3, MOVABLE_WORD)
    assert rig.states(FIRST, 13) == "Mx4 -x8 .x1"
    assert (device.plugged, device.stalled) == (12 * BLOCK, 0)


def test_the_threshold_is_two_blocks_where_those_are_larger() -> None:
    rig = Rig(boot=64 * GIB, policy=Offline(), block=2 * GIB, section=BLOCK)
    device = rig.virtio_mem()
    assert device.threshold_pages == 2 * 2 * GIB // 4096
    device.resize(8 * GIB)
    assert device.plugged == 4 * GIB
    rig.core.write_state(mode_of(device).first, MOVABLE_WORD)
    assert device.plugged == 6 * GIB


def test_partly_plugged_blocks_count_whole_against_the_threshold() -> None:
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(7 * BLOCK + SUB)
    assert mode_of(device).offline_pages == 8 * PAGES
    device.resize(8 * BLOCK + SUB)
    assert (device.plugged, device.stalled) == (8 * BLOCK, ENOSPC)
    assert bytes(mode_of(device).states.of_block[:9]) == bytes([SBM_OFFLINE] * 8 + [0])


def test_offline_pages_rise_and_fall_with_every_change() -> None:
    rig = by_hand("MN--")
    device = rig.devices["v"]
    mode = mode_of(device)
    assert mode.offline_pages == 2 * PAGES
    rig.core.write_state(FIRST, OFFLINE_WORD)
    assert (mode.offline_pages, mode.states.of_block[0]) == (3 * PAGES, SBM_OFFLINE)
    device.resize(2 * BLOCK)
    assert (mode.offline_pages, rig.states(FIRST, 4)) == (PAGES, "-x1 Nx1 .x2")
    rig.core.write_state(FIRST, KERNEL_WORD)
    assert (mode.offline_pages, mode.states.of_block[0]) == (0, SBM_KERNEL)


# Unplugging ----


def test_the_order_of_the_six_classes() -> None:
    """Partly plugged kernel blocks go before fully plugged MOVABLE ones; each class from the highest block down."""
    guest = FakeGuest()
    rig = by_hand("MNMNMN", guest=guest)
    device = rig.devices["v"]
    mode = mode_of(device)
    full = (1 << PER_BLOCK) - 1
    # Kernel block 3 and MOVABLE block 2 keep their lower half for now, and become partial.
    half = full >> 32
    guest.keeps = {FIRST + 5: full, FIRST + 4: full, FIRST + 3: half, FIRST + 2: half, FIRST + 1: full, FIRST: full}
    device.resize(5 * BLOCK)
    assert (mode.states.of_block[2], mode.states.of_block[3], device.plugged) == (
        SBM_MOVABLE_PARTIAL,
        SBM_KERNEL_PARTIAL,
        5 * BLOCK,
    )
    rig.core.write_state(FIRST + 4, OFFLINE_WORD)
    guest.keeps = {}
    guest.calls.clear()
    seen = []
    for left in range(5 * PER_BLOCK - 1, -1, -1):
        device.resize(left * SUB)
        seen.append(tuple(at for at in range(6) if mode.states.of_block[at] != SBM_UNUSED))
        assert device.plugged == left * SUB
    gone = [seen[0]]
    for state in seen:
        if state != gone[-1]:
            gone.append(state)
    # 4 offline, 2 MOVABLE_PARTIAL, 3 KERNEL_PARTIAL, 0 MOVABLE, then 5 and 1 KERNEL.
    assert gone == [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 5), (0, 1, 3, 5), (0, 1, 5), (1, 5), (1,), ()]


def test_offline_partial_goes_before_offline() -> None:
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(3 * BLOCK)
    mode = mode_of(device)
    device.resize(3 * BLOCK - SUB)
    assert mode.states.masks == {2: (1 << 63) - 1}
    device.resize(2 * BLOCK + 30 * SUB)
    assert mode.states.masks == {2: (1 << 30) - 1}
    rig.core.write_state(FIRST + 2, MOVABLE_WORD)
    device.resize(BLOCK + 30 * SUB)
    assert rig.states(FIRST, 3) == "-x1 .x1 Mx1", "offline before a partly plugged online block"
    rig.core.write_state(FIRST + 2, OFFLINE_WORD)
    assert mode.states.of_block[2] == SBM_OFFLINE_PARTIAL
    device.resize(BLOCK)
    assert rig.states(FIRST, 3) == "-x1 .x2"
    assert [event[5] for event in rig.events(EventKind.REMOVE)] == [PAGES, 30 * 512]


def test_a_block_that_a_pass_makes_partial_is_not_visited_again_in_that_run() -> None:
    guest = FakeGuest()
    rig = by_hand("MM", guest=guest)
    device = rig.devices["v"]
    guest.keeps = {FIRST: 1, FIRST + 1: 1}
    device.resize(0)
    assert guest.asked("give") == [FIRST + 1, FIRST]
    assert (device.plugged, device.stalled) == (2 * SUB, EBUSY)


def test_what_one_block_does_not_give_is_asked_of_the_next() -> None:
    """A shrink meets its request although the highest kernel block kept a sub-block; growth fills from below."""
    guest = FakeGuest()
    rig = by_hand("NNN", guest=guest)
    device = rig.devices["v"]
    guest.keeps = {FIRST + 2: 1 << 10}
    device.resize(2 * BLOCK)
    mode = mode_of(device)
    assert (device.plugged, device.stalled) == (2 * BLOCK, 0)
    assert mode.states.masks == {2: 1 << 10, 1: (1 << 63) - 1}
    assert rig.states(FIRST, 3) == "Nx3"
    device.resize(2 * BLOCK + SUB)
    assert mode.states.masks == {2: 1 << 10}, "block 1 lies lower, and is filled first"
    device.resize(2 * BLOCK + 2 * SUB)
    assert mode.states.masks == {2: 1 << 10 | 1}


def test_a_refusing_block_keeps_everything_and_its_state() -> None:
    guest = FakeGuest()
    rig = by_hand("NMM", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST + 1, FIRST + 2}
    device.resize(BLOCK)
    assert rig.states(FIRST, 3) == ".x1 Mx2"
    assert (device.plugged, device.stalled) == (2 * BLOCK, EBUSY)
    assert mode_of(device).states.of_block[1] == SBM_MOVABLE


def test_what_goes_is_counted_once_in_every_place() -> None:
    guest = FakeGuest()
    rig = by_hand("NM", guest=guest)
    device = rig.devices["v"]
    guest.keeps = {FIRST: 0b111}
    device.resize(SUB)
    normal = rig.memory.zone(0, ZONE_NORMAL)
    assert device.plugged == 3 * SUB
    assert normal.managed == normal.present - (PAGES - 3 * 512) - (PAGES * 0)
    assert guest.pages[0, ZONE_NORMAL] == 3 * 512
    assert guest.pages[0, ZONE_MOVABLE] == 0
    assert rig.memory.zone(0, ZONE_MOVABLE).present == rig.memory.zone(0, ZONE_MOVABLE).managed == 0
    assert device.group.kernel == PAGES
    guest.keeps = {}
    device.resize(0)
    assert (device.plugged, device.group.kernel, device.group.blocks) == (0, 0, 0)
    assert guest.pages[0, ZONE_NORMAL] == 0


def test_unplug_online_off_takes_offline_blocks_only_and_is_content() -> None:
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(parameters=VirtioMemParameters(unplug_online=False))
    device.resize(4 * BLOCK)
    for block in (0, 1, 3):
        rig.core.write_state(FIRST + block, MOVABLE_WORD)
    device.resize(0)
    assert rig.states(FIRST, 4) == "Mx2 .x1 Mx1"
    assert (device.plugged, device.stalled) == (3 * BLOCK, 0)
    assert rig.until_next() == float("inf"), "nothing failed, so no timer runs"
    rig.core.write_state(FIRST + 1, OFFLINE_WORD)
    assert rig.states(FIRST, 4) == "Mx1 .x2 Mx1", "a block taken offline wakes the worker"


def test_with_unplug_online_on_a_block_taken_offline_wakes_nobody() -> None:
    guest = FakeGuest()
    rig = by_hand("MM", guest=guest)
    device = rig.devices["v"]
    guest.keeps = {FIRST: 1, FIRST + 1: 1}
    device.resize(0)
    guest.calls.clear()
    rig.core.write_state(FIRST, OFFLINE_WORD)
    rig.settle()
    assert guest.asked("give") == []
    assert device.plugged == 2 * SUB


# The notifier ----


def test_blocks_that_the_driver_does_not_know_to_be_offline_may_not_go_online() -> None:
    rig = Rig(policy=Offline())
    rig.behind_the_drivers_back = True
    device = rig.virtio_mem()
    device.resize(BLOCK)
    rig.core.add_memory(device.index, (FIRST + 1) * PAGES, PAGES, group_id=device.group_id)
    with fails_with(EBUSY):
        rig.core.write_state(FIRST + 1, MOVABLE_WORD)
    assert rig.states(FIRST, 2) == "-x2"
    rig.core.write_state(FIRST, MOVABLE_WORD)
    assert rig.states(FIRST, 2) == "Mx1 -x1"


def test_a_vetoed_attempt_uses_up_the_left_over_word() -> None:
    rig = Rig(policy=Offline())
    rig.behind_the_drivers_back = True
    device = rig.virtio_mem()
    rig.core.add_memory(device.index, FIRST * PAGES, PAGES, group_id=device.group_id)
    rig.memory.blocks.left_over[FIRST] = MOVABLE_WORD
    with fails_with(EBUSY):
        rig.core.put_back(device.index, FIRST)
    assert rig.memory.blocks.left_over == {}


def test_a_partly_plugged_block_goes_online_with_what_is_plugged() -> None:
    guest = FakeGuest()
    rig = Rig(policy=Offline(), guest=guest)
    device = rig.virtio_mem()
    device.resize(5 * SUB)
    rig.core.write_state(FIRST, KERNEL_WORD)
    assert guest.pages[0, ZONE_NORMAL] == 5 * 512
    assert mode_of(device).states.of_block[0] == SBM_KERNEL_PARTIAL
    rig.core.write_state(FIRST, OFFLINE_WORD)
    assert guest.pages[0, ZONE_NORMAL] == 0
    assert mode_of(device).states.of_block[0] == SBM_OFFLINE_PARTIAL


# Blocks of which nothing is plugged ----


def emptied_but_there(kernel: str) -> tuple[Rig, FakeGuest]:
    """A kernel block that gave up all sub-blocks and then could not be offlined: present, with nothing plugged."""
    guest = FakeGuest()
    rig = by_hand("NM", guest=guest, kernel=kernel)
    guest.refuse_once = {FIRST}
    rig.devices["v"].resize(0)
    assert rig.states(FIRST, 2) == "Nx1 .x1"
    assert rig.devices["v"].plugged == 0
    assert mode_of(rig.devices["v"]).states.masks == {0: 0}
    assert rig.devices["v"].group.kernel == PAGES, "present in the group as before"
    return rig, guest


def test_before_6_6_an_emptied_block_is_left_alone() -> None:
    rig, _ = emptied_but_there("6.1")
    device = rig.devices["v"]
    assert device.stalled == 0
    rig.env.run()
    assert (rig.env.now, rig.states(FIRST, 1)) == (0, "Nx1")
    device.resize(SUB)
    assert mode_of(device).states.masks == {0: 1}, "the first to be filled by the next growth"
    device.resize(0)
    assert rig.states(FIRST, 1) == ".x1"


def test_since_6_6_an_emptied_block_is_retried() -> None:
    rig, _ = emptied_but_there("6.6")
    device = rig.devices["v"]
    assert device.stalled == EBUSY
    rig.run_for(50_000_000)
    assert rig.states(FIRST, 2) == ".x2"
    assert (device.stalled, device.group.blocks, mode_of(device).states.masks) == (0, 0, {})
    assert mode_of(device).states.of_block[0] == SBM_UNUSED


def test_an_emptied_block_that_user_space_took_offline_is_removed_too() -> None:
    rig, _ = emptied_but_there("6.12")
    device = rig.devices["v"]
    rig.core.write_state(FIRST, OFFLINE_WORD)
    assert mode_of(device).offline_pages == PAGES
    rig.run_for(50_000_000)
    assert rig.states(FIRST, 2) == ".x2"
    assert (device.stalled, mode_of(device).offline_pages) == (0, 0)


def test_emptied_blocks_are_removed_movable_ones_first_then_kernel_ones_then_offline_ones() -> None:
    guest = FakeGuest()
    rig = by_hand("NMNMNM", guest=guest, kernel="6.6")
    device = rig.devices["v"]
    guest.refuse_once = {FIRST + block for block in range(6)}
    device.resize(0)
    assert mode_of(device).states.masks == dict.fromkeys(range(6), 0)
    for block in (0, 1):
        rig.core.write_state(FIRST + block, OFFLINE_WORD)
    rig.run_for(50_000_000)
    gone = [event[3] - FIRST for event in rig.events(EventKind.UNPLUG, EventKind.REMOVE)]
    assert gone == [3, 5, 2, 4, 0, 1]
    assert (device.stalled, rig.states(FIRST, 6)) == (0, ".x6")


def test_a_retry_that_fails_again_doubles_the_wait() -> None:
    rig, guest = emptied_but_there("6.12")
    guest.refusing = {FIRST}
    rig.run_for(50_000_000)
    assert rig.devices["v"].stalled == EBUSY
    assert rig.until_next() == 100_000_000
    guest.refusing = set()
    rig.run_for(100_000_000)
    assert (rig.states(FIRST, 2), rig.devices["v"].stalled) == (".x2", 0)


# Requests that change while the worker is busy ----

SLOW = Timing(virtio_mem_plug=1_000_000, virtio_mem_unplug=1_000_000)


def test_a_request_lowered_while_plugging_is_noticed_at_the_next_block() -> None:
    """The device refuses what goes beyond its request; the driver reads the new one and unplugs what is too much."""
    rig = Rig(timing=SLOW)
    device = rig.virtio_mem()
    device.resize(8 * BLOCK)
    rig.env.run(until=2_500_000)
    assert device.plugged == 2 * BLOCK
    device.resize(BLOCK)
    rig.env.run()
    assert (device.plugged, rig.states(FIRST, 3)) == (BLOCK, "Mx1 .x2")
    assert rig.env.now == 4_000_000, "the third block's attempt was refused, then one block went"
    assert [event[1] for event in rig.events(EventKind.PLUG, EventKind.UNPLUG)] == ["PLUG", "PLUG", "UNPLUG"]


def test_a_request_raised_while_plugging_is_met_in_a_second_run() -> None:
    rig = Rig(timing=SLOW)
    device = rig.virtio_mem()
    device.resize(2 * BLOCK)
    rig.env.run(until=500_000)
    device.resize(4 * BLOCK)
    rig.env.run()
    assert (device.plugged, rig.env.now, device.busy) == (4 * BLOCK, 4_000_000, False)


@pytest.mark.parametrize(("kernel", "low"), [("6.1", 2), ("6.6", 5), ("6.12", 5)])
def test_a_request_raised_while_unplugging(kernel: str, low: int) -> None:
    """Before 6.6 the driver finishes what it was asked first; since then it looks before every block."""
    rig = Rig(timing=SLOW, kernel=kernel)
    device = rig.virtio_mem()
    device.resize(6 * BLOCK)
    rig.env.run()
    start = rig.env.now
    device.resize(2 * BLOCK)
    rig.env.run(until=start + 500_000)
    device.resize(6 * BLOCK)
    lowest = 6 * BLOCK
    while rig.env.peek() != float("inf"):
        rig.env.step()
        lowest = min(lowest, device.plugged)
    assert (lowest, device.plugged) == (low * BLOCK, 6 * BLOCK)
    assert rig.env.now - start == ((6 - low) * 2) * 1_000_000


def test_who_is_told_of_a_result_may_ask_for_more_at_once() -> None:
    rig = Rig()
    results = []

    def done(_name: str, ok: bool) -> None:  # noqa: FBT001
        results.append((device.plugged // BLOCK, ok))
        if len(results) == 1:
            device.resize(3 * BLOCK)

    device = rig.virtio_mem(done=done)
    device.resize(BLOCK)
    rig.settle()
    assert results == [(1, True), (3, True)]
    assert (device.plugged, device.busy) == (3 * BLOCK, False)


# The retry timer ----


def test_the_wait_doubles_up_to_five_minutes_and_starts_anew_after_success() -> None:
    """50, 100, 200, 300, 300 seconds (W30)."""
    guest = FakeGuest()
    rig = by_hand("NN", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST, FIRST + 1}
    device.resize(0)
    attempts: list[int] = []
    while len(attempts) < 6:
        guest.calls.clear()
        rig.env.step()
        if guest.asked("give"):
            attempts.append(int(rig.env.now))
    waits = [later - earlier for earlier, later in zip([0, *attempts], attempts, strict=False)]
    assert waits == [second * 1_000_000 for second in (50, 100, 200, 300, 300, 300)]
    guest.refusing = {FIRST}
    rig.run_for(300_000_000)
    assert device.plugged == BLOCK, "one block went, the request is not met: the wait stays long"
    assert rig.until_next() == 300_000_000
    device.resize(BLOCK)
    assert rig.until_next() == 300_000_000, "the old timer is still in the queue, and does nothing"
    guest.calls.clear()
    rig.env.run()
    assert guest.asked("give") == []
    device.resize(0)
    assert rig.until_next() == 50_000_000


def test_a_new_request_replaces_the_timer() -> None:
    guest = FakeGuest()
    rig = by_hand("NN", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST, FIRST + 1}
    device.resize(0)
    rig.run_for(20_000_000)
    device.resize(BLOCK)
    guest.calls.clear()
    rig.run_for(49_999_999)
    assert guest.asked("give") == [], "the first timer would have fired at 50 s"
    rig.run_for(1)
    assert guest.asked("give") == [FIRST + 1, FIRST]


def test_a_stop_for_want_of_room_sets_no_timer_and_keeps_the_wait() -> None:
    guest = FakeGuest()
    rig = by_hand("N", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST}
    device.resize(0)
    rig.run_for(50_000_000)
    device.resize(16 * GIB)
    assert device.stalled == ENOSPC
    before = rig.env.now
    rig.env.run()
    assert rig.env.now - before <= 100_000_000
    device.resize(0)
    assert rig.until_next() == 100_000_000, "only a run that ends with 0 starts the waits anew"


# Zones for whole devices ----


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(OnlineKernel(), "Nx8"), (OnlineMovable(), "Mx8"), (AutoMovable(ratio=0), "Nx8")],
    ids=["online_kernel", "online_movable", "ratio 0"],
)
def test_words_that_settle_the_zone(policy: AutoMovable | OnlineKernel | OnlineMovable, expected: str) -> None:
    rig = Rig(policy=policy)
    rig.virtio_mem().resize(8 * BLOCK)
    assert rig.states(FIRST, 8) == expected
