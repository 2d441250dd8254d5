"""What kernel requests could still get, held against asking for it page by page until the first request fails."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.guest.loads import CACHED
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import SIZE, SMALL_BLOCK, small
from tests.guest.test_amounts import MIN
from tests.support.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest import GuestModel

STEPS = (8192, 1024, 128, 16, 1)


def taken(model: GuestModel) -> int:
    """Return the pages that unkillable kernel memory gets until a request for a single page fails."""
    got = 0
    for step in STEPS:
        while True:
            trial = deepcopy(model)
            if (
                trial.demands.kernel_memory("asked for", step).pages < step
                or trial.killer.events != model.killer.events
            ):
                break
            model, got = trial, got + step
    return got


def test_clean_page_cache_in_kernel_zones_counts_and_that_in_movable_does_not() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", 2 * SIZE)
    assert model.meminfo.kernel_headroom() == SIZE - MIN == taken(model)
    assert model.meminfo.kernel_headroom_free() < 1000
    model.demands.pin("p", 20_000)
    assert model.meminfo.kernel_headroom() == SIZE - MIN - 20_000 == taken(model)


def test_dirty_pages_do_not_count() -> None:
    model = small()
    model.demands.write_file("/f", 10_000)
    dirty = model.loads["/f"].dirty
    assert dirty > 1000
    assert model.meminfo.kernel_headroom() == SIZE - model.zones[0, ZONE_DMA32].min - dirty == taken(model)
    model.demands.sync()
    assert model.meminfo.kernel_headroom() == SIZE - model.zones[0, ZONE_DMA32].min == taken(model)


def test_inodes_count_once_the_data_that_holds_them_could_go() -> None:
    """A page for each file, and a page for each inode. The inodes of what is dropped go with the next request."""
    model = small()
    room = model.meminfo.kernel_headroom()
    assert room == SIZE - 2 * MIN
    model.demands.disk_files("/empty", 3000)
    model.demands.disk_files("/data", 20_000, 4096)
    dirty = model.loads["/data"].dirty
    assert 0 < dirty < 20_000
    assert model.meminfo.kernel_headroom() == room - 2 * dirty
    assert room - 2 * dirty - 200 < taken(model) <= room - 2 * dirty, "a page less for each batch of 125"
    model.demands.sync()
    assert model.meminfo.kernel_headroom() == room == taken(model)
    model.demands.drop_caches(slab=False)
    assert model.meminfo.kernel_headroom() == room == taken(model)


def test_what_user_pages_took_from_below_the_kernels_limit_has_to_come_back_first() -> None:
    """With a newer kernel's limit user pages stop above it; here the reserve for kernel requests is the larger one."""
    model = small(ZONE_NORMAL, ZONE_MOVABLE)
    model.demands.anonymous("a", 3 * SIZE)
    assert model.meminfo.kernel_headroom() == taken(model)


