"""Exact amounts in a small guest, worked out by hand: where pages go, and how far down each zone is used.

DMA32 and MOVABLE of 65,536 pages each; watermarks 256, 321 and 386; DMA32 keeps 256 pages from user pages.
"""

from __future__ import annotations

import pytest

from sim.guest import BootZone, GuestModel, OomKind
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import ROUND, SIZE, SMALL_BLOCK, guest, small

MIN, LOW, HIGH, RESERVE = 256, 321, 386, 256


def users(model: GuestModel) -> dict[int, int]:
    return {zone: z.user for (_, zone), z in model.zones.items()}


def free(model: GuestModel) -> dict[int, int]:
    return {zone: z.free for (_, zone), z in model.zones.items()}


def test_the_small_guest_is_as_described() -> None:
    model = small(ZONE_MOVABLE)
    assert [(u.zone, u.managed, u.free, u.min, u.low, u.high) for u in model.meminfo.uses()] == [
        (ZONE_DMA32, SIZE, SIZE, MIN, LOW, HIGH),
        (ZONE_MOVABLE, SIZE, SIZE, MIN, LOW, HIGH),
    ]
    z = model.zones[0, ZONE_DMA32]
    assert (z.reserve_user, z.reserve_kernel) == (RESERVE, 0)


# User pages -----------------------------------------------------------------------------------------------------------


def test_user_pages_fill_zones_to_low_and_reserve_then_to_min_and_reserve() -> None:
    model = small(ZONE_MOVABLE)
    for pages, movable, dma32 in (
        (SIZE - LOW, SIZE - LOW, 0),
        (1, SIZE - LOW, 1),
        (SIZE - LOW - RESERVE - 1, SIZE - LOW, SIZE - LOW - RESERVE),
        (LOW - MIN, SIZE - MIN, SIZE - LOW - RESERVE),
        (LOW - MIN, SIZE - MIN, SIZE - MIN - RESERVE),
    ):
        outcome = model.demands.anonymous("a", pages)
        assert outcome == (pages, 1.0, ())
        assert users(model) == {ZONE_MOVABLE: movable, ZONE_DMA32: dma32}
    event = model.demands.tmpfs_data("/tmp/one", 1).ooms[0]  # noqa: S108 - a path inside the guest
    assert (event.kind, event.victim, event.done_share) == (OomKind.GUEST_FULL, "a", 0.0)


def test_a_demand_that_fails_says_how_much_it_got() -> None:
    model = small(ZONE_MOVABLE)
    room = 2 * (SIZE - MIN) - RESERVE
    model.demands.anonymous("old", 40_000)
    outcome = model.demands.anonymous("new", 2 * (room - 40_000))
    assert outcome.pages == room - 40_000
    assert outcome.share == outcome.ooms[0].done_share == 0.5
    assert outcome.ooms[0].victim == "new"
    assert users(model) == {ZONE_MOVABLE: 40_000, ZONE_DMA32: 0}
    assert {u.zone: u.free for u in outcome.ooms[0].zones} == {ZONE_MOVABLE: MIN, ZONE_DMA32: MIN + RESERVE}


def test_a_demand_goes_on_after_another_was_killed_for_it() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("big", 100_000)
    outcome = model.demands.anonymous("new", 60_000)
    assert (outcome.pages, outcome.share, [e.victim for e in outcome.ooms]) == (60_000, 1.0, ["big"])
    room = 2 * (SIZE - MIN) - RESERVE - 100_000
    assert outcome.ooms[0].done_share == room / 60_000
    assert sum(users(model).values()) == 60_000


def test_kernel_pages_stay_out_of_movable_and_go_to_min_without_a_reserve() -> None:
    model = small(ZONE_MOVABLE)
    assert model.meminfo.kernel_headroom() == SIZE - MIN
    assert model.demands.pin("p", SIZE - MIN).share == 1.0
    assert free(model) == {ZONE_MOVABLE: SIZE, ZONE_DMA32: MIN}
    assert model.meminfo.kernel_headroom() == 0
    event = model.demands.pin("q", 1).ooms[0]
    assert (event.kind, event.victim, event.done_share) == (OomKind.KERNEL, "p", 0.0)


def test_the_last_page_of_every_pass_is_used() -> None:
    room = 2 * (SIZE - LOW) - RESERVE
    for pages, movable in ((room, SIZE - LOW), (room + 2 * (LOW - MIN), SIZE - MIN)):
        model = small(ZONE_MOVABLE)
        model.demands.anonymous("a", pages - 1)
        assert model.demands.anonymous("b", 1) == (1, 1.0, ())
        assert users(model) == {ZONE_MOVABLE: movable, ZONE_DMA32: pages - movable}
    for mark in (LOW, MIN):
        model = small(ZONE_MOVABLE)
        model.demands.pin("p", SIZE - mark - 1)
        assert model.demands.pin("p", 1) == (1, 1.0, ())
        assert free(model) == {ZONE_MOVABLE: SIZE, ZONE_DMA32: mark}


