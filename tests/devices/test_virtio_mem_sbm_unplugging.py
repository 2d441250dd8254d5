"""virtio-mem's sub-block mode: the order of unplugging, vetoes of the notifier, blocks of which nothing is plugged."""

from __future__ import annotations

import math

from policies.fixed import Offline
from sim.devices.virtio_mem_mode import VirtioMemParameters
from sim.devices.virtio_mem_sub_blocks import (
    SBM_KERNEL_PARTIAL,
    SBM_MOVABLE,
    SBM_MOVABLE_PARTIAL,
    SBM_OFFLINE_PARTIAL,
    SBM_UNUSED,
)
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.recorder import EventKind
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig, fails_with
from tests.devices.sub_blocks import KERNEL_WORD, MOVABLE_WORD, OFFLINE_WORD, PER_BLOCK, SUB, by_hand, mode_of

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
    assert [event[3:] for event in rig.events(EventKind.SUBUNPLUG)][:2] == [
        (FIRST + 2, 1, 512),
        (FIRST + 2, 1, 33 * 512),
    ]


def test_every_offline_block_that_is_removed_makes_room_for_another() -> None:
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(4 * BLOCK)
    mode = mode_of(device)
    offline = []
    for blocks in (3, 2, 1, 0):
        device.resize(blocks * BLOCK)
        offline.append(mode.offline_pages)
    assert offline == [3 * PAGES, 2 * PAGES, PAGES, 0]


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
    rig.core.add_memory(device.index, (FIRST + 1) * PAGES, PAGES, group_id=device.group.id)
    with fails_with(EBUSY):
        rig.core.write_state(FIRST + 1, MOVABLE_WORD)
    assert rig.states(FIRST, 2) == "-x2"
    rig.core.write_state(FIRST, MOVABLE_WORD)
    assert rig.states(FIRST, 2) == "Mx1 -x1"


def test_a_vetoed_attempt_uses_up_the_left_over_word() -> None:
    rig = Rig(policy=Offline())
    rig.behind_the_drivers_back = True
    device = rig.virtio_mem()
    rig.core.add_memory(device.index, FIRST * PAGES, PAGES, group_id=device.group.id)
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


HALF = (1 << PER_BLOCK // 2) - 1


def half_left() -> Rig:
    """Two kernel blocks side by side of which the upper halves went."""
    guest = FakeGuest()
    rig = by_hand("NN", guest=guest)
    guest.keeps = {FIRST: HALF, FIRST + 1: HALF}
    rig.devices["v"].resize(0)
    assert mode_of(rig.devices["v"]).states.masks == {0: HALF, 1: HALF}
    return rig


def test_partly_plugged_blocks_side_by_side_are_filled_before_another_is_added() -> None:
    rig = half_left()
    rig.devices["v"].resize(2 * BLOCK)
    assert (rig.states(FIRST, 3), mode_of(rig.devices["v"]).states.masks) == ("Nx2 .x1", {})


def test_a_partly_plugged_block_that_goes_offline_while_the_driver_waits_is_left_alone() -> None:
    rig = by_hand("NN")
    device = rig.devices["v"]
    device.resize(BLOCK + BLOCK // 2)
    assert mode_of(device).states.masks == {1: HALF}
    assert rig.core.lock.try_take()
    device.resize(BLOCK)
    rig.core.write_state(FIRST + 1, OFFLINE_WORD)
    rig.core.lock.release()
    rig.settle()
    assert (mode_of(device).states.masks, rig.states(FIRST, 2)) == ({0: HALF, 1: HALF}, "Nx1 -x1")


def test_every_row_of_a_part_that_goes_is_of_one_block() -> None:
    rig = half_left()
    rows = rig.events(EventKind.SUBUNPLUG)
    assert [(event[3] - FIRST, *event[4:]) for event in rows] == [(1, 1, PAGES // 2), (0, 1, PAGES // 2)]
    rig, _ = emptied_but_there("6.1")
    assert [(event[3] - FIRST, *event[4:]) for event in rig.events(EventKind.SUBUNPLUG)] == [(0, 1, PAGES)]


def test_a_part_goes_in_no_more_time_than_it_takes_where_no_guest_is_modelled() -> None:
    rig = Rig(timing=Timing(virtio_mem_plug=0, virtio_mem_unplug=PER_BLOCK, migrate=PAGES))
    device = rig.virtio_mem()
    device.resize(BLOCK)
    device.resize(BLOCK - SUB)
    rig.run_for(1)
    assert (device.plugged, device.busy) == (BLOCK - SUB, False)


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
    rig.context.timing = Timing(migrate=PAGES)
    rig.run_for(50_000_000)
    assert rig.states(FIRST, 2) == ".x2"
    assert rig.until_next() == math.inf, "nothing had to be moved"
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
