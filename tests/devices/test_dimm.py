"""ACPI DIMMs: ranges that fail, two-pass eject, putting back, groups that stay, the lock and time."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.fixed import Offline, OnlineMovable
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EINVAL, ENODEV, ENOMEM, HotplugError
from sim.memory.groups import NO_GROUP
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig, fails_with

BASE = FIRST * BLOCK


def at(block: int) -> int:
    """Address of a block that lies ``block`` blocks above boot memory."""
    return BASE + block * BLOCK


# Adding ----


def test_a_dimm_is_one_static_group_of_all_its_ranges() -> None:
    rig = Rig()
    dimm = rig.dimm("d", (at(0), 4 * BLOCK), (at(8), 0), (at(6), 2 * BLOCK))
    group = rig.memory.groups.find(dimm.group_id)
    assert group is not None
    assert (group.max_pages, group.blocks, group.movable) == (6 * PAGES, 6, 6 * PAGES)
    assert rig.states(FIRST, 9) == "Mx4 .x2 Mx2 .x1"
    assert dimm.plugged_pages == 6 * PAGES
    assert dimm.blocks() == [40, 41, 42, 43, 46, 47]
    assert rig.events(EventKind.PLUG) == [
        (0, "PLUG", dimm.index, 40, 4, 4 * PAGES),
        (0, "PLUG", dimm.index, 46, 2, 2 * PAGES),
    ]


def test_ranges_are_added_in_firmware_order() -> None:
    """The first range added is decided first: here the budget of 12 GiB admits the whole device or nothing of it."""
    rig = Rig(policy=AutoMovable(ratio=301))
    dimm = rig.dimm("d", (at(64), 4 * GIB), (at(0), 8 * GIB))
    assert [event[3] for event in rig.events(EventKind.PLUG)] == [FIRST + 64, FIRST]
    assert rig.states(FIRST, 96) == "Mx96"
    assert dimm.error is None


def test_a_range_that_fails_takes_nothing_back_and_still_counts_in_the_group() -> None:
    """Two of four ranges fail: the device is there with the other two, and its group is as large as all four (5.1)."""
    guest = FakeGuest()
    guest.memmap_blocks = 8
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (at(0), 4 * BLOCK), (at(10) + 4096, BLOCK), (at(20), 16 * BLOCK), (at(40), 2 * BLOCK))
    assert rig.states(FIRST, 44) == "Mx4 .x36 Mx2 .x2"
    assert (dimm.failed, dimm.error) == (2, None)
    group = rig.memory.groups.find(dimm.group_id)
    assert group is not None
    assert (group.max_pages, group.movable) == (23 * PAGES, 6 * PAGES)
    assert [event[1] for event in rig.events(EventKind.FAILED)] == ["FAILED", "FAILED"]
    failed = rig.recorder.table()
    assert [int(row[5]) for row in failed if row[1] == EventKind.FAILED] == [EINVAL, ENOMEM]


def test_what_could_not_be_added_makes_the_fit_test_too_strict() -> None:
    """12 GiB would fit, but the 4 GiB that were never added count as well: all of it goes to the kernel zone."""
    guest = FakeGuest()
    guest.memmap_blocks = 96
    rig = Rig(guest=guest)
    rig.dimm("d", (at(0), 12 * GIB), (at(96), 4 * GIB))
    assert rig.states(FIRST, 128) == "Nx96 .x32"
    alone = Rig(guest=FakeGuest())
    alone.dimm("d", (at(0), 12 * GIB))
    assert alone.states(FIRST, 96) == "Mx96"


def test_a_dimm_of_which_nothing_could_be_added_leaves_no_group() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 0
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (at(0), BLOCK), (at(2), BLOCK))
    assert isinstance(dimm.error, HotplugError)
    assert dimm.error.errno == EINVAL
    assert dimm.group_id == NO_GROUP
    assert len(rig.memory.groups) == 0
    assert rig.memory.blocks.ids()[-1] < FIRST
    dimm.eject()
    rig.settle()
    assert dimm.gone


@pytest.mark.parametrize("ranges", [(), ((at(0), 0),)], ids=["no range", "an empty range"])
def test_a_dimm_without_memory_is_refused(ranges: tuple[tuple[int, int], ...]) -> None:
    rig = Rig()
    dimm = rig.dimm("d", *ranges)
    assert dimm.error is not None
    assert dimm.error.errno == EINVAL
    assert len(rig.memory.groups) == 0


@pytest.mark.parametrize(
    ("start", "length"),
    [(at(0), BLOCK + 2 * MIB), (at(0) + 2 * MIB, BLOCK), (at(0) + 1, BLOCK), (at(0), 100)],
    ids=["length", "start", "a byte off", "a few bytes"],
)
def test_a_dimm_of_no_whole_blocks_is_there_without_a_block_and_can_go(start: int, length: int) -> None:
    rig = Rig()
    dimm = rig.dimm("d", (start, length))
    assert dimm.error is not None
    assert dimm.error.errno == EINVAL
    assert dimm.plugged_pages == 0
    dimm.eject()
    rig.settle()
    assert dimm.gone
    assert rig.events(EventKind.PLUG, EventKind.ADD, EventKind.REMOVE) == []


def test_boot_memory_named_by_a_dimm_is_bound_and_its_group_stays_empty() -> None:
    """EEXIST is success: the blocks were there at boot, have no group, and keep their zones."""
    rig = Rig()
    dimm = rig.dimm("d", (34 * BLOCK, 4 * BLOCK))
    group = rig.memory.groups.find(dimm.group_id)
    assert group is not None
    assert dimm.error is None
    assert (group.blocks, group.max_pages) == (0, 4 * PAGES)
    assert dimm.blocks() == [34, 35, 36, 37]
    assert dimm.plugged_pages == 0
    assert rig.states(32, 8) == "Nx8"
    dimm.eject()
    rig.settle()
    assert dimm.gone
    assert rig.states(32, 8) == "Nx2 .x4 Nx2"
    assert rig.memory.system.early_kernel == Rig().memory.system.early_kernel - 4 * PAGES
    assert [event[5] for event in rig.events(EventKind.REMOVE)] == [0] * 4
    assert len(rig.memory.groups) == 0


def test_a_range_that_overlaps_what_is_there_is_bound_as_far_as_it_exists() -> None:
    rig = Rig()
    dimm = rig.dimm("d", (38 * BLOCK, 4 * BLOCK))
    assert dimm.blocks() == [38, 39]
    dimm.eject()
    rig.settle()
    assert dimm.gone
    assert rig.states(36, 6) == "Nx2 .x4"


def test_a_range_of_no_whole_blocks_over_boot_memory_is_bound_with_every_block_that_it_touches() -> None:
    """From the middle of block 34 to the middle of block 35: that it is taken is told before that it is not whole."""
    rig = Rig()
    dimm = rig.dimm("d", (34 * BLOCK + BLOCK // 2, BLOCK))
    assert dimm.error is None
    assert dimm.blocks() == [34, 35]
    dimm.eject()
    rig.settle()
    assert rig.states(32, 8) == "Nx2 .x2 Nx4"


def test_an_address_beyond_what_the_processor_can_reach_fails() -> None:
    rig = Rig()
    dimm = rig.dimm("d", (1 << 46, BLOCK))
    assert dimm.error is not None
    assert next(int(row[5]) for row in rig.recorder.table() if row[1] == EventKind.FAILED) == 7  # E2BIG


def test_a_group_that_cannot_be_dropped_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory went in, but binding it to the device failed: no range is enabled, the group keeps its blocks (EBUSY)."""
    rig = Rig()
    rig.behind_the_drivers_back = True
    add_memory = rig.core.add_memory

    def add_and_fail(device: int, first_page: int, pages: int, *, group_id: int, self_host: bool) -> None:
        add_memory(device, first_page, pages, group_id=group_id, self_host=self_host)
        raise HotplugError(ENODEV, "the blocks could not be bound to the device")

    monkeypatch.setattr(rig.core, "add_memory", add_and_fail)
    dimm = rig.dimm("d", (at(0), 2 * BLOCK))
    assert dimm.error is not None
    assert dimm.group_id != NO_GROUP
    with fails_with(EBUSY):
        rig.memory.groups.unregister(dimm.group_id)
    assert rig.states(FIRST, 2) == "Mx2"


