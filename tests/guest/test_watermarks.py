"""Watermarks and reserves, against what recorded kernels reported for the same zones."""

from __future__ import annotations

import json

import pytest

from sim.guest import BootZone, GuestModel, GuestParameters, ZoneUse, parameters_for
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL
from sim.replay.load_replay import LoadReplay
from sim.replay.trace_format import read_trace
from tests.guest.machines import BLOCK, FIRST, guest, plug
from tests.support.places import DATA

# A guest with 1 GiB of boot memory, as recorded.
DMA_MANAGED, DMA32_MANAGED = 3840, 220912
GIB = 1 << 18


def zones_of(series: str, dma32: int, **hotplugged: int) -> dict[int, ZoneUse]:
    model = GuestModel(parameters_for(series))
    model.boot(
        [
            BootZone(0, ZONE_DMA, DMA_MANAGED, DMA_MANAGED),
            BootZone(0, ZONE_DMA32, dma32, dma32 - 9000, runs=((0, 8),)),
        ]
    )
    first = 32
    for name, pages in hotplugged.items():
        model.online({"normal": ZONE_NORMAL, "movable": ZONE_MOVABLE}[name], 0, first, pages // 32768, 32768)
        first += pages // 32768
    return {use.zone: use for use in model.meminfo.uses()}


@pytest.mark.parametrize(
    ("series", "hotplugged", "expected"),
    [
        # Minimum watermarks in reports of failed allocations, by zone.
        ("6.1", {"movable": 4 * GIB}, {ZONE_DMA: 33, ZONE_DMA32: 1944}),
        ("6.1", {"movable": 2 * GIB}, {ZONE_DMA: 57, ZONE_DMA32: 3303, ZONE_MOVABLE: 7840}),
        ("6.1", {"movable": 10 * 32768}, {ZONE_DMA: 77, ZONE_DMA32: 4477, ZONE_MOVABLE: 6641}),
        ("6.1", {"movable": 2 * 32768}, {ZONE_DMA: 147, ZONE_DMA32: 8507, ZONE_MOVABLE: 2523}),
        (
            "6.1",
            {"normal": 3 * GIB // 4, "movable": 21 * GIB // 4},
            {ZONE_DMA: 36, ZONE_DMA32: 2076, ZONE_NORMAL: 1847},
        ),
        ("6.12", {"movable": 4 * GIB}, {ZONE_DMA: 190, ZONE_DMA32: 11065, ZONE_MOVABLE: 128}),
    ],
)
def test_minimum_as_reported(series: str, hotplugged: dict[str, int], expected: dict[int, int]) -> None:
    dma32 = 222671 if series == "6.12" else DMA32_MANAGED
    found = zones_of(series, dma32, **hotplugged)
    for zone, pages in expected.items():
        assert found[zone].min == pytest.approx(pages, abs=8), zone


def test_low_of_movable() -> None:
    assert zones_of("6.1", DMA32_MANAGED, movable=2 * GIB)[ZONE_MOVABLE].low == pytest.approx(9800, abs=8)
    assert zones_of("6.12", 222671, movable=4 * GIB)[ZONE_MOVABLE].low == pytest.approx(13154, abs=20)


def test_small_guest_has_no_huge_page_minimum() -> None:
    found = zones_of("6.1", 92077)
    assert sum(use.min for use in found.values()) == pytest.approx(617, abs=8)


def test_reserves() -> None:
    model = GuestModel()
    model.boot([BootZone(0, ZONE_DMA, DMA_MANAGED, DMA_MANAGED), BootZone(0, ZONE_DMA32, DMA32_MANAGED, 200_000)])
    model.online(ZONE_NORMAL, 0, 32, 4, 32768)
    model.online(ZONE_MOVABLE, 0, 36, 16, 32768)
    model.meminfo.uses()
    zone = model.zones
    normal, movable = 4 * 32768, 16 * 32768
    assert zone[0, ZONE_DMA].reserve_user == (DMA32_MANAGED + normal + movable) // 256
    assert zone[0, ZONE_DMA].reserve_kernel == (DMA32_MANAGED + normal) // 256
    assert zone[0, ZONE_DMA32].reserve_user == (normal + movable) // 256
    assert zone[0, ZONE_NORMAL].reserve_user == movable // 32
    assert zone[0, ZONE_NORMAL].reserve_kernel == zone[0, ZONE_MOVABLE].reserve_user == 0


def test_reserves_regard_the_own_node_only() -> None:
    model = GuestModel()
    model.boot([BootZone(0, ZONE_DMA32, DMA32_MANAGED, 200_000), BootZone(1, ZONE_NORMAL, 262144, 262144)])
    model.online(ZONE_MOVABLE, 1, 64, 16, 32768)
    model.meminfo.uses()
    assert model.zones[0, ZONE_DMA32].reserve_user == 0
    assert model.zones[1, ZONE_NORMAL].reserve_user == 16 * 32768 // 32


def marks(series: str, kernel: int, *, movable: int = 0) -> list[tuple[int, int, int]]:
    """Return (min, low, high) of zone Normal from boot and, if there is one, of MOVABLE."""
    model = GuestModel(parameters_for(series))
    model.boot([BootZone(0, ZONE_NORMAL, kernel, kernel)])
    if movable:
        model.online(ZONE_MOVABLE, 0, 1 << 20, 1, movable)
    return [(use.min, use.low, use.high) for use in model.meminfo.uses()]


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_large_and_tiny_guests(series: str) -> None:
    # 128 GiB: sqrt(16 x KiB) / 4 = 11,585 pages are more than huge pages ask for; a thousandth is more than a quarter.
    assert marks(series, 1 << 25) == [(11_585, 45_139, 78_693)]
    # 8 TiB: never more than 256 MiB. 512 KiB: never less than 128 KiB.
    assert marks(series, 1 << 31) == [(65_536, 65_536 + 2_147_483, 65_536 + 2 * 2_147_483)]
    assert marks(series, 128) == [(32, 40, 48)]
    # 64 GiB: the square root is 8,192 pages, still more than the 5,632 of huge pages in one zone.
    assert marks(series, 1 << 24)[0][0] == 8_192
    # Down to 512 MiB huge pages ask for 5,632.
    assert [marks(series, mib * 256)[0][0] for mib in (1024, 768, 600, 512)] == [5632] * 4


def test_huge_pages_get_5_percent_at_most() -> None:
    model = GuestModel(GuestParameters(thp_min_boot_bytes=0))
    model.boot([BootZone(0, ZONE_NORMAL, 50_000, 50_000)])
    # Small minimum: sqrt(64 x 50,000) = 1,788 / 4 = 447; high watermark 447 + 2 x 111; 5 % of the rest.
    assert model.meminfo.uses()[0].min == (50_000 - 447 - 222) // 20 == 2466


@pytest.mark.parametrize(("movable", "minimum"), [(10_000, 32), (40_960, 40), (131_072, 128), (262_144, 128)])
def test_movable_on_a_newer_kernel_has_a_token_minimum(movable: int, minimum: int) -> None:
    """A thousandth, 32 to 128 pages; the distance to the other marks is as if it had its share."""
    kernel, found = marks("6.12", 262_144, movable=movable)
    assert kernel[0] == 5632
    step = max(5632 * movable // 262_144 // 4, movable // 1000)
    assert found == (minimum, minimum + step, minimum + 2 * step)


def test_a_reserve_is_a_share_of_the_higher_zones_of_the_node_rounded_down() -> None:
    for pages, user, kernel in ((8191, 31, 15), (8192, 32, 16)):
        model = GuestModel(parameters_for("6.1"))
        model.boot(
            [
                BootZone(0, ZONE_DMA32, 100_000, 100_000),
                BootZone(0, ZONE_NORMAL, pages // 2, pages // 2),
                BootZone(0, ZONE_MOVABLE, pages - pages // 2, pages - pages // 2),
                BootZone(1, ZONE_NORMAL, 100_000, 100_000),
            ]
        )
        model.meminfo.uses()
        dma32 = model.zones[0, ZONE_DMA32]
        assert (dma32.reserve_user, dma32.reserve_kernel) == (user, kernel)
        normal = model.zones[0, ZONE_NORMAL]
        assert (normal.reserve_user, normal.reserve_kernel) == (4096 // 32, 0)
        other = model.zones[1, ZONE_NORMAL]
        assert (other.reserve_user, other.reserve_kernel) == (0, 0)


def test_the_minimum_is_shared_out_by_managed_pages() -> None:
    model = GuestModel(parameters_for("6.1"))
    model.boot([BootZone(0, ZONE_DMA32, 100_000, 100_000), BootZone(1, ZONE_NORMAL, 200_000, 200_000)])
    model.online(ZONE_MOVABLE, 1, 1 << 20, 1, 30_000)
    total = 2 * 5632
    assert [use.min for use in model.meminfo.uses()] == [
        total * 100_000 // 330_000,
        total * 200_000 // 330_000,
        total * 30_000 // 330_000,
    ]


def test_watermarks_are_those_of_the_last_block_that_came_or_went() -> None:
    """What virtio-mem gives up of a block that stays does not change them (mm/memory_hotplug.c, ``offline_pages``)."""
    model = guest(1024)
    plug(model, 512, ZONE_NORMAL, FIRST)
    model.offline(ZONE_NORMAL, 0, FIRST + 3, 1, BLOCK)
    before = [use[-3:] for use in model.meminfo.uses()]
    model.online(ZONE_NORMAL, 0, FIRST + 3, 1, BLOCK)
    model.offline(ZONE_NORMAL, 0, FIRST + 3, 1, BLOCK)
    given = model.give_subblocks(ZONE_NORMAL, 0, FIRST + 2, (1 << 64) - 1, 512, 40)
    assert [use[-3:] for use in model.meminfo.uses()] == before
    model.online(ZONE_NORMAL, 0, FIRST + 3, 1, BLOCK)
    model.offline(ZONE_NORMAL, 0, FIRST + 3, 1, BLOCK)
    less = [use[-3:] for use in model.meminfo.uses()]
    assert less != before
    model.online(ZONE_MOVABLE, 0, FIRST + 9, 1, BLOCK)
    model.offline(ZONE_MOVABLE, 0, FIRST + 9, 1, BLOCK)
    model.take_subblocks(ZONE_NORMAL, 0, FIRST + 2, given.mask, 512)
    assert [use[-3:] for use in model.meminfo.uses()][:3] == less


def test_watermarks_are_as_recorded_after_shrinks_that_ended_short() -> None:
    """But for what the model has stay more or less than did."""
    path = DATA / "guest-load" / "comeback-subblock.json"
    recorded = json.loads(path.read_text("utf-8"))["steps"]
    replay = LoadReplay(read_trace(path))
    for row in replay.follow():
        uses = {(use.node, ZONE_LABELS[use.zone]): use for use in replay.model.meminfo.uses()}
        for zone in recorded[row.step]["after"]["zones"]:
            use = uses[zone["node"], zone["zone"]]
            found = [zone[name] - zone["boost"] for name in ("min", "low", "high")]
            assert [use.min, use.low, use.high] == pytest.approx(found, rel=0.03, abs=8), (row.step, zone["zone"])
