"""Watermarks and reserves, against what recorded kernels reported for the same zones."""

from __future__ import annotations

import pytest

from sim.guest import BootZone, GuestModel, ZoneUse, parameters_for
from sim.guest.contract import DMA, DMA32, MOVABLE, NORMAL

# A guest with 1 GiB of boot memory, as recorded.
DMA_MANAGED, DMA32_MANAGED = 3840, 220912
GIB = 1 << 18


def zones_of(series: str, dma32: int, **hotplugged: int) -> dict[int, ZoneUse]:
    model = GuestModel(parameters_for(series))
    model.boot(
        [
            BootZone(0, DMA, DMA_MANAGED, DMA_MANAGED),
            BootZone(0, DMA32, dma32, dma32 - 9000, runs=((0, 8),)),
        ]
    )
    first = 32
    for name, pages in hotplugged.items():
        model.online({"normal": NORMAL, "movable": MOVABLE}[name], 0, first, pages // 32768, 32768)
        first += pages // 32768
    return {use.zone: use for use in model.uses()}


@pytest.mark.parametrize(
    ("series", "hotplugged", "expected"),
    [
        # Minimum watermarks in reports of failed allocations, by zone.
        ("6.1", {"movable": 4 * GIB}, {DMA: 33, DMA32: 1944}),
        ("6.1", {"movable": 2 * GIB}, {DMA: 57, DMA32: 3303, MOVABLE: 7840}),
        ("6.1", {"movable": 10 * 32768}, {DMA: 77, DMA32: 4477, MOVABLE: 6641}),
        ("6.1", {"movable": 2 * 32768}, {DMA: 147, DMA32: 8507, MOVABLE: 2523}),
        ("6.1", {"normal": 3 * GIB // 4, "movable": 21 * GIB // 4}, {DMA: 36, DMA32: 2076, NORMAL: 1847}),
        ("6.12", {"movable": 4 * GIB}, {DMA: 190, DMA32: 11065, MOVABLE: 128}),
    ],
)
def test_minimum_as_reported(series: str, hotplugged: dict[str, int], expected: dict[int, int]) -> None:
    dma32 = 222671 if series == "6.12" else DMA32_MANAGED
    found = zones_of(series, dma32, **hotplugged)
    for zone, pages in expected.items():
        assert found[zone].min == pytest.approx(pages, abs=8), zone


def test_low_of_movable() -> None:
    assert zones_of("6.1", DMA32_MANAGED, movable=2 * GIB)[MOVABLE].low == pytest.approx(9800, abs=8)
    assert zones_of("6.12", 222671, movable=4 * GIB)[MOVABLE].low == pytest.approx(13154, abs=20)


def test_small_guest_has_no_huge_page_minimum() -> None:
    found = zones_of("6.1", 92077)
    assert sum(use.min for use in found.values()) == pytest.approx(617, abs=8)


def test_reserves() -> None:
    model = GuestModel()
    model.boot([BootZone(0, DMA, DMA_MANAGED, DMA_MANAGED), BootZone(0, DMA32, DMA32_MANAGED, 200_000)])
    model.online(NORMAL, 0, 32, 4, 32768)
    model.online(MOVABLE, 0, 36, 16, 32768)
    model.uses()
    zone = model.zones
    normal, movable = 4 * 32768, 16 * 32768
    assert zone[0, DMA].reserve_user == (DMA32_MANAGED + normal + movable) // 256
    assert zone[0, DMA].reserve_kernel == (DMA32_MANAGED + normal) // 256
    assert zone[0, DMA32].reserve_user == (normal + movable) // 256
    assert zone[0, NORMAL].reserve_user == movable // 32
    assert zone[0, NORMAL].reserve_kernel == zone[0, MOVABLE].reserve_user == 0


def test_reserves_regard_the_own_node_only() -> None:
    model = GuestModel()
    model.boot([BootZone(0, DMA32, DMA32_MANAGED, 200_000), BootZone(1, NORMAL, 262144, 262144)])
    model.online(MOVABLE, 1, 64, 16, 32768)
    model.uses()
    assert model.zones[0, DMA32].reserve_user == 0
    assert model.zones[1, NORMAL].reserve_user == 16 * 32768 // 32
