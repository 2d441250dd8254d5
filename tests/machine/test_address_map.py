"""What decides where memory lies: blocks by its end, mem=, the hole below 4 GiB, and what Linux calls nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.fixed import OnlineKernel
from sim.engine import simulate
from sim.machine.address_map import LinuxNodes
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_NORMAL
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.machine.test_boot_numbers import DMA, HIGH, LOW, laid_out, zones
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("gib", "mib"),
    [
        ((1,), 128),
        ((62.875,), 128),  # ends at 63.875 GiB
        ((63,), 2048),  # ends at 64
        ((63.125,), 128),
        ((65,), 2048),
        ((65.5,), 512),
        ((66,), 1024),
        ((66.25,), 256),
        ((70,), 1024),
        ((95,), 2048),
        ((36, 30), 1024),
        ((65 + 1 / 1024,), 128),
    ],
)
def test_the_block_size_follows_the_end_of_boot_memory(gib: tuple[float, ...], mib: int) -> None:
    spec = MachineSpec(tuple(NodeSpec(round(size * GIB)) for size in gib))
    assert (spec.block_size, spec.section_size) == (mib * MIB, 128 * MIB)
    assert lay_out(spec).memory.block_pages == mib * 256


def test_a_block_size_that_is_given_is_kept() -> None:
    assert MachineSpec((NodeSpec(65 * GIB),), block_size=256 * MIB).block_size == 256 * MIB


def test_mem_cuts_off_what_lies_above_the_firmwares_tables_too() -> None:
    layout = laid_out(2048, mem=GIB)
    assert zones(layout) == {(0, ZONE_DMA): DMA, (0, ZONE_DMA32): (4096, 262_144, 258_048)}
    assert layout.device_base == 4 * GIB, "the machine has as much memory as before"


def test_low_memory_ends_where_qemu_was_told() -> None:
    for mib, ends in ((2048, (524_288, HIGH + 262_144)), (3584, (LOW, HIGH + 0)), (1024, (262_144, HIGH + 524_288))):
        found = zones(laid_out(3072, max_ram_below_4g=mib * MIB))
        low = found[0, ZONE_DMA32][2] + 4096 + 32
        high = found[0, ZONE_NORMAL][1] if (0, ZONE_NORMAL) in found else HIGH
        assert (low, high) == ends


def test_a_kernel_without_zone_dma_begins_with_dma32() -> None:
    assert zones(laid_out(1024, zone_dma=False)) == {(0, ZONE_DMA32): (1, 262_112, 262_144 - 130)}


def test_soft_reserved_memory_is_missing_at_boot_and_stays_inside_the_span() -> None:
    layout = laid_out(9216, soft_reserved=((4 * GIB, 4 * GIB),))
    assert zones(layout)[0, ZONE_NORMAL] == (HIGH, HIGH + 1_572_864, 524_288)
    assert [run.first for run in layout.boot.runs] == [0, 1, 64]


def test_nodes_are_numbered_as_firmware_lists_them() -> None:
    """CPUs on the first node, memory on 0 and 2, the device area on 3: node 1 is unknown."""
    spec = MachineSpec((NodeSpec(GIB), NodeSpec(0), NodeSpec(GIB), NodeSpec(0)))
    nodes = LinuxNodes(spec)
    assert nodes.numbers == {0: 0, 2: 1, 3: 2}
    assert [nodes.of_device(node) for node in range(5)] == [0, 0, 1, 2, None]
    assert [nodes.of_device(node, dax=True) for node in range(5)] == [0, 2, 1, 2, None]
    assert list(lay_out(spec).memory.nodes) == [0, 1, 2]
    assert {zone.node for zone in lay_out(spec).zones} == {0, 1}


@pytest.mark.parametrize(
    ("nodes", "numbers"),
    [
        ((NodeSpec(GIB), NodeSpec(0), NodeSpec(0)), {0: 0, 2: 1}),
        ((NodeSpec(GIB), NodeSpec(0, cpus=True), NodeSpec(0)), {0: 0, 1: 1, 2: 2}),
        ((NodeSpec(0), NodeSpec(GIB)), {0: 0, 1: 1}),
        ((NodeSpec(0, cpus=False), NodeSpec(GIB)), {1: 0}),
        ((NodeSpec(0, cpus=False), NodeSpec(GIB, cpus=True), NodeSpec(GIB)), {1: 0, 2: 1}),
    ],
)
def test_a_node_without_memory_has_a_number_if_it_has_cpus_or_is_the_last(
    nodes: tuple[NodeSpec, ...], numbers: dict[int, int]
) -> None:
    assert LinuxNodes(MachineSpec(nodes)).numbers == numbers


def test_without_an_area_for_devices_the_last_node_is_no_exception() -> None:
    spec = MachineSpec((NodeSpec(GIB), NodeSpec(0)), max_memory=GIB)
    assert LinuxNodes(spec).numbers == {0: 0}


def test_memory_for_a_node_that_linux_does_not_know_comes_to_others(tmp_path: Path) -> None:
    """Nodes 1 and 2 have neither memory nor CPUs: of them Linux knows the last one only, as its node 1."""
    log = tmp_path / "log.csv"
    log.write_text(
        "t_s,op,device,kind,size_bytes,node,max_bytes\n"
        "0,plug,d,dimm,1GiB,1,\n1,plug,v,virtio-mem,1GiB,1,2GiB\n2,plug,x,dax,1GiB,1,\n3,plug,e,dimm,1GiB,2,\n"
    )
    machine = MachineSpec((NodeSpec(2 * GIB), NodeSpec(0), NodeSpec(0)))
    result = simulate(machine, OnlineKernel(), RequestReplay(path=str(log), tail=10.0), Streams(1, 0))
    assert dict(zip(result.device_names, result.device_nodes, strict=True)) == {"d": 0, "v": 0, "x": 1, "e": 1}