def test_an_impossible_node_is_refused() -> None:
    rig = Rig()
    dimm = rig.dimm("d", (at(0), BLOCK), node=3)
    assert dimm.error is not None
    assert dimm.error.errno == EINVAL
    dimm.eject()
    rig.settle()
    assert dimm.gone


# Ejecting ----


def test_what_goes_leaves_nothing_behind() -> None:
    rig = Rig()
    before = (rig.memory.system.movable, rig.memory.system.kernel, len(rig.memory.groups))
    dimm = rig.dimm("d", (at(0), 4 * GIB), (at(40), GIB))
    dimm.eject()
    rig.settle()
    assert dimm.gone
    assert (rig.memory.system.movable, rig.memory.system.kernel, len(rig.memory.groups)) == before
    assert rig.memory.blocks.ids()[-1] < FIRST


def test_a_second_pass_takes_what_the_first_left() -> None:
    """One block holds another's memmap: it goes once the other has gone."""
    guest = FakeGuest()
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (at(0), 4 * BLOCK))
    guest.refuse_once = {FIRST + 1, FIRST + 2}
    dimm.eject()
    rig.settle()
    assert dimm.gone
    assert guest.asked("offline") == [40, 41, 42, 43, 41, 42]


def test_the_second_pass_stops_at_its_first_refusal() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (at(0), 6 * BLOCK))
    guest.refusing = {FIRST + 2}
    guest.refuse_once = {FIRST + 1, FIRST + 4}
    dimm.eject()
    rig.settle()
    assert not dimm.gone
    assert guest.asked("offline") == [40, 41, 42, 43, 44, 45, 41, 42]
    assert rig.states(FIRST, 6) == "Mx6"
    group = rig.memory.groups.find(dimm.group_id)
    assert group is not None
    assert (group.blocks, group.movable) == (6, 6 * PAGES)


