"""Where CMA lies, in numbers worked out by hand, what it counts as, and what the kernel could not reserve."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from sim.engine import simulate
from sim.faults import InputError
from sim.guest import default_boot, parameters_for
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EBUSY, HotplugError
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.recorder import EventKind
from sim.record.series import run_series
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.machine.test_boot_numbers import laid_out
from tests.support.reach import Reach
from workloads.dimm_slots import DimmSlots


def areas(*mib: float, **options: Any) -> list[tuple[int, int, int]]:  # noqa: ANN401
    """(node, first byte in MiB, MiB) of each CMA area."""
    layout = laid_out(*mib, **options)
    return [(area.node, area.start // 256, (area.end - area.start) // 256) for area in layout.cma_areas]


@pytest.mark.parametrize(
    ("mib", "cma", "expected"),
    [
        ((8192,), 256, (0, 4096, 256)),
        ((4096,), 1008, (0, 4096, 1008)),
        # Of the GiB above 4 GiB the kernel has taken the end: the area lies below the firmware's tables.
        ((4096,), 1024, (0, 2046, 1024)),
        ((1024,), 64, (0, 954, 64)),
        ((1024, 5120), 1536, (1, 4096, 1536)),
        # In one piece on one node: neither across nodes, nor in what another node has left.
        ((2048, 2048), 1024, (0, 1022, 1024)),
        ((2048, 2048), 512, (1, 4096, 512)),
        ((3072, 1024, 1024), 1020, (1, 4096, 1020)),
        ((512, 512, 512), 200, (2, 1330, 200)),
        ((1024,), 3, (0, 1014, 4)),  # whole pageblocks
    ],
)
def test_a_cma_area_lies_lowest_above_4_gib_or_highest_of_all(
    mib: tuple[int, ...], cma: int, expected: tuple[int, int, int]
) -> None:
    assert areas(*mib, cma=cma * MIB) == [expected]


def test_from_7_0_on_each_of_several_nodes_gets_an_area_of_its_own_where_it_has_room() -> None:
    assert areas(2048, 2048, cma=GIB, kernel="7.3") == [(0, 1022, 1024)]
    assert areas(2048, 2048, cma=512 * MIB, kernel="7.3") == [(1, 4096, 512), (0, 1534, 512), (1, 2558, 512)]
    assert areas(2048, 2048, cma=256 * MIB, kernel="7.3") == [(1, 4096, 256), (0, 1790, 256), (1, 4352, 256)]
    assert areas(2048, 2048, cma=256 * MIB, kernel="7.3", cma_per_node=False) == [(1, 4096, 256)]
    assert areas(2048, 2048, cma=256 * MIB, kernel="6.12", cma_per_node=True) == [
        (1, 4096, 256),
        (0, 1790, 256),
        (1, 4352, 256),
    ]
    # Memory on one node only: nothing to repeat.
    assert areas(4096, 0, cma=256 * MIB, kernel="7.3") == [(0, 4096, 256)]


def test_cma_counts_in_the_zone_and_the_node_that_it_lies_in() -> None:
    """1.5 GiB: node 1 has 3 GiB above 4 GiB."""
    layout = laid_out(1024, 5120, cma=3 * GIB // 2)
    assert {(zone.node, zone.zone): zone.cma for zone in layout.zones if zone.cma} == {(1, ZONE_NORMAL): 393_216}
    kernel = 3998 + 258_048 + 524_256 + 786_432
    assert (layout.boot.kernel_pages, layout.boot.movable_pages, layout.boot.cma_pages) == (kernel, 0, 393_216)
    assert [layout.memory.nodes[node].totals.movable for node in (0, 1)] == [0, 393_216]
    assert layout.memory.system.early_kernel == kernel - 393_216


def test_cma_inside_zone_movable_is_counted_once() -> None:
    """All above 4 GiB is MOVABLE, the area with it: MOVABLE memory like any other."""
    layout = laid_out(8192, cma=256 * MIB, kernelcore=3 * GIB - 4 * MIB)
    assert [(zone.zone, zone.cma) for zone in layout.zones if zone.cma] == [(ZONE_MOVABLE, 65_536)]
    assert (layout.boot.movable_pages, layout.boot.cma_pages) == (1_310_720, 0)
    assert layout.memory.system.movable == 1_310_720
    assert layout.memory.system.early_kernel == layout.boot.kernel_pages


def test_blocks_with_cma_never_go_offline() -> None:
    """300 MiB from 4 GiB on lie in blocks 32 to 34, of which the last is not full of it."""
    memory = laid_out(8192, cma=300 * MIB).memory
    for block in (32, 33, 34):
        with pytest.raises(HotplugError, match=r"EBUSY: .*CMA") as caught:
            memory.offline(block)
        assert caught.value.errno == EBUSY
    assert memory.offline(35).type == ZONE_NORMAL


@pytest.mark.parametrize(
    ("mib", "options", "says"),
    [
        ((1024,), {"cma": GIB}, "the largest that the kernel leaves free has 954MiB"),
        ((128,), {"cma": 2 * MIB, "log_buf_len": 128 * MIB}, "the largest that the kernel leaves free has 0B"),
        ((2048, 2048), {"cma": 2 * GIB}, "the largest that the kernel leaves free has 1982MiB"),
        ((8192,), {"cma": 512 * MIB, "kernelcore": 3 * GIB + 256 * MIB}, "from 4GiB to 4608MiB"),
        ((1024,), {"cma": 512 * MIB, "kernelcore": 600 * MIB}, "from 506MiB to 1018MiB"),
    ],
)
def test_cma_that_no_zone_holds_as_a_whole_is_a_fault(mib: tuple[int, ...], options: dict[str, int], says: str) -> None:
    with pytest.raises(InputError) as caught:
        laid_out(*mib, **options)
    (fault,) = caught.value.faults
    assert fault.key == "cma"
    assert says in fault.what


REACH = Reach({"CMA below 4 GiB": 4, "CMA above 4 GiB": 4, "MOVABLE at boot": 4, "several areas": 2, "no CMA": 3})


class Plugs(DimmSlots):
    """A workload that is over after a few DIMMs."""

    def duration(self) -> float:
        return 30.0


@REACH.test(examples=45)
@given(
    nodes=st.lists(st.sampled_from((4, 8, 12, 16, 24, 40)), min_size=1, max_size=3),
    cma=st.sampled_from((0, 64, 256, 1024)),
    share=st.sampled_from((0, 0, 50, 80)),
    kernel=st.sampled_from(("6.1", "7.3")),
    ratio=st.sampled_from((50, 301)),
)
def test_what_a_run_says_of_zones_is_a_plain_count_over_them(
    nodes: list[int], cma: int, share: int, kernel: str, ratio: int
) -> None:
    """MOVABLE and KERNEL are present pages, each counted once; MV and KE as ``auto_movable_stats`` has them."""
    memory = tuple(NodeSpec(size * 128 * MIB) for size in nodes)
    total = sum(node.boot_memory for node in memory)
    try:
        machine = MachineSpec(memory, cma=cma * MIB, kernelcore=total * share // 100 // 4096 * 4096, kernel=kernel)
    except InputError:
        return
    layout = lay_out(machine)
    result = simulate(machine, AutoMovable(ratio=ratio), Plugs(), Streams(1, 0))
    series = run_series(result)
    added = [event for event in result.events.tolist() if event[1] == EventKind.PLUG]
    hot = {zone: sum(event[4] for event in added if event[5] == zone) * result.block_pages for zone in range(4)}
    movable = sum(zone.present for zone in layout.zones if zone.zone == ZONE_MOVABLE)
    kernel_pages = sum(zone.present for zone in layout.zones if zone.zone != ZONE_MOVABLE)
    counted = sum(zone.cma for zone in layout.zones if zone.zone != ZONE_MOVABLE)
    assert series.movable[-1] == movable + hot[ZONE_MOVABLE] >= 0
    assert series.kernel[-1] == kernel_pages + sum(hot.values()) - hot[ZONE_MOVABLE] > 0
    assert series.auto_movable[-1] == series.movable[-1] + counted
    assert series.auto_kernel[-1] == kernel_pages - counted >= 0
    assert (series.movable[0], series.auto_movable[0]) == (movable, movable + counted)
    below = any(area.start < 4 * GIB // 4096 for area in layout.cma_areas)
    REACH("no CMA" if not layout.cma_areas else "CMA below 4 GiB" if below else "CMA above 4 GiB")
    REACH("MOVABLE at boot", movable > 0)
    REACH("several areas", len(layout.cma_areas) > 1)


@pytest.mark.parametrize(
    ("options", "kept_out"),
    [({}, {ZONE_NORMAL: 256 * 256}), ({"kernelcore": 2 * GIB}, {}), ({"kernelcore": 7 * GIB}, {ZONE_NORMAL: 65_536})],
)
def test_cma_keeps_the_kernels_pages_out_of_all_zones_but_movable(
    options: dict[str, Any], kept_out: dict[int, int]
) -> None:
    layout = laid_out(8192, cma=256 * MIB, **options)
    assert {zone.zone: zone.cma_pages() for zone in layout.present_zones() if zone.cma} == kept_out
    idle = default_boot(layout.present_zones(), parameters_for("6.1"), layout.options)
    for zone in idle:
        assert zone.free >= sum(pages for _, pages in zone.cma)


def test_a_machine_of_which_cma_leaves_too_little_for_the_kernel_is_refused() -> None:
    layout = laid_out(512, cma=440 * MIB)
    with pytest.raises(InputError, match="beside 440MiB of CMA, which it cannot use; give the machine more than 5"):
        default_boot(layout.present_zones(), parameters_for("6.1"), layout.options)
