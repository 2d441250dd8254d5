"""What a guest's own figures become: those that it would have if nothing had been added after boot."""

from __future__ import annotations

import pytest

from sim.readers.facts import Facts
from sim.units import GIB, MIB
from tests.snapshot.machines import blocks, dimm, imported, lsmem, virtio_mem, xml

TOTAL, USED = 900 * MIB, 100 * MIB
"""Of a guest of 1 GiB."""


def figures(beside: int, memmap: int, *facts: Facts, **more: str) -> dict[str, int] | None:
    """Return the figures of a guest with so much more managed, and in use for page descriptors."""
    total, used = TOTAL + beside, USED + memmap
    meminfo = {"MemTotal": total, "MemFree": total - used, "Buffers": 0, "Cached": 0}
    said = [Facts("meminfo", "meminfo", {"meminfo": "line 1"}, meminfo=meminfo)]
    if more:
        said.append(Facts("cmdline", "cmdline", cmdline=more["cmdline"]))
    return imported(*facts, *said).figures


BOOT = ((0, 0, "None"), (1, 7, "DMA32"))
ALONE = {"mem_total": TOTAL, "used": USED, "boot_memory": GIB}


def test_a_machine_that_nothing_was_added_to() -> None:
    assert figures(0, 0, lsmem(blocks(*BOOT))) == ALONE


@pytest.mark.parametrize("zone", ["Normal", "Movable"])
def test_a_dimm_that_is_online_is_managed_and_costs_its_memmap(zone: str) -> None:
    there = lsmem(blocks(*BOOT, (32, 63, zone)))
    assert figures(4 * GIB, 64 * MIB, there, xml(GIB, dimm("d", 4 * GIB, 4 * GIB))) == ALONE
    if zone == "Movable":
        assert figures(4 * GIB, 64 * MIB, there) == ALONE, "whoever added it"


def test_offline_blocks_cost_their_memmap_too() -> None:
    there = lsmem(blocks(*BOOT, (32, 47, "Movable"), (48, 63, "offline")))
    assert figures(2 * GIB, 64 * MIB, there, xml(GIB, dimm("d", 4 * GIB, 4 * GIB))) == ALONE
    assert figures(2 * GIB, 64 * MIB, there) == ALONE, "whoever added them"


def test_a_memmap_that_lies_in_the_dimm_is_not_managed_and_nowhere_in_use() -> None:
    there = lsmem(blocks(*BOOT, (32, 32, "Movable"), (33, 33, "offline")))
    hosts = xml(GIB, dimm("d", 128 * MIB, 4 * GIB), dimm("e", 128 * MIB, 4 * GIB + 128 * MIB))
    assert figures(126 * MIB, 0, there, hosts, cmdline="memory_hotplug.memmap_on_memory=on") == ALONE


@pytest.mark.parametrize(("plugged", "online"), [(512, 256), (510, 256), (300, 256), (258, 254), (200, 196)])
def test_of_a_virtio_mem_device_what_is_plugged_in_online_blocks_is_managed(plugged: int, online: int) -> None:
    """Blocks 32 and 33 are online, 34 and 35 offline; the highest are taken as not plugged, but for 2 MiB of each."""
    there = lsmem(blocks(*BOOT, (32, 33, "Movable"), (34, 35, "offline")))
    device = virtio_mem("v", GIB, 4 * GIB, requested=plugged * MIB, plugged=plugged * MIB)
    assert figures(online * MIB, 8 * MIB, there, xml(GIB, device)) == ALONE


def test_boot_memory_that_is_offline_is_not_managed_and_its_memmap_the_kernels_own() -> None:
    gone = lsmem(blocks((0, 0, "None"), (1, 3, "DMA32"), (4, 7, "offline")))
    found = figures(-512 * MIB, 0, gone, xml(GIB))
    assert found == {"mem_total": TOTAL - 512 * MIB, "used": USED, "boot_memory": GIB}
