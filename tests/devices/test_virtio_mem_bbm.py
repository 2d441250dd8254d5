"""virtio-mem's big-block mode: when it is used, the unit rule, the three passes, refusals of whole big blocks."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineMovable
from sim.devices.virtio_mem_bbm import BBM_KERNEL, BBM_MOVABLE, BBM_OFFLINE, BBM_UNUSED, BigBlockMode
from sim.devices.virtio_mem_mode import VirtioMemParameters
from sim.devices.virtio_mem_sbm import SubBlockMode
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EINVAL, ENOMEM, ENOSPC
from sim.memory.zones import ZONE_MOVABLE, OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig, fails_with

BIG = 512 * MIB
PER = 4
"""Memory blocks of a big block of 512 MiB."""


def mode_of(device: object) -> BigBlockMode:
    mode = getattr(device, "mode", None)
    assert isinstance(mode, BigBlockMode)
    return mode


def by_hand(zones: str, *, guest: FakeGuest | None = None, kernel: str = "6.1") -> Rig:
    """A rig with a device of big blocks of 512 MiB, whose memory blocks were put online as ``zones`` says."""
    rig = Rig(policy=OnlineMovable(), guest=guest, kernel=kernel)
    device = rig.virtio_mem(block_size=BIG)
    rig.devices["v"] = device
    device.resize(len(zones) * BLOCK)
    for block, letter in enumerate(zones):
        if letter != "M":
            rig.core.write_state(FIRST + block, int(OnlineType.OFFLINE))
        if letter == "N":
            rig.core.write_state(FIRST + block, int(OnlineType.ONLINE_KERNEL))
    if guest is not None:
        guest.calls.clear()
    assert device.plugged == len(zones) * BLOCK
    return rig


@pytest.mark.parametrize(
    ("block_size", "parameters", "big_block"),
    [
        (2 * MIB, VirtioMemParameters(), None),
        (64 * MIB, VirtioMemParameters(), None),
        (64 * MIB, VirtioMemParameters(bbm_block_size=GIB), None),
        (BLOCK, VirtioMemParameters(), BLOCK),
        (BIG, VirtioMemParameters(), BIG),
        (2 * MIB, VirtioMemParameters(force_bbm=True), BLOCK),
        (2 * MIB, VirtioMemParameters(force_bbm=True, bbm_block_size=GIB), GIB),
        (BIG, VirtioMemParameters(bbm_block_size=2 * GIB), 2 * GIB),
        (BIG, VirtioMemParameters(bbm_block_size=256 * MIB), BIG),
        (BIG, VirtioMemParameters(bbm_block_size=768 * MIB), BIG),
    ],
)
def test_which_mode_and_which_big_block(
    block_size: int, parameters: VirtioMemParameters, big_block: int | None
) -> None:
    device = Rig().virtio_mem(block_size=block_size, parameters=parameters)
    if big_block is None:
        assert isinstance(device.mode, SubBlockMode)
    else:
        assert isinstance(device.mode, BigBlockMode)
        assert device.mode.granularity == big_block
    assert device.group.unit_pages == max(big_block or 0, BLOCK) // 4096


def test_only_whole_big_blocks_are_plugged_and_unplugged() -> None:
    rig = Rig()
    device = rig.virtio_mem(parameters=VirtioMemParameters(force_bbm=True, bbm_block_size=BIG))
    device.resize(3 * BIG - 2 * MIB)
    assert (device.plugged, device.stalled) == (2 * BIG, 0)
    device.resize(BIG + 2 * MIB)
    assert (device.plugged, device.stalled) == (2 * BIG, 0)
    device.resize(BIG)
    assert device.plugged == BIG


def test_units_are_aligned_in_physical_address_space() -> None:
    """A start at block 42 of units of 4 loses two blocks at either end."""
    rig = Rig()
    device = rig.virtio_mem(size=4 * BIG, block_size=BIG, address=rig.base + 2 * BLOCK)
    device.resize(4 * BIG)
    assert rig.states(FIRST, 20) == ".x4 Mx12 .x4"
    assert (device.plugged, device.stalled) == (3 * BIG, ENOSPC)


def test_a_unit_goes_to_one_zone_and_kernel_units_pay_for_three_movable_ones() -> None:
    rig = Rig()
    device = rig.virtio_mem(size=64 * GIB, block_size=BIG)
    device.resize(20 * GIB)
    assert rig.states(FIRST, 160) == "Mx96 " + " ".join(["Nx4 Mx12"] * 4)
    assert [event[4] for event in rig.events(EventKind.PLUG)] == [PER] * 40


def test_a_block_of_a_unit_put_online_by_hand_binds_the_rest() -> None:
    rig = by_hand("N------M")
    rig.core.zone_choice.set_policy(AutoMovable(ratio=1000))
    for block in (1, 2, 5, 6):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE))
    assert rig.states(FIRST, 8) == "Nx3 -x2 Mx3"


def test_removed_big_blocks_are_reused_ascending_then_new_ones_appended() -> None:
    rig = by_hand("MMMMNNNNMMMMNNNN")
    device = rig.devices["v"]
    device.resize(BIG)
    assert rig.states(FIRST, 16) == ".x4 Nx4 .x8", "MOVABLE ones first, then the highest kernel one"
    device.resize(5 * BIG)
    assert [event[3] - FIRST for event in rig.events(EventKind.PLUG)][4:] == [0, 8, 12, 16]


def test_the_three_passes() -> None:
    """Wholly offline, then offline or MOVABLE only, then any; in each from the highest down."""
    rig = by_hand("NNNN----M---NM--MMMM----")
    device = rig.devices["v"]
    assert bytes(mode_of(device).state[:6]) == bytes(
        [BBM_KERNEL, BBM_OFFLINE, BBM_MOVABLE, BBM_KERNEL, BBM_MOVABLE, BBM_OFFLINE]
    )
    for left in range(5, -1, -1):
        device.resize(left * BIG)
    gone = [event[3] - FIRST for event in rig.events(EventKind.REMOVE)]
    assert gone == [20, 4, 16, 8, 12, 0]
    assert (device.plugged, device.group.blocks, mode_of(device).offline_pages) == (0, 0, 0)


def test_unplug_online_off_stops_after_the_offline_ones() -> None:
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(block_size=BIG, parameters=VirtioMemParameters(unplug_online=False))
    device.resize(2 * BIG)
    rig.core.write_state(FIRST, int(OnlineType.ONLINE_MOVABLE))
    device.resize(0)
    assert (device.plugged, device.stalled, rig.states(FIRST, 8)) == (BIG, 0, "Mx1 -x3 .x4")
    rig.core.write_state(FIRST, int(OnlineType.OFFLINE))
    assert (device.plugged, rig.states(FIRST, 8)) == (0, ".x8")


def test_one_refusing_block_keeps_all_of_its_big_block_as_it_was() -> None:
    guest = FakeGuest()
    rig = by_hand("MMMMMMNM", guest=guest)
    device = rig.devices["v"]
    guest.refusing = {FIRST + 7}
    device.resize(BIG)
    assert rig.states(FIRST, 8) == ".x4 Mx2 Nx1 Mx1", "the MOVABLE big block went in its stead"
    assert (device.plugged, device.stalled) == (BIG, 0)
    assert guest.asked("offline") == [FIRST + block for block in range(4)]


def test_blocks_taken_offline_come_back_in_the_kind_of_zone_they_had() -> None:
    """The policy is not asked again, unlike after a DIMM's refused removal (6.3)."""
    guest = FakeGuest()
    rig = by_hand("MNMN", guest=guest)
    device = rig.devices["v"]
    rig.core.zone_choice.set_policy(AutoMovable(ratio=0))
    decisions = rig.core.zone_choice.decisions
    guest.refusing = {FIRST + 3}
    device.resize(0)
    assert guest.asked("offline") == [FIRST + block for block in range(4)]
    assert rig.states(FIRST, 4) == "Mx1 Nx1 Mx1 Nx1"
    assert (device.plugged, device.stalled, rig.core.zone_choice.decisions) == (BIG, EBUSY, decisions)
    assert mode_of(device).state[0] == BBM_KERNEL