def test_a_refusing_kernel_block_makes_all_that_is_put_back_kernel_memory() -> None:
    """K > 0 settles a static group: blocks that were MOVABLE come back in the kernel zone, whatever the ratio (5.1)."""
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=Offline())
    dimm = rig.dimm("d", (at(0), 6 * BLOCK))
    for block, word in enumerate((3, 3, 2, 3, 3)):
        rig.core.write_state(FIRST + block, word)
    rig.core.zone_choice.set_policy(AutoMovable(ratio=1000))
    assert rig.states(FIRST, 6) == "Mx2 Nx1 Mx2 -x1"
    guest.refusing = {FIRST + 2}
    dimm.eject()
    rig.settle()
    assert rig.states(FIRST, 6) == "Nx5 -x1"


def test_contig_zones_judges_what_is_put_back_by_the_spans_of_then() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=Offline())
    for name, block in (("low", 0), ("d", 10), ("high", 20)):
        rig.dimm(name, (at(block), 4 * BLOCK))
    for block in (0, 10, 11, 13, 20):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE_MOVABLE))
    rig.core.write_state(FIRST + 12, int(OnlineType.ONLINE_KERNEL))
    rig.core.zone_choice.set_policy(ContigZones())
    dimm = rig.unplugged_dimm("again", (at(10), 4 * BLOCK))
    dimm.plug()  # binds the blocks of "d"
    rig.settle()
    guest.refusing = {FIRST + 12}
    dimm.eject()
    rig.settle()
    # 10 and 11 lie inside Normal's span (up to 12) and inside Movable's: Normal; 13 lies in Movable's alone.
    assert rig.states(FIRST + 10, 4) == "Nx3 Mx1"


def test_a_word_written_in_vain_decides_how_a_block_comes_back() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (at(0), 4 * BLOCK))
    guest.refusing = {FIRST + 3}
    for block, word in ((0, OnlineType.ONLINE_KERNEL), (1, OnlineType.ONLINE_MOVABLE), (3, OnlineType.ONLINE_KERNEL)):
        with fails_with(EINVAL):
            rig.core.write_state(FIRST + block, int(word))
    dimm.eject()
    rig.settle()
    # Block 0 came back kernel, so the group has K > 0 and block 2 follows it; block 1 brings its own word.
    assert rig.states(FIRST, 4) == "Nx1 Mx1 Nx1 Mx1"
    assert rig.memory.blocks.left_over == {FIRST + 3: int(OnlineType.ONLINE_KERNEL)}, "the others' words are used up"


def test_blocks_that_were_offline_before_are_not_put_back() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=OnlineMovable())
    dimm = rig.dimm("d", (at(0), 4 * BLOCK))
    rig.core.write_state(FIRST + 1, int(OnlineType.OFFLINE))
    guest.refusing = {FIRST}
    dimm.eject()
    rig.settle()
    assert rig.states(FIRST, 4) == "Mx1 -x1 Mx2"
    guest.refusing = set()
    dimm.eject()
    rig.settle()
    assert dimm.gone


