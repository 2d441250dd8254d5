"""What is said to be available: MemAvailable, and what could be returned.

The small guest of test_amounts.py: DMA32 and MOVABLE of 65,536 pages, watermarks 256, 321 and 386.
"""

from __future__ import annotations

import pytest

from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import SIZE, SMALL_BLOCK, small
from tests.guest.test_amounts import HIGH, LOW, MIN, RESERVE

RESERVED = HIGH + RESERVE + HIGH
"""What MemAvailable keeps back: the high watermark of each zone, and DMA32's reserve."""
LOWS = 2 * LOW


def test_available_is_free_memory_above_the_high_watermarks() -> None:
    model = small(ZONE_MOVABLE)
    assert model.meminfo.available() == 2 * SIZE - RESERVED
    model.demands.anonymous("a", 1000)
    model.demands.pin("p", 500)
    assert model.meminfo.available() == 2 * SIZE - RESERVED - 1500
    model.zones[0, ZONE_DMA32].pcp = 100  # on CPU lists
    assert model.meminfo.available() == 2 * SIZE - RESERVED - 1600
    model.demands.kernel_memory("k", SIZE - 500 - MIN)
    model.demands.anonymous("a", SIZE - 1000 - MIN)
    assert model.meminfo.available() == 0


@pytest.mark.parametrize(("pages", "less"), [(10_000, LOWS), (1000, 500), (1284, LOWS), (1282, 641)])
def test_of_cache_all_but_the_low_watermarks_counts_and_of_little_a_half(pages: int, less: int) -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", pages)
    assert model.meminfo.available() == 2 * SIZE - RESERVED - less


@pytest.mark.parametrize(("pages", "less"), [(10_000, LOWS), (1000, 500)])
def test_of_slab_as_much_counts(pages: int, less: int) -> None:
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d", pages)
    assert model.meminfo.available() == 2 * SIZE - RESERVED - less


def test_inodes_count_whether_they_can_go_or_not() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d", 2000, 4096)
    assert model.meminfo.available() == 2 * SIZE - RESERVED - 2 * LOWS
    model.demands.sync()
    model.demands.drop_caches(slab=False)
    # Free memory does not count what lies on CPU lists: now five eighths of MOVABLE's low watermark.
    assert model.meminfo.available() == 2 * SIZE - RESERVED - LOWS - 200


def test_page_cache_counts_as_room_for_user_pages() -> None:
    model = small(ZONE_MOVABLE)
    room = 2 * (SIZE - MIN) - RESERVE
    assert model.meminfo.room_for_user_pages() == room
    model.demands.anonymous("a", 100_000)
    # 34,785 pages in DMA32. MOVABLE has 321 free.
    assert model.meminfo.room_for_user_pages() == (SIZE - 34_785 - MIN - RESERVE) + (LOW - MIN)
    model.demands.kill("a")
    model.demands.read_file("/f", 100_000)
    assert model.meminfo.room_for_user_pages() == room
    model.demands.anonymous("a", 70_000)
    assert model.meminfo.room_for_user_pages() == room - 70_000


def test_user_pages_find_room_in_every_zone_to_the_page() -> None:
    model = small(ZONE_MOVABLE)
    room = 2 * (SIZE - MIN) - RESERVE
    for left in (2, 1, 0):
        model.demands.anonymous("a", room - left - model.zones[0, ZONE_MOVABLE].user - model.zones[0, ZONE_DMA32].user)
        assert model.meminfo.room_for_user_pages() == left


def test_who_uses_memory_leaves_out_what_can_be_given_up() -> None:
    model = small(ZONE_MOVABLE)
    model.online(ZONE_NORMAL, 1, 64, 16, SMALL_BLOCK)
    model.demands.anonymous("a", 1000)
    model.demands.pin("p", 500)
    model.demands.kernel_memory("k", 30, 1)
    model.demands.disk_files("/empty", 200)
    model.demands.read_file("/f", 4000)
    model.demands.write_file("/g", 2000)
    dirty = model.loads["/g"].dirty
    assert dirty == 2000
    assert model.meminfo.use(0) == (1000 + dirty, 500, 2 * SIZE - 1500 - dirty)
    assert model.meminfo.use(1) == (0, 30, SIZE - 30)
    assert model.meminfo.use() == (1000 + dirty, 530, 3 * SIZE - 1530 - dirty)
    assert model.meminfo.use(2) == (0, 0, 0)
