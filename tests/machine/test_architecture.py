from __future__ import annotations

from dataclasses import replace
from math import isqrt
from typing import TYPE_CHECKING, Any

import pytest

from policies.auto_movable import AutoMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.devices.virtio_mem import VirtioMem
from sim.devices.virtio_mem_bbm import BigBlockMode
from sim.engine import simulate
from sim.faults import InputError
from sim.guest import GuestModel, default_boot, parameters_for
from sim.kernel.guest_link import GuestSpec
from sim.machine.architecture import ARCHITECTURES
from sim.machine.boot_layout import BootLayout, lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EPERM, HotplugError
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams as Seeded
from sim.units import GIB, KIB, MIB
from tests.devices.rig import Rig, books_agree
from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from workloads.contract import Host, Streams

__all__ = ["books_agree"]


def machine(gib: int = 2, **options: Any) -> MachineSpec:  # noqa: ANN401 - as its fields
    return MachineSpec((NodeSpec(gib * GIB),), **options)


def zones(layout: BootLayout) -> dict[int, tuple[int, int]]:
    size = layout.memory.geometry.size
    return {zone.zone: (zone.start * size // GIB, -(-zone.end * size // GIB)) for zone in layout.zones}


def faults(gib: int = 2, **options: Any) -> list[str]:  # noqa: ANN401 - as above
    with pytest.raises(InputError) as caught:
        machine(gib, **options)
    return [str(fault) for fault in caught.value.faults]


# (name, page size, kernel): section, pageblock, largest chunk, memmap of a GiB
SIZES = {
    ("x86-64", 4 * KIB, "6.1"): (128 * MIB, 2 * MIB, 4 * MIB, 16 * MIB),
    ("arm64", 4 * KIB, "6.1"): (128 * MIB, 2 * MIB, 4 * MIB, 16 * MIB),
    ("arm64", 16 * KIB, "6.1"): (128 * MIB, 32 * MIB, 32 * MIB, 4 * MIB),
    ("arm64", 64 * KIB, "6.1"): (512 * MIB, 512 * MIB, 512 * MIB, MIB),
    ("s390x", 4 * KIB, "6.12"): (256 * MIB, MIB, 4 * MIB, 16 * MIB),
    ("s390x", 4 * KIB, "6.13"): (128 * MIB, MIB, 4 * MIB, 16 * MIB),
}


@pytest.mark.parametrize("built", SIZES, ids=str)
def test_sizes_follow_from_architecture_page_size_and_kernel(built: tuple[str, int, str]) -> None:
    name, page, kernel = built
    made = machine(architecture=name, page_size=page, kernel=kernel)
    geometry = made.geometry
    memmap = geometry.memmap_pages(GIB // page) * page
    pageblock, chunk = geometry.pageblock_pages * page, geometry.chunk_pages * page
    assert (made.section_size, pageblock, chunk, memmap) == SIZES[built]
    assert made.block_size == made.section_size
    assert geometry.subsection_pages * page == 2 * MIB


def test_only_blocks_of_x86_64_grow_with_boot_memory() -> None:
    sizes = {name: machine(127, architecture=name, kernel="6.13").block_size for name in ARCHITECTURES}
    assert sizes == {"x86-64": 2 * GIB, "arm64": 128 * MIB, "s390x": 128 * MIB}


@pytest.mark.parametrize(
    ("name", "gib", "expected", "base"),
    [
        ("x86-64", 2, {ZONE_DMA: (0, 1), ZONE_DMA32: (0, 2)}, 4),
        ("arm64", 2, {ZONE_DMA: (1, 3)}, 3),
        ("arm64", 3, {ZONE_DMA: (1, 4)}, 4),
        ("arm64", 8, {ZONE_DMA: (1, 4), ZONE_NORMAL: (4, 9)}, 9),
        ("s390x", 1, {ZONE_DMA: (0, 1)}, 1),
        ("s390x", 8, {ZONE_DMA: (0, 2), ZONE_NORMAL: (2, 8)}, 8),
    ],
)
def test_zones_and_addresses(name: str, gib: int, expected: dict[int, tuple[int, int]], base: int) -> None:
    layout = lay_out(machine(gib, architecture=name))
    assert zones(layout) == expected
    assert layout.device_base == base * GIB


def test_a_kernel_without_zone_dma_has_dma32_on_arm64_and_neither_on_s390x() -> None:
    assert zones(lay_out(machine(8, architecture="arm64", zone_dma=False))) == {ZONE_DMA32: (1, 4), ZONE_NORMAL: (4, 9)}
    assert zones(lay_out(machine(8, architecture="s390x", zone_dma=False))) == {ZONE_NORMAL: (0, 8)}


def test_all_of_boot_memory_is_there_where_no_firmware_is_known_to_keep_any() -> None:
    for name in ("arm64", "s390x"):
        layout = lay_out(machine(3, architecture=name))
        assert sum(zone.present for zone in layout.zones) == 3 * GIB // layout.memory.geometry.size


def test_kernelcore_is_rounded_to_the_largest_chunk() -> None:
    movable = lay_out(machine(8, page_size=64 * KIB, kernelcore=4 * GIB + 64 * KIB)).zones[-1]
    assert movable.zone == ZONE_MOVABLE
    assert movable.start * 64 * KIB == 5 * GIB + 512 * MIB


def test_cma_lies_below_4_gib_on_arm64_only() -> None:
    for name, low in (("x86-64", False), ("arm64", True), ("s390x", False)):
        layout = lay_out(machine(16, architecture=name, cma=512 * MIB))
        (area,) = layout.cma_areas
        assert (area.end * 4 * KIB <= 4 * GIB) == low
        assert sum(zone.cma for zone in layout.zones) * 4 * KIB == 512 * MIB


@pytest.mark.parametrize(
    ("gib", "options", "key", "says"),
    [
        (2, {"architecture": "riscv"}, "architecture", "'riscv' is none of x86-64, arm64, s390x"),
        (2, {"page_size": 8 * KIB}, "page_size", "8KiB is none of 4KiB, 16KiB, 64KiB"),
        (2, {"architecture": "s390x", "page_size": 64 * KIB}, "page_size", "s390x has no pages of 64KiB: 4KiB"),
        (2, {"page_size": 64 * KIB, "section_size": 128 * MIB}, "section_size", "from a pageblock (512MiB) to 2GiB"),
        (2, {"architecture": "arm64", "block_size": GIB}, "block_size", "where a memory block is a section (128MiB)"),
        (8, {"architecture": "arm64", "max_ram_below_4g": 2 * GIB}, "max_ram_below_4g", "machines of arm64 have none"),
        (8, {"architecture": "s390x", "firmware_pages": 33}, "firmware_pages", "machines of s390x have none"),
        (2, {"page_size": 64 * KIB, "cma": 4 * KIB}, "cma", "not a number of whole pages of 64KiB"),
    ],
)
def test_what_an_architecture_does_not_have_is_a_fault(gib: int, options: dict[str, Any], key: str, says: str) -> None:
    (fault,) = faults(gib, **options)
    assert fault.startswith(f"{key}: ")
    assert says in fault


def test_large_pages_mean_arm64_and_nothing_means_x86_64() -> None:
    names = [machine(page_size=page).built_for.name for page in (4 * KIB, 16 * KIB, 64 * KIB)]
    assert names == ["x86-64", "arm64", "arm64"]


def test_an_older_kernel_of_arm64_with_sections_of_a_gib_can_be_described() -> None:
    made = machine(architecture="arm64", section_size=GIB)
    assert made.block_size == GIB


def test_boot_memory_of_arm64_never_goes_offline() -> None:
    memory = lay_out(machine(8, architecture="arm64")).memory
    with pytest.raises(HotplugError) as caught:
        memory.offline(40)
    assert (caught.value.errno, caught.value.name) == (EPERM, "EPERM")
    lay_out(machine(8, architecture="s390x")).memory.offline(20)


def test_bounce_buffers_are_set_up_where_devices_do_not_reach_all_memory() -> None:
    wanted = {
        (name, gib): lay_out(machine(gib, architecture=name)).options.swiotlb
        for name in ARCHITECTURES
        for gib in (2, 8)
    }
    assert {key for key, there in wanted.items() if there} == {("x86-64", 2), ("x86-64", 8), ("arm64", 8)}


# Devices ----


def rig_of(name: str | None = None, page: int = 4 * KIB, kernel: str = "6.1") -> Rig:
    return Rig(boot=2 * GIB, block=0, section=0, architecture=name, page_size=page, kernel=kernel)


def virtio_mem(rig: Rig, block: int = 2 * MIB) -> VirtioMem:
    return rig.virtio_mem("v", block_size=block)


def test_a_sub_block_is_a_pageblock_and_with_64_kib_pages_no_smaller_than_a_block() -> None:
    assert virtio_mem(rig_of()).mode.granularity == 2 * MIB
    assert virtio_mem(rig_of(kernel="5.15")).mode.granularity == 4 * MIB
    assert virtio_mem(rig_of(page=16 * KIB)).mode.granularity == 32 * MIB
    assert virtio_mem(rig_of("s390x", kernel="6.13"), MIB).mode.granularity == MIB
    large = virtio_mem(rig_of(page=64 * KIB)).mode
    assert isinstance(large, BigBlockMode)
    assert large.granularity == 512 * MIB


@pytest.mark.parametrize(("name", "extent"), [("x86-64", 256 * MIB), ("arm64", GIB), ("s390x", 256 * MIB)])
def test_how_far_beyond_the_request_qemu_lets_a_driver_go(name: str, extent: int) -> None:
    rig = rig_of(name)
    assert rig.host.plug(VirtioMemSpec("v", 16 * GIB, requested=GIB))
    device = rig.host._devices["v"]  # noqa: SLF001 - what the host made of it
    assert isinstance(device, VirtioMem)
    assert device.usable == GIB + extent


def test_qemu_has_no_dimms_for_s390x() -> None:
    assert not rig_of("s390x").host.plug(DimmSpec("d", GIB))
    assert rig_of("arm64").host.plug(DimmSpec("d", GIB))


@pytest.mark.parametrize("page", [4 * KIB, 16 * KIB, 64 * KIB])
def test_what_is_plugged_is_counted_in_the_machines_pages(page: int) -> None:
    rig = rig_of("arm64", page)
    assert rig.host.plug(DimmSpec("d", GIB))
    rig.settle()
    assert rig.host.plugged("d") == GIB
    totals = rig.memory.system
    assert totals.kernel + totals.movable == 3 * GIB // page
    assert [row[-1] for row in rig.events(EventKind.REQUEST)] == [GIB // page]
    assert rig.host.unplug("d")
    rig.settle()
    assert totals.kernel + totals.movable == 2 * GIB // page


# Guests ----


def grown(page: int, gib: int = 4) -> GuestModel:
    """Return a guest of 2 GiB to which so much was added, all to ZONE_MOVABLE."""
    layout = lay_out(machine(page_size=page, architecture="arm64"))
    parameters = replace(parameters_for("6.1"), geometry=layout.memory.geometry)
    guest = GuestModel(parameters, block_pages=layout.memory.block_pages)
    guest.boot(default_boot(layout.present_zones(), parameters, layout.options))
    block = layout.memory.block_pages
    count = gib * GIB // page // block
    first = layout.device_base // page // block
    for at in range(first, first + count):
        assert guest.add_memory(0, at, 1, False)  # noqa: FBT003 - as the core does
        guest.online(ZONE_MOVABLE, 0, at, 1, block)
    guest.check()
    return guest


@pytest.mark.parametrize(("page", "mib"), [(4 * KIB, 64), (16 * KIB, 16), (64 * KIB, 4)])
def test_the_memmap_of_large_pages_is_small_and_lies_among_other_kernel_pages(page: int, mib: int) -> None:
    guest = grown(page)
    zone = guest.zones[0, ZONE_DMA]
    assert zone.memmap * page == mib * MIB
    assert zone.pageblocks is not None
    assert bool(zone.pageblocks.pieces) == (page == 4 * KIB)
    assert zone.pageblocks.pages - zone.kernel == (0 if page == 4 * KIB else mib * MIB // page)
    for at in range(24 if page < 64 * KIB else 6, 56 if page < 64 * KIB else 14):
        guest.remove_memory(at, 1)
    guest.zones[0, ZONE_MOVABLE].free = guest.zones[0, ZONE_MOVABLE].managed = 0
    assert zone.memmap == 0
    assert zone.pageblocks.pages == zone.kernel
    guest.check()


def test_with_64_kib_pages_the_recommended_minimum_is_as_much_as_it_may_be() -> None:
    guest = grown(64 * KIB, 1)
    guest.meminfo.available()
    zone = guest.zones[0, ZONE_DMA]
    wanted = 11 * 8192  # pages: 11 pageblocks of 512 MiB
    high = 2 * GIB // (64 * KIB)
    total = sum(one.min for one in guest.zones.values())
    assert total < wanted
    assert total == pytest.approx(0.05 * zone.managed, rel=0.01)
    assert zone.managed < high


def test_min_free_kbytes_is_counted_in_kib_whatever_the_page() -> None:
    # A guest of 384 MiB has no huge pages: 4 * sqrt(lowmem in KiB) stands.
    for page in (4 * KIB, 16 * KIB):
        made = MachineSpec((NodeSpec(384 * MIB),), architecture="arm64", page_size=page)
        layout = lay_out(made)
        parameters = replace(parameters_for("6.1"), geometry=made.geometry)
        guest = GuestModel(parameters, block_pages=layout.memory.block_pages)
        guest.boot(default_boot(layout.present_zones(), parameters, layout.options))
        guest.meminfo.available()
        (zone,) = guest.zones.values()
        assert zone.min == isqrt(zone.managed * (page // KIB) * 16) // (page // KIB)


class Sizes(Workload):
    """What libvirt's tests ask of a guest with 64 KiB pages: 512 MiB, then a GiB, then nothing."""

    name = "sizes"
    summary = "three sizes of a virtio-mem device"

    def node_capacity(self) -> dict[int, int]:
        return {0: 4 * GIB}

    def duration(self) -> float:
        return 120.0

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        host.plug(VirtioMemSpec("v", 4 * GIB, block_size=512 * MIB))
        for size in (512 * MIB, GIB, 0):
            host.resize("v", size)
            yield host.env.timeout(30_000_000)


def test_a_guest_with_64_kib_pages_grows_by_blocks_of_512_mib_and_gives_them_back() -> None:
    result = simulate(machine(page_size=64 * KIB), AutoMovable(), Sizes(), Seeded(1, 0), guest=GuestSpec())
    plugged = Events.of(result.events).plugged_change().cumsum() * result.page_size
    assert (result.page_size, result.block_pages) == (64 * KIB, 8192)
    assert sorted(set(plugged.tolist())) == [0, 512 * MIB, GIB]
    assert plugged[-1] == 0
    # The memmap of a GiB is a MiB: 16 pages.
    assert result.guest["memmap"].max() == 16