def test_refused_attempts_are_counted_and_recorded() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (at(0), 2 * BLOCK))
    guest.refusing = {FIRST}
    dimm.eject()
    rig.settle()
    assert rig.core.refusals == 2
    assert [event[3] for event in rig.events(EventKind.REFUSED)] == [FIRST, FIRST]
    assert [event[1] for event in rig.events(EventKind.OFFLINE, EventKind.ONLINE)] == ["OFFLINE", "ONLINE"]
    assert [int(row[5]) for row in rig.recorder.table() if row[1] == EventKind.FAILED] == [EBUSY]


# Zones of the whole device ----


def test_the_first_block_decides_unless_others_go_online_in_between() -> None:
    """Blocks of one device put online by hand: each repeats the whole device's inequality (hard consequence 2)."""
    rig = Rig(policy=Offline())
    rig.dimm("d", (at(0), 8 * GIB))
    rig.dimm("e", (at(64), 5 * GIB))
    rig.core.zone_choice.set_policy(AutoMovable())
    for block in range(4):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE))
    assert rig.states(FIRST, 5) == "Mx4 -x1"
    for block in range(64, 104):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE_MOVABLE))
    rig.core.write_state(FIRST + 4, int(OnlineType.ONLINE))
    assert rig.states(FIRST, 6) == "Mx4 Nx1 -x1"
    assert rig.core.zone_choice.choose(int(OnlineType.ONLINE), FIRST + 5) == ZONE_NORMAL
    assert rig.core.zone_choice.valid_zones(FIRST + 5) == [ZONE_NORMAL, ZONE_MOVABLE]


# Self-hosted memmap ----


@pytest.mark.parametrize(
    ("kernel", "blocks", "hosted"),
    [("6.1", 1, True), ("6.1", 2, False), ("6.6", 2, False), ("6.8", 2, True), ("6.12", 4, True)],
)
def test_which_series_let_a_dimm_host_its_memmap(kernel: str, blocks: int, hosted: bool) -> None:  # noqa: FBT001
    guest = FakeGuest()
    rig = Rig(guest=guest, kernel=kernel, memmap_on_memory=True)
    rig.dimm("d", (at(0), blocks * BLOCK))
    assert [call[4] for call in guest.calls if call[0] == "add"] == [hosted]
    assert rig.memory.zone(0, ZONE_MOVABLE).managed == blocks * (PAGES - 512 * hosted)
    assert rig.memory.zone(0, ZONE_MOVABLE).present == blocks * PAGES


@pytest.mark.parametrize(("word", "hidden"), [(True, 0), ("force", 512)])
def test_force_rounds_the_memmap_up_to_pageblocks(word: bool | str, hidden: int) -> None:  # noqa: FBT001
    """A block of 64 MiB has 256 pages of memmap, half a pageblock: only force lets it host them, at the cost of 512."""
    rig = Rig(block=64 * MIB, section=64 * MIB, kernel="6.12", memmap_on_memory=word)
    dimm = rig.dimm("d", (rig.base, 128 * MIB))
    movable = rig.memory.zone(0, ZONE_MOVABLE)
    assert (movable.present, movable.managed) == (2 * 16_384, 2 * (16_384 - hidden))
    rig.core.write_state(rig.base // (64 * MIB), int(OnlineType.OFFLINE))
    assert (movable.present, movable.managed) == (16_384, 16_384 - hidden)
    dimm.eject()
    rig.settle()
    assert (movable.present, movable.managed) == (0, 0)


# Time ----


def test_adding_takes_time_and_then_comes_all_at_once() -> None:
    rig = Rig(timing=Timing(dimm_add=9_000))
    dimm = rig.unplugged_dimm("d", (at(0), 4 * GIB))
    dimm.plug()
    rig.env.run(until=9_000 * 32)
    assert (dimm.busy, rig.events(EventKind.PLUG)) == (True, [])
    rig.env.run()
    assert (dimm.busy, dimm.error) == (False, None)
    assert rig.events(EventKind.PLUG) == [(288_000, "PLUG", dimm.index, FIRST, 32, 32 * PAGES)]


def test_how_long_an_eject_takes() -> None:
    """Free blocks 4 ms each, refused attempts 3 ms, moved pages extra."""
    guest = FakeGuest()
    rig = Rig(guest=guest, timing=Timing(dimm_add=0, offline=4_000, refused=3_000, migrate=100_000))
    dimm = rig.dimm("d", (at(0), 4 * BLOCK))
    guest.refusing = {FIRST + 3}
    guest.moves = PAGES // 2
    dimm.eject()
    rig.env.run()
    assert not dimm.gone
    assert rig.env.now == 5 * 4_000 + 2 * 3_000 + 3 * 50_000
    assert not dimm.busy
