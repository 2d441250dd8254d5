"""Copies of sysfs, in folders and archives of every shape that people make."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from sim.faults import InputError
from sim.readers.facts import BlockView, NodeFacts
from sim.readers.reading import read_facts

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
NOT_A_BLOCK = "blocks are powers of two, of a page or more"
FILES = {
    "memory/block_size_bytes": "8000000",
    "memory/auto_online_blocks": "online",
    "memory/memory0/state": "online",
    "memory/memory0/valid_zones": "none",
    "memory/memory0/removable": "0",
    "memory/memory0/phys_device": "0",
    "memory/memory0/phys_index": "00000000",
    "memory/memory32/state": "offline",
    "memory/memory32/valid_zones": "Normal Movable",
    "memory/memory32/removable": "1",
    "memory/memory33/online": "1",
    "memory/memory33/uevent": "",
    "memory/memory33/power/control": "auto",
    "node/node0/meminfo": "\nNode 0 MemTotal:         120000 kB\nNode 0 MemFree:   7 kB\n",
    "node/node0/cpulist": "0-3",
    "node/node1/cpulist": "",
    "node/online": "0-1",
}
LINKS = {
    "memory/memory0/node0": "../../node/node0",
    "memory/memory32/node1": "../../node/node1",
    "node/node1/memory33": "../../memory/memory33",
    "memory/memory0/subsystem": "../../../../bus/memory",
}
BLOCKS = (
    BlockView(0, "online", "None", 0, removable=False, phys_device=0),
    BlockView(32, "offline", "Normal/Movable", 1, removable=True),
    BlockView(33, "online", None, 1),
)
NODES = (NodeFacts(0, cpus=True, mem_total=120000 << 10), NodeFacts(1, cpus=False))


def plant(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)


@pytest.mark.parametrize("below", ["", "sys/devices/system", "of/a/host/sys/devices/system"])
def test_a_folder_below_any_folders(tmp_path: Path, below: str) -> None:
    plant(tmp_path / below)
    (facts,) = read_facts([tmp_path])
    assert (facts.blocks, facts.nodes) == (BLOCKS, NODES)
    assert (facts.block_size, facts.auto_online_blocks) == (128 * MIB, "online")
    assert (facts.online_total, facts.offline_total) == (256 * MIB, 128 * MIB)
    assert facts.places["block_size"] == f"{below}/memory/block_size_bytes".lstrip("/")
    assert facts.remarks == []


def test_an_archive_in_any_order_with_parameters_and_other_files(tmp_path: Path) -> None:
    folder = tmp_path / "host1"
    plant(folder / "sys/devices/system")
    parameters = folder / "sys/module/memory_hotplug/parameters"
    parameters.mkdir(parents=True)
    (parameters / "online_policy").write_text("auto-movable\n")
    (folder / "proc").mkdir()
    (folder / "proc/cmdline").write_text("root=/dev/vda1 movable_node\n")
    (folder / "proc/meminfo").write_text("")
    archive = tmp_path / "dump.tar.bz2"
    with tarfile.open(archive, "w:bz2") as tar:
        for path in sorted(folder.rglob("*"), reverse=True):
            tar.add(path, f"./{path.relative_to(tmp_path)}", recursive=False)
    sysfs, cmdline = read_facts([archive])
    assert sysfs.file == f"{archive}:host1"
    assert (sysfs.blocks, sysfs.nodes, sysfs.parameters) == (BLOCKS, NODES, {"online_policy": "auto-movable"})
    assert cmdline.file == f"{archive}:host1/proc/cmdline"
    assert cmdline.cmdline == "root=/dev/vda1 movable_node"
    (empty,) = sysfs.remarks
    assert empty == ("host1/proc/meminfo", "not read: empty, as tar packs files of /proc; copy it with cat first")


def test_an_archive_of_two_machines_gives_two(tmp_path: Path) -> None:
    for name in ("a", "b"):
        plant(tmp_path / name / "sys/devices/system")
    archive = tmp_path / "both.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "a", "a")
        tar.add(tmp_path / "b", "b")
    assert [(facts.file, facts.blocks) for facts in read_facts([archive])] == [
        (f"{archive}:a", BLOCKS),
        (f"{archive}:b", BLOCKS),
    ]


def test_the_folder_of_memory_alone_and_that_of_nodes_alone(tmp_path: Path) -> None:
    plant(tmp_path)
    memory, node = read_facts([tmp_path / "memory", tmp_path / "node"])
    assert [view.block for view in memory.blocks] == [0, 32, 33]
    assert [view.node for view in memory.blocks] == [0, 1, None]
    assert (node.nodes, node.blocks, node.block_size) == (NODES, (), None)


def test_what_cannot_be_right_is_told_at_once_by_path(tmp_path: Path) -> None:
    plant(tmp_path)
    (tmp_path / "memory/memory0/state").write_text("asleep")
    (tmp_path / "memory/memory32/valid_zones").write_text("; rm")
    (tmp_path / "memory/memory33/online").unlink()
    (tmp_path / "memory/memory33/phys_index").write_text("21")
    (tmp_path / "memory/block_size_bytes").write_text("8000001")
    with pytest.raises(InputError) as error:
        read_facts([tmp_path])
    assert [str(fault) for fault in error.value.faults] == [
        f"memory/block_size_bytes: '8000001' is not a size in hexadecimal such as 8000000: {NOT_A_BLOCK}",
        "memory/memory0/state: the state 'asleep' is none of online, offline, going-offline",
        "memory/memory32/valid_zones: '; rm' are not names of zones such as Normal Movable",
        "memory/memory33/state: its state is not there",
    ]
    (tmp_path / "memory/block_size_bytes").unlink()
    with pytest.raises(InputError, match="block_size_bytes is not there; copy it too"):
        read_facts([tmp_path])


def test_a_block_on_two_nodes_is_told(tmp_path: Path) -> None:
    plant(tmp_path)
    (tmp_path / "node/node0/memory32").symlink_to("../../memory/memory32")
    (facts,) = read_facts([tmp_path])
    assert facts.blocks[1].node == 0
    assert facts.remarks == [("memory/memory32", "on nodes 0, 1; taken as on node 0")]


def test_a_listing_of_the_files_says_the_same_but_for_nodes(tmp_path: Path) -> None:
    file = tmp_path / "listing"
    lines = [f"/sys/devices/system/{name}:{line}" for name, text in FILES.items() for line in text.split("\n")]
    file.write_text("\n".join(["$ grep -r . /sys/devices/system/memory/", *reversed(lines)]))
    (facts,) = (facts for facts in read_facts([file]) if facts.kind == "sysfs")
    assert facts.blocks == tuple(view._replace(node=None) for view in BLOCKS)
    assert (facts.file, facts.block_size, facts.auto_online_blocks) == (str(file), 128 * MIB, "online")
    assert [node.cpus for node in facts.nodes] == [True, False]


def test_of_a_sos_report_what_is_about_memory_is_read(tmp_path: Path) -> None:
    for name, text in (
        ("sos_commands/memory/free", "              total        used        free\nMem: 2000000 400000 1600000\n"),
        ("sos_commands/kernel/uname_-a", "Linux vm 6.1.0-18-amd64 #1 SMP x86_64 GNU/Linux\n"),
        ("sos_commands/process/ps", "MemTotal: 5 kB"),
        ("proc/cmdline", "root=/dev/vda1 quiet"),
    ):
        path = tmp_path / "sosreport" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    plant(tmp_path / "sosreport/sys/devices/system")
    kinds = sorted(facts.kind for facts in read_facts([tmp_path / "sosreport"]))
    assert kinds == ["cmdline", "free", "sysfs", "uname"]
    archive = tmp_path / "sosreport.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(tmp_path / "sosreport", "sosreport-vm-2026")
    assert sorted(facts.kind for facts in read_facts([archive])) == kinds