def test_kernel_pages_take_the_highest_kernel_zone_first_and_leave_it_at_low() -> None:
    """Two kernel zones: minimum sqrt(16 x 512 MiB in KiB) = 2,896 KiB or 724 pages, 362 each, and steps of 90."""
    model = small(ZONE_NORMAL)
    model.demands.pin("p", SIZE - 452)
    assert free(model) == {ZONE_NORMAL: 452, ZONE_DMA32: SIZE}
    model.demands.pin("p", SIZE - 452 - 256)  # DMA32 keeps 65,536 / 256 from requests that may use Normal
    assert free(model) == {ZONE_NORMAL: 452, ZONE_DMA32: 708}
    assert model.meminfo.kernel_headroom() == 90 + 90
    model.demands.pin("p", 91)
    assert free(model) == {ZONE_NORMAL: 362, ZONE_DMA32: 707}
    assert model.meminfo.kernel_headroom(0) == 89
    assert model.meminfo.kernel_headroom(1) == 0


def test_a_newer_kernel_goes_below_min_by_its_share() -> None:
    model = small(ZONE_MOVABLE, kernel_min_share=0.5)
    assert model.meminfo.kernel_headroom() == SIZE - MIN // 2
    assert model.demands.pin("p", SIZE).ooms[0].done_share == (SIZE - MIN // 2) / SIZE


def two_nodes() -> GuestModel:
    model = GuestModel(ROUND, block_pages=SMALL_BLOCK)
    model.boot(
        [BootZone(0, ZONE_DMA32, SIZE, SIZE, runs=((0, 16),)), BootZone(1, ZONE_NORMAL, SIZE, SIZE, runs=((16, 16),))]
    )
    model.online(ZONE_MOVABLE, 1, 32, 16, SMALL_BLOCK)
    return model


def test_pages_go_to_their_node_first_then_to_the_others() -> None:
    model = two_nodes()
    model.demands.anonymous("near", 1000, 1)
    model.demands.pin("pinned", 2000, 1)
    model.demands.anonymous("far", 500)
    model.demands.pin("kernel", 700)
    found = {key: (z.user, z.kernel) for key, z in model.zones.items()}
    assert found == {(0, ZONE_DMA32): (500, 700), (1, ZONE_NORMAL): (0, 2000), (1, ZONE_MOVABLE): (1000, 0)}
    model.demands.anonymous("far", SIZE)
    low = model.zones[0, ZONE_DMA32].low
    assert model.zones[0, ZONE_DMA32].free == low
    assert model.zones[1, ZONE_MOVABLE].user == 1000 + 500 + SIZE - (SIZE - 700 - low)
    assert model.meminfo.kernel_headroom(1) == SIZE - 2000 - model.zones[1, ZONE_NORMAL].min


# What each verb asks for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "asked", "user", "kernel", "slab"),
    [
        ("anonymous", (700,), 700, 0, 0),
        ("read_file", (700,), 700, 0, 0),
        ("write_file", (700,), 700, 0, 0),
        ("tmpfs_data", (700,), 700, 0, 0),
        ("tmpfs_files", (700,), 0, 700, 0),
        ("tmpfs_files", (700, 1), 700, 700, 0),
        ("tmpfs_files", (700, 4097), 1400, 700, 0),
        ("disk_files", (700,), 0, 0, 700),
        ("disk_files", (700, 4096), 700, 700, 0),
        ("disk_files", (700, 8193), 2100, 700, 0),
        ("processes", (50,), 50, 100, 0),
        ("workers", (50,), 50, 100, 0),
        ("page_tables", (700,), 0, 700, 0),
        ("pipes", (50,), 0, 800, 0),
        ("sockets", (50,), 0, 50, 0),
        ("sockets", (50, 8192), 0, 150, 0),
        ("pin", (700,), 0, 700, 0),
        ("kernel_memory", (700,), 0, 700, 0),
    ],
)
def test_what_a_verb_takes(verb: str, asked: tuple[int, ...], user: int, kernel: int, slab: int) -> None:
    model = small(ZONE_MOVABLE)
    for times in (1, 2):
        assert getattr(model.demands, verb)("x", *asked) == (user + kernel + slab, 1.0, ())
        load = model.loads["x"]
        assert load.user_pages() == times * user
        assert sum(load.kernel.values()) == times * kernel
        assert sum(load.slab.values()) == times * slab
        assert load.kernel_pages() == times * (kernel + slab)
        assert load.units == times * asked[0]
        assert load.node == 0
        movable, dma32 = model.zones[0, ZONE_MOVABLE], model.zones[0, ZONE_DMA32]
        assert (movable.user, dma32.kernel, dma32.slab) == (times * user, times * (kernel + slab), times * slab)
    model.check()
    assert model.demands.kill("x") + model.demands.remove_files("x") == 1
    assert (users(model), free(model)) == ({ZONE_MOVABLE: 0, ZONE_DMA32: 0}, {ZONE_MOVABLE: SIZE, ZONE_DMA32: SIZE})
    assert not model.loads


