"""The count of a guest's changes: what random lives do not come to."""

from __future__ import annotations

from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest, plug
from tests.guest.watched import readable, watched


def test_an_idle_guest_counts_nothing() -> None:
    model = guest(1024, "6.12")
    before = model.changes.count, readable(model)
    model.advance(3_600_000_000)
    assert (model.changes.count, readable(model)) == before


def test_cpu_lists_that_give_back_are_a_change_and_those_that_have_nothing_too_much_are_none() -> None:
    model = guest(1024, "6.12")
    model.demands.anonymous("a", 500 * MIB)
    model.demands.kill("a")
    counts = []
    for second in range(1, 1000):
        before = readable(model)
        counts.append(model.changes.count)
        model.advance(second * 1_000_000)
        assert (model.changes.count == counts[-1]) is (readable(model) == before)
    assert counts[0] < counts[-1] == counts[-2]


def test_a_bystander_that_is_killed_is_counted() -> None:
    model = watched(guest(512))
    model.demands.page_tables("a", 4 * MIB)
    assert not model.add_memory(0, FIRST, 800, altmap=False)
    assert model.starve()


def test_kernel_pages_that_go_to_another_zone_are_counted() -> None:
    model = watched(guest(1024))
    plug(model, 128, ZONE_NORMAL, FIRST)
    assert not model.can_offline(ZONE_NORMAL, 0, FIRST)
    model.vacate(ZONE_NORMAL, 0, FIRST)
    assert model.can_offline(ZONE_NORMAL, 0, FIRST)


def test_leftovers_that_thin_out_are_counted_though_nothing_is_given_up() -> None:
    model = watched(guest(1024))
    plug(model, 1024, ZONE_NORMAL, FIRST)
    model.demands.tmpfs_files("/t", 400_000)
    model.demands.remove_files("/t")
    plug(model, 128, ZONE_NORMAL, FIRST + 100)
    pageblocks = model.zones[0, ZONE_NORMAL].pageblocks
    assert pageblocks is not None
    assert pageblocks.thinning
    held = pageblocks.nr_held
    assert not model.give_subblocks(ZONE_NORMAL, 0, FIRST, (1 << 64) - 1, BLOCK // 64, 0).mask
    assert pageblocks.nr_held < held


def test_blocks_that_come_and_go_at_once_are_counted() -> None:
    model = watched(guest(4096))
    plug(model, 1024, ZONE_MOVABLE, FIRST)
    assert model.at_once.plug(0, FIRST + 8, [(4, ZONE_MOVABLE)])
    assert model.at_once.unplug(ZONE_MOVABLE, 0, [(FIRST + 8, 4)]) == [(FIRST + 8, 4)]


def test_user_pages_that_are_freed_alone_are_counted() -> None:
    model = watched(guest(1024))
    model.demands.anonymous_only("a", 1000)
    model.demands.shrink("a", 0.5)
