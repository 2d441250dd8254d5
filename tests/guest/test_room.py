"""How much room a zone has for a request, and how a request is spread over zones: amounts by hand."""

from __future__ import annotations

import pytest

from sim.guest.zone import Floor, GuestZone, spread, total_room
from sim.memory.zones import ZONE_DMA32, ZONE_NORMAL
from tests.guest.machines import SIZE, small
from tests.guest.test_amounts import HIGH, LOW, MIN, RESERVE


def zone(*room: int) -> GuestZone:
    """Return a zone of 10,000 free pages with so much room above the low and the minimum mark of user pages."""
    out = GuestZone(0, ZONE_NORMAL, None)
    out.free = 10_000
    low, minimum = room
    out.floors = (10_000 - low, 10_000 - minimum, 0, 0, 0)
    return out


def test_each_kind_of_request_has_its_floor() -> None:
    model = small(3, kernel_min_share=0.5)
    model.meminfo.uses()  # computes the watermarks
    dma32 = model.zones[0, ZONE_DMA32]
    assert {floor: SIZE - dma32.room(floor) for floor in Floor} == {
        Floor.USER_LOW: LOW + RESERVE,
        Floor.USER_MIN: MIN + RESERVE,
        Floor.KERNEL_LOW: LOW,
        Floor.KERNEL_MIN: MIN // 2,
        Floor.USER_HIGH: HIGH + RESERVE,
    }


@pytest.mark.parametrize(
    ("pages", "piece", "placed", "unplaced"),
    [
        (0, 1, [], 0),
        (500, 1, [500], 0),
        (700, 1, [700], 0),
        (701, 1, [700, 1], 0),
        (1000, 1, [700, 300], 0),
        (1001, 1, [700, 300], 1),
        (700, 512, [700], 0),  # what fits as a whole is not rounded
        (701, 512, [512, 189], 0),
        (900, 512, [512], 388),
        (812, 512, [512, 300], 0),
    ],
)
def test_zones_are_filled_in_order(pages: int, piece: int, placed: list[int], unplaced: int) -> None:
    first, full, below, last = zonelist = [zone(700, 0), zone(0, 0), zone(-600, 0), zone(300, 0)]
    places = [first, last][: len(placed)]
    assert spread(pages, zonelist, Floor.USER_LOW, piece) == (list(zip(places, placed, strict=True)), unplaced)
    assert [z.free for z in zonelist] == [10_000] * 4
    assert (full.room(Floor.USER_LOW), below.room(Floor.USER_LOW)) == (0, -600)


def test_a_zone_below_its_floor_takes_nothing_from_the_others_room() -> None:
    zonelist = [zone(700, 710), zone(-600, 5), zone(0, 0), zone(300, 333)]
    assert total_room(zonelist, Floor.USER_LOW) == 1000
    assert total_room(zonelist, Floor.USER_MIN) == 1048
