"""Where pages go, what is reclaimed for them, and when processes are killed."""
# ruff: noqa: S108 - paths inside the simulated guest

from __future__ import annotations

import pytest

from sim.guest import GuestModel, OomKind
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest, plug


def free(model: GuestModel, zone: int, node: int = 0) -> int:
    return model.zones[node, zone].free


def with_movable(mib: int = 2048, boot: int = 1024) -> GuestModel:
    model = guest(boot)
    assert plug(model, mib, ZONE_MOVABLE, FIRST)
    return model


def test_user_pages_take_movable_first_and_leave_the_low_watermark() -> None:
    model = with_movable()
    before = free(model, ZONE_DMA32)
    model.demands.anonymous("a", 1900 * MIB)
    assert model.zones[0, ZONE_DMA32].user == 0
    model.demands.anonymous("b", 500 * MIB)
    model.meminfo.uses()
    movable = model.zones[0, ZONE_MOVABLE]
    assert movable.free == movable.low
    spilled = 2400 * MIB - movable.user
    assert model.zones[0, ZONE_DMA32].user == spilled
    assert (
        free(model, ZONE_DMA32) == before - spilled - model.loads["a"].kernel_pages() - model.loads["b"].kernel_pages()
    )
    model.check()


def test_nothing_moves_back() -> None:
    model = with_movable()
    model.demands.anonymous("a", 1900 * MIB)
    model.demands.anonymous("b", 500 * MIB)
    spilled = model.zones[0, ZONE_DMA32].user
    model.demands.kill("a")
    assert model.zones[0, ZONE_DMA32].user == spilled
    # So the kernel fails with gigabytes free in MOVABLE, and the one to die is who sits in its zone.
    outcome = model.demands.page_tables("t", 800 * MIB)
    assert outcome.ooms
    assert outcome.ooms[0].kind is OomKind.KERNEL
    assert outcome.ooms[0].mem_available > 1500 * MIB
    assert outcome.ooms[0].victim == "b"


def test_kernel_pages_take_hotplugged_memory_first_and_never_movable() -> None:
    model = with_movable()
    assert plug(model, 1024, ZONE_NORMAL, FIRST + 100)
    before = free(model, ZONE_DMA32)
    model.demands.page_tables("t", 500 * MIB)
    assert model.zones[0, ZONE_NORMAL].kernel >= 500 * MIB
    assert free(model, ZONE_DMA32) == before
    model.demands.page_tables("u", 900 * MIB)
    assert free(model, ZONE_DMA32) < before
    assert model.zones[0, ZONE_MOVABLE].kernel == 0
    model.check()


def test_kernel_uses_all_its_zones_down_to_min() -> None:
    model = with_movable(4096)
    room = model.meminfo.kernel_headroom()
    outcome = model.demands.page_tables("t", 2 * room)
    event = outcome.ooms[0]
    assert event.kind is OomKind.KERNEL
    assert event.done_share * 2 * room == pytest.approx(room / 1.003, rel=0.01)
    state = {z.zone: z for z in event.zones}
    assert state[ZONE_DMA32].free == state[ZONE_DMA32].min
    assert state[ZONE_DMA].free - state[ZONE_DMA].min == model.zones[0, ZONE_DMA].reserve_kernel
    assert state[ZONE_MOVABLE].free > 4000 * MIB


def test_headroom_adds_up_over_kernel_zones() -> None:
    model = with_movable()
    before = model.meminfo.kernel_headroom()
    plug(model, 1024, ZONE_NORMAL, FIRST + 100)
    assert model.meminfo.kernel_headroom() - before == pytest.approx(1024 * MIB * 63 / 64, rel=0.04)
    before = model.meminfo.kernel_headroom()
    plug(model, 1024, ZONE_MOVABLE, FIRST + 200)
    assert model.meminfo.kernel_headroom() < before  # only its memmap counts


def test_guest_full() -> None:
    model = with_movable()
    model.demands.anonymous("a", 1000 * MIB)
    model.demands.anonymous("b", 1500 * MIB)
    outcome = model.demands.anonymous("c", 600 * MIB)
    assert [e.kind for e in outcome.ooms] == [OomKind.GUEST_FULL]
    assert outcome.ooms[0].victim == "b"
    assert "b" not in model.loads
    assert outcome.share == 1.0
    state = {z.zone: z for z in outcome.ooms[0].zones}
    assert state[ZONE_MOVABLE].free == state[ZONE_MOVABLE].min
    assert state[ZONE_DMA32].free == state[ZONE_DMA32].min + 2048 * MIB // 256  # the reserve is not for user pages


def test_the_youngest_of_equals_is_killed() -> None:
    model = guest(1024)
    for name in "abcd":
        model.demands.page_tables(name, 200 * MIB)
    assert model.demands.page_tables("e", 100 * MIB).ooms[0].victim == "d"


def test_a_load_that_is_killed_itself_stops() -> None:
    model = guest(1024)
    outcome = model.demands.anonymous("a", 2000 * MIB)
    assert outcome.ooms[0].victim == "a"
    assert outcome.share < 0.5
    assert not model.loads.get("a")
    assert not model.killer.guest_died


