"""Machines of which no file lists the blocks: they boot, as their host or their totals have it."""

from __future__ import annotations

import pytest

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.faults import InputError
from sim.machine.spec import NodeSpec
from sim.machine.state import BlockRun
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE
from sim.readers.facts import Facts, NodeFacts, ZoneView
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.account import Taken
from sim.units import GIB, KIB, MIB
from tests.snapshot.machines import dimm, imported, virtio_mem, xml


def test_a_host_alone_makes_a_machine_that_boots_with_its_devices() -> None:
    found = imported(xml(4 * GIB, virtio_mem("vm0", 8 * GIB, requested=GIB), dimm("d", node=1), cells=(3 * GIB, GIB)))
    assert found.machine.state is None
    assert found.machine.nodes == (NodeSpec(3 * GIB, cpus=True), NodeSpec(GIB, cpus=False))
    assert found.machine.cold_devices == (
        VirtioMemSpec("vm0", 8 * GIB, requested=GIB, address=5 * GIB),
        DimmSpec("d", GIB, 1, address=13 * GIB),
    )
    assert any(each.startswith("in which zones the memory of the devices is") for each in found.account.unknown)


def test_persistent_memory_is_left_out_where_no_block_shows_that_the_guest_has_it() -> None:
    nvdimm = dimm("nv", 2 * GIB, 5 * GIB)._replace(kind="nvdimm")
    found = imported(xml(4 * GIB, nvdimm, dimm("d", address=7 * GIB), max_memory=16 * GIB))
    assert found.machine.cold_devices == (DimmSpec("d", GIB, address=7 * GIB),)
    assert found.machine.max_memory == 14 * GIB
    assert any(each.startswith("whether nv adds memory") for each in found.account.unknown)


def test_zones_alone_make_a_machine_to_which_movable_memory_was_added() -> None:
    zones = (
        ZoneView(0, "DMA32", spanned=262112, present=258013, managed=234484),
        ZoneView(0, "Movable", spanned=262144, present=262144, managed=262144),
    )
    found = imported(Facts("zoneinfo", "zoneinfo", zones=zones))
    assert found.machine.boot_memory == GIB
    assert found.machine.state is not None
    assert found.machine.state.blocks == (
        BlockRun(0, 1, 0, SEVERAL_ZONES, boot=True),
        BlockRun(1, 7, 0, ZONE_DMA32, boot=True),
        BlockRun(32, 8, 0, ZONE_MOVABLE, boot=False),
    )
    odd = (zones[0], zones[1]._replace(present=250000))
    assert imported(Facts("zoneinfo", "zoneinfo", zones=odd)).machine.movablecore == 250000 * 4096


@pytest.mark.parametrize(
    ("total", "boot_memory"),
    [
        (108 * MIB, 128 * MIB),  # kata-containers/agent issue 363
        (98_740 * KIB, 128 * MIB),  # cloud-hypervisor issue 1593
        (972 * MIB, GIB),  # home-assistant/operating-system issue 1156
        (16_300_000 * KIB, 16 * GIB),
        (65_700_000 * KIB, 64 * GIB),
    ],
)
def test_mem_total_alone_makes_a_machine_of_a_round_size(total: int, boot_memory: int) -> None:
    found = imported(Facts("free", "free", free={"total": total, "used": 20 * MIB, "free": 30 * MIB}))
    assert found.machine.boot_memory == boot_memory
    assert found.figures == {"mem_total": total, "used": 20 * MIB, "boot_memory": boot_memory}
    assert any(
        each.what.startswith("boot memory ") and "--boot-memory" in each.otherwise for each in found.account.assumed
    )


@pytest.mark.parametrize(
    ("cells", "used"),
    [
        ({"used": 22, "free": 61, "buff/cache": 25, "available": 77}, 22),
        ({"used": 31, "free": 61, "buff/cache": 25, "available": 77}, 22),  # procps 4: total less available
        ({"used": 31, "free": 61, "buffers": 1, "cache": 24, "available": 77}, 22),
        ({"used": 47, "free": 61, "shared": 0, "buffers": 1, "cached": 24}, 22),  # procps 3.2, busybox: with all cache
        ({"used": 47, "free": 61, "shared": 0, "buffers": 1}, None),  # old busybox: cache is in it, and nobody says it
        ({"used": 22, "free": 61}, 22),  # columns cut off, but what is missing is cache
        ({"used": 47, "free": 61}, None),
        ({"free": 61, "buff/cache": 25}, 22),
    ],
)
def test_cache_is_not_in_use_whatever_a_version_of_free_calls_used(cells: dict[str, int], used: int | None) -> None:
    free = {"total": 108 * MIB, **{name: mib * MIB for name, mib in cells.items()}}
    found = imported(Facts("free", "free", free=free))
    assert found.figures is not None
    assert found.figures["mem_total"] == 108 * MIB
    as_debian = [each.what for each in found.account.assumed if each.what.endswith("idle system with Debian's kernel")]
    assert len(as_debian) == (used is None)
    if used is not None:
        assert found.figures["used"] == used * MIB