@pytest.mark.parametrize(
    "verb",
    [
        "anonymous", "read_file", "write_file", "tmpfs_data", "tmpfs_files", "disk_files", "processes", "page_tables",
        "workers", "pipes", "sockets", "pin", "kernel_memory",
    ],
)  # fmt: skip
def test_a_verb_uses_the_memory_of_the_node_that_it_is_told(verb: str) -> None:
    model = two_nodes()
    getattr(model.demands, verb)("x", 300, node=1)
    assert model.loads["x"].node == 1
    assert model.zones[0, ZONE_DMA32].free == SIZE
    assert model.zones[1, ZONE_NORMAL].free + model.zones[1, ZONE_MOVABLE].free < 2 * SIZE


@pytest.mark.parametrize(
    ("series", "verb", "amount", "more", "pages"),
    [
        # Kernel bytes of each, as measured on recorded kernels, in whole pages.
        ("6.1", "tmpfs_files", 40_000, (), 10_234),  # 1,048 bytes each
        ("6.12", "tmpfs_files", 40_000, (), 10_596),  # 1,085
        ("6.1", "disk_files", 40_000, (), 17_383),  # 1,780
        ("6.12", "disk_files", 40_000, (), 17_070),  # 1,748
        ("6.1", "disk_files", 40_000, (4096,), 19_180),  # 1,964
        ("6.12", "disk_files", 40_000, (4096,), 18_867),  # 1,932
        ("6.1", "processes", 500, (), 8_625),  # 69 KiB
        ("6.12", "processes", 500, (), 9_625),  # 77 KiB
        ("6.1", "pipes", 1000, (), 16_692),  # 68,370 bytes
        ("6.12", "pipes", 1000, (), 16_681),  # 68,325
        ("6.1", "sockets", 2000, (), 2_392),  # 4,899
        ("6.1", "sockets", 2000, (131_072,), 78_443),  # the same and 1.1883 for each byte
        ("6.12", "sockets", 2000, (), 2_415),  # 4,946
        ("6.1", "page_tables", 32_768, (), 32_866),  # 1,027.1 KiB a MiB
        ("6.1", "anonymous", 65_536, (), 141),  # 2.2 KiB a MiB
        ("6.12", "anonymous", 65_536, (), 134),  # 2.1 KiB
        ("6.1", "read_file", 131_072, (), 294),  # 2.3 KiB
        ("6.1", "tmpfs_data", 131_072, (), 256),  # 2 KiB
    ],
)
def test_kernel_pages_of_each_kind_as_measured(
    series: str, verb: str, amount: int, more: tuple[int, ...], pages: int
) -> None:
    model = guest(4096, series)
    getattr(model.demands, verb)("x", amount, *more)
    assert model.loads["x"].kernel_pages() == pages


# Giving back ----------------------------------------------------------------------------------------------------------


def test_a_share_is_freed_of_every_zone_and_use() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("x", 1000, 4096)
    model.demands.disk_files("x", 400)
    assert model.loads["x"].dirty == 1000
    model.demands.shrink("x", 0.25)
    load = model.loads["x"]
    assert (load.user_pages(), sum(load.kernel.values()), sum(load.slab.values())) == (750, 750, 300)
    assert (load.units, load.dirty) == (1050, 750)
    model.demands.shrink("nobody", 0.5)
    model.check()


def test_files_go_by_path_and_processes_by_name() -> None:
    model = small(ZONE_MOVABLE)
    for path in ("/d", "/d/a", "/d/a/b", "/dd", "/e", "/d/X"):
        model.demands.read_file(path, 10)
    model.demands.anonymous("/d/process", 10)
    assert not model.demands.kill("/d")
    assert not model.demands.kill("nobody")
    assert model.demands.remove_files("/d/a/") == 2
    assert model.demands.remove_files("/d/X/") == 1
    assert model.demands.remove_files("/d") == 1
    assert list(model.loads) == ["/dd", "/e", "/d/process"]
    assert model.demands.kill("/d/process")
    assert not model.demands.kill("/d/process")
    assert users(model) == {ZONE_MOVABLE: 20, ZONE_DMA32: 0}


def test_named_loads_leave_out_the_kernels_own() -> None:
    model = small(ZONE_MOVABLE, block_overhead_bytes=1 << 20)
    model.add_memory(0, 200, 1, altmap=True)
    model.demands.anonymous("a", 1)
    model.demands.read_file("/b", 1)
    assert list(model.loads) == ["(settled kernel)", "a", "/b"]
    assert [load.name for load in model.demands.named_loads()] == ["a", "/b"]
