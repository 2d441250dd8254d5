"""What a guest reports: under which name each kind of load counts, to the page.

The small guest of test_amounts.py: DMA32 and MOVABLE of 65,536 pages; it was booted by nobody and uses nothing.
"""
# ruff: noqa: S108 - paths inside the simulated guest

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sim.guest import GuestModel, PresentZone, default_boot, parameters_for
from sim.guest.reserve import BootOptions
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.units import KIB, MIB
from tests.guest.machines import SIZE, SMALL_BLOCK, guest, small

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest.demands import Demands
    from sim.guest.report import GuestReport

PAGE = 4096
PARTS = ("cached", "anonymous", "slab_reclaimable", "slab_unreclaimable", "page_tables", "kernel_stacks")


def parts(report: GuestReport) -> dict[str, int]:
    """Return what is used and has a name, in pages, without what is 0."""
    return {name: getattr(report, name) // PAGE for name in PARTS if getattr(report, name)}


CASES: dict[str, tuple[Callable[[Demands], object], dict[str, int]]] = {
    "anonymous memory": (lambda ask: ask.anonymous("a", 1000), {"anonymous": 1000}),
    "pinned pages": (lambda ask: ask.pin("a", 1000), {"anonymous": 1000}),
    "a file that was read": (lambda ask: ask.read_file("/f", 1000), {"cached": 1000}),
    "a file in memory": (lambda ask: ask.tmpfs_data("/tmp/f", 1000), {"cached": 1000}),
    "page tables": (lambda ask: ask.page_tables("a", 1000), {"page_tables": 1000}),
    "anonymous memory alone": (lambda ask: ask.anonymous_only("a", 1000), {"anonymous": 1000}),
    "stacks": (lambda ask: ask.kernel_stacks("a", 1000), {"kernel_stacks": 1000}),
    "slab that can go": (lambda ask: ask.slab("s", 1000), {"slab_reclaimable": 1000}),
    "network buffers": (lambda ask: ask.kernel_memory("k", 1000), {"slab_unreclaimable": 1000}),
    # A page each by the round figures of this guest.
    "files in memory": (
        lambda ask: ask.tmpfs_files("/tmp/f", 1000, 1),
        {"cached": 1000, "slab_reclaimable": 187, "slab_unreclaimable": 813},
    ),
    "files on a disk": (
        lambda ask: ask.disk_files("/f", 1000),
        {"cached": 155, "slab_reclaimable": 825, "slab_unreclaimable": 20},
    ),
    # Two pages each, and a user page.
    "processes": (
        lambda ask: ask.processes("p", 1000),
        {"anonymous": 1000, "slab_unreclaimable": 469, "page_tables": 579, "kernel_stacks": 463},
    ),
    "workers": (
        lambda ask: ask.workers("p", 1000),
        {"anonymous": 1000, "slab_unreclaimable": 469, "page_tables": 579, "kernel_stacks": 463},
    ),
    # 16 pages each.
    "pipes": (lambda ask: ask.pipes("p", 100), {"slab_reclaimable": 20, "slab_unreclaimable": 41}),
    "sockets": (lambda ask: ask.sockets("s", 1000), {"slab_reclaimable": 430, "slab_unreclaimable": 550}),
    # A page more for each pair: what is queued.
    "sockets with data": (
        lambda ask: ask.sockets("s", 1000, PAGE),
        {"slab_reclaimable": 430, "slab_unreclaimable": 550 + 157},
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_each_kind_of_load_counts_under_its_name(what: str) -> None:
    ask, expected = CASES[what]
    model = small(ZONE_MOVABLE)
    ask(model.demands)
    report = model.figures.report()
    assert parts(report) == expected
    used = sum(zone.user + zone.kernel for zone in model.zones.values())
    assert report.total == 2 * SIZE * PAGE
    # What is freed on the way may lie on CPU lists, nothing else.
    assert report.free == (2 * SIZE - used) * PAGE
    assert report.available == model.meminfo.available() * PAGE


def test_nodes_are_told_apart_in_order() -> None:
    model = small(ZONE_MOVABLE)
    model.online(ZONE_NORMAL, 2, 64, 16, SMALL_BLOCK)
    model.demands.kernel_memory("k", 30, 2)
    model.demands.anonymous("a", 1000)
    report = model.figures.report()
    first, last = (2 * SIZE * PAGE, (2 * SIZE - 1000) * PAGE), (SIZE * PAGE, (SIZE - 30) * PAGE)
    assert report.nodes == (first, (0, 0), last), "node 1 has no memory"
    assert [report.node(number) for number in range(4)] == [first, (0, 0), last, (0, 0)]
    assert (report.total, report.free) == tuple(map(sum, zip(*report.nodes, strict=True)))


def test_pages_on_cpu_lists_are_not_free() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 1000)
    model.demands.kill("a")
    zone = model.zones[0, ZONE_MOVABLE]
    assert zone.free == SIZE
    assert zone.pcp_loads == 1000
    assert model.figures.report().free == (2 * SIZE - zone.listed_pcp()) * PAGE < 2 * SIZE * PAGE


@pytest.mark.parametrize(
    ("series", "mib", "expected"),
    [
        ("6.1", 1024, (6432, 128, 9740, 7950, 56, 796)),
        ("6.12", 1024, (6712, 132, 770, 8460, 346, 870)),
        ("7.3", 2048, (7232, 132, 888, 10960, 480, 904)),
    ],
)
def test_an_idle_guest_reports_what_recorded_ones_did(series: str, mib: int, expected: tuple[int, ...]) -> None:
    report = guest(mib, series).figures.report()
    assert parts(report) == dict(zip(PARTS, (size * KIB // PAGE for size in expected), strict=True))


def test_a_guest_that_uses_less_when_idle_has_less_of_everything() -> None:
    parameters = parameters_for("6.1")
    small_one = GuestModel(parameters)
    small_one.boot(default_boot([PresentZone(0, ZONE_DMA32, 64 * 256, ((0, 1),), managed=14_000)], parameters, None))
    used = small_one.zones[0, ZONE_DMA32].reserved
    small_one.zones[0, ZONE_DMA32].reserved = used // 2
    report = small_one.figures.report()
    assert used // 2 - len(PARTS) < sum(parts(report).values()) <= used // 2


def test_programs_that_have_cache_of_their_own_report_it() -> None:
    for cache in (0, 8 * MIB):
        parameters = replace(parameters_for("6.1"), system_cache_bytes=cache)
        model = GuestModel(parameters)
        model.boot(default_boot([PresentZone(0, ZONE_DMA32, 262_144, ((0, 8),))], parameters, BootOptions()))
        assert model.figures.report().cached == (cache or 6432 * KIB)
