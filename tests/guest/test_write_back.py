"""Dirty page cache reaches the disk once it is old enough: when that is, and what it changes."""

from __future__ import annotations

import pytest

from sim.memory.zones import ZONE_MOVABLE
from sim.units import MICROSECONDS as SECOND
from tests.guest.machines import small


@pytest.mark.parametrize(
    ("written", "dirty", "clean"),
    [
        (0, 29_999_999, 30_000_000),
        (1, 34_999_999, 35_000_000),  # the flusher looks every 5 s
        (5 * SECOND, 34_999_999, 35_000_000),
        (7 * SECOND, 39_999_999, 40_000_000),
    ],
)
def test_dirty_cache_is_clean_at_the_flushers_first_look_after_30_s(written: int, dirty: int, clean: int) -> None:
    model = small(ZONE_MOVABLE)
    model.advance(written)
    model.demands.write_file("/f", 1000)
    found = []
    for now in (dirty, clean):
        model.advance(now)
        found.append((model.write_back.due_us, model.loads["/f"].dirty, model.demands.drop_caches(slab=False)))
    assert found == [(clean, 1000, 0), (None, 0, 1000)]


def test_a_guest_rests_until_something_is_due() -> None:
    model = small(ZONE_MOVABLE)
    assert model.rests_until(100 * SECOND)
    model.demands.write_file("/f", 1000)
    assert [model.rests_until(second * SECOND) for second in (29, 30, 31)] == [True, False, False]


def test_what_is_written_later_is_due_later() -> None:
    model = small(ZONE_MOVABLE)
    for second in (0, 2, 10):
        model.advance(second * SECOND)
        model.demands.write_file("/f", 100)
        model.demands.disk_files("/d", 50, 4096)
    found = []
    for second in (29, 30, 35, 39, 40):
        model.advance(second * SECOND)
        found.append((model.loads["/f"].dirty, model.loads["/d"].dirty, model.write_back.due_us))
    assert found == [
        (300, 150, 30 * SECOND),
        (200, 100, 35 * SECOND),
        (100, 50, 40 * SECOND),
        (100, 50, 40 * SECOND),
        (0, 0, None),
    ]


def test_what_went_to_the_disk_for_another_reason_was_the_oldest() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.write_file("/f", 26_000)  # the limit is a fifth of 131,072
    model.advance(10 * SECOND)
    model.demands.write_file("/f", 1000)
    assert model.loads["/f"].dirty == 26_214
    model.advance(30 * SECOND)
    assert model.loads["/f"].dirty == 1000


def test_a_file_that_is_removed_is_not_written() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.write_file("/f", 1000)
    model.demands.remove_files("/f")
    model.advance(30 * SECOND)
    assert model.write_back.due_us is None
    model.demands.write_file("/f", 500)
    model.demands.sync()
    assert (model.loads["/f"].dirty, model.write_back.due_us) == (0, None)


def test_clean_files_and_their_inodes_can_be_given_up_and_dirty_ones_cannot() -> None:
    model = small()
    model.demands.disk_files("/d", 10_000, 4096)
    dirty = model.meminfo.kernel_headroom()
    assert dirty == model.meminfo.kernel_headroom_free()
    model.advance(30 * SECOND)
    assert model.meminfo.kernel_headroom() == dirty + 20_000
