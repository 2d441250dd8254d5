"""The guest in a run: demand by name and kind, kills and who may start again, samples, boot from the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from policies.fixed import OnlineKernel, OnlineMovable
from sim.guest import DemandKind, OomKind, parameters_for
from sim.kernel.guest_link import GuestSpec
from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.units import GIB, MIB
from tests.guest.machines import BLOCK, FIRST
from tests.kernel.linked_guest import linked
from tests.support.pages import PAGE_SIZE
from workloads.parts.demand import KINDS, PIECE_KINDS

if TYPE_CHECKING:
    from policies.contract import Policy

PAGES = MIB // PAGE_SIZE


# Demand ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "amount", "what", "units", "user", "kernel"),
    [
        ("anonymous", 64 * MIB, "anonymous", 16_384, 16_384, 35),
        ("page-cache", 64 * MIB, "page cache", 16_384, 16_384, 37),
        ("tmpfs", 64 * MIB, "tmpfs data", 16_384, 16_384, 32),
        ("page-tables", 64 * MIB, "page tables", 16_384, 0, 16_433),
        ("anonymous-only", 64 * MIB, "anonymous", 16_384, 16_384, 0),
        ("page-cache-only", 64 * MIB, "page cache", 16_384, 16_384, 0),
        ("kernel-stacks", 64 * MIB, "kernel stacks", 16_384, 0, 16_384),
        ("slab", 64 * MIB, "slab", 16_384, 0, 16_384),
        ("pinned", 64 * MIB, "pinned", 16_384, 0, 16_384),
        ("kernel", 64 * MIB, "kernel", 16_384, 0, 16_384),
        ("tmpfs-files", 4096, "tmpfs files", 4096, 0, 1048),
        ("disk-files", 4096, "disk files", 4096, 0, 1780),
        ("written-files", 4096, "disk files", 4096, 4096, 1964),
        ("processes", 64, "processes", 64, 256, 1104),
        ("workers", 64, "workers", 64, 256, 1104),
        ("pipes", 4096 // 16, "pipes", 256, 0, 4273),
        ("sockets", 4096, "sockets", 4096, 0, 4899),
    ],
)
def test_every_kind_of_demand(kind: str, amount: int, what: str, units: int, user: int, kernel: int) -> None:
    link, _ = linked()
    assert link.set_demand("x", kind, amount)
    load = link.model.loads["x"]
    assert (load.kind.value, load.units, load.user_pages(), load.kernel_pages()) == (what, units, user, kernel)
    assert link.set_demand("x", kind, amount)  # the same once more: nothing is added
    assert (load.units, load.user_pages(), load.kernel_pages()) == (units, user, kernel)
    assert link.set_demand("x", kind, 2 * amount)
    assert (load.units, load.user_pages()) == (2 * units, 2 * user)
    assert link.set_demand("x", kind, amount // 2)
    assert (load.units, load.user_pages()) == (units // 2, user // 2)
    assert link.set_demand("x", kind, 0)
    assert "x" not in link.model.loads or kind == "kernel"
    assert sum(z.user + z.kernel for z in link.model.zones.values()) == 0


def test_a_load_that_uses_something_takes_no_other_kind_be_it_of_less() -> None:
    link, _ = linked()
    assert link.set_demand("x", "page-cache", 100 * MIB)
    assert not link.set_demand("x", "processes", 7)
    assert (link.model.loads["x"].units, link.model.loads["x"].kind.value) == (25600, "page cache")
    assert link.set_demand("x", "page-cache", 0)
    assert link.set_demand("x", "processes", 7)


def test_workloads_and_the_guest_have_the_same_words_for_demand() -> None:
    assert sorted(KINDS) == sorted(DemandKind)
    assert set(PIECE_KINDS) == {kind for kind in DemandKind if kind.in_pieces}


def test_written_files_reach_the_disk_in_time_and_the_guest_is_looked_at_then() -> None:
    link, core = linked(GIB)
    for second in (1, 20):
        core.env.run(until=second * 1_000_000)
        assert link.set_demand(f"/mnt/{second}", "written-files", 1000)
    core.env.run(until=49_000_000)
    assert [load.dirty for load in link.model.loads.values()] == [0, 1000]
    core.env.run(until=60_000_000)
    assert [load.dirty for load in link.model.loads.values()] == [0, 0]
    assert link.series()["t_us"].tolist() == [1_000_000, 20_000_000, 35_000_000, 50_000_000]


def test_samples_say_for_how_long_somebody_has_waited_for_memory() -> None:
    """Of files that are read again and again a quarter of 4 GiB is missing: more than can be read in the time."""
    link, core = linked(GIB, spec=GuestSpec({"refault_us": 1000.0}))
    assert link.set_demand("/f", "page-cache", 4 * GIB)
    assert link.set_demand("a", "anonymous", 600 * MIB)
    for second in (10, 20):
        core.env.run(until=second * 1_000_000)
        link.sample()
    assert link.set_demand("/f", "page-cache", 0)
    core.env.run(until=30_000_000)
    link.sample()
    assert link.series()["stalled_us"].tolist()[-4:] == [10_000_000, 20_000_000, 20_000_000, 20_000_000]


def test_demand_that_makes_no_sense_is_refused_and_changes_nothing() -> None:
    link, _ = linked()
    assert link.set_demand("a", "anonymous", 10 * MIB)
    for name, kind, amount in (("b", "anonymouse", 1), ("b", "anonymous", -1), ("a", "pipes", 2561)):
        assert not link.set_demand(name, kind, amount)
    assert list(link.model.loads) == ["a"]
    assert link.model.loads["a"].user_pages() == 10 * PAGES
    assert link.set_demand("a", "anonymous", 10 * MIB + PAGE_SIZE - 1)  # not yet a page more
    assert link.model.loads["a"].user_pages() == 10 * PAGES
    assert link.set_demand("a", "anonymous", PAGE_SIZE - 1)  # less than a page is nothing
    assert not link.model.loads


# Kills ----------------------------------------------------------------------------------------------------------------


def test_a_demand_that_is_met_already_changes_nothing() -> None:
    link, _ = linked()
    assert link.set_demand("/tmp/a/b", "tmpfs", 10 * MIB)  # noqa: S108 - a path inside the guest
    for kind in ("anonymous", "tmpfs"):
        assert link.set_demand("/tmp/a", kind, PAGE_SIZE - 1)  # noqa: S108 - less than a page: nothing, of either kind
    assert {name: load.user_pages() for name, load in link.model.loads.items()} == {"/tmp/a/b": 2560}  # noqa: S108


def test_a_killed_load_is_refused_until_it_is_set_to_nothing() -> None:
    link, _ = linked()
    assert link.set_demand("old", "anonymous", 300 * MIB)
    assert not link.set_demand("big", "anonymous", 2 * GIB)
    assert link.killed == {"big"}
    assert [(at, event.victim) for at, event in link.ooms.kills] == [(0, "big")]
    for _ in range(2):
        assert not link.set_demand("big", "anonymous", MIB)
    assert link.killed == {"big"}
    assert "big" not in link.model.loads
    assert link.set_demand("big", "anonymous", 0)
    assert link.killed == set()
    assert link.set_demand("big", "anonymous", MIB)
    assert link.set_demand("old", "anonymous", 301 * MIB)


def test_a_later_kill_does_not_mark_older_victims_again() -> None:
    link, _ = linked()
    assert not link.set_demand("first", "anonymous", 2 * GIB)
    assert link.set_demand("first", "anonymous", 0)
    assert link.set_demand("first", "anonymous", MIB)
    assert link.set_demand("first", "anonymous", 0)  # ends by itself this time
    assert not link.set_demand("second", "anonymous", 2 * GIB)
    assert link.killed == {"second"}
    assert link.set_demand("first", "anonymous", MIB)


def test_a_crowd_that_lost_some_is_not_dead() -> None:
    link, _ = linked()
    assert link.set_demand("crowd", "processes", 10_000)
    assert link.set_demand("net", "kernel", 600 * MIB)
    assert {event.victim for _, event in link.ooms.kills} == {"crowd"}
    assert link.killed == set()
    assert 0 < link.model.loads["crowd"].units < 10_000


def test_an_add_that_left_nothing_fails_somebody_else() -> None:
    link, core = linked()
    assert link.set_demand("a", "page-tables", 4 * MIB)
    assert link.set_demand("b", "anonymous", 4 * PAGE_SIZE)
    core.listener.starved()
    assert link.ooms.kills == []  # there is plenty
    assert not link.model.add_memory(0, FIRST, 8 * 100, altmap=False)
    core.listener.starved()
    assert [(event.kind, event.victim) for _, event in link.ooms.kills] == [(OomKind.KERNEL, "a")]
    assert link.killed == {"a"}
    assert not link.model.add_memory(0, FIRST + 1000, 8, altmap=False)
    core.listener.starved()
    assert link.model.killer.guest_died
    core.listener.starved()  # nobody is left to fail
    assert [event.victim for _, event in link.ooms.kills] == ["a", "b", None]


def test_a_guest_whose_programs_have_page_cache_lives() -> None:
    link, core = linked(spec=GuestSpec({"system_cache_bytes": 2 * MIB}))
    assert link.set_demand("a", "anonymous", MIB)
    assert not link.model.add_memory(0, FIRST, 8 * 100, altmap=False)
    core.listener.starved()
    assert link.ooms.kills == []


def test_policies_see_the_room_of_the_kernel() -> None:
    link, core = linked()
    assert core.view.kernel_headroom is not None
    assert core.view.kernel_headroom(None) == link.model.meminfo.kernel_headroom() > 0
    assert core.guest is link.model


# Caches ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cache", "slab"), [(True, False), (False, True), (True, True)])
def test_caches_are_dropped_as_named(cache: bool, slab: bool) -> None:  # noqa: FBT001
    link, _ = linked()
    link.set_demand("/c", "page-cache", 10 * MIB)
    link.set_demand("/d", "disk-files", 5000)
    link.drop_caches(cache=cache, slab=slab)
    assert link.model.loads["/c"].user_pages() == (0 if cache else 10 * PAGES)
    assert sum(link.model.loads["/d"].slab.values()) == (0 if slab else 2173)
    assert len(link.series()["t_us"]) == 3


# Samples --------------------------------------------------------------------------------------------------------------


def test_a_sample_is_what_the_guest_says_and_holds() -> None:
    link, core = linked()
    model = link.model
    core.memory.blocks.reserve(FIRST + 16)
    for first, zone in ((FIRST, ZONE_NORMAL), (FIRST + 8, ZONE_MOVABLE)):
        model.add_memory(0, first, 8, altmap=False)
        model.online(zone, 0, first, 8, BLOCK)
    link.set_demand("a", "anonymous", 100 * MIB)
    link.set_demand("p", "pinned", 50 * MIB)
    core.env.run(until=7_000_000)
    link.sample()
    found = {name: values.tolist() for name, values in link.series().items()}
    assert found["t_us"] == [0, 0, 7_000_000]
    assert found["user"] == [100 * PAGES] * 3
    tables = round(100 * PAGES * 2.2 / 1024)
    assert found["kernel"] == [180 + tables, *[180 + tables + 50 * PAGES] * 2]
    assert found["memmap"] == [32 * PAGES] * 3
    assert found["free_movable"] == [924 * PAGES] * 3
    assert found["headroom"][0] - found["headroom"][1] == 50 * PAGES
    assert found["headroom"][-1] == model.meminfo.kernel_headroom()
    assert found["mem_available"][-1] == model.meminfo.available()
    assert found["returnable"][-1] == 0, "it belongs to no device"
    assert link.mem_available() == model.meminfo.available() * PAGE_SIZE
    link.set_demand("b", "anonymous", 1100 * MIB)
    assert sum(zone.user > 0 for zone in model.zones.values()) == 2
    assert link.series()["user"][-1] == 1200 * PAGES, "those of all zones"


@pytest.mark.parametrize(("policy", "blocks"), [(OnlineKernel(), 104), (OnlineMovable(), 104), (OnlineKernel(), 1)])
def test_the_dip_while_an_add_has_taken_its_memmap_is_sampled(policy: Policy, blocks: int) -> None:
    """13 GiB are 104 blocks, whose memmap takes 208 MiB. In a kernel zone they bring more than that at once."""
    link, core = linked(GIB, policy=policy)
    link.sample()
    core.add_memory(-1, FIRST * BLOCK, blocks * BLOCK)
    assert link.series()["t_us"].tolist() == [0, 0, 0]
    headroom = link.series()["headroom"].tolist()
    overhead = link.series()["kernel"].tolist()
    assert headroom[0] - headroom[1] == blocks * 2 * PAGES + overhead[1] - overhead[0]
    assert headroom[2] == link.model.meminfo.kernel_headroom()
    if isinstance(policy, OnlineKernel):
        assert headroom[2] > headroom[0]
    assert link.series()["memmap"].tolist() == [0, blocks * 2 * PAGES, blocks * 2 * PAGES]


def test_nothing_is_sampled_of_an_add_that_takes_no_memmap() -> None:
    link, core = linked(144 * MIB)
    with pytest.raises(HotplugError, match="no memory for the memmap"):
        core.add_memory(-1, FIRST * BLOCK, BLOCK)
    assert not len(link.series()["t_us"])


@pytest.mark.parametrize(
    ("every", "seconds", "period"), [(0.0, 10, 1.0), (0.0, 5000, 1.0), (0.0, 20_000, 4.0), (2.5, 20_000, 2.5)]
)
def test_samples_are_taken_every_second_or_5000_times(every: float, seconds: int, period: float) -> None:
    link, core = linked(spec=GuestSpec(sample_every=every))
    link.start_sampling(seconds * 1_000_000)
    core.env.run(until=int(3.5 * period * 1_000_000))
    assert link.series()["t_us"].tolist() == [int(number * period * 1_000_000) for number in range(4)]


# Boot -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "series"), [("5.15", "6.1"), ("6.11", "6.1"), ("6.12", "6.12"), ("7.2", "6.12"), ("7.4", "7.3")]
)
def test_parameters_follow_the_kernel_series(kernel: str, series: str) -> None:
    link, _ = linked(kernel=kernel)
    assert link.model.parameters == parameters_for(series)


def test_parameters_can_be_set_one_by_one() -> None:
    link, _ = linked(spec=GuestSpec(parameters={"idle_use_share": 0.01}))
    assert link.model.parameters.idle_use_share == 0.01
    assert link.model.parameters.swiotlb_bytes == 64 * MIB
    with pytest.raises(TypeError, match="no_such"):
        linked(spec=GuestSpec(parameters={"no_such": 1}))


def test_the_guest_boots_with_the_machine() -> None:
    link, core = linked(8 * GIB, 2 * GIB)
    zones = {key: z for key, z in link.model.zones.items() if z.managed}
    assert list(zones) == [(0, ZONE_DMA), (0, ZONE_DMA32), (0, ZONE_NORMAL), (1, ZONE_NORMAL)]
    for (node, zone), z in zones.items():
        assert core.memory.zone(node, zone).managed == z.managed
    # 98 pages of the first MiB and 32 below 3 GiB are not there. 11,318 pages of kernel, 158 of zone DMA, SWIOTLB and
    # its 192 pages of slots, 60 for CPUs and 7 for 7 GiB above 4 GiB, 66 and 43 for two nodes, and each node's memmap.
    pages = 10 * GIB // PAGE_SIZE
    reserved = 11_318 + 158 + 16_384 + 192 + 60 + 7 + 66 + 43
    assert sum(z.managed for z in zones.values()) == pages - 130 - reserved - pages // 64
    runs = {key: z.pageblocks.runs() for key, z in zones.items() if z.pageblocks is not None}
    assert runs == {
        (0, ZONE_DMA): [],
        (0, ZONE_DMA32): [(0, 24)],
        (0, ZONE_NORMAL): [(32, 40)],
        (1, ZONE_NORMAL): [(72, 16)],
    }


def test_the_guests_blocks_are_as_large_as_the_machines() -> None:
    """256 MiB take a memmap of 4 MiB, and have 128 pageblocks."""
    link, core = linked(policy=OnlineKernel(), block_size=256 * MIB)
    core.add_memory(-1, 64 * BLOCK, 2 * BLOCK)
    assert link.model.zones[0, ZONE_DMA32].memmap == 1024
    pageblocks = link.model.zones[0, ZONE_NORMAL].pageblocks
    assert pageblocks is not None
    assert (pageblocks.runs(), pageblocks.width) == ([(32, 1)], 128)


def test_boot_memory_in_movable_is_known_by_its_zone() -> None:
    link, _ = linked(4 * GIB, movablecore=GIB)
    movable = link.model.zones[0, ZONE_MOVABLE]
    assert movable.managed < GIB // PAGE_SIZE
    assert movable.boot_managed == movable.managed


def test_free_movable_memory_is_that_of_all_nodes() -> None:
    link, core = linked(GIB, GIB)
    for node, blocks in ((0, 2), (1, 3)):
        core.add_memory(-1, (FIRST + 100 * node) * BLOCK, blocks * BLOCK, node=node)
    link.sample()
    free = {node: link.model.zones[node, ZONE_MOVABLE].free for node in (0, 1)}
    assert all(free.values())
    assert free[0] != free[1]
    assert link.series()["free_movable"].tolist()[-1] == sum(free.values())


def test_a_block_of_the_boot_memory_belongs_to_no_device() -> None:
    _, core = linked(GIB)
    rows: list[Any] = []
    core.record = rows.append
    core.write_online(4, 0)
    core.write_online(4, 1)
    assert [row[2:5] for row in rows] == [(-1, 4, 1)] * 2