def test_a_node_has_what_its_own_zones_have() -> None:
    model = small(ZONE_NORMAL)
    model.online(ZONE_NORMAL, 1, 64, 16, SMALL_BLOCK)
    model.demands.read_file("/f", SIZE // 2, 1)
    model.demands.read_file("/g", SIZE, 0)
    figures = [model.meminfo.kernel_headroom(node) for node in (0, 1, None)]
    assert figures[0] + figures[1] == figures[2] == taken(model)
    assert figures[1] == SIZE - model.zones[1, ZONE_NORMAL].min
    assert model.meminfo.kernel_headroom_free(1) == SIZE // 2 - model.zones[1, ZONE_NORMAL].min


REACH = Reach(
    {
        "exact": 30,
        "cache or slab counts": 30,
        "rounded": 3,
        "dirty": 10,
        "orphans": 1,
        "a zone is below": 1,
        "nothing left": 1,
        "cache in CMA": 1,
    }
)
KINDS = ("anonymous", "read", "write", "tmpfs", "disk files", "empty files", "pins", "kernel")
PAGES = (300, 3000, 20_000, 60_000, 130_000)


@REACH.test(examples=90)
@given(st.data())
def test_on_random_guests_it_is_what_page_by_page_can_be_had(data: st.DataObject) -> None:
    """Index nodes and inodes of cache that stays in part are rounded down once more for each batch that goes."""
    zones = data.draw(st.sampled_from([(), (ZONE_MOVABLE,), (ZONE_NORMAL,), (ZONE_NORMAL, ZONE_MOVABLE)]))
    other = data.draw(st.sampled_from([{}, {"cache_slab_share": 0.05}, {"kernel_min_share": 0.8}]))
    model = small(*zones, cma=data.draw(st.sampled_from([0, 0, 8 * 512, SIZE // 2])), **other)
    if data.draw(st.booleans()):
        model.online(ZONE_NORMAL, 1, 64, 16, SMALL_BLOCK)
    for number in range(data.draw(st.integers(1, 7))):
        act(model, data, number)
    model.killer.guest_died = False  # by a demand that found no room: what is left can be asked for all the same
    free, found, truth = model.meminfo.kernel_headroom_free(), model.meminfo.kernel_headroom(), taken(model)
    assert free <= found
    REACH("cache or slab counts", free < found)
    REACH("nothing left", found == 0)
    cached = [load for load in model.loads.values() if load.kind in CACHED]
    REACH("dirty", sum(load.dirty for load in cached) > 0)
    REACH("orphans", sum(bool(load.orphans) for load in cached) > 0)
    REACH("a zone is below", any(z.free < z.floors[3] for z in model.zones.values() if z.pageblocks and z.managed))
    if found == truth:
        REACH("exact")
        return
    in_part = sum(bool(load.kernel) for load in cached)
    batch = 1 + sum(z.high - z.low for z in model.zones.values() if z.pageblocks is not None)
    batches = sum(load.user_pages() for load in cached) // batch + 2 * len(STEPS) * len(model.zones)
    REACH("rounded")
    # Of each batch the part that comes out of CMA is rounded down too: a page more for the kernel.
    in_cma = sum(load in zone.cma.where for load in cached for zone in model.zones.values() if zone.cma is not None)
    REACH("cache in CMA", in_cma > 0)
    assert truth - in_cma * batches <= found <= truth + in_part * batches


def act(model: GuestModel, data: st.DataObject, number: int) -> None:
    """Have something happen in the guest."""
    name = f"/d/{number}"
    demands, pages, node = model.demands, data.draw(st.sampled_from(PAGES)), data.draw(st.sampled_from([0, 0, 1]))
    acts: dict[str, Callable[[], object]] = {
        "anonymous": lambda: demands.anonymous(name, pages, node),
        "read": lambda: demands.read_file(name, pages, node),
        "write": lambda: demands.write_file(name, pages, node),
        "tmpfs": lambda: demands.tmpfs_data(name, pages, node),
        "disk files": lambda: demands.disk_files(name, pages, 4096, node),
        "empty files": lambda: demands.disk_files(name, pages, 0, node),
        "pins": lambda: demands.pin(name, pages // 2, node),
        "kernel": lambda: demands.kernel_memory(name, pages // 2, node),
        "sync": demands.sync,
        "drop": lambda: demands.drop_caches(slab=pages > 100_000),
        "plug": lambda: model.online(ZONE_NORMAL, 0, 100 + 20 * number, 16, SMALL_BLOCK),
        "shrink": lambda: demands.shrink(next((load.name for load in demands.named_loads()), name), 0.5),
    }
    acts[data.draw(st.sampled_from((*acts, *KINDS)))]()


def test_an_empty_guest_has_none() -> None:
    assert small().meminfo.kernel_headroom(1) == 0
    with pytest.raises(KeyError):
        small().zones[1, ZONE_NORMAL]
