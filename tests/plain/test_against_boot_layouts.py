"""The simulator's boot layouts against the plain ones: zones, CMA, blocks, addresses, on machines drawn at random."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.machine.boot_layout import BootLayout, lay_out
from sim.machine.device_memory import DeviceMemory
from sim.memory.zones import ZONE_LABELS
from tests.plain import boot
from tests.plain.boot import GIB, KIB, MIB, Booted
from tests.support.booted_layouts import booted_machines, spec_of
from tests.support.reach import Reach

REACH = Reach(
    {
        "arm64": 1,
        "s390x": 1,
        "x86-64": 1,
        "pages of 16 KiB": 1,
        "pages of 64 KiB": 1,
        "blocks of 2 GiB": 1,
        "a node without memory": 1,
        "CMA": 1,
        "CMA on several nodes": 1,
        "kernelcore": 1,
        "kernelcore ignored for movable_node": 1,
        "memory above 4 GiB": 1,
    }
)


def count(booted: Booted) -> None:
    several = len([size for size in booted.nodes if size]) > 1
    words = bool(booted.kernelcore or booted.movablecore)
    for kind, found in {
        booted.architecture: True,
        "pages of 16 KiB": booted.page == 16 * KIB,
        "pages of 64 KiB": booted.page == 64 * KIB,
        "blocks of 2 GiB": booted.block == 2 * GIB,
        "a node without memory": 0 in booted.nodes,
        "CMA": bool(booted.cma),
        "CMA on several nodes": several and booted.cma > 0 and booted.kernel >= (7, 0),
        "kernelcore": words and not booted.movable_node,
        "kernelcore ignored for movable_node": words and booted.movable_node,
        "memory above 4 GiB": booted.end > 4 * GIB,
    }.items():
        REACH(kind, found)


@REACH.test()
@given(booted=booted_machines())
def test_boot_layouts_agree(booted: Booted) -> None:
    layout = lay_out(spec_of(booted))
    count(booted)
    plain = booted.machine()
    zones = [(z.node, ZONE_LABELS[z.zone], z.start, z.end - z.start, z.present, z.cma) for z in layout.zones]
    assert sorted(zones) == sorted((z.node, z.zone, z.start, z.spanned, z.present, z.cma) for z in plain.boot_zones)
    assert blocks_of(layout) == {
        block.number: (block.node, block.zone or "none", block.has_holes and block.zone is not None)
        for block in plain.blocks.values()
    }
    assert layout.device_base == booted.device_base
    assert frozenset(layout.memory.nodes) == plain.possible_nodes


def blocks_of(layout: BootLayout) -> dict[int, tuple[int, str | None, bool]]:
    memory = layout.memory
    return {
        number: (
            memory.blocks.node[number],
            memory.zone_label(number),
            bool(memory.blocks.flags[number] & memory.blocks.HAS_HOLES),
        )
        for number in memory.blocks.ids()
    }


@given(
    booted=booted_machines(),
    sizes=st.lists(st.tuples(st.integers(1, 3000), st.sampled_from((2, 2, 4, 128, 1024))), min_size=1, max_size=8),
    gone=st.integers(0, 7),
)
def test_devices_get_the_lowest_address_that_is_aligned(
    booted: Booted, sizes: list[tuple[int, int]], gone: int
) -> None:
    booted = Booted(booted.nodes, booted.architecture, booted.page, booted.kernel)
    area = DeviceMemory(spec_of(booted))
    least = 1 if booted.architecture == "s390x" else 2
    taken: dict[int, tuple[int, int]] = {}
    for turn in range(2):
        for number, (units, align) in enumerate(sizes):
            if number in taken:
                continue
            align_bytes = max(align, least) * MIB
            size = -(-units * MIB // align_bytes) * align_bytes
            expected = boot.place(booted.device_base, list(taken.values()), size, align_bytes)
            assert area.attach(str(number), size, align=align * MIB) == expected
            taken[number] = (expected, size)
        if not turn:
            area.detach(str(gone))
            taken.pop(gone, None)
