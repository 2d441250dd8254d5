"""QEMU's command line: as a script has it, as ps prints it, as libvirt logs it."""

from __future__ import annotations

import pytest

from sim.faults import InputError
from sim.readers.facts import DeviceFacts, NodeFacts
from sim.readers.qemu_command import read_qemu_command, reads_as_qemu_command
from sim.readers.reading import READERS
from sim.units import GIB, MIB

SCRIPT = r"""#!/bin/sh
# a guest to try things
exec qemu-system-x86_64 -enable-kvm -machine q35 -m 4G,slots=16,maxmem=64G -smp 4 \
  -object memory-backend-ram,id=mem0,size=8G -object memory-backend-ram,id=mem1,size=1024M \
  -device virtio-mem-pci,id=vm0,memdev=mem0,node=0,requested-size=1G,block-size=4M,memaddr=0x180000000 \
  -device pc-dimm,id=dimm0,memdev=mem1,slot=3 -device virtio-net-pci,addr=04.0 \
  -kernel bzImage -append "console=ttyS0 movable_node"
echo done -m 1G
"""
LOGGED = r"""2026-11-26 10:00:00.000+0000: starting up libvirt version: 10.9.0
LC_ALL=C \
/usr/bin/qemu-system-aarch64 \
-name guest=web1,debug-threads=on \
-machine virt-9.1,usb=off \
-m size=2097152k,slots=4,maxmem=33554432k \
-object '{"qom-type":"memory-backend-ram","id":"ram-node0","size":2147483648}' \
-numa node,nodeid=0,cpus=0-3,memdev=ram-node0 \
-numa node,nodeid=1 \
-object '{"qom-type":"memory-backend-ram","id":"memvirtiomem0","size":4294967296}' \
-device '{"driver":"virtio-mem-pci","node":1,"block-size":2097152,"requested-size":0,"memdev":"memvirtiomem0","id":"v"}'
"""


def test_a_script_tells_memory_devices_and_the_kernels_command_line() -> None:
    assert [reader.name for reader in READERS if reader.recognises(SCRIPT)] == ["QEMU's command line"]
    facts = read_qemu_command(SCRIPT, "run.sh")
    assert (facts.boot_memory, facts.max_memory, facts.slots) == (4 * GIB, 64 * GIB, 16)
    assert (facts.architecture, facts.machine_type, facts.cmdline) == ("x86_64", "q35", "console=ttyS0 movable_node")
    assert facts.places["boot_memory"] == "line 3"
    assert facts.devices == (
        DeviceFacts("vm0", "virtio-mem", 8 * GIB, 0, 0x180000000, 4 * MIB, GIB, where="-device vm0"),
        DeviceFacts("dimm0", "dimm", GIB, slot=3, where="-device dimm0"),
    )


def test_options_as_json_and_sizes_in_kib_as_libvirt_logs_them() -> None:
    assert reads_as_qemu_command(LOGGED)
    facts = read_qemu_command(LOGGED, "web1.log")
    assert (facts.boot_memory, facts.max_memory, facts.architecture) == (2 * GIB, 32 * GIB, "aarch64")
    assert facts.nodes == (NodeFacts(0, cpus=True, boot_memory=2 * GIB), NodeFacts(1, boot_memory=0))
    assert facts.devices == (
        DeviceFacts("v", "virtio-mem", 4 * GIB, 1, block_size=2 * MIB, requested=0, where="-device v"),
    )


def test_memory_is_in_mib_where_no_unit_stands() -> None:
    assert read_qemu_command("/usr/libexec/qemu-kvm -m 4096 -nographic", "ps.txt").boot_memory == 4 * GIB


@pytest.mark.parametrize("name", ["/usr/bin/kvm", "kvm", "'/usr/bin/kvm'", "100 ?  Sl  1:02 /usr/bin/kvm"])
@pytest.mark.parametrize("next_option", [" ", " \\\n  "])
def test_proxmox_calls_it_kvm(name: str, next_option: str) -> None:
    """What ``qm showcmd`` prints, with and without ``--pretty``, and ``ps``."""
    text = next_option.join((name, "-id 100", "-m size=1024,slots=255,maxmem=524288M", "-nodefaults")) + "\n"
    assert [reader.name for reader in READERS if reader.recognises(text)] == ["QEMU's command line"]
    facts = read_qemu_command(text, "vm.txt")
    assert (facts.boot_memory, facts.max_memory, facts.slots, facts.architecture) == (GIB, 512 * GIB, 255, None)


def test_a_word_kvm_is_no_command() -> None:
    assert not reads_as_qemu_command("the module kvm needs -m 4 here; kvm: -m")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("qemu-kvm -m 'half", "line 1", "is no command line: No closing quotation"),
        ("qemu-kvm -m lots", "-m", "size='lots' is not a whole number"),
        ("qemu-kvm -m slots=3", "line 1", "has no option -m with the amount"),
        ("qemu-kvm -m 1G -device pc-dimm,memdev=x", "-device dimm0", "memdev 'x' is no -object memory-backend"),
        ("qemu-kvm -m 1G -object memory-backend-ram,id=x,size=" + "9" * 5000, "-object x", "is not a whole number"),
    ],
)
def test_what_is_wrong_is_told_with_its_option(text: str, where: str, what: str) -> None:
    assert reads_as_qemu_command(text)
    with pytest.raises(InputError) as caught:
        read_qemu_command(text, "x")
    (fault,) = caught.value.faults
    assert fault.key == where
    assert what in fault.what


def test_a_command_with_no_word_behind_it_says_nothing_of_memory() -> None:
    with pytest.raises(InputError, match="has no option -m"):
        read_qemu_command("/usr/bin/qemu-system-x86_64\n-m 4G\n", "log")


@pytest.mark.parametrize(
    ("memory", "nodes", "amounts"),
    [("4G", 2, [2 * GIB, 2 * GIB]), ("1000M", 3, [328 * MIB, 328 * MIB, 344 * MIB]), ("4G", 1, [4 * GIB])],
)
def test_memory_is_shared_among_nodes_where_none_has_an_amount(memory: str, nodes: int, amounts: list[int]) -> None:
    cells = " ".join(f"-numa node,nodeid={node},cpus={node}" for node in range(nodes))
    facts = read_qemu_command(f"qemu-system-x86_64 -m {memory} {cells}\n", "ps.txt")
    assert [node.boot_memory for node in facts.nodes] == amounts
    assert len(facts.remarks) == (nodes > 1)
