"""Watermarks that are kept of a size that a guest was of before are those that are computed for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sim.guest import watermarks
from sim.guest.cma import CmaPages
from sim.guest.kernel_pages import KernelPages
from sim.guest.parameters import GuestParameters
from sim.guest.watermarks import Watermarks, set_watermarks
from sim.guest.zone import GuestZone

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

BLOCK = 32_768
SIZES = st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=2, max_size=12)


def zones(count: int, *, cma: bool = False) -> list[GuestZone]:
    """Return ``count`` zones, the highest type of a node first."""
    made = [
        GuestZone(at // 4, 3 - at % 4, None if at % 4 == 0 else KernelPages(64, 400, 4, 512)) for at in range(count)
    ]
    if cma:
        made[1].cma = CmaPages(1_000)
    return made


def marks(of: Sequence[GuestZone]) -> list[object]:
    """Return all that is set."""
    return [
        (zone.marked, zone.min, zone.low, zone.high, zone.reserve_user, zone.reserve_kernel, zone.floors) for zone in of
    ]


@given(SIZES, st.sampled_from((1, 3, 4, 8)), st.sampled_from(("6.1", "6.12")), st.booleans(), st.booleans())
def test_they_are_what_is_computed(sizes: list[list[int]], count: int, series: str, cma: bool, huge: bool) -> None:  # noqa: FBT001
    parameters = GuestParameters(series=series)
    cma = cma and count > 1
    kept, plain = zones(count, cma=cma), zones(count, cma=cma)
    setting = Watermarks(parameters)
    for number, managed in enumerate(sizes):
        for of in (kept, plain):
            for zone, blocks in zip(of, managed, strict=False):
                zone.managed = BLOCK * blocks
                if zone.cma is not None:
                    zone.use_cma(17 * number - zone.cma_free)
        setting.set(kept, huge_pages=huge)
        set_watermarks(plain, parameters, huge_pages=huge)
        assert marks(kept) == marks(plain)


def computed(monkeypatch: pytest.MonkeyPatch, turns: int, of: list[GuestZone]) -> int:
    """Return how often they are computed for a guest that goes up and down by a block, so many times."""
    calls: Counter[str] = Counter()

    def counted(zones: Sequence[GuestZone], parameters: GuestParameters, *, huge_pages: bool) -> None:
        calls["set"] += 1
        set_watermarks(zones, parameters, huge_pages=huge_pages)

    monkeypatch.setattr(watermarks, "set_watermarks", counted)
    setting = Watermarks(GuestParameters())
    for _ in range(turns):
        for blocks in (1, 2):
            of[0].managed = BLOCK * blocks
            setting.set(of, huge_pages=True)
    return calls["set"]


def test_a_size_that_comes_again_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert computed(monkeypatch, 5, zones(4)) == 2


def test_of_many_nodes_and_with_cma_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert computed(monkeypatch, 5, zones(12)) == 10
    assert computed(monkeypatch, 5, zones(4, cma=True)) == 10


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watermarks, "_MOST_KEPT", 1)
    assert computed(monkeypatch, 5, zones(4)) == 10
