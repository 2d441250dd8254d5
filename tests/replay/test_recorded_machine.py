"""Recorded machines from their descriptions alone: boot memory is laid out as each of their kernels found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.machine.address_map import firmware_pages
from sim.machine.boot_layout import lay_out
from sim.memory.zones import ZONE_LABELS
from sim.record.run_result import SEVERAL_ZONES
from sim.replay.recorded_machine import recorded_machine
from sim.replay.trace_format import TraceError, read_trace
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def differences(path: Path) -> Iterator[str]:
    """What the layout of the described machine has otherwise than the recorded boot: blocks, zones, spans, CMA."""
    trace = read_trace(path)
    machine = recorded_machine(trace)
    layout = lay_out(machine)
    if machine.block_size != trace.memory_block_size:
        yield f"{path.stem}: blocks of {machine.block_size}, recorded {trace.memory_block_size}"
    recorded = {
        (zone.node, zone.zone): (zone.start_pfn, zone.spanned_pages, zone.present_pages, zone.cma_pages)
        for zone in trace.boot.zones
        if zone.zone != "Device" and zone.spanned_pages
    }
    simulated = {
        (zone.node, ZONE_LABELS[zone.zone]): (zone.start, zone.end - zone.start, zone.present, zone.cma)
        for zone in layout.zones
    }
    for zone in sorted(recorded.keys() | simulated.keys()):
        if recorded.get(zone) != simulated.get(zone):
            yield f"{path.stem}: {zone}: {simulated.get(zone)}, recorded {recorded.get(zone)}"
    # DIMMs on QEMU's command line are there at boot, and no boot memory.
    top = max(first + count for first, count, _, _ in layout.boot.runs)
    runs = tuple(
        (run.start, run.count, SEVERAL_ZONES if run.zone == "none" else ZONE_LABELS.index(run.zone or ""), run.node)
        for run in trace.boot.blocks
        if run.start < top
    )
    if layout.boot.runs != runs:
        yield f"{path.stem}: blocks {layout.boot.runs}, recorded {runs}"
    addresses = [
        address
        for step in trace.steps
        for entry in step.devices or ()
        for address in (entry.addr, entry.memaddr)
        if address is not None
    ]
    if min(addresses, default=layout.device_base) < layout.device_base:
        yield f"{path.stem}: devices from {layout.device_base} on, recorded {min(addresses)}"


def test_a_described_machine_boots_as_its_kernel_did(kernel_trace: Path) -> None:
    assert list(differences(kernel_trace)) == []


def test_shared_machines_boot_as_their_kernels_did(shared_dir: Path) -> None:
    paths = sorted(shared_dir.glob("kernel-traces*/**/*.json"))
    assert len(paths) > 100
    assert [line for path in paths for line in differences(path)] == []


def test_what_firmware_keeps_depends_on_what_the_machine_was_started_with() -> None:
    assert [firmware_pages(size * GIB) for size in (1, 48, 64, 65, 512)] == [32, 32, 32, 33, 33]
    assert firmware_pages(1 << 40) == 33
    assert firmware_pages(2 << 40) == 34, "an entry for each 16 GiB: 128 of them need a second page"
    assert firmware_pages(GIB, nvdimm=True) == 33
    assert firmware_pages(GIB, virtio_disks=1) == 35
    assert firmware_pages(65 * GIB, nvdimm=True, virtio_disks=2) == 40


def test_words_of_the_command_line_are_read_as_the_kernel_reads_them(kernel_traces: tuple[Path, ...]) -> None:
    trace = read_trace(kernel_traces[0])
    soft = "memmap=64M%0x10000000-1+0xefffffff memmap=16M%768M-1+0xefffffff,1M$0x1000"
    words = f"quiet kernelcore=512M movable_node cma=0x4000000 {soft}"
    machine = recorded_machine(trace.model_copy(update={"kernel_cmdline": words}))
    assert (machine.kernelcore, machine.cma, machine.movable_node) == (512 * MIB, 64 * MIB, True)
    assert machine.soft_reserved == ((256 * MIB, 64 * MIB), (768 * MIB, 16 * MIB))
    assert machine.reserved == ((4096, MIB),)


@pytest.mark.parametrize("word", ["mem=much", "cma=900G", "cma=-5", "mem=1"])
def test_a_command_line_that_no_kernel_boots_with_is_named(word: str, kernel_traces: tuple[Path, ...]) -> None:
    trace = read_trace(kernel_traces[0]).model_copy(update={"kernel_cmdline": word})
    with pytest.raises(TraceError, match=trace.name):
        recorded_machine(trace)


@pytest.mark.parametrize("word", ["kernelcore=mirror", "cma=900G", "mem=0xfoo"])
def test_a_word_that_is_not_read_is_told_as_it_stands(word: str, kernel_traces: tuple[Path, ...]) -> None:
    trace = read_trace(kernel_traces[0]).model_copy(update={"kernel_cmdline": word})
    with pytest.raises(TraceError, match=f"kernel_cmdline: {word}: "):
        recorded_machine(trace)
