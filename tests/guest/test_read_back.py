"""Page cache in use that was dropped comes back where there is room: amounts by hand, and a plain model beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE
from tests.guest.machines import FIRST, SIZE, SMALL_BLOCK, small
from tests.guest.test_amounts import HIGH, LOW, RESERVE
from tests.guest.test_pressure import SECOND, Clock, shown
from tests.plain import pressure as plain
from tests.plain.read_back import Deck

if TYPE_CHECKING:
    from sim.guest import GuestModel


class Timed:
    """A small guest on a clock that calls it whenever something comes back by itself."""

    def __init__(self, **parameters: float) -> None:
        self.model: GuestModel = small(ZONE_MOVABLE, cma=0, **parameters)
        self.clock = Clock()
        self.model.stalls.clock = self.clock

    def until(self, second: float) -> list[int]:
        """Let time pass; return how many pages came back at each tick."""
        model, came = self.model, []
        while model.read_back.due_us is not None and model.read_back.due_us <= second * SECOND:
            self.clock.now = model.read_back.due_us
            before = sum(zone.cache for zone in model.zones.values())
            model.read_back.tick()
            came.append(sum(zone.cache for zone in model.zones.values()) - before)
            model.check()
        self.clock.now = int(second * SECOND)
        return came

    def pages(self, name: str) -> int:
        return self.model.loads[name].user_pages()


def test_what_is_in_use_comes_back_within_the_time_in_which_it_is_read_once() -> None:
    """A quarter of 60,000 pages is read in 60 s: 250 in each, of 100 us, from the drop on."""
    guest = Timed()
    guest.model.demands.read_file("/f", 60_000)
    guest.until(9.5)
    guest.model.demands.drop_caches()
    assert guest.until(39.5) == [250] * 30
    assert guest.model.stalls.total_us(guest.clock.now) == 30 * 25_000
    assert guest.until(1000) == [250] * 30
    assert guest.pages("/f") == 15_000
    assert guest.model.read_back.due_us is None
    # From the drop to the first tick half a second's pages are read, half a second early: the last tick comes sooner.
    assert guest.model.stalls.total_us(guest.clock.now) == 15_000 * 100 - 12_500


def test_pressure_fades_once_all_is_back_and_not_before() -> None:
    guest = Timed()
    guest.model.demands.read_file("/f", 60_000)
    guest.model.demands.drop_caches()
    guest.until(59)
    assert guest.model.stalls.pressure().some_avg10 == 1.99
    guest.until(300)
    # 2.5 percent of 29 periods of 2.004 s, the rest of the minute in the next one, and nothing in 119 more.
    some = plain.averages([50_100] * 29 + [47_100] + [0] * 119)
    assert shown(guest.model.stalls.pressure())[0] == some
    assert guest.model.stalls.total_us(guest.clock.now) == 1_500_000


def test_no_page_waits_for_another_that_is_read_in_the_same_second() -> None:
    """Of 61 pages two are read in the first second, and one in each of the others."""
    guest = Timed(cache_active_share=1.0)
    guest.model.demands.read_file("/f", 61)
    guest.model.demands.drop_caches()
    assert guest.until(100) == [2] + [1] * 59


def test_the_disk_reads_no_more_than_it_can() -> None:
    """A page takes 20 ms, so that a second has 50; somebody waits all the time until they are back."""
    guest = Timed(cache_active_share=1.0, refault_us=20_000.0)
    guest.model.demands.read_file("/f", 6020)
    guest.model.demands.drop_caches()
    assert guest.until(1000) == [50] * 120 + [20]
    assert guest.model.stalls.total_us(guest.clock.now) == 6020 * 20_000


def test_pages_that_take_no_time_to_read_come_back_all_the_same() -> None:
    guest = Timed(cache_active_share=1.0, refault_us=0.0, cache_reuse_seconds=2.0)
    guest.model.demands.read_file("/f", 5001)
    guest.model.demands.drop_caches()
    assert guest.until(10) == [2501, 2500]
    assert guest.model.stalls.total_us(guest.clock.now) == 0


def full(**parameters: float) -> Timed:
    """Return a guest that wants 60,000 pages of cache, all in use, and has 2,000 pages free above high watermarks.

    They are in MOVABLE; DMA32 is at its low watermark.
    """
    guest = Timed(cache_active_share=1.0, **parameters)
    guest.model.demands.read_file("/f", 60_000)
    guest.model.demands.anonymous("a", 2 * SIZE - HIGH - LOW - RESERVE - 2000)
    guest.model.demands.drop_caches()
    return guest


def test_pages_come_back_into_what_is_free_above_the_high_watermarks_and_no_further() -> None:
    guest = full()
    assert guest.until(1000) == [1000, 1000, 0]
    assert {zone.type: zone.free for zone in guest.model.zones.values()} == {
        ZONE_DMA32: LOW + RESERVE,
        ZONE_MOVABLE: HIGH,
    }
    assert guest.model.read_back.due_us is None


def test_where_there_is_no_room_pressure_lasts_and_nobody_looks_again() -> None:
    guest = full()
    guest.until(100)
    before = guest.model.stalls.total_us(guest.clock.now)
    assert guest.until(10**6) == []
    # 58,000 pages of 100 us, in each minute.
    assert (guest.model.stalls.total_us(guest.clock.now) - before) // (10**6 - 100) == 58_000 * 100 // 60 // 250 * 250


def test_where_room_appears_pages_come_back_from_the_next_second_on() -> None:
    guest = full()
    guest.until(100.3)
    guest.model.demands.shrink("a", 0.5)
    guest.model.read_back.look()
    assert guest.model.read_back.due_us == 101 * SECOND
    came = guest.until(1000)
    assert came == [967] * 40 + [966] * 20
    assert guest.pages("/f") == 60_000


def test_a_page_that_is_read_when_there_is_no_room_is_read_again_a_period_later_and_not_sooner() -> None:
    guest = full(cache_reuse_seconds=10.0)
    assert guest.until(100) == [2000, 0]
    guest.model.demands.shrink("a", 0.01)
    guest.model.read_back.look()
    # 58,000 are missing, 5,800 for each second: of these as many as there is room for.
    freed = round((SIZE - LOW - RESERVE) * 0.01) + round((SIZE - HIGH - 2000) * 0.01) - (HIGH - LOW)
    assert guest.until(200) == [freed, 0]


@pytest.mark.parametrize("sub_blocks", [False, True])
def test_memory_that_comes_is_room(*, sub_blocks: bool) -> None:
    guest = full()
    model = guest.model
    assert model.add_memory(0, FIRST, 1, altmap=False)
    plugged = SMALL_BLOCK // 2 if sub_blocks else SMALL_BLOCK
    model.online(ZONE_MOVABLE, 0, FIRST, 1, plugged)
    guest.until(100)
    have = guest.pages("/f")
    assert model.read_back.due_us is None
    if sub_blocks:
        model.take_subblocks(ZONE_MOVABLE, 0, FIRST, 0b10, SMALL_BLOCK // 2)
    else:
        assert model.add_memory(0, FIRST + 1, 1, altmap=False)
        model.online(ZONE_MOVABLE, 0, FIRST + 1, 1, plugged)
    guest.until(200)
    assert guest.pages("/f") - have > plugged * 9 // 10


def test_memmap_that_is_given_back_is_room() -> None:
    guest = Timed(cache_active_share=1.0)
    model = guest.model
    assert model.add_memory(0, FIRST, 16, altmap=False)
    model.demands.read_file("/f", 60_000)
    model.demands.anonymous("a", 2 * SIZE - 16 * SMALL_BLOCK // 64 - HIGH - LOW - RESERVE)
    model.demands.drop_caches()
    guest.until(100)
    assert (model.read_back.due_us, model.stalls.lost) == (None, 60_000)
    model.remove_memory(FIRST, 16)
    guest.until(1000)
    # Of 1,024 pages those above what is between the watermarks.
    assert guest.pages("/f") == 1024 - (HIGH - LOW)


def test_what_is_wanted_no_more_does_not_come_back() -> None:
    guest = Timed()
    guest.model.demands.read_file("/f", 60_000)
    guest.model.demands.drop_caches()
    guest.until(30)
    guest.model.demands.shrink("/f", 0.5)
    assert guest.pages("/f") == 3750
    # 3,750 of 7,500 are missing, half of those that were, and so are read in half of the time.
    assert sum(guest.until(61)) == 3750
    guest.model.demands.drop_caches()
    guest.until(70)
    guest.model.demands.remove_files("/f")
    assert guest.until(1000) == [0]
    assert guest.model.stalls.lost == 0


def test_what_is_dropped_meanwhile_is_read_within_a_whole_period_from_then_on_and_all_else_as_before() -> None:
    """7,500 pages are still to be read in 30 s, and 7,500 anew in 60."""
    guest = Timed()
    guest.model.demands.read_file("/f", 60_000)
    guest.model.demands.drop_caches()
    guest.until(30)
    guest.model.demands.drop_caches()
    assert guest.until(1000) == [375] * 30 + [125] * 30


def test_files_share_what_comes_back_by_what_each_misses() -> None:
    guest = Timed(cache_active_share=1.0)
    guest.model.demands.read_file("/f", 9000)
    guest.model.demands.read_file("/g", 3000)
    guest.model.demands.drop_caches()
    guest.until(20)
    assert (guest.pages("/f"), guest.pages("/g")) == (3000, 1000)
    guest.until(60)
    assert (guest.pages("/f"), guest.pages("/g")) == (9000, 3000)


def test_index_nodes_come_back_with_their_pages_where_they_are_not_asked_for_beside() -> None:
    guest = Timed(cache_active_share=1.0, cache_slab_share=0.01)
    model = guest.model
    model.demands.read_file("/f", 12_000)
    model.demands.page_cache_only("/g", 12_000)
    model.demands.drop_caches()
    assert model.loads["/f"].kernel_pages() == 0
    guest.until(30)
    assert [(load.user_pages(), load.kernel_pages()) for load in model.loads.values()] == [(6000, 60), (6000, 0)]
    guest.until(60)
    assert [(load.user_pages(), load.kernel_pages()) for load in model.loads.values()] == [(12_000, 120), (12_000, 0)]


def test_pages_come_back_without_index_nodes_where_kernel_zones_have_no_room() -> None:
    guest = Timed(cache_active_share=1.0, cache_slab_share=0.01)
    model = guest.model
    model.demands.read_file("/f", 12_000)
    model.demands.drop_caches()
    model.demands.kernel_memory("k", SIZE - LOW - 5)
    guest.until(1000)
    load = model.loads["/f"]
    assert (load.user_pages(), load.kernel_pages()) == (12_000, 5)


def test_files_of_which_nothing_is_in_use_never_come_back() -> None:
    guest = Timed(cache_active_share=0.0)
    guest.model.demands.read_file("/f", 60_000)
    guest.model.demands.drop_caches()
    guest.model.read_back.look()
    assert guest.model.read_back.due_us is None


@pytest.mark.parametrize("seed", range(8))
def test_pages_come_back_as_in_the_plain_model(seed: int) -> None:
    random = np.random.default_rng(seed)
    guest = Timed(cache_reuse_seconds=float(random.integers(1, 30)), cache_active_share=float(random.choice([0.25, 1])))
    model = guest.model
    deck = Deck(round(model.parameters.cache_reuse_seconds), 10_000)
    total = reached = 0
    for second in range(1, 300):
        if random.random() < 0.15:
            name = f"/{random.integers(2)}"
            match random.integers(5):
                case 0:
                    model.demands.read_file(name, int(random.integers(1, SIZE)))
                case 1:
                    model.demands.anonymous("a", int(random.integers(1, SIZE)))
                case 2:
                    model.demands.shrink("a", float(random.random()))
                case 3:
                    model.demands.shrink(name, float(random.random()))
                case _:
                    model.demands.drop_caches()
            model.read_back.look()
        missing = sum(load.lost for load in model.loads.values())
        zones = model.zones.values()
        room = sum(max(0, zone.free - zone.high - RESERVE * (zone.type == ZONE_DMA32)) for zone in zones)
        expected = deck.second(missing, room)
        came = sum(guest.until(second))
        assert came == expected
        total += came
        reached += 0 < came < missing
    assert total > 1000
    assert reached > 5