def test_a_refusing_movable_big_block_is_tried_in_the_second_and_the_third_pass() -> None:
    guest = FakeGuest()
    rig = by_hand("MMMM", guest=guest)
    guest.refusing = {FIRST}
    rig.devices["v"].resize(0)
    assert guest.asked("offline") == [FIRST, FIRST]


def test_a_refused_removal_leaves_the_threshold_as_it_was() -> None:
    guest = FakeGuest()
    rig = by_hand("NMMMN---", guest=guest)
    device = rig.devices["v"]
    mode = mode_of(device)
    assert mode.offline_pages == 3 * PAGES
    guest.refusing = {FIRST + 3, FIRST + 4}
    device.resize(0)
    assert (device.plugged, device.stalled) == (2 * BIG, EBUSY)
    assert rig.states(FIRST, 8) == "Nx1 Mx3 Nx1 -x3"
    assert mode.offline_pages == 3 * PAGES
    assert bytes(mode.state[:2]) == bytes([BBM_KERNEL, BBM_KERNEL])
    assert (mode.online[0], mode.kernel[0], mode.online[1], mode.kernel[1]) == (4, 1, 1, 1)
    guest.refusing = set()
    rig.run_for(50_000_000)
    assert (device.plugged, mode.offline_pages, rig.states(FIRST, 8)) == (0, 0, ".x8")


