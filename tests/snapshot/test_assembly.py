"""What files say together: which blocks are boot memory, which a device's, and that nothing is guessed in silence."""

from __future__ import annotations

import pytest

from policies.as_shipped import SHIPPED
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.faults import InputError
from sim.machine.spec import NodeSpec
from sim.machine.state import AttachedDevice, BlockRun
from sim.memory.zones import NR_ZONES, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.readers.facts import BlockView, DeviceFacts, Facts, NodeFacts, Remark, ZoneView
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.account import Left, Taken
from sim.units import GIB, KIB, MIB
from tests.snapshot.machines import blocks, dimm, imported, lsmem, virtio_mem, xml

PC = ((0, 0, "None"), (1, 23, "DMA32"), (32, 39, "Normal"))
"""4 GiB on QEMU's pc: 3 GiB below 4 GiB, 1 GiB above."""
PC_RUNS = (
    BlockRun(0, 1, 0, SEVERAL_ZONES, boot=True),
    BlockRun(1, 23, 0, ZONE_DMA32, boot=True),
    BlockRun(32, 8, 0, ZONE_NORMAL, boot=True),
)
Q35 = ((0, 0, "None"), (1, 15, "DMA32"), (32, 47, "Normal"))


def test_blocks_of_host_devices_are_theirs_and_the_rest_was_there_at_boot() -> None:
    views = blocks(*PC, (40, 47, "Movable"), (48, 51, "Normal"))
    found = imported(
        lsmem(views),
        xml(
            4 * GIB,
            dimm("dimm0", address=5 * GIB),
            virtio_mem("vm0", 8 * GIB, 6 * GIB, requested=GIB, plugged=GIB // 2),
        ),
    )
    state = found.machine.state
    assert state is not None
    assert state.blocks == (
        *PC_RUNS,
        BlockRun(40, 8, 0, ZONE_MOVABLE, boot=False),
        BlockRun(48, 4, 0, ZONE_NORMAL, boot=False),
    )
    assert state.devices == (
        AttachedDevice(DimmSpec("dimm0", GIB, address=5 * GIB)),
        AttachedDevice(VirtioMemSpec("vm0", 8 * GIB, requested=GIB, address=6 * GIB), GIB // 2),
    )
    assert (found.machine.boot_memory, found.machine.block_size, found.machine.max_ram_below_4g) == (
        4 * GIB,
        128 * MIB,
        0,
    )
    assert found.account.conflicts == []
    assert Taken("boot memory 4GiB", "guest.xml", "/domain/memory") in found.account.taken


def test_boot_memory_of_q35_ends_at_2_gib_below_4_gib() -> None:
    found = imported(lsmem(blocks(*Q35, (48, 55, "Movable"))), xml(4 * GIB, dimm("d"), machine_type="pc-q35-9.2"))
    assert found.machine.max_ram_below_4g == 2 * GIB
    assert found.machine.state is not None
    assert found.machine.state.devices == (AttachedDevice(DimmSpec("d", GIB, address=6 * GIB)),)
    assert any("d at 0x180000000" in each.what for each in found.account.assumed)
    # The blocks tell as well, where no XML says which machine it is.
    assert imported(lsmem(blocks(*Q35)), xml(4 * GIB)).machine.max_ram_below_4g == 2 * GIB
    assert imported(lsmem(blocks(*Q35))).machine.max_ram_below_4g == 2 * GIB
    assert imported(lsmem(blocks(*PC))).machine.max_ram_below_4g == 0


def test_addresses_that_no_file_gives_are_qemus_in_the_order_of_the_file() -> None:
    found = imported(
        lsmem(blocks(*PC, (40, 41, "Normal"), (104, 111, "Movable"))),
        xml(4 * GIB, virtio_mem("vm0", 8 * GIB, requested=GIB // 4), dimm("dimm0")),
    )
    state = found.machine.state
    assert state is not None
    assert [device.spec.address for device in state.devices] == [5 * GIB, 13 * GIB]
    assert [run.boot for run in state.blocks] == [True, True, True, False, False]
    assert any("all of the blocks of vm0, 256MiB" in each.what for each in found.account.assumed)


def test_without_a_host_what_is_offline_or_movable_came_after_boot() -> None:
    found = imported(lsmem(blocks(*PC, (40, 47, "Movable"), (48, 49, "offline"), (50, 50, "Normal"))))
    assert found.machine.state is not None
    assert found.machine.state.blocks[3:] == (
        BlockRun(40, 8, 0, ZONE_MOVABLE, boot=False),
        BlockRun(48, 2, 0, NR_ZONES, boot=False),
        BlockRun(50, 1, 0, ZONE_NORMAL, boot=True),
    )
    assert any("blocks 40-49 came after boot" in each.what for each in found.account.assumed)
    assert any("which device brought blocks 40-49" in each for each in found.account.unknown)
    # Somebody who knows says how much there was.
    said = imported(lsmem(blocks(*PC, (40, 47, "Movable"), (50, 50, "Normal"))), boot_memory=4 * GIB).machine
    assert said.state is not None
    assert [run.boot for run in said.state.blocks] == [True, True, True, False, False]
    assert said.boot_memory == 4 * GIB


def test_a_hole_in_boot_memory_does_not_make_its_last_block_an_added_one() -> None:
    """64 GiB in blocks of 2 GiB: with the hole below 4 GiB it ends in block 32; CXL follows (linux-kernel, 2022-08)."""
    views = blocks((0, 0, "None"), (1, 1, "DMA32"), (2, 31, "Normal"), (32, 32, "None"))
    views += blocks((33, 40, "Normal"), node=1)
    state = imported(lsmem(views, 2 * GIB), boot_memory=64 * GIB).machine.state
    assert state is not None
    assert [(run.first, run.boot) for run in state.blocks] == [(0, True), (1, True), (2, True), (32, True), (33, False)]


def test_movable_memory_is_boots_where_the_command_line_makes_it_so() -> None:
    line = Facts("cmdline", "cmdline", cmdline="quiet movablecore=1G")
    found = imported(lsmem(blocks((0, 0, "None"), (1, 15, "DMA32"), (16, 23, "Movable"))), line)
    assert found.machine.state is not None
    assert all(run.boot for run in found.machine.state.blocks)
    assert found.machine.movablecore == GIB


def test_the_boot_log_tells_how_much_was_there_at_boot() -> None:
    log = Facts("dmesg", "boot log", {"memory_known": "line 9"}, memory_known=4 * GIB - 520 * KIB)
    found = imported(lsmem(blocks(*PC, (40, 47, "Normal"))), log)
    assert found.machine.boot_memory == 4 * GIB
    assert found.machine.state is not None
    assert found.machine.state.blocks[2:] == (
        BlockRun(32, 8, 0, ZONE_NORMAL, boot=True),
        BlockRun(40, 8, 0, ZONE_NORMAL, boot=False),
    )


def test_qemu_alone_tells_that_boot_memory_lies_below_its_devices() -> None:
    qemu = Facts("qemu.txt", "qemu", devices=(dimm("d", address=5 * GIB),))
    found = imported(lsmem(blocks(*PC, (40, 47, "Normal"))), qemu)
    assert found.machine.boot_memory == 4 * GIB
    assert found.machine.state is not None
    assert [device.spec.id for device in found.machine.state.devices] == ["d"]
    assert any(each.what.startswith("boot memory 4GiB: all blocks below the devices") for each in found.account.assumed)


def test_what_is_attached_is_what_qemu_says_and_the_xml_fills_in_the_rest() -> None:
    qemu = Facts(
        "qemu.txt",
        "qemu",
        devices=(
            DeviceFacts("vm0", "virtio-mem", 8 * GIB, 0, 5 * GIB, None, GIB, GIB, where="line 1"),
            dimm("new", address=13 * GIB),
        ),
    )
    host = xml(4 * GIB, virtio_mem("vm0", 8 * GIB, requested=2 * GIB), dimm("old"))
    found = imported(lsmem(blocks(*PC, (40, 47, "Normal"), (104, 111, "Normal"))), host, qemu)
    assert found.machine.state is not None
    specs = [device.spec for device in found.machine.state.devices]
    assert specs == [
        VirtioMemSpec("vm0", 8 * GIB, block_size=2 * MIB, requested=GIB, address=5 * GIB),
        DimmSpec("new", GIB, address=13 * GIB),
    ]
    assert [each.split(" is in ")[0] for each in found.account.conflicts] == ["new", "old"]


def test_a_host_that_describes_another_machine_is_told_and_left_out() -> None:
    found = imported(lsmem(blocks(*PC)), xml(GIB, dimm("d", address=4 * GIB), max_memory=8 * GIB, slots=3))
    assert found.machine.state is not None
    assert found.machine.state.devices == ()
    assert (found.machine.max_memory, found.machine.slots) == (None, 256)
    (conflict,) = found.account.conflicts
    assert conflict.startswith("guest.xml does not describe the machine of the blocks")
    assert "blocks 8-23" in conflict
    assert not any(taken.file == "guest.xml" and "boot memory" in taken.what for taken in found.account.taken)


@pytest.mark.parametrize(
    ("device", "runs", "says"),
    [
        (dimm("d", address=5 * GIB), ((40, 43, "Normal"),), "of d only blocks 40-43 came"),
        (virtio_mem("d", GIB, 5 * GIB), ((40, 40, "None"),), "d would have block 40 in zones"),
    ],
)
def test_blocks_that_no_such_device_has_make_the_host_another_ones(
    device: DeviceFacts, runs: tuple[tuple[int, int, str], ...], says: str
) -> None:
    (conflict,) = imported(lsmem(blocks(*PC, *runs)), xml(4 * GIB, device)).account.conflicts
    assert says in conflict


def test_memory_above_that_no_device_has_was_added_without_one() -> None:
    found = imported(lsmem(blocks(*PC, (40, 47, "Normal"))), xml(4 * GIB))
    assert found.machine.state is not None
    assert found.machine.state.blocks[3] == BlockRun(40, 8, 0, ZONE_NORMAL, boot=False)
    assert any(each.startswith("what added blocks 40-47") for each in found.account.unknown)


def test_a_dimm_of_which_nothing_came_is_attached_and_that_is_said() -> None:
    found = imported(lsmem(blocks(*PC)), xml(4 * GIB, dimm("d", address=5 * GIB)))
    assert found.machine.state is not None
    assert [device.spec.id for device in found.machine.state.devices] == ["d"]
    assert any(each.startswith("d (guest.xml) would have blocks 40-47") for each in found.account.conflicts)


@pytest.mark.parametrize(
    ("plugged", "kept", "says"),
    [
        (GIB, GIB, None),
        (2 * GIB, None, "the blocks in its region are 1GiB"),
        (GIB // 2 + MIB, None, "in pieces of 2MiB"),
    ],
)
def test_more_than_its_blocks_hold_cannot_be_plugged(plugged: int, kept: int | None, says: str | None) -> None:
    device = virtio_mem("vm0", 8 * GIB, 5 * GIB, plugged=plugged)._replace(block_size=MIB)
    found = imported(lsmem(blocks(*PC, (40, 47, "Normal"))), xml(4 * GIB, device))
    assert found.machine.state is not None
    assert found.machine.state.devices[0].plugged == kept
    assert [says in each for each in found.account.conflicts if says] == ([True] if says else [])


def test_two_lists_of_blocks_fill_each_other_in_and_must_agree() -> None:
    first = lsmem(blocks(*[(low, high, None) for low, high, _ in PC], node=None))
    second = Facts("sys", "sysfs", block_size=128 * MIB, blocks=blocks(*PC))
    assert imported(first, second).machine.state == imported(second).machine.state
    other = Facts("sys", "sysfs", block_size=128 * MIB, blocks=blocks((0, 0, "None"), (1, 23, "offline")))
    with pytest.raises(InputError, match=r"block 1 is online in lsmem.txt and offline in sys; .* more\. Files of one"):
        imported(first, other)
    with pytest.raises(InputError, match=r"memory block size: 128MiB .*; 256MiB"):
        imported(first, Facts("sys", "sysfs", block_size=256 * MIB))


def test_what_nobody_tells_of_zones_and_nodes_is_assumed_and_said() -> None:
    views = blocks((0, 23, None), (32, 47, None), node=None)
    found = imported(lsmem(views), boot_memory=4 * GIB)
    assert found.machine.state is not None
    assert found.machine.state.blocks == (*PC_RUNS, BlockRun(40, 8, 0, ZONE_NORMAL, boot=False))
    said = [each.what for each in found.account.assumed]
    assert "in ZONE_NORMAL, of what was added after boot: blocks 40-47" in said
    assert "all blocks are on node 0" in said
    assert "blocks of boot memory are in the zones that their addresses belong to" in said
    other = imported(lsmem(views), boot_memory=4 * GIB, zone=ZONE_MOVABLE).machine.state
    assert other is not None
    assert other.blocks[-1].state == ZONE_MOVABLE


def test_old_kernels_name_several_zones_of_an_online_block_the_one_it_is_in_first() -> None:
    views = [BlockView(0, "online", "DMA", 0), BlockView(1, "online", "DMA/Normal", 0)]
    views += [BlockView(2, "online", "Normal/Movable", 0), BlockView(3, "online", "Movable/Normal", 0)]
    found = imported(lsmem(views, 256 * MIB), architecture="s390x")
    assert found.machine.state is not None
    assert [run.state for run in found.machine.state.blocks] == [ZONE_DMA, ZONE_NORMAL, ZONE_MOVABLE]


@pytest.mark.parametrize(
    ("facts", "architecture", "page_size"),
    [
        (lsmem(blocks((0, 7, "DMA"), (8, 9, "Normal")), 256 * MIB), "s390x", 4 * KIB),
        (lsmem(blocks((2, 7, "DMA")), 512 * MIB), "arm64", 64 * KIB),
        (lsmem(blocks((8, 15, "DMA"))), "arm64", 4 * KIB),
        (lsmem(blocks((8, 15, "DMA")), page_size=16 * KIB), "arm64", 16 * KIB),
        (lsmem(blocks(*PC)), "x86-64", 4 * KIB),
        (lsmem(blocks((0, 7, None)), 512 * MIB, architecture="aarch64", page_size=64 * KIB), "arm64", 64 * KIB),
    ],
)
def test_the_architecture_shows_in_zones_and_addresses(facts: Facts, architecture: str, page_size: int) -> None:
    machine = imported(facts).machine
    assert (machine.architecture, machine.page_size) == (architecture, page_size)


@pytest.mark.parametrize(
    ("release", "by"),
    [
        ("6.12.0-55.9.1.el10_0.x86_64", "rhel-10"),
        ("6.1.0-18-amd64", "debian-12"),
        ("6.1.0-41-cloud-arm64", "debian-12"),
        ("6.12.48+deb13-amd64", "debian-13"),
        ("6.8.0-45-generic", "ubuntu-rule"),
        ("6.4.0-150600.21-default", "opensuse"),
        ("6.1.112", None),
    ],
)
def test_who_ships_a_kernel_shows_in_its_name_and_the_policy_that_goes_with_it_is_offered(
    release: str, by: str | None
) -> None:
    found = imported(lsmem(blocks(*PC), kernel=release))
    (offered,) = (each.otherwise for each in found.account.assumed if each.otherwise.startswith("--policy"))
    name = "NAME" if by is None else f"as-shipped:by={by}, which goes with this kernel's name"
    assert offered == f"--policy {name}, or /sys/devices/system/memory"
    assert by is None or by in SHIPPED
    assert found.policy == {"default_state": "online"}


def test_larger_pages_show_in_the_kernels_name() -> None:
    found = imported(
        lsmem(blocks((8, 15, None)), 512 * MIB, architecture="aarch64", kernel="5.14.0-427.el9.aarch64+64k")
    )
    assert found.machine.page_size == 64 * KIB
    assert Taken("pages of 64KiB, by the kernel's name", "lsmem.txt", "") in found.account.taken


def test_kernels_that_are_not_modelled_show_in_small_blocks_and_high_memory() -> None:
    with pytest.raises(InputError, match=r"memory blocks of 16MiB: .*\(ppc64 has less, and is not\)"):
        imported(lsmem(blocks((0, 127, None)), 16 * MIB))
    assert imported(lsmem(blocks((0, 127, None)), 16 * MIB), architecture="x86-64").machine.block_size == 16 * MIB
    zones = tuple(ZoneView(0, name, present=pages) for name, pages in (("Normal", 221_000), ("HighMem", 800_000)))
    with pytest.raises(InputError, match="memory in zone HighMem, so the kernel has 32 bits"):
        imported(Facts("oom.txt", "Mem-Info", zones=zones))
    with pytest.raises(InputError, match="the kernel has 32 bits"):
        imported(Facts("meminfo", "meminfo", meminfo={"MemTotal": 3 * GIB, "HighTotal": 2 * GIB}))


def test_what_is_not_modelled_is_a_fault_and_an_old_kernel_is_replaced_and_said() -> None:
    with pytest.raises(InputError, match="architecture 'ppc64le' is not modelled; x86-64, arm64, s390x are"):
        imported(lsmem(blocks(*PC), architecture="ppc64le"))
    with pytest.raises(InputError, match="'none' has no series"):
        imported(lsmem(blocks(*PC)), kernel="none")
    old = imported(lsmem(blocks(*PC), kernel="4.4.140-1-default"))
    assert old.machine.kernel == "5.15"
    assert any("instead of 4.4" in each.what for each in old.account.assumed)
    assert imported(lsmem(blocks(*PC), kernel="6.12.48-amd64")).machine.kernel == "6.12"


def test_mem_total_is_the_guests_own_without_what_was_added() -> None:
    meminfo = {"MemTotal": 5 * GIB, "MemFree": 3 * GIB, "Buffers": MIB, "Cached": GIB - MIB, "SReclaimable": 16 * MIB}
    facts = Facts("meminfo", "meminfo", {"meminfo": "line 1"}, meminfo=meminfo)
    device = virtio_mem("vm0", 8 * GIB, 5 * GIB, plugged=GIB + GIB // 4)
    found = imported(lsmem(blocks(*PC, (40, 49, "Movable"))), xml(4 * GIB, device), facts)
    memmap = (GIB + GIB // 4) // 64
    assert found.figures == {
        "mem_total": 5 * GIB - GIB - GIB // 4,
        "used": GIB - 16 * MIB - memmap,
        "boot_memory": 4 * GIB,
    }


def test_used_is_what_free_printed_before_it_counted_cache() -> None:
    free = {"total": 3 * GIB, "used": 2 * GIB, "free": GIB, "buff/cache": GIB // 2, "available": GIB}
    found = imported(lsmem(blocks(*PC)), Facts("free", "free", free=free))
    assert found.figures == {"mem_total": 3 * GIB, "used": GIB + GIB // 2, "boot_memory": 4 * GIB}
    too_much = imported(lsmem(blocks(*PC)), Facts("free", "free", free={"total": 5 * GIB, "used": GIB}))
    too_little = imported(lsmem(blocks(*PC)), Facts("free", "free", free={"total": 2 * GIB, "used": GIB}))
    assert too_much.figures is too_little.figures is None
    assert "MemTotal 2GiB (free) less added memory of 0B" in too_little.account.conflicts[0]
    assert "is not what a guest with 4GiB of boot memory has" in too_much.account.conflicts[0]


def test_sysfs_goes_before_the_command_line_for_what_the_kernel_does_now() -> None:
    line = Facts("cmdline", "cmdline", cmdline="memhp_default_state=online memory_hotplug.auto_movable_ratio=401")
    sysfs = Facts(
        "sys",
        "sysfs",
        auto_online_blocks="online_movable",
        parameters={"online_policy": "auto-movable", "auto_movable_numa_aware": "N", "memmap_on_memory": "Y"},
    )
    found = imported(lsmem(blocks(*PC)), line, sysfs)
    assert found.policy == {
        "default_state": "online_movable",
        "online_policy": "auto-movable",
        "auto_movable_numa_aware": False,
        "auto_movable_ratio": 401,
    }
    assert found.fields["memmap_on_memory"] is True
    assert found.account.conflicts == [
        "default_state: online_movable (sys); online (command line). The first, which is newer, is taken"
    ]
    assert imported(lsmem(blocks(*PC)), line).policy == {}  # the command line says it all
    alone = imported(lsmem(blocks(*PC)))
    assert alone.policy == {"default_state": "online"}
    assert any(each.otherwise.startswith("--policy") for each in alone.account.assumed)


def test_limits_that_leave_no_room_for_what_is_there_are_told() -> None:
    found = imported(lsmem(blocks(*PC, (40, 47, "Normal"))), xml(4 * GIB, dimm("d"), max_memory=4 * GIB, slots=2))
    assert (found.machine.max_memory, found.machine.slots) == (5 * GIB, 2)
    assert "4GiB are less than boot memory and devices, 5GiB" in found.account.conflicts[0]


def test_a_limit_beyond_the_models_is_cut_and_that_is_said() -> None:
    found = imported(xml(4 * GIB, max_memory=1024 * 1024 * GIB))
    assert found.machine.max_memory == 64 * 1024 * GIB
    assert Taken("at most 64TiB, as far as is modelled, of 1024TiB", "guest.xml", "") in found.account.taken


def test_a_host_that_gives_no_limit_plugs_nothing_and_that_is_said() -> None:
    said = [each.what for each in imported(xml(4 * GIB)).account.assumed]
    assert "no limit on what may be plugged; as guest.xml gives none, the host plugs nothing as it is" in said
    assert "no limit on what may be plugged" in [each.what for each in imported(lsmem(blocks(*PC))).account.assumed]


def test_remarks_of_readers_are_kept_with_the_files_name() -> None:
    facts = lsmem(blocks(*PC), nodes=(NodeFacts(0, cpus=True),), remarks=[Remark("line 3", "is not read")])
    found = imported(facts)
    assert found.account.left == [Left("lsmem.txt, line 3", "is not read")]
    assert found.machine.nodes == (NodeSpec(4 * GIB, cpus=True),)
