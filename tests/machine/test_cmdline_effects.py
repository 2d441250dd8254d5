"""What words of a command line do to a machine: shares of memory, places of CMA, ranges kept away, bounce buffers."""

from __future__ import annotations

from typing import Any

import pytest

from sim.devices.specs import VirtioMemSpec
from sim.faults import InputError
from sim.guest import default_boot, parameters_for
from sim.machine import cmdline
from sim.machine.boot_layout import BootLayout, lay_out
from sim.machine.device_memory import DeviceMemory
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_MOVABLE
from sim.units import GIB, KIB, MIB
from tests.devices.rig import Rig


def told(text: str, *gib: float, **options: Any) -> MachineSpec:  # noqa: ANN401
    """The machine with nodes of so many GiB, as the command line ``text`` has it."""
    nodes = tuple(NodeSpec(int(size * GIB)) for size in gib)
    return MachineSpec(nodes, **options, **cmdline.read(text, boot_memory=int(sum(gib) * GIB)).machine)


def pages(layout: BootLayout, *zones: int) -> int:
    return sum(zone.present for zone in layout.zones if zone.zone in zones)


def test_a_share_of_memory_is_taken_of_the_pages_that_are_there() -> None:
    machine = told("kernelcore=50%", 8)
    layout = lay_out(machine)
    total = sum(zone.present for zone in layout.zones)
    kernel = total - pages(layout, ZONE_MOVABLE)
    assert total == 8 * GIB // (4 * KIB) - 1 - (0x100 - 0x9F) - 32
    assert total // 2 <= kernel < total // 2 + 1024, "the zone begins at a multiple of 4 MiB"
    movable = lay_out(told("movablecore=25%", 8))
    share = -(-(total // 4) // 1024) * 1024
    assert pages(movable, ZONE_MOVABLE) in range(share - 1024, share + 1)
    assert pages(lay_out(told("kernelcore=0%", 8)), ZONE_MOVABLE) == 0
    assert pages(lay_out(told("movable_node movablecore=25%", 8)), ZONE_MOVABLE) == 0


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("cma=256M", (4096, 256)),
        ("cma=256M@0-4G", (3072 - 256 - 2, 256)),
        ("cma=256M@1G", (1024, 256)),
        ("cma=256M@5G", (5120, 256)),
        ("cma=256M@1G-2G", (2048 - 256, 256)),
    ],
)
def test_cma_lies_where_its_word_says(word: str, place: tuple[int, int]) -> None:
    (area,) = lay_out(told(word, 8)).cma_areas
    start, size = area.start // 256, (area.end - area.start) // 256
    assert (start, size) == place


def test_cma_that_finds_no_room_where_it_is_told_to_lie_is_a_fault() -> None:
    with pytest.raises(InputError, match="cma: 1GiB do not fit there"):
        told("cma=1G@3G", 8)  # the hole below 4 GiB
    with pytest.raises(InputError, match="cma_limit: needs cma"):
        MachineSpec((NodeSpec(GIB),), cma_limit=GIB)


def test_memory_that_is_kept_away_is_missing_and_only_some_is_for_dax_devices() -> None:
    machine = told("memmap=1G$5G memmap=1G!7G", 8)
    assert sum(zone.present for zone in lay_out(machine).zones) == 6 * GIB // (4 * KIB) - 1 - (0x100 - 0x9F) - 32
    area = DeviceMemory(machine)
    assert area.attach("pmem", GIB, address=7 * GIB, reserved_too=True) == 7 * GIB
    with pytest.raises(HotplugError):
        area.attach("other", GIB, address=5 * GIB, reserved_too=True)


@pytest.mark.parametrize(("text", "key"), [("memmap=8G!0", "soft_reserved"), ("memmap=8G$0", "reserved")])
def test_a_kernel_without_low_memory_is_a_fault(text: str, key: str) -> None:
    with pytest.raises(InputError, match=f"{key}: leaves 0B of the first 4GiB"):
        told(text, 16)


def test_memory_that_is_not_there_cannot_be_kept_for_dax_devices() -> None:
    with pytest.raises(InputError, match=r"soft_reserved\[1\]: 4GiB at 0x300000000 are no boot memory, .* 0x240000000"):
        told("memmap=1G!6G memmap=4G!12G", 8)


@pytest.mark.parametrize(
    ("word", "mib"),
    [("", 64), ("swiotlb=noforce", 0), ("swiotlb=force", 64), ("swiotlb=131072", 256), ("swiotlb=131072,noforce", 0)],
)
def test_bounce_buffers_are_as_large_as_the_word_says(word: str, mib: int) -> None:
    def managed(machine: MachineSpec) -> int:
        layout = lay_out(machine)
        zones = default_boot(layout.present_zones(), parameters_for("6.1"), layout.options)
        return sum(zone.managed for zone in zones) * 4 * KIB

    without = managed(told("swiotlb=noforce", 4))
    buffers = mib * MIB
    assert without - managed(told(word, 4)) == buffers + buffers // (2 * KIB) * 24


def test_force_brings_bounce_buffers_to_a_machine_that_has_no_use_for_them() -> None:
    assert not lay_out(told("", 2, max_memory=2 * GIB)).options.swiotlb
    assert lay_out(told("swiotlb=force", 2, max_memory=2 * GIB)).options.swiotlb
    assert not lay_out(told("swiotlb=force", 8, architecture="s390x")).options.swiotlb, "only protected guests have any"


@pytest.mark.parametrize(("word", "left"), [("", 0), ("virtio_mem.unplug_online=N", GIB)])
def test_a_parameter_of_the_virtio_mem_driver_holds_for_its_devices(word: str, left: int) -> None:
    rig = Rig(**cmdline.read(word).machine)
    assert rig.host.plug(VirtioMemSpec("v", GIB, requested=GIB))
    rig.settle()
    assert rig.host.resize("v", 0)
    rig.settle()
    assert rig.host.plugged("v") == left


def test_a_guest_whose_kernel_zones_do_not_hold_its_kernel_does_not_boot() -> None:
    def boots(word: str) -> None:
        layout = lay_out(told(word, 1))
        default_boot(layout.present_zones(), parameters_for("6.1"), layout.options)

    boots("kernelcore=256M")
    with pytest.raises(InputError, match="MiB of kernel zones, all that kernelcore or movablecore leaves, are less"):
        boots("kernelcore=4K")