def test_adding_stops_at_the_threshold_and_resumes_at_half() -> None:
    """Two big blocks of 1 GiB may be offline; half of that is reached once one of them is online."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(block_size=GIB)
    device.resize(4 * GIB)
    assert (device.plugged, device.stalled) == (2 * GIB, ENOSPC)
    for block in range(8):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE_MOVABLE))
        assert device.plugged == (3 if block == 7 else 2) * GIB
    assert mode_of(device).offline_pages == 2 * GIB // 4096


def test_a_request_that_is_met_asks_for_no_more_room() -> None:
    """Of three big blocks that were there once two come back, and stay offline: a third would not be let in."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(block_size=BIG)
    device.resize(2 * BIG)
    for block in range(PER):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE_MOVABLE))
    device.resize(3 * BIG)
    device.resize(0)
    assert bytes(mode_of(device).state[:4]) == bytes([BBM_UNUSED] * 3 + [0])
    device.resize(2 * BIG)
    assert (device.plugged, device.stalled) == (2 * BIG, 0)


def test_no_memory_for_the_memmap_of_a_big_block() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 6
    rig = Rig(guest=guest)
    device = rig.virtio_mem(block_size=BIG)
    device.resize(2 * BIG)
    assert (device.plugged, device.stalled, rig.states(FIRST, 8)) == (BIG, ENOMEM, "Mx4 .x4")
    assert bytes(mode_of(device).state[:2]) == bytes([BBM_MOVABLE, BBM_UNUSED])
    assert [event[1:3] for event in rig.events(EventKind.FAILED)] == [("FAILED", device.index)]
    guest.memmap_blocks = None
    rig.run_for(50_000_000)
    assert (device.plugged, device.stalled) == (2 * BIG, 0)


def test_a_big_block_of_one_block_goes_in_no_more_time_than_it_takes() -> None:
    rig = Rig(timing=Timing(virtio_mem_plug=0, virtio_mem_unplug=1_000, migrate=PAGES))
    device = rig.virtio_mem(block_size=BLOCK)
    device.resize(BLOCK)
    device.resize(0)
    rig.run_for(1_000)
    assert (rig.states(FIRST, 1), device.busy) == (".x1", False)


def test_what_happens_to_a_block_in_place_moves_no_pages_to_or_from_a_device() -> None:
    guest = FakeGuest()
    rig = by_hand("MMMM", guest=guest)
    with fails_with(EINVAL):
        rig.core.online_block(0, FIRST, int(OnlineType.ONLINE))
    with fails_with(EINVAL):
        rig.core.online_block(0, FIRST + 4, int(OnlineType.ONLINE))
    rig.core.write_state(FIRST, int(OnlineType.OFFLINE))
    guest.refusing = {FIRST + 1}
    with fails_with(EBUSY):
        rig.core.write_state(FIRST + 1, int(OnlineType.OFFLINE))
    rig.core.write_state(FIRST, int(OnlineType.ONLINE_MOVABLE))
    assert [(event[1], event[3] - FIRST, *event[4:]) for event in rig.events()[-3:]] == [
        ("OFFLINE", 0, 1, 0),
        ("REFUSED", 1, 1, 0),
        ("ONLINE", 0, 1, 0),
    ]