def test_what_is_kept_for_a_kernel_after_a_crash_is_not_taken_away_twice() -> None:
    free = {"total": 900 * MIB, "used": 30 * MIB, "free": 850 * MIB, "buff/cache": 20 * MIB}
    line = Facts("cmdline", "cmdline", cmdline="crashkernel=64M")
    found = imported(Facts("free", "free", free=free), line, boot_memory=GIB)
    assert found.machine.crashkernel == 64 * MIB
    assert found.figures == {"mem_total": 964 * MIB, "used": 30 * MIB, "boot_memory": GIB}
    guessed = imported(Facts("free", "free", free=free), Facts("cmdline", "cmdline", cmdline="crashkernel=512M"))
    assert guessed.machine.boot_memory == 1536 * MIB
    assert guessed.account.conflicts == []


def test_the_boot_log_and_the_managed_pages_of_zones_tell_mem_total() -> None:
    log = Facts("dmesg", "boot log", memory_known=GIB - 520 * KIB, reserved=57812 * KIB, freed=2628 * KIB)
    found = imported(log)
    assert found.figures is not None
    assert found.figures["mem_total"] == (1048056 - 57812 + 2628) * KIB
    later = {"total": 1150 * MIB, "used": 60 * MIB, "free": 1000 * MIB, "buff/cache": 90 * MIB}
    assert imported(log, Facts("free", "free", free=later)).account.conflicts != []
    zones = tuple(
        ZoneView(0, name, present=present, managed=managed)
        for name, present, managed in (("DMA", 3990, 3840), ("DMA32", 782288, 695617), ("Normal", 1310720, 1261436))
    )
    found = imported(Facts("oom", "Mem-Info", zones=zones))
    assert found.figures is not None
    assert found.figures["mem_total"] == (3840 + 695617 + 1261436) * 4 * KIB
    unknown = (*zones[:2], zones[2]._replace(managed=None))
    assert imported(Facts("oom", "Mem-Info", zones=unknown)).figures is None


def test_two_totals_that_differ_are_told_once() -> None:
    meminfo = Facts("meminfo", "meminfo", meminfo={"MemTotal": 972 * MIB})
    found = imported(meminfo, Facts("free", "free", free={"total": 2 * GIB, "used": 20 * MIB}))
    assert found.account.conflicts[0] == "total memory: 972MiB (meminfo); 2GiB (free). The first is taken"
    assert len(set(found.account.conflicts)) == len(found.account.conflicts)


def test_files_that_tell_nothing_of_memory_are_a_fault() -> None:
    with pytest.raises(InputError, match="do not say how much boot memory there is: say it with --boot-memory"):
        imported(Facts("cmdline", "cmdline", cmdline="quiet"))
    with pytest.raises(InputError, match="do not say how much boot memory there is"):
        imported(Facts("zoneinfo", "zoneinfo", zones=(ZoneView(0, "Movable", present=262144),)))
    assert imported(Facts("cmdline", "cmdline", cmdline="quiet"), boot_memory=GIB).machine.boot_memory == GIB


def test_a_boot_log_tells_the_nodes_and_what_was_there_at_boot() -> None:
    log = Facts("dmesg", "boot log", memory_known=127 * MIB + 600 * KIB)
    assert imported(log).machine.boot_memory == 128 * MIB
    nodes = (NodeFacts(0, listed=2 * GIB - 520 * KIB), NodeFacts(1, listed=300 * MIB - KIB))
    listed = Facts("dmesg", "boot log", nodes=nodes, memory_known=GIB)
    assert imported(listed).machine.nodes == (NodeSpec(2 * GIB), NodeSpec(300 * MIB))


def test_zones_of_several_nodes_make_several_nodes() -> None:
    zones = (
        ZoneView(0, "DMA", spanned=4095, present=3998),
        ZoneView(0, "DMA32", spanned=258048, present=258016),
        ZoneView(1, "Normal", spanned=131072, present=131072),
        ZoneView(1, "Movable", spanned=262144, present=262144, start=5 << 18),
    )
    machine = imported(Facts("zoneinfo", "zoneinfo", zones=zones)).machine
    assert machine.nodes == (NodeSpec(GIB), NodeSpec(512 * MIB))
    assert machine.state is not None
    assert machine.state.blocks[-1] == BlockRun(40, 8, 1, ZONE_MOVABLE, boot=False)


def test_what_somebody_says_goes_before_all_files_and_is_told() -> None:
    found = imported(xml(4 * GIB, machine_type="pc-q35-9.2"), boot_memory=2 * GIB, kernel="6.12", architecture="x86-64")
    assert (found.machine.boot_memory, found.machine.kernel) == (2 * GIB, "6.12")
    assert Taken("boot memory 2GiB", "--boot-memory", "") in found.account.taken
    assert not any(each.what.startswith(("pages", "kernel", "architecture")) for each in found.account.assumed)


def test_what_would_tell_of_a_device_s_node_is_said() -> None:
    with pytest.raises(InputError, match="d is on node 1, and no file tells of such a node: lsmem's output, libvirt's"):
        imported(xml(4 * GIB, dimm("d", node=1)))