def test_guest_dies_when_nobody_owns_the_memory() -> None:
    model = with_movable(4096, boot=512)
    outcome = model.demands.tmpfs_files("/tmp/f", 1_000_000)
    assert outcome.ooms[-1].guest_died
    assert model.killer.guest_died
    assert outcome.share * 1_000_000 * 1048 / 2**20 == pytest.approx(272, rel=0.05)
    assert model.demands.anonymous("a", 100).share == 0.0


def test_processes_die_before_a_bigger_demand_does() -> None:
    model = guest(512)
    model.demands.processes("p", 2000)
    outcome = model.demands.kernel_memory("net", 200 * MIB)
    assert {e.victim for e in outcome.ooms} == {"p"}
    assert 0 < model.loads["p"].units < 2000
    model.check()


def test_page_cache_fills_everything_and_yields() -> None:
    model = with_movable(3072)
    model.demands.read_file("/mnt/big", 8000 * MIB)
    model.meminfo.uses()
    for zone in (ZONE_MOVABLE, ZONE_DMA32):
        z = model.zones[0, zone]
        assert z.min <= z.free - z.reserve_user <= z.high + 20 * MIB
    assert model.zones[0, ZONE_DMA32].cache > 500 * MIB
    assert not model.demands.anonymous("a", 2000 * MIB).ooms
    assert not model.demands.page_tables("t", 300 * MIB).ooms
    model.check()


def test_drop_caches() -> None:
    model = guest(2048)
    before = sum(z.free for z in model.zones.values())
    model.demands.read_file("/mnt/a", 500 * MIB)
    model.demands.disk_files("/mnt/d", 10_000, 4096)
    assert model.demands.drop_caches(cache=False) < 2 * MIB  # inodes of cached data stay
    dirty = model.loads["/mnt/d"].dirty
    assert dirty > 0
    model.demands.drop_caches()
    assert model.loads["/mnt/d"].user_pages() == dirty
    model.demands.sync()
    model.demands.drop_caches()
    assert sum(z.free for z in model.zones.values()) == before
    assert model.demands.look_up_files("/mnt").pages == pytest.approx(10_000 * 1964 / 4096, rel=0.01)
    model.check()


def test_reclaimable_kernel_memory_does_not_fail() -> None:
    model = with_movable(4096, boot=512)
    for name in "abcde":
        assert not model.demands.disk_files(f"/mnt/{name}", 100_000).ooms
    assert model.zones[0, ZONE_DMA32].slab > 60 * MIB
    model.check()


def test_inodes_pinned_by_cached_data_in_movable_do_fail() -> None:
    model = with_movable(4096, boot=512)
    outcome = model.demands.disk_files("/mnt/a", 400_000, 4096)
    assert outcome.ooms[0].kind is OomKind.KERNEL
    assert outcome.ooms[0].mem_available > 2000 * MIB


def test_dirty_pages_stay_within_the_limit() -> None:
    model = guest(4096)
    model.demands.write_file("/mnt/a", 3000 * MIB)
    zones = model.zones.values()
    limit = 0.2 * sum(z.free + z.cache for z in zones)
    assert 0 < model.loads["/mnt/a"].dirty <= limit + 1


def test_pins_are_kernel_pages() -> None:
    model = with_movable()
    model.demands.pin("dma", 100 * MIB)
    assert model.zones[0, ZONE_MOVABLE].kernel == 0
    assert model.zones[0, ZONE_DMA32].kernel >= 100 * MIB
    assert model.demands.kill("dma")
    model.check()


def test_nodes_in_order_of_distance() -> None:
    model = guest(1024)
    model.add_memory(1, FIRST, 8, altmap=False)
    model.online(ZONE_NORMAL, 1, FIRST, 8, BLOCK)
    model.demands.anonymous("near", 100 * MIB, node=1)
    assert model.zones[1, ZONE_NORMAL].user == 100 * MIB
    model.demands.page_tables("far", 900 * MIB, node=0)
    assert model.zones[1, ZONE_NORMAL].kernel > 50 * MIB  # node 0 is full


def test_units_of_load() -> None:
    """Kernel bytes of each kind of load, as measured one after the other on a recorded 6.1."""
    for verb, amount, expected in (
        ("tmpfs_files", 40_000, 40_000 * 1048),
        ("processes", 500, 500 * 69 * 1024),
        ("pipes", 1000, 1000 * 68_370),
        ("sockets", 2000, 2000 * 4_899),
        ("page_tables", 128 * MIB, 128 * 1027.1 * 1024),
        ("anonymous", 256 * MIB, 256 * 2.2 * 1024),
        ("read_file", 512 * MIB, 512 * 2.3 * 1024),
    ):
        model = guest(4096)
        getattr(model.demands, verb)("x", amount)
        assert model.loads["x"].kernel_pages() * 4096 == pytest.approx(expected, rel=0.01), verb


def test_a_name_keeps_its_kind() -> None:
    model = guest(1024)
    model.demands.anonymous("a", 10)
    with pytest.raises(ValueError, match=r"load 'a' is anonymous and cannot take pipes"):
        model.demands.pipes("a", 1)


def test_shrink_frees_a_share() -> None:
    model = guest(1024)
    model.demands.anonymous("a", 1000)
    model.demands.shrink("a", 0.25)
    assert model.loads["a"].user_pages() == 750
    assert model.loads["a"].units == 750
    model.check()