def test_blocks_of_big_blocks_that_are_not_added_may_not_go_online() -> None:
    rig = Rig(policy=Offline())
    rig.behind_the_drivers_back = True
    device = rig.virtio_mem(block_size=BIG)
    rig.core.add_memory(device.index, FIRST * PAGES, PER * PAGES, group_id=device.group.id)
    with fails_with(EBUSY):
        rig.core.write_state(FIRST, int(OnlineType.ONLINE_MOVABLE))


@pytest.mark.parametrize(("kernel", "lowest"), [("6.1", 1), ("6.6", 3)])
def test_a_request_raised_while_unplugging(kernel: str, lowest: int) -> None:
    rig = Rig(kernel=kernel, timing=Timing(virtio_mem_plug=250_000, virtio_mem_unplug=250_000))
    device = rig.virtio_mem(block_size=BIG)
    device.resize(4 * BIG)
    rig.env.run()
    device.resize(BIG)
    rig.run_for(500_000)
    device.resize(4 * BIG)
    seen = 4 * BIG
    while device.busy:
        rig.run_for(250_000)
        seen = min(seen, device.plugged)
    assert (seen, device.plugged) == (lowest * BIG, 4 * BIG)


@pytest.mark.parametrize("kernel", ["6.1", "6.6"])
def test_offline_big_blocks_go_to_the_end_whatever_is_asked_meanwhile(kernel: str) -> None:
    """Only before an online one does a newer driver look at the request again."""
    rig = Rig(kernel=kernel, policy=Offline(), timing=Timing(virtio_mem_plug=0, virtio_mem_unplug=250_000))
    device = rig.virtio_mem(block_size=BIG)
    device.resize(2 * BIG)
    device.resize(0)
    rig.run_for(500_000)
    device.resize(2 * BIG)
    rig.env.run()
    removed = [(event[0], event[3] - FIRST) for event in rig.events(EventKind.REMOVE)]
    assert removed == [(1_000_000, 4), (2_000_000, 0)]
    assert device.plugged == 2 * BIG


def test_a_request_lowered_while_plugging() -> None:
    rig = Rig(timing=Timing(virtio_mem_plug=250_000, virtio_mem_unplug=0))
    device = rig.virtio_mem(block_size=BIG)
    device.resize(4 * BIG)
    rig.run_for(1_500_000)
    assert device.plugged == BIG
    device.resize(BIG)
    rig.env.run()
    assert (device.plugged, rig.env.now, rig.states(FIRST, 8)) == (BIG, 2_000_000, "Mx4 .x4")
    assert [event[0] for event in rig.events(EventKind.PLUG)] == [1_000_000], "what is beyond the request never came"


def test_moved_pages_of_a_refused_big_block_take_their_time_too() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest, timing=Timing(virtio_mem_plug=0, virtio_mem_unplug=0, migrate=100_000))
    device = rig.virtio_mem(block_size=BIG)
    device.resize(BIG)
    guest.moves = PAGES
    guest.refusing = {FIRST + 3}  # tried twice, three blocks moved each time
    device.resize(0)
    rig.env.run(until=599_999)
    assert device.busy
    rig.run_for(1)
    assert (device.busy, device.stalled) == (False, EBUSY)
    assert rig.memory.zone(0, ZONE_MOVABLE).present == PER * PAGES


@pytest.mark.parametrize("big", [BIG, BLOCK])
def test_page_cache_in_a_big_block_is_dropped_and_in_a_dimm_it_is_not(big: int) -> None:
    """As alloc_contig_range() does, with which the driver takes the memory from the page allocator first."""
    guest = FakeGuest()
    rig = Rig(policy=OnlineMovable(), guest=guest)
    device = rig.virtio_mem(block_size=big)
    device.resize(2 * BIG)
    rig.env.run()
    device.resize(BIG)
    rig.env.run()
    assert guest.dropping == set(range(FIRST + BIG // BLOCK, FIRST + 2 * BIG // BLOCK))
    rig.core.offline_block(-1, FIRST)
    assert FIRST not in guest.dropping
